//! `url` of `HTTP_GET` and of `SSL_GET`.

use super::Block;
use super::http_get;
use super::pace::{Pace, Paced};
use super::row::Default::{Is, Nothing, Of};
use super::row::Status::{Acted, Dead};
use super::row::{Row, Table, count, flag, number, row, text, texts};
use super::said::{self, Lower, Said};
use crate::check::{MAX_SEARCHED, Pattern};
use crate::config::UrlCheck;
use crate::text::{Diagnostic, Span};

#[derive(Clone, Debug, std::default::Default)]
pub(super) struct Draft {
    path: String,
    status: Vec<(u16, u16)>,
    digest: Option<[u8; 16]>,
    virtualhost: Option<String>,
    /// `regex`, and where it stands.
    regex: Option<(String, Span)>,
    /// The other words about it.
    pattern: Pattern,
    /// Where the last of them stands.
    about_regex: Option<Span>,
}

impl said::Draft for Draft {}

pub(super) const TABLE: Table<Draft> = Table { block: Block::Url, rows: &[&rows(Block::HttpGet)] };

#[rustfmt::skip]
pub(super) const fn rows(outer: Block) -> [Row<Draft>; 10] {
    [
        row("path", text("PATH"), Is("/"), Acted(path), "path and query"),
        row("status_code", texts(1, usize::MAX, "CODE | FROM-TO ..."), Is("200-299"), Acted(status), "good status codes"),
        row("digest", text("MD5"), Nothing, Acted(digest), "MD5 of the body"),
        row("virtualhost", text("HOST"), Of(outer, "virtualhost"), Acted(|said, draft| {
            draft.virtualhost = said.string();
        }), "Host header"),
        row("regex", text("REGEX"), Nothing, Acted(|said, draft| {
            draft.regex = said.value().map(|word| (word.text.to_string(), word.span));
        }), "the body must match, in its first MiB; no look-around and no back references"),
        row("regex_no_match", flag(), Nothing, Acted(|said, draft| {
            draft.pattern.no_match = true;
            draft.about_regex = Some(said.line.span());
        }), "the body must not match"),
        row("regex_options", texts(1, usize::MAX, "OPTION..."), Nothing, Acted(options), "caseless, dollar_endonly, dotall, extended, firstline, multiline, ungreedy, utf, ucp; PCRE2's other ones change nothing"),
        row("regex_min_offset", number(0, MAX_SEARCHED as i64 - 1), Nothing, Acted(|said, draft| {
            draft.pattern.min_offset = said.number().unwrap_or(0);
            draft.about_regex = Some(said.line.span());
        }), "first byte at which a match may begin"),
        row("regex_max_offset", count(0), Nothing, Acted(|said, draft| {
            draft.pattern.max_offset = said.number();
            draft.about_regex = Some(said.line.span());
        }), "last byte at which a match may begin"),
        row("regex_stack", texts(2, 2, "START MAX"), Nothing, Dead("searching needs no stack here"), "memory of the regex"),
    ]
}

pub(super) fn read(said: &mut Said<'_, '_, '_>, outer: &mut http_get::Draft) {
    read_as(&TABLE, said, outer);
}

pub(super) fn read_as(table: &Table<Draft>, said: &mut Said<'_, '_, '_>, outer: &mut http_get::Draft) {
    let default = plain(said.lower, outer.pace());
    let mut draft = Draft { path: default.path, virtualhost: default.virtualhost, ..Draft::default() };
    said.lower.fill(table, said.line.lines(), &mut draft);
    let pattern = said.lower.pattern(&draft);
    let status = if draft.status.is_empty() { default.status } else { draft.status };
    let Draft { path, digest, virtualhost, .. } = draft;
    outer.urls.push(UrlCheck { path, status, digest, virtualhost, pattern });
}

/// A URL of which nothing is said.
pub(super) fn plain(lower: &mut Lower<'_>, pace: &Pace) -> UrlCheck {
    let Draft { path, status, digest, .. } = lower.fresh(&TABLE);
    let virtualhost = pace.virtualhost.as_deref().map(str::to_owned);
    UrlCheck { path, status, digest, virtualhost, pattern: None }
}

impl Lower<'_> {
    fn pattern(&mut self, draft: &Draft) -> Option<Pattern> {
        let Some((regex, span)) = &draft.regex else {
            if let Some(span) = draft.about_regex {
                self.push(
                    Diagnostic::warning("no-regex", "this says how to search, and there is no `regex`")
                        .at(span, "the body is not searched")
                        .help("add `regex \"PATTERN\"`, or delete the line"),
                );
            }
            return None;
        };
        let pattern = draft.pattern.for_regex(regex.clone());
        if let Err(why) = pattern.check() {
            self.push(
                Diagnostic::error("bad-regex", format!("`regex` can't be searched for: {why}"))
                    .at(*span, "without it the body would not be checked")
                    .note("a search takes time in proportion to the body, whatever is in it; that rules out some of PCRE2")
                    .help("say it without look-around, back references, atomic groups and possessive quantifiers"),
            );
        }
        Some(pattern)
    }
}

/// Options of PCRE2 that change nothing of what is found, or only of what is refused here anyway.
const NO_EFFECT: [&str; 15] = [
    "allow_empty_class",
    "alt_bsux",
    "alt_circumflex",
    "alt_verbnames",
    "auto_callout",
    "dupnames",
    "match_unset_backref",
    "never_backslash_c",
    "never_ucp",
    "never_utf",
    "no_auto_capture",
    "no_auto_possess",
    "no_dotstar_anchor",
    "no_start_optimize",
    "use_offset_limit",
];

fn options(said: &mut Said<'_, '_, '_>, draft: &mut Draft) {
    draft.about_regex = Some(said.line.span());
    for word in &said.line.args {
        let of = &mut draft.pattern.options;
        match &*word.text {
            "caseless" => of.caseless = true,
            "dollar_endonly" => of.dollar_endonly = true,
            "dotall" => of.dotall = true,
            "extended" => of.extended = true,
            "firstline" => of.firstline = true,
            "multiline" => of.multiline = true,
            "ungreedy" => of.ungreedy = true,
            "utf" | "ucp" => of.unicode = true,
            name if NO_EFFECT.contains(&name) => {}
            _ => {
                let must = "options of PCRE2 that keepalived.conf(5) lists, such as `caseless`";
                said.lower.bad(said.line, word, must);
            }
        }
    }
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
