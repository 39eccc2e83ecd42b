//! The text of a mail (RFC 5322), with the headers of keepalived 2.2.7 and those that a mail from a program should have.
//!
//! Nothing that is put in can add a header line: each header is one line, whatever is in it (RFC 5322 2.2.3 folds aside).

use super::{Settings, one_line};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::time::UNIX_EPOCH;

/// Bytes of a subject before it is encoded.
const LONGEST_SUBJECT: usize = 400;

/// Bytes of a body.
const LONGEST_BODY: usize = 64 << 10;

/// Bytes of a line of the body (RFC 5322 2.1.1: 998 at most).
const LONGEST_LINE: usize = 900;

/// Bytes of UTF-8 that go into one encoded word of 75 characters at most (RFC 2047 2).
const ENCODED: usize = 45;

/// A mail that is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub subject: String,
    pub body: String,
    /// When that happened, in seconds since 1970.
    pub wall: u64,
    /// Its number among those of this process.
    pub id: u64,
}

impl Message {
    /// As it follows DATA, with the line that ends it (RFC 5321 4.5.2: no other line is a single dot).
    pub fn data(&self, settings: &Settings) -> Vec<u8> {
        let Settings { to, from, helo, router_id, .. } = settings;
        let subject = encoded(&one_line(&format!("[{router_id}] {}", self.subject), LONGEST_SUBJECT));
        let (encoding, body) = body(&self.body);
        let text = format!(
            "Date: {}\r\nFrom: {from}\r\nSubject: {subject}\r\nX-Mailer: vipward\r\nTo: {}\r\n\
             Message-ID: <{}.{}@{helo}>\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n\
             Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n",
            date(self.wall),
            to.join(",\r\n "),
            self.wall,
            self.id,
        );
        let mut data = text.into_bytes();
        for line in body.lines() {
            if line.starts_with('.') {
                data.push(b'.');
            }
            data.extend_from_slice(line.as_bytes());
            data.extend_from_slice(b"\r\n");
        }
        data.extend_from_slice(b".\r\n");
        data
    }
}

/// `Sat, 28 Nov 2026 14:04:52 +0000` (RFC 5322 3.3).
pub fn date(wall: u64) -> String {
    // The format of HTTP is the same but for the zone.
    let http = UNIX_EPOCH.checked_add(std::time::Duration::from_secs(wall)).filter(|_| wall < 253_402_300_800);
    httpdate::fmt_http_date(http.unwrap_or(UNIX_EPOCH)).replace("GMT", "+0000")
}

/// `14:04:52`.
pub fn time_of_day(wall: u64) -> String {
    let second = wall % 86_400;
    format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
}

/// ASCII as it is, in folded lines where it is long; anything else as encoded words (RFC 2047).
fn encoded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    let mut words = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (word, after) = rest.split_at(rest.floor_char_boundary(ENCODED));
        words.push(format!("=?UTF-8?B?{}?=", BASE64.encode(word)));
        rest = after;
    }
    words.join("\r\n ")
}

/// The name of the body's encoding, and the body.
fn body(text: &str) -> (&'static str, String) {
    let text = text.get(..text.floor_char_boundary(LONGEST_BODY)).unwrap_or_default();
    let clean: String = text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect();
    if clean.is_ascii() {
        let lines = clean.lines().map(|line| wrapped(line, LONGEST_LINE));
        return ("7bit", lines.collect::<Vec<_>>().join("\n"));
    }
    // The text is one with CRLF (RFC 2045 6.8).
    ("base64", wrapped(&BASE64.encode(clean.replace('\n', "\r\n")), 76))
}

/// ASCII in lines of no more than that.
fn wrapped(line: &str, most: usize) -> String {
    let mut lines = Vec::new();
    let mut rest = line;
    while rest.len() > most {
        let (head, after) = rest.split_at(rest.floor_char_boundary(most));
        lines.push(head);
        rest = after;
    }
    lines.push(rest);
    lines.join("\n")
}
