//! The table of words.

use crate::helpers::load;
use vipward_core::config::keywords::{Block, Keyword, Status, TABLE};

/// Every word of keepalived 2.4.3 with the block where it stands, to see that none is forgotten: words that stand in
/// many blocks are spot-checked by those below.
#[test]
fn counts() {
    let pairs: usize = TABLE.iter().map(|keyword| keyword.within.len()).sum();
    assert!(pairs >= 531, "{pairs}");
}

/// The blocks around a word, outermost first.
fn around(block: Block) -> Vec<&'static str> {
    match block {
        Block::Root => vec![],
        Block::GlobalDefs => vec!["global_defs"],
        Block::VrrpInstance => vec!["vrrp_instance VI_1"],
        Block::Authentication => vec!["vrrp_instance VI_1", "authentication"],
        Block::VrrpScript => vec!["vrrp_script chk"],
        Block::VirtualServer => vec!["virtual_server 192.0.2.1 80"],
        Block::RealServer => vec!["virtual_server 192.0.2.1 80", "real_server 192.0.2.2 80"],
        Block::TcpCheck => vec!["virtual_server 192.0.2.1 80", "real_server 192.0.2.2 80", "TCP_CHECK"],
        Block::HttpGet => vec!["virtual_server 192.0.2.1 80", "real_server 192.0.2.2 80", "HTTP_GET"],
        Block::Url => vec!["virtual_server 192.0.2.1 80", "real_server 192.0.2.2 80", "HTTP_GET", "url"],
        _ => vec![],
    }
}

fn text(block: Block, line: &str) -> String {
    let around = around(block);
    let open: String = around.iter().map(|head| format!("{head} {{\n")).collect();
    format!("{open}{line}\n{}", "}\n".repeat(around.len()))
}

fn codes(text: &str) -> Vec<&'static str> {
    load(text).1.diagnostics.iter().map(|diagnostic| diagnostic.code).collect()
}

fn line(keyword: &Keyword) -> String {
    let block = if keyword.shape.block.is_some() { " {\n}" } else { "" };
    format!("{}{}{block}", keyword.word, " 7".repeat(keyword.shape.min))
}

fn is_reached(block: Block) -> bool {
    block == Block::Root || !around(block).is_empty()
}

#[test]
fn no_word_is_ignored_in_silence() {
    for keyword in TABLE {
        for block in keyword.within.iter().filter(|block| is_reached(**block)) {
            let codes = codes(&text(*block, &line(keyword)));
            let want = match keyword.status {
                Status::Acted => continue,
                Status::NotYet(_) => "not-yet",
                Status::Mail => "no-mail",
                Status::Dead(_) => "dead-word",
                Status::Renamed(_) => "old-word",
            };
            assert!(codes.contains(&want), "{} in {block:?}: {codes:?}", keyword.word);
        }
    }
}

#[test]
fn every_word_that_is_acted_on_is_looked_at() {
    // Flags and words that vipward does by itself have no value to be wrong.
    for keyword in TABLE.iter().filter(|keyword| keyword.status == Status::Acted && keyword.shape.block.is_none()) {
        let anything = [
            "router_id",
            "script",
            "script_user",
            "user",
            "virtualhost",
            "include_check",
            "auth_pass",
            "reload_check_config",
            "dynamic_interfaces",
            "checker_log_all_failures",
            "log_all_failures",
            "path",
        ];
        if keyword.shape.max == 0 || anything.contains(&keyword.word) || keyword.word.starts_with("notify") {
            continue;
        }
        for block in keyword.within.iter().filter(|block| is_reached(**block)) {
            let text = text(*block, &format!("{} /:?", keyword.word));
            let codes = codes(&text);
            assert!(codes.contains(&"bad-value"), "{} in {block:?}: {codes:?}", keyword.word);
        }
    }
}

#[test]
fn every_word_with_a_value_misses_it() {
    for keyword in TABLE.iter().filter(|keyword| keyword.status == Status::Acted && keyword.shape.min > 0) {
        for block in keyword.within.iter().filter(|block| is_reached(**block)) {
            let open = if keyword.shape.block.is_some() { " {\n}" } else { "" };
            let codes = codes(&text(*block, &format!("{}{open}", keyword.word)));
            assert!(codes.contains(&"missing-value"), "{} in {block:?}: {codes:?}", keyword.word);
        }
    }
}
