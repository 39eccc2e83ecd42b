//! A disk in memory, and the shortest way from text to messages.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use vipward_core::config::{self, Config, Loaded, Options};
use vipward_core::text::{Severity, Sources};

pub fn disk(files: &[(&str, &str)]) -> BTreeMap<PathBuf, Vec<u8>> {
    files.iter().map(|(name, text)| (PathBuf::from(name), text.as_bytes().to_vec())).collect()
}

pub fn load_bytes(bytes: &[u8], options: &Options) -> (Sources, Loaded) {
    let mut sources = Sources::default();
    let files = BTreeMap::from([(PathBuf::from("lb.conf"), bytes.to_vec())]);
    let loaded = config::load(&mut sources, &files, Path::new("lb.conf"), options);
    (sources, loaded)
}

pub fn load(text: &str) -> (Sources, Loaded) {
    load_bytes(text.as_bytes(), &Options::default())
}

/// The configuration of a text without errors.
#[track_caller]
pub fn good(text: &str) -> Config {
    let (sources, loaded) = load(text);
    let Some(config) = loaded.config else {
        panic!("{}", vipward_core::text::render(&sources, &loaded.diagnostics, false));
    };
    config
}

/// `E unclosed-block 3:1`, one for each message.
pub fn said(text: &str) -> Vec<String> {
    let (sources, loaded) = load(text);
    list(&sources, &loaded.diagnostics)
}

pub fn list(sources: &Sources, diagnostics: &[vipward_core::text::Diagnostic]) -> Vec<String> {
    let line = |diagnostic: &vipward_core::text::Diagnostic| {
        let letter = match diagnostic.severity {
            Severity::Error => 'E',
            Severity::Warning => 'W',
            Severity::Info => 'I',
        };
        let at = diagnostic.span().map(|span| sources.location(span));
        let at = at.map(|at| format!(" {}:{}", at.line, at.column)).unwrap_or_default();
        format!("{letter} {}{at}", diagnostic.code)
    };
    diagnostics.iter().map(line).collect()
}

/// An instance that has all it needs, with room for more.
pub fn instance(more: &str) -> String {
    format!(
        "vrrp_instance VI_1 {{\n    interface eth0\n    virtual_router_id 51\n    priority 100\n    virtual_ipaddress {{\n        192.0.2.100/24\n    }}\n{more}\n}}\n"
    )
}

/// A virtual server that has all it needs, with room for more; a real server with room for more.
pub fn service(more: &str, server: &str) -> String {
    format!(
        "virtual_server 192.0.2.100 80 {{\n    lb_algo rr\n    lb_kind NAT\n    protocol TCP\n{more}\n    real_server 198.51.100.21 80 {{\n{server}\n    }}\n}}\n"
    )
}
