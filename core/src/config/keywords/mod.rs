//! Every word of the language: where it may stand, what follows it, whether vipward acts on it, what it does. The
//! parser, the did-you-mean and the documentation read this one table ([`TABLE`]).

mod nearest;
mod table;

pub use nearest::{Nearest, nearest};
pub use table::TABLE;

use std::collections::BTreeMap;
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
        TABLE.iter().find(|keyword| keyword.shape.block == Some(self)).map_or("this block", |keyword| keyword.word)
    }
}

/// What follows a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Fewest and most words behind it.
    pub min: usize,
    pub max: usize,
    /// Those words as a manual writes them.
    pub syntax: &'static str,
    /// The block that it opens.
    pub block: Option<Block>,
}

/// What vipward does about a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It has its meaning.
    Acted,
    /// Known, but it does nothing yet. The text says what happens instead; it may be empty.
    NotYet(&'static str),
    /// Read, but no mail is sent yet.
    Mail,
    /// It does nothing any more, in keepalived either or by design here; the text says why and what to write instead.
    Dead(&'static str),
    /// An old spelling of another word, which it is taken for.
    Renamed(&'static str),
}

/// One word of the language.
#[derive(Clone, Copy, Debug)]
pub struct Keyword {
    pub word: &'static str,
    /// The blocks in which it may stand.
    pub within: &'static [Block],
    pub shape: Shape,
    pub status: Status,
    /// What it does, in one line.
    pub help: &'static str,
}

/// The word as it is known in that block.
pub fn find(block: Block, word: &str) -> Option<&'static Keyword> {
    static INDEX: OnceLock<BTreeMap<(Block, &'static str), &'static Keyword>> = OnceLock::new();
    let index = INDEX.get_or_init(|| {
        let rows = TABLE.iter().flat_map(|keyword| keyword.within.iter().map(move |block| (*block, keyword)));
        rows.map(|(block, keyword)| ((block, keyword.word), keyword)).collect()
    });
    index.get(&(block, word)).copied()
}

/// The words of one block.
pub fn words(block: Block) -> impl Iterator<Item = &'static Keyword> {
    TABLE.iter().filter(move |keyword| keyword.within.contains(&block))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_stands_twice_in_a_block() {
        let mut seen = std::collections::BTreeSet::new();
        for keyword in TABLE {
            for block in keyword.within {
                assert!(seen.insert((*block, keyword.word)), "{} twice in {block:?}", keyword.word);
            }
        }
    }

    #[test]
    fn every_old_spelling_names_a_word_of_the_same_block() {
        for keyword in TABLE {
            if let Status::Renamed(to) = keyword.status {
                for block in keyword.within {
                    assert!(find(*block, to).is_some(), "{} -> {to} in {block:?}", keyword.word);
                }
            }
        }
    }

    #[test]
    fn every_block_can_be_opened() {
        for keyword in TABLE {
            for block in keyword.within.iter().filter(|block| **block != Block::Root) {
                assert!(TABLE.iter().any(|opener| opener.shape.block == Some(*block)), "{block:?}");
            }
        }
    }
}
