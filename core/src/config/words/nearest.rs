//! The word that was probably meant.

use super::{Block, Keyword, all, find, words};
use crate::text::normal;

/// What an unknown word may have been meant as.
#[derive(Clone, Copy, Debug)]
pub enum Nearest {
    /// A word of this block, misspelt.
    Misspelt(&'static Keyword),
    /// A word of this block with its value glued on; the value begins at this byte.
    Glued(&'static Keyword, usize),
    /// A word of this block, written as this many words.
    Split(&'static Keyword, usize),
    /// A word that stands in other blocks.
    Elsewhere(&'static Keyword),
}

/// Looks first in `block`, then everywhere. `after` are the words behind it.
pub fn nearest<'a>(block: Block, word: &str, after: impl IntoIterator<Item = &'a str>) -> Option<Nearest> {
    let plain = normal(word);
    if let Some(keyword) = words(block).find(|keyword| normal(keyword.word) == plain) {
        return Some(Nearest::Misspelt(keyword));
    }
    if let Some(keyword) = all().find(|keyword| keyword.word == word) {
        return Some(Nearest::Elsewhere(keyword));
    }
    let mut joined = plain.clone();
    for (count, next) in after.into_iter().take(3).enumerate() {
        joined = format!("{joined}_{}", normal(next));
        if let Some(keyword) = find(block, &joined) {
            return Some(Nearest::Split(keyword, count + 2));
        }
    }
    if let Some(nearest) = glued(block, word) {
        return Some(nearest);
    }
    close(words(block), &plain).or_else(|| beheaded(words(block), &plain)).map(Nearest::Misspelt)
}

/// `script_security`: the end of one known word, long enough to be no accident.
fn beheaded(mut candidates: impl Iterator<Item = &'static Keyword>, word: &str) -> Option<&'static Keyword> {
    if word.len() < 7 { None } else { candidates.find(|keyword| keyword.word.ends_with(word)) }
}

/// `virtual_server192.0.2.1`: the longest known word in front of something that can't be part of a word.
fn glued(block: Block, word: &str) -> Option<Nearest> {
    words(block)
        .filter(|keyword| keyword.takes.max > 0)
        .filter_map(|keyword| Some((keyword, word.strip_prefix(keyword.word)?)))
        .filter(|(_, rest)| rest.starts_with(|c: char| !c.is_ascii_alphabetic() && c != '_' && c != '-'))
        .max_by_key(|(keyword, _)| keyword.word.len())
        .map(|(keyword, _)| Nearest::Glued(keyword, keyword.word.len()))
}

/// Within two edits, one for short words, fewer first.
fn close(candidates: impl Iterator<Item = &'static Keyword>, word: &str) -> Option<&'static Keyword> {
    // Longer than any word of the language by more than the edits that count; comparing would cost its square.
    if word.len() > 64 {
        return None;
    }
    let allowed = if word.len() < 4 { 1 } else { 2 };
    candidates
        .map(|keyword| (strsim::osa_distance(&normal(keyword.word), word), keyword))
        .filter(|(distance, keyword)| *distance <= allowed && *distance * 2 < keyword.word.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, keyword)| keyword)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(block: Block, line: &str) -> Option<&'static str> {
        let mut words = line.split(' ');
        Some(match nearest(block, words.next().unwrap(), words)? {
            Nearest::Misspelt(keyword)
            | Nearest::Glued(keyword, _)
            | Nearest::Split(keyword, _)
            | Nearest::Elsewhere(keyword) => keyword.word,
        })
    }

    #[test]
    fn finds_what_real_files_misspell() {
        for (block, written, word) in [
            (Block::VirtualServer, "lb-kind DR", "lb_kind"),
            (Block::TcpCheck, "connetc_port 80", "connect_port"),
            (Block::VrrpInstance, "macast_src_ip 192.0.2.1", "mcast_src_ip"),
            (Block::VrrpInstance, "mcast src ip 192.0.2.1", "mcast_src_ip"),
            (Block::Root, "vvrp_script chk", "vrrp_script"),
            (Block::VrrpScript, "fail 2", "fall"),
            (Block::Root, "virtual_server192.0.2.1 80", "virtual_server"),
            (Block::VirtualServer, "sorry_server<ip>", "sorry_server"),
            (Block::GlobalDefs, "advert_int 1", "advert_int"),
            (Block::RealServer, "http_get", "HTTP_GET"),
            (Block::Root, "bal_defs", "global_defs"),
            (Block::GlobalDefs, "script_security", "enable_script_security"),
        ] {
            assert_eq!(meant(block, written), Some(word), "{written}");
        }
        assert_eq!(meant(Block::Root, "The program then says"), None);
        assert_eq!(meant(Block::VrrpScript, "x 1"), None);
    }
}
