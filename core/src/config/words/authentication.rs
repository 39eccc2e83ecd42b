//! `authentication`: a password in every advert, in clear text, or an authentication header of which it is the key (VRRPv2).

use super::Block;
use super::row::Default::Nothing;
use super::row::Status::Acted;
use super::row::{Row, Table, choice, row, text};
use super::said::{self, Lower};
use crate::text::{Diagnostic, Span};

#[derive(Clone, Debug, std::default::Default)]
pub(super) struct Draft {
    /// `auth_type AH`.
    pub ah: bool,
    /// There is an `auth_type`.
    kind: bool,
    /// `auth_pass` stands behind it on the same line.
    on_one_line: bool,
    /// The line, and the password with its place.
    password: Option<(String, Span)>,
    /// There is an `auth_pass`, be it empty.
    password_known: bool,
}

impl said::Draft for Draft {}

pub(super) const TABLE: Table<Draft> = Table { block: Block::Authentication, rows: &[ROWS] };

#[rustfmt::skip]
const ROWS: &[Row<Draft>] = &[
    row("auth_type", choice(&["PASS", "AH"]), Nothing, Acted(|said, draft| {
        draft.kind = true;
        draft.on_one_line = said.line.args.iter().any(|word| word.text == "auth_pass");
        if let Some(ah) = said.choice(&[("PASS", false), ("AH", true)]) { draft.ah = ah; }
    }), "kind of authentication"),
    row("auth_pass", text("PASSWORD"), Nothing, Acted(|said, draft| {
        draft.password_known = true;
        draft.password = said.value().map(|value| (value.text.to_string(), value.span));
    }), "the first 8 characters count"),
];

/// Passwords that manuals print and people copy.
const PUBLIC: [&str; 22] = [
    "1111",
    "1234",
    "12345",
    "123456",
    "1234567",
    "12345678",
    "0000",
    "pass",
    "passwd",
    "password",
    "PASSWORD",
    "secret",
    "test",
    "admin",
    "root",
    "keepalive",
    "keepalived",
    "qwerty",
    "qwe123",
    "k@l!ve1",
    "mypass",
    "changeme",
];

impl Lower<'_> {
    /// The bytes on the wire (RFC 2338 10.3), filled with zeros.
    pub(super) fn password(&mut self, auth: Span, draft: &Draft) -> Option<[u8; 8]> {
        if !draft.kind && draft.password_known {
            self.push(
                Diagnostic::error("missing-word", "`authentication` has no `auth_type`")
                    .at(auth, "no authentication without it")
                    .help("add `auth_type PASS`, or delete the block"),
            );
        }
        if !draft.password_known {
            // Both on one line: that is said already.
            if draft.on_one_line {
                return None;
            }
            self.push(
                Diagnostic::error("missing-word", "`authentication` has no `auth_pass`")
                    .at(auth, "no password, no authentication")
                    .help("add `auth_pass PASSWORD`, or delete the block on every node"),
            );
            return None;
        }
        let (text, span) = draft.password.as_ref()?;
        let bytes = text.as_bytes();
        let same = bytes.iter().all(|byte| Some(byte) == bytes.first());
        if PUBLIC.contains(&text.as_str()) || same {
            let why = match draft.ah {
                true => "everybody knows this one",
                false => "everybody knows this one, and adverts carry it in clear text",
            };
            self.push(
                Diagnostic::warning("public-password", format!("`auth_pass {}` protects nothing", text))
                    .at(*span, why)
                    .help("delete `authentication` on every node; to keep strangers out, use a packet filter or unicast_peer"),
            );
        }
        if bytes.len() > 8 {
            let counts: String = text
                .chars()
                .scan(0, |length, c| {
                    *length += c.len_utf8();
                    (*length <= 8).then_some(c)
                })
                .collect();
            self.push(
                Diagnostic::warning("long-password", "only the first 8 characters of `auth_pass` count")
                    .at(*span, format!("`{counts}` is all that counts"))
                    .help("cut it to 8 characters on every node"),
            );
        }
        let mut password = [0; 8];
        for (slot, byte) in password.iter_mut().zip(bytes) {
            *slot = *byte;
        }
        Some(password)
    }
}
