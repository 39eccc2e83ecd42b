//! What stands where in ZooKeeper, below the path of the settings:
//!
//!     /vipward                                  "vipward 1": whose tree this is
//!     /vipward/new                              the tree is new: nobody takes a lease yet, see [`Young`]
//!     /vipward/sessions/<session>               ephemeral: written again and again, as proof of life
//!     /vipward/owners/<virtual router>          whose its lease was last, see [`Record`]
//!     /vipward/owners/<virtual router>/holder   ephemeral: the lease; its czxid is the token
//!     /vipward/candidates/<virtual router>/c-N  ephemeral, numbered: a claim
//!     /vipward/members/<session>                ephemeral: a director that takes part in spreading
//!
//! What else is found there is somebody else's: it is named in the log, counts for nothing and is never deleted.

use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use vipward_core::lease::DirectorName;
use vipward_core::time::Duration;

/// What the root says of itself.
pub const TITLE: &[u8] = b"vipward 1";

/// How a candidate's node begins; ZooKeeper appends ten digits.
pub const CANDIDATE: &str = "c-";

/// The paths below one root.
#[derive(Clone, Debug)]
pub struct Tree {
    root: String,
}

/// What a path is about, for those who hear that something changed there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// A sign of life of this session.
    Life(i64),
    /// The lease of a virtual router, by the name that it has in the tree.
    Owner(String),
    Candidates(String),
    Members,
    /// Whether the tree is new.
    Young,
    /// The root, a folder, or something that is not ours.
    Other,
}

impl Tree {
    /// `root` is absolute and has no slash at its end.
    pub fn new(root: &str) -> Self {
        Self { root: root.to_owned() }
    }

    pub fn root(&self) -> &str {
        &self.root
    }

    /// What is made if it is missing, parents first.
    pub fn folders(&self) -> Vec<String> {
        let steps = self.root.match_indices('/').skip(1).filter_map(|(at, _)| self.root.get(..at));
        let below = ["sessions", "owners", "candidates", "members"].map(|folder| format!("{}/{folder}", self.root));
        steps.map(str::to_owned).chain([self.root.clone()]).chain(below).collect()
    }

    /// Stands there while nobody may take a lease, see [`Young`].
    pub fn young(&self) -> String {
        format!("{}/new", self.root)
    }

    pub fn life(&self, session: i64) -> String {
        format!("{}/sessions/{session:016x}", self.root)
    }

    pub fn members(&self) -> String {
        format!("{}/members", self.root)
    }

    pub fn member(&self, session: i64) -> String {
        format!("{}/members/{session:016x}", self.root)
    }

    pub fn owners(&self) -> String {
        format!("{}/owners", self.root)
    }

    pub fn owner(&self, router: &str) -> String {
        format!("{}/owners/{}", self.root, name(router))
    }

    pub fn holder(&self, router: &str) -> String {
        format!("{}/owners/{}/holder", self.root, name(router))
    }

    pub fn candidates(&self, router: &str) -> String {
        format!("{}/candidates/{}", self.root, name(router))
    }

    /// What `path` is about.
    pub fn about(&self, path: &str) -> About {
        let mut parts = path.strip_prefix(self.root.as_str()).unwrap_or_default().split('/').skip(1);
        match (parts.next(), parts.next()) {
            (Some("sessions"), Some(session)) => session_of(session).map_or(About::Other, About::Life),
            (Some("new"), None) => About::Young,
            (Some("members"), Some(_)) => About::Members,
            (Some("owners"), Some(router)) => About::Owner(router.to_owned()),
            (Some("candidates"), Some(router)) => About::Candidates(router.to_owned()),
            _ => About::Other,
        }
    }
}

/// A virtual router's name as one part of a path: letters, digits, `_` and `-` stay, every other byte is `%` and two hex
/// digits. ZooKeeper forbids `/`, `.`, `..` and control characters.
pub fn name(router: &str) -> String {
    let mut name = String::new();
    for byte in router.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') {
            name.push(char::from(byte));
        } else {
            let _ = write!(name, "%{byte:02x}");
        }
    }
    name
}

/// The session that a node is named after.
fn session_of(node: &str) -> Option<i64> {
    let digits = (node.len() == 16).then_some(node)?;
    u64::from_str_radix(digits, 16).ok().map(u64::cast_signed)
}

/// A tree that was just made, perhaps anew on a server whose disk was lost: the holder of a lease that nothing here tells of
/// any more may have its addresses for as long as it holds without an answer. Each director waits for that long since it
/// first saw this node, and then deletes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Young {
    /// How long whoever made the tree would hold.
    pub holds_ms: u64,
}

/// Who holds a lease, or held it last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub director: DirectorName,
    /// In hex, as its node below `sessions` is called and ZooKeeper's own tools show it.
    #[serde(with = "hex")]
    pub session: i64,
    /// So long after its last sign of life it has no address any more, by its own clock and by anybody else's.
    pub holds_ms: u64,
    /// Where it runs, if nobody else does there, see [`super::place`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

impl Holder {
    pub fn holds(&self) -> Duration {
        Duration::from_millis(self.holds_ms)
    }
}

/// Whose a lease was last. It outlives the holder, who has given it back or has died: after a death nobody may have it
/// before the dead one's own clock has told it to let go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// Nobody's: given back in order, or never taken.
    #[serde(rename = "free")]
    Free,
    /// This one's, whether its node is still there or not.
    #[serde(rename = "held")]
    Held(Holder),
}

/// Reads what stands in a node; `None`: not ours.
pub fn read<'a, T: Deserialize<'a>>(data: &'a [u8]) -> Option<T> {
    serde_json::from_slice(data).ok()
}

/// What is to stand in a node.
pub fn write(value: &impl Serialize) -> Vec<u8> {
    // Fails only for maps whose keys are not strings; ours are structs.
    serde_json::to_vec(value).unwrap_or_default()
}

mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(session: &i64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{session:016x}"))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        super::session_of(&text).ok_or_else(|| D::Error::custom("a session is 16 hex digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_virtual_routers_are_one_part_of_a_path() {
        assert_eq!(name("VI_1"), "VI_1");
        assert_eq!(name("../web 1"), "%2e%2e%2fweb%201");
        assert_eq!(name("ä"), "%c3%a4");
        assert_eq!(Tree::new("/a/b").holder("VI/1"), "/a/b/owners/VI%2f1/holder");
    }

    #[test]
    fn folders_come_parents_first() {
        let below = |root: &str| ["sessions", "owners", "candidates", "members"].map(|name| format!("{root}/{name}"));
        assert_eq!(Tree::new("/a").folders()[1..], below("/a"));
        assert_eq!(Tree::new("/a/b/c").folders()[..3], ["/a", "/a/b", "/a/b/c"]);
        assert_eq!(Tree::new("/a/b/c").folders()[3..], below("/a/b/c"));
    }

    #[test]
    fn a_path_tells_what_it_is_about() {
        let tree = Tree::new("/vipward");
        assert_eq!(tree.about(&tree.life(-2)), About::Life(-2));
        assert_eq!(tree.about(&tree.holder("VI_1")), About::Owner("VI_1".to_owned()));
        assert_eq!(tree.about(&tree.owner("VI_1")), About::Owner("VI_1".to_owned()));
        assert_eq!(tree.about("/vipward/candidates/VI_1/c-0000000001"), About::Candidates("VI_1".to_owned()));
        assert_eq!(tree.about(&tree.member(1)), About::Members);
        for other in ["/vipward", "/vipward/sessions", "/vipward/sessions/lb1", "/elsewhere/sessions/0000000000000001"]
        {
            assert_eq!(tree.about(other), About::Other, "{other}");
        }
    }

    #[test]
    fn what_is_written_is_read_and_what_others_wrote_is_not() {
        let held = Record::Held(Holder { director: "lb1".into(), session: -1, holds_ms: 4000, place: None });
        let text = r#"{"held":{"director":"lb1","session":"ffffffffffffffff","holds_ms":4000}}"#;
        assert_eq!(String::from_utf8(write(&held)).unwrap(), text);
        assert_eq!(read::<Record>(text.as_bytes()), Some(held));
        assert_eq!(read::<Record>(&write(&Record::Free)), Some(Record::Free));
        for foreign in ["", "lb1", "{}", "null", r#"{"held":{"director":"lb1","session":"1","holds_ms":4000}}"#] {
            assert_eq!(read::<Record>(foreign.as_bytes()), None, "{foreign}");
        }
        assert_eq!(read::<Record>(&[0xff, 0xfe]), None);
    }
}
