//! Every word of the language: one file for each block, one row for each word ([`row::Row`]). The row says what follows
//! the word, what holds without it, what takes it into the configuration and what it does. The reader, the
//! did-you-mean, `vipward config words` and the manual all read the rows.

mod nearest;
pub(super) mod row;
pub(super) mod said;
mod values;

mod addresses;
mod book;
mod command;

mod auth_hmac;
mod authentication;
mod bfd;
mod connection;
mod dns_check;
mod family;
mod fifo;
mod file_check;
mod forwarding;
mod garp_group;
mod global_defs;
mod global_process;
mod granularity;
mod http_get;
mod known_checks;
mod lvs;
mod misc_check;
mod pace;
mod ping_check;
mod real_server;
pub(super) mod root;
pub(super) mod routes;
mod rules;
pub(super) mod server_group;
mod smtp_check;
mod ssl_get;
mod statics;
mod sync_group;
mod target;
mod tcp_check;
mod track_file;
mod track_group;
mod track_process;
mod track_script;
mod udp_check;
mod unicast;
mod url;
mod virtual_server;
mod vrrp_garp;
mod vrrp_instance;
mod vrrp_instance_words;
mod vrrp_script;
mod whole;

pub use book::{explain, json, list, markdown, places};
pub use nearest::{Nearest, nearest};
pub use row::{Default, Takes, Value};

use std::sync::OnceLock;

/// A kind of block: what its lines may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Block {
    /// The file itself.
    Root,
    GlobalDefs,
    VrrpInstance,
    Authentication,
    AuthHmac,
    VrrpScript,
    SyncGroup,
    TrackFile,
    TrackProcess,
    TrackGroup,
    GarpGroup,
    Bfd,
    Ssl,
    VirtualServer,
    RealServer,
    TcpCheck,
    HttpGet,
    Url,
    SslGet,
    SslUrl,
    MiscCheck,
    SmtpCheck,
    SmtpHost,
    DnsCheck,
    UdpCheck,
    PingCheck,
    FileCheck,
    BfdCheck,
    /// Lines of addresses: `virtual_ipaddress` and its kin.
    Addresses,
    /// Lines of one address each: `unicast_peer`.
    Peers,
    /// Lines of one name each with options: `track_script` and its kin.
    Tracked,
    /// Lines of something that is not looked into: mail addresses, routes, group members.
    Lines,
    /// The inside of a word that nobody knows.
    Unknown,
}

impl Block {
    /// Whether its lines are data, not words of the language.
    pub fn is_list(self) -> bool {
        matches!(self, Self::Addresses | Self::Peers | Self::Tracked | Self::Lines)
    }

    /// The word that opens it, for messages.
    pub fn name(self) -> &'static str {
        if self == Self::Root {
            return "the top level";
        }
        all().find(|keyword| keyword.takes.block == Some(self)).map_or("this block", |keyword| keyword.word)
    }

    /// The words that open it and the blocks around it, outermost first: `virtual_server > real_server`.
    pub fn path(self) -> String {
        let opener = all().find(|keyword| keyword.takes.block == Some(self));
        match opener {
            Some(opener) if opener.block == Self::Root => opener.word.to_owned(),
            Some(opener) => format!("{} > {}", opener.block.path(), opener.word),
            None => self.name().to_owned(),
        }
    }
}

/// What vipward does about a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has its meaning.
    Acted,
    /// vipward does so anyway; the text says why.
    Always(&'static str),
    /// Known, but it does nothing yet. The text says what happens instead; it may be empty.
    NotYet(&'static str),
    /// It does nothing any more; the text says why and what to write instead.
    Dead(&'static str),
    /// An old spelling of another word, which it is taken for.
    Renamed(&'static str),
    /// A second spelling of another word.
    Also(&'static str),
}

/// One word in one block: its row without the setter, so that all are of one type.
#[derive(Clone, Debug)]
pub struct Keyword {
    pub word: &'static str,
    /// Where it stands.
    pub block: Block,
    pub takes: Takes,
    pub default: Default,
    pub standing: Standing,
    /// What it does, in one line.
    pub help: &'static str,
    /// The place of its row in the block's table, or of that of the word which it stands for.
    pub(super) target: usize,
}

impl Keyword {
    /// What it does, and what holds without it.
    pub fn meaning(&self) -> String {
        let absent = match self.default {
            Default::Nothing => return self.help.to_owned(),
            Default::Is(value) => value.to_owned(),
            Default::Of(block, word) => format!("`{word}` of `{}`", block.name()),
            Default::Like(word) => format!("`{word}`"),
            Default::Told(what) => what.to_owned(),
        };
        format!("{}; {absent} if absent", self.help)
    }

    /// The word by its present name.
    pub fn canonical(&self) -> &'static str {
        match self.standing {
            Standing::Renamed(to) | Standing::Also(to) => to,
            Standing::Acted | Standing::Always(_) | Standing::NotYet(_) | Standing::Dead(_) => self.word,
        }
    }
}

/// All words of one block.
struct Words {
    block: Block,
    /// In the order of their rows.
    words: Vec<Keyword>,
    /// Places in `words`, by [`slot`]: what a line costs must not grow with the number of words.
    slots: [Vec<u16>; SLOTS],
}

const SLOTS: usize = 64;

/// Spreads the words of a block well enough that one or two share a slot.
fn slot(word: &str) -> usize {
    let bytes = word.as_bytes();
    let middle = bytes.get(bytes.len() / 2).copied().unwrap_or(0);
    let (first, last) = (bytes.first().copied().unwrap_or(0), bytes.last().copied().unwrap_or(0));
    (bytes.len() * 7 + usize::from(first) * 3 + usize::from(last) * 5 + usize::from(middle)) % SLOTS
}

impl Words {
    fn new(block: Block, words: Vec<Keyword>) -> Self {
        let mut slots = std::array::from_fn(|_| Vec::new());
        for (at, keyword) in (0..).zip(&words) {
            if let Some(slot) = slots.get_mut(slot(keyword.word)) {
                slot.push(at);
            }
        }
        Self { block, words, slots }
    }

    fn find(&self, word: &str) -> Option<&Keyword> {
        let candidates = self.slots.get(slot(word))?;
        candidates.iter().filter_map(|at| self.words.get(usize::from(*at))).find(|keyword| keyword.word == word)
    }
}

/// Every block with its words, in the order of [`Block`].
fn blocks() -> &'static [Words] {
    static BLOCKS: OnceLock<Vec<Words>> = OnceLock::new();
    BLOCKS.get_or_init(|| {
        let tables = [
            root::TABLE.keywords(),
            global_defs::TABLE.keywords(),
            vrrp_instance::TABLE.keywords(),
            authentication::TABLE.keywords(),
            auth_hmac::TABLE.keywords(),
            vrrp_script::TABLE.keywords(),
            sync_group::TABLE.keywords(),
            track_file::TABLE.keywords(),
            track_process::TABLE.keywords(),
            track_group::TABLE.keywords(),
            garp_group::TABLE.keywords(),
            bfd::TABLE.keywords(),
            ssl_get::SSL.keywords(),
            virtual_server::TABLE.keywords(),
            real_server::TABLE.keywords(),
            tcp_check::TABLE.keywords(),
            http_get::TABLE.keywords(),
            url::TABLE.keywords(),
            ssl_get::TABLE.keywords(),
            ssl_get::URL.keywords(),
            misc_check::TABLE.keywords(),
            smtp_check::TABLE.keywords(),
            smtp_check::HOST.keywords(),
            dns_check::TABLE.keywords(),
            udp_check::TABLE.keywords(),
            ping_check::TABLE.keywords(),
            file_check::TABLE.keywords(),
            known_checks::BFD_CHECK.keywords(),
        ];
        let named = tables.into_iter().filter_map(|words| Some(Words::new(words.first()?.block, words)));
        named.collect()
    })
}

/// The word as it is known in that block.
pub fn find(block: Block, word: &str) -> Option<&'static Keyword> {
    blocks().get(block as usize).filter(|words| words.block == block)?.find(word)
}

/// The words of one block, in the order of their rows.
pub fn words(block: Block) -> impl Iterator<Item = &'static Keyword> {
    blocks().get(block as usize).into_iter().flat_map(|words| &words.words)
}

/// Every word of every block.
pub fn all() -> impl Iterator<Item = &'static Keyword> {
    blocks().iter().flat_map(|words| &words.words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_block_is_where_it_is_looked_for() {
        for (at, words) in blocks().iter().enumerate() {
            assert_eq!(words.block as usize, at, "{:?}", words.block);
            assert!(words.words.iter().all(|keyword| keyword.block == words.block));
        }
    }

    #[test]
    fn no_word_stands_twice_in_a_block() {
        for keyword in all() {
            assert!(find(keyword.block, keyword.word).is_some_and(|found| std::ptr::eq(found, keyword)), "{keyword:?}");
        }
    }

    #[test]
    fn every_other_spelling_and_every_default_names_a_word_that_is_there() {
        for keyword in all() {
            if let Standing::Renamed(to) | Standing::Also(to) = keyword.standing {
                assert!(find(keyword.block, to).is_some(), "{} -> {to} in {:?}", keyword.word, keyword.block);
            }
            let from = match keyword.default {
                Default::Of(block, word) => Some((block, word)),
                Default::Like(word) => Some((keyword.block, word)),
                Default::Nothing | Default::Is(_) | Default::Told(_) => None,
            };
            if let Some((block, word)) = from {
                assert!(find(block, word).is_some(), "{} <- {word} in {block:?}", keyword.word);
            }
        }
    }

    #[test]
    fn every_block_can_be_opened() {
        for words in blocks().iter().skip(1) {
            assert!(all().any(|opener| opener.takes.block == Some(words.block)), "{:?}", words.block);
        }
    }

    #[test]
    fn few_words_share_a_slot() {
        for words in blocks() {
            let most = words.slots.iter().map(Vec::len).max();
            assert!(most <= Some(8), "{:?}: {most:?}", words.block);
        }
    }
}
