//! The table of words.

use crate::helpers::load;
use vipward_core::config::words::{Block, Keyword, Standing, all};

/// Every word of keepalived 2.4.3 with the block where it stands, to see that none is forgotten: words that stand in
/// many blocks are spot-checked by those below.
#[test]
fn counts() {
    let pairs = all().count();
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
    let block = if keyword.takes.block.is_some() { " {\n}" } else { "" };
    format!("{}{}{block}", keyword.word, " 7".repeat(keyword.takes.min))
}

/// Words that are acted on, in blocks that are.
fn acted() -> impl Iterator<Item = &'static Keyword> {
    all().filter(|keyword| keyword.standing == Standing::Acted && is_reached(keyword.block))
}

fn is_reached(block: Block) -> bool {
    block == Block::Root || !around(block).is_empty()
}

#[test]
fn no_word_is_ignored_in_silence() {
    for keyword in all().filter(|keyword| is_reached(keyword.block)) {
        let codes = codes(&text(keyword.block, &line(keyword)));
        let want = match keyword.standing {
            Standing::Acted | Standing::Always(_) | Standing::Also(_) => continue,
            Standing::NotYet(_) => "not-yet",
            Standing::Dead(_) => "dead-word",
            Standing::Renamed(_) => "old-word",
        };
        assert!(codes.contains(&want), "{keyword:?}: {codes:?}");
    }
}

#[test]
fn every_word_that_is_acted_on_is_looked_at() {
    // Flags and words that vipward does by itself have no value to be wrong.
    for keyword in acted().filter(|keyword| keyword.takes.block.is_none()) {
        let anything = [
            "router_id",
            "notification_email_from",
            "script",
            "script_user",
            "user",
            "virtualhost",
            "auth_pass",
            "path",
            "regex",
        ];
        if keyword.takes.max == 0
            || anything.contains(&keyword.word)
            || keyword.word.starts_with("notify")
            || keyword.word.contains("_notify_fifo")
            || keyword.word.ends_with("_dump_file")
            || keyword.word.starts_with("quorum_")
        {
            continue;
        }
        let codes = codes(&text(keyword.block, &format!("{} /:?", keyword.word)));
        assert!(codes.contains(&"bad-value"), "{keyword:?}: {codes:?}");
    }
}

#[test]
fn every_word_with_a_value_misses_it() {
    for keyword in acted().filter(|keyword| keyword.takes.min > 0) {
        let open = if keyword.takes.block.is_some() { " {\n}" } else { "" };
        let codes = codes(&text(keyword.block, &format!("{}{open}", keyword.word)));
        assert!(codes.contains(&"missing-value"), "{keyword:?}: {codes:?}");
    }
}
