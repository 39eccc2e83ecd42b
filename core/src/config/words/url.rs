//! `url` of `HTTP_GET`.

use super::Block;
use super::http_get;
use super::pace::{Pace, Paced};
use super::row::Default::{Is, Nothing, Of};
use super::row::Status::{Acted, NotYet};
use super::row::{Row, Table, flag, row, text, texts};
use super::said::{self, Lower, Said};
use crate::config::model::UrlCheck;
use crate::text::Diagnostic;

#[derive(Clone, Debug, std::default::Default)]
pub(super) struct Draft {
    path: String,
    status: Vec<(u16, u16)>,
    digest: Option<[u8; 16]>,
    virtualhost: Option<String>,
}

impl said::Draft for Draft {}

pub(super) const TABLE: Table<Draft> = Table { block: Block::Url, rows: &[ROWS] };

#[rustfmt::skip]
const ROWS: &[Row<Draft>] = &[
    row("path", text("PATH"), Is("/"), Acted(path), "path and query"),
    row("status_code", texts(1, usize::MAX, "CODE | FROM-TO ..."), Is("200-299"), Acted(status), "good status codes"),
    row("digest", text("MD5"), Nothing, Acted(digest), "MD5 of the body"),
    row("virtualhost", text("HOST"), Of(Block::HttpGet, "virtualhost"), Acted(|said, draft| {
        draft.virtualhost = said.string();
    }), "Host header"),
    row("regex", text("REGEX"), Nothing, NotYet("the body is not searched"), "the body must match"),
    row("regex_no_match", flag(), Nothing, NotYet("the body is not searched"), "the body must not match"),
    row("regex_options", texts(1, usize::MAX, "OPTION..."), Nothing, NotYet("the body is not searched"), "options of the regex"),
    row("regex_min_offset", text("BYTE"), Nothing, NotYet("the body is not searched"), "first byte that is searched"),
    row("regex_max_offset", text("BYTE"), Nothing, NotYet("the body is not searched"), "last byte at which a match begins"),
    row("regex_stack", texts(2, 2, "START MAX"), Nothing, NotYet("the body is not searched"), "memory of the regex"),
];

pub(super) fn read(said: &mut Said<'_, '_, '_>, outer: &mut http_get::Draft) {
    let default = plain(said.lower, outer.pace());
    let mut draft = Draft { path: default.path, virtualhost: default.virtualhost, ..Draft::default() };
    said.lower.fill(&TABLE, said.line.lines(), &mut draft);
    let status = if draft.status.is_empty() { default.status } else { draft.status };
    outer.urls.push(UrlCheck { path: draft.path, status, digest: draft.digest, virtualhost: draft.virtualhost });
}

/// A URL of which nothing is said.
pub(super) fn plain(lower: &mut Lower<'_>, pace: &Pace) -> UrlCheck {
    let Draft { path, status, digest, .. } = lower.fresh(&TABLE);
    UrlCheck { path, status, digest, virtualhost: pace.virtualhost.as_deref().map(str::to_owned) }
}

fn path(said: &mut Said<'_, '_, '_>, draft: &mut Draft) {
    let Some(path) = said.value() else { return };
    if !path.text.starts_with('/') {
        said.lower.push(
            Diagnostic::error("bad-value", format!("`path` can't be `{}`", path.text))
                .at(path.span, "must begin with `/`")
                .help("give the path alone; the host goes into `virtualhost`"),
        );
    }
    draft.path = path.text.to_string();
}

fn status(said: &mut Said<'_, '_, '_>, draft: &mut Draft) {
    for word in &said.line.args {
        match status_range(&word.text) {
            Some(range) => draft.status.push(range),
            None => {
                let must = "codes or ranges within 100 to 599, such as `200` or `200-299`";
                said.lower.bad(said.line, word, must);
            }
        }
    }
}

fn digest(said: &mut Said<'_, '_, '_>, draft: &mut Draft) {
    let Some(word) = said.value() else { return };
    draft.digest = md5(&word.text);
    if draft.digest.is_none() {
        said.lower.bad(said.line, word, "an MD5 of 32 hexadecimal digits, as `md5sum` prints it");
    }
}

/// `200` or `200-299`.
fn status_range(text: &str) -> Option<(u16, u16)> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let (low, high) = (low.parse().ok()?, high.parse().ok()?);
    (100 <= low && low <= high && high <= 599).then_some((low, high))
}

fn md5(text: &str) -> Option<[u8; 16]> {
    let mut digest = [0; 16];
    if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (index, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(index * 2..index * 2 + 2)?, 16).ok()?;
    }
    Some(digest)
}
