//! `HTTP_GET`.

use super::Block;
use super::connection::{self, Connects};
use super::pace::{self, Pace, Paced};
use super::row::Default::{Is, Nothing, Of};
use super::row::Status::{Acted, Dead};
use super::row::{Row, Table, choice, flag, opens, row, switch, text};
use super::said::{self, Said};
use super::values::keep;
use super::{real_server, tcp_check, url};
use crate::check::{Binding, http, ssl};
use crate::config::places::Places;
use crate::config::{CheckerKind, HttpVersion, UrlCheck};
use crate::text::Diagnostic;
use crate::time::Duration;
use std::net::SocketAddr;

#[derive(Clone, Debug, std::default::Default)]
pub(super) struct Draft {
    pub check: tcp_check::Draft,
    pub version: HttpVersion,
    pub fast_recovery: bool,
    pub urls: Vec<UrlCheck>,
    /// SSL_GET: `enable_sni`, `sni_name`, `tls_compliant`.
    pub sends_name: bool,
    pub name: Option<String>,
    pub compliant: bool,
}

impl said::Draft for Draft {
    fn places(&mut self) -> Option<&mut Places> {
        Some(&mut self.check.places)
    }
}

impl Paced for Draft {
    fn pace(&mut self) -> &mut Pace {
        &mut self.check.pace
    }
}

impl Connects for Draft {
    fn target(&mut self) -> &mut SocketAddr {
        &mut self.check.target
    }
    fn from(&mut self) -> &mut Binding {
        &mut self.check.from
    }
}

pub(super) const TABLE: Table<Draft> = Table { block: Block::HttpGet, rows: &[ROWS, PACE, OLD, CONNECTION] };

const PACE: &[Row<Draft>] = &pace::rows(Some(Block::RealServer));
const OLD: &[Row<Draft>] = &[pace::old_name()];
const CONNECTION: &[Row<Draft>] = &connection::rows();

pub(super) const VERSIONS: [(&str, HttpVersion); 3] =
    [("1.0", HttpVersion::Http10), ("1.0C", HttpVersion::Http10Close), ("1.1", HttpVersion::Http11)];

#[rustfmt::skip]
const ROWS: &[Row<Draft>] = &[
    row("url", opens(Block::Url), Nothing, Acted(url::read), "one URL; several allowed, all must answer"),
    row("virtualhost", text("HOST"), Of(Block::RealServer, "virtualhost"), Acted(|said, draft| {
        draft.check.pace.virtualhost = said.name();
    }), "Host header"),
    row("http_protocol", choice(&["1.0", "1.0C", "1.1"]), Is("1.0"), Acted(|said, draft| {
        keep(&mut draft.version, said.choice(&VERSIONS));
    }), "HTTP version"),
    row("fast_recovery", switch(), Is("off"), Acted(|said, draft| {
        draft.fast_recovery = said.switch();
    }), "ask all URLs at once while it comes up"),
    row("enable_sni", flag(), Nothing, Dead("HTTP_GET speaks no TLS: it belongs into SSL_GET"), "send the server's name in TLS"),
    row("sni_name", text("NAME"), Nothing, Dead("HTTP_GET speaks no TLS: it belongs into SSL_GET"), "that name"),
];

pub(super) fn read(said: &mut Said<'_, '_, '_>, outer: &mut real_server::Draft) {
    read_as(&TABLE, said, outer, |draft| draft.http().into());
}

/// SSL_GET's settings.
pub(super) fn secure(draft: &mut Draft) -> CheckerKind {
    let http = draft.http();
    let (sends_name, name, compliant) = (draft.sends_name, draft.name.take(), draft.compliant);
    // The block `SSL` may stand further below: [`super::root::Meaning::finish`].
    ssl::Settings { http, sends_name, name, compliant, material: ssl::Material::default() }.into()
}

impl Draft {
    fn http(&mut self) -> http::Settings {
        let urls = std::mem::take(&mut self.urls);
        http::Settings { urls, http_version: self.version, fast_recovery: self.fast_recovery }
    }
}

pub(super) fn read_as(
    table: &Table<Draft>,
    said: &mut Said<'_, '_, '_>,
    outer: &mut real_server::Draft,
    settings: fn(&mut Draft) -> CheckerKind,
) {
    let (block, mut draft) = (said.line, said.lower.fresh(table));
    draft.check.inherit(block, outer);
    said.lower.fill(table, block.lines(), &mut draft);
    if draft.urls.is_empty() {
        said.lower.push(
            Diagnostic::error("missing-word", format!("`{}` has no `url`", block.word.text))
                .at(block.span(), "nothing to fetch")
                .help("add `url { path / }`, with a `status_code` if need be"),
        );
        draft.urls.push(url::plain(said.lower, &draft.check.pace));
    }
    if outer.address.is_some() {
        draft.urls.shrink_to_fit();
        let kind = settings(&mut draft);
        outer.checkers.push(said.lower.checker(block, draft.check, kind, Duration::from_secs(3)));
    }
}
