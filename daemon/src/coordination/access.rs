//! Who may read and write the tree: the lines of `auth_file`, and the access rights that ZooKeeper keeps for them.
//!
//! A password is changed without a moment in which a director is locked out. The new line is written above the old one, on
//! one director after the other; then the old line is taken out in the same way. The order makes it clear who is further on:
//! access rights are a list, the newest first, and a director that finds its own newest line further down leaves them as
//! they are.

use crate::system::disk::{Disk, LooksAt};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha1::{Digest, Sha1};
use std::fmt;
use std::path::PathBuf;
use vipward_core::lease::QuorumService;
use vipward_core::text::Files;
use zookeeper_client::{Acl, AuthId, Permission};

/// The scheme of ZooKeeper's that knows users by passwords.
pub const DIGEST: &str = "digest";

/// What becomes of a file that can't be used, in messages.
pub const UNTIL_THEN: &str = "what it said before counts until this director is started again";

/// What one state of `auth_file` says, or that there is none.
#[derive(Clone, PartialEq, Eq)]
pub struct Access {
    file: Option<PathBuf>,
    /// `user:password`, the newest first.
    lines: Vec<String>,
    /// All rights for each of them, in the same order; for everybody without a file.
    rights: Vec<Acl>,
}

/// Without the passwords.
impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("file", &self.file).field("lines", &self.lines.len()).finish()
    }
}

impl Access {
    /// Reads it as it is now.
    ///
    /// # Errors
    /// For people: the file can't be read, or holds something else than lines `user:password`.
    pub fn read(service: &QuorumService) -> Result<Self, String> {
        Self::of(service.auth_file.clone())
    }

    /// The same file as it is now.
    pub fn again(&self) -> Result<Self, String> {
        Self::of(self.file.clone())
    }

    fn of(file: Option<PathBuf>) -> Result<Self, String> {
        let Some(path) = &file else {
            let anyone = Acl::new(Permission::ALL, AuthId::anyone());
            return Ok(Self { file, lines: Vec::new(), rights: vec![anyone] });
        };
        let named = |error: &dyn fmt::Display| format!("auth_file {}: {error}", path.display());
        let text = Disk::new(LooksAt::default()).read(path).map_err(|error| named(&error))?;
        let text = String::from_utf8(text).map_err(|error| named(&error))?;
        let lines: Vec<String> = text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
        let user = |line: &String| line.split_once(':').is_some_and(|(user, _)| !user.is_empty());
        if lines.is_empty() || !lines.iter().all(user) {
            return Err(named(&"lines `user:password` are expected, the newest first"));
        }
        let rights = lines.iter().map(|line| Acl::new(Permission::ALL, AuthId::new(DIGEST, &known_as(line)))).collect();
        Ok(Self { file, lines, rights })
    }

    /// Where it stands, for messages.
    pub fn file(&self) -> String {
        self.file.as_ref().map_or_else(String::new, |file| format!("auth_file {}", file.display()))
    }

    /// What is shown to the servers.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    /// What new nodes get.
    pub fn rights(&self) -> &[Acl] {
        &self.rights
    }

    /// Whoever shows these lines may use a node with such rights.
    pub fn opens(&self, rights: &[Acl]) -> bool {
        rights.iter().any(|right| right.auth_id() == &AuthId::anyone() || self.rights.contains(right))
    }

    /// Everybody may use it, although there is a password.
    pub fn bypassed(&self, rights: &[Acl]) -> bool {
        self.file.is_some() && rights.iter().any(|right| right.auth_id() == &AuthId::anyone())
    }

    /// What a node should have that has `rights`; `None`: what it has. Rights that somebody else gave stay.
    pub fn instead_of(&self, rights: &[Acl]) -> Option<&[Acl]> {
        let ours = |right: &Acl| right.scheme() == DIGEST && right.permission() == Permission::ALL;
        let (newest, first) = (self.rights.first()?, rights.first()?);
        if self.file.is_none() || !rights.iter().all(ours) {
            return None;
        }
        let due = if first == newest { self.rights.len() < rights.len() } else { !rights.contains(newest) };
        due.then_some(self.rights.as_slice())
    }
}

/// How ZooKeeper writes down who somebody is: `user:`, and a digest of the whole line.
fn known_as(line: &str) -> String {
    let user = line.split_once(':').map_or(line, |(user, _)| user);
    format!("{user}:{}", BASE64_STANDARD.encode(Sha1::digest(line)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: Option<&str>) -> Result<Access, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("auth");
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        Access::of(Some(file)).map_err(|reason| reason.rsplit(": ").next().unwrap().to_owned())
    }

    fn of(lines: &[&str]) -> Access {
        read(Some(&lines.join("\n"))).unwrap()
    }

    #[test]
    fn the_auth_file_holds_lines_of_user_and_password() {
        let lines = |text| read(Some(text)).map(|it| it.lines.clone());
        assert_eq!(lines("vipward:s:e cret\n"), Ok(vec!["vipward:s:e cret".to_owned()]));
        assert_eq!(lines("vipward:\r\n"), Ok(vec!["vipward:".to_owned()]));
        assert_eq!(lines("vipward:new\n\nvipward:old\n"), Ok(vec!["vipward:new".to_owned(), "vipward:old".to_owned()]));
        for wrong in ["", "\n", "vipward", ":secret", "vipward:secret\nother\n"] {
            assert_eq!(lines(wrong).unwrap_err(), "lines `user:password` are expected, the newest first", "{wrong:?}");
        }
        assert!(read(None).unwrap_err().contains("No such file"));
        assert!(!format!("{:?}", of(&["vipward:secret"])).contains("secret"));
    }

    #[test]
    fn who_somebody_is_is_written_as_zookeeper_does() {
        // From ZooKeeper's own documentation of `DigestAuthenticationProvider`: super:test.
        assert_eq!(known_as("super:test"), "super:D/InIHSb7yEEbrWz8b9l71RjZJU=");
    }

    #[test]
    fn without_a_file_everybody_may_use_it_and_nothing_is_changed() {
        let anybody = Access::of(None).unwrap();
        let secret = of(&["vipward:secret"]);
        assert!(anybody.opens(anybody.rights()) && secret.opens(anybody.rights()) && !anybody.opens(secret.rights()));
        assert!(secret.bypassed(anybody.rights()) && !anybody.bypassed(anybody.rights()));
        assert_eq!(anybody.instead_of(secret.rights()), None);
        assert_eq!(secret.instead_of(anybody.rights()), None, "an administrator's");
    }

    /// Each of these is one director's file; `old` and `both` stand beside each other while the new line is brought in,
    /// `both` and `new` while the old one is taken out.
    #[test]
    fn the_rights_follow_who_is_further_on_and_never_go_back() {
        let (old, new) = (of(&["v:old"]), of(&["v:new"]));
        let both = of(&["v:new", "v:old"]);
        let becomes = |who: &Access, there: &Access| who.instead_of(there.rights()).map(<[Acl]>::to_vec);
        assert_eq!(becomes(&both, &old), Some(both.rights.clone()));
        assert_eq!(becomes(&old, &both), None);
        assert_eq!(becomes(&new, &both), Some(new.rights.clone()));
        assert_eq!(becomes(&both, &new), None);
        for same in [&old, &new, &both] {
            assert_eq!(becomes(same, same), None);
        }
        assert!(both.opens(old.rights()) && both.opens(new.rights()));
        assert!(old.opens(both.rights()) && !old.opens(new.rights()) && !new.opens(old.rights()));
        // Two directors whose files have another order settle on one of both.
        let crossed = of(&["v:old", "v:new"]);
        assert_eq!((becomes(&crossed, &both), becomes(&both, &crossed)), (None, None));
    }
}
