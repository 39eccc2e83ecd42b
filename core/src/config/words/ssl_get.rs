//! `SSL_GET` and its `url`, and `SSL`, its files.

use super::Block;
use super::connection;
use super::http_get::{self, Draft};
use super::pace;
use super::real_server;
use super::row::Default::{Is, Nothing, Of, Told};
use super::row::Status::{Acted, NotYet};
use super::row::{Row, Table, choice, flag, opens, row, switch, text};
use super::said::{self, Said};
use super::url;
use super::values::keep;
use crate::check::ssl::Material;
use crate::config::places::Places;
use crate::text::Diagnostic;

pub(super) const TABLE: Table<Draft> = Table { block: Block::SslGet, rows: &[ROWS, PACE, OLD, CONNECTION] };

const PACE: &[Row<Draft>] = &pace::rows(Some(Block::RealServer));
const OLD: &[Row<Draft>] = &[pace::old_name()];
const CONNECTION: &[Row<Draft>] = &connection::rows();

#[rustfmt::skip]
const ROWS: &[Row<Draft>] = &[
    row("url", opens(Block::SslUrl), Nothing, Acted(|said, draft| url::read_as(&URL, said, draft)), "one URL; several allowed, all must answer"),
    row("virtualhost", text("HOST"), Of(Block::RealServer, "virtualhost"), Acted(|said, draft| {
        draft.check.pace.virtualhost = said.name();
    }), "Host header"),
    row("http_protocol", choice(&["1.0", "1.0C", "1.1"]), Is("1.0"), Acted(|said, draft| {
        keep(&mut draft.version, said.choice(&http_get::VERSIONS));
    }), "HTTP version"),
    row("fast_recovery", switch(), Is("off"), Acted(|said, draft| {
        draft.fast_recovery = said.switch();
    }), "ask all URLs at once while it comes up"),
    row("enable_sni", flag(), Nothing, Acted(|_, draft| draft.sends_name = true), "send the server a name in TLS: `sni_name`, or the `virtualhost`"),
    row("sni_name", text("NAME"), Told("the `virtualhost` of the URL"), Acted(|said, draft| {
        draft.name = said.string();
    }), "that name, with `enable_sni`"),
    row("tls_compliant", switch(), Is("off"), Acted(|said, draft| {
        draft.compliant = said.switch();
    }), "say the end of TLS before the connection is closed"),
];

pub(super) const URL: Table<url::Draft> = Table { block: Block::SslUrl, rows: &[&url::rows(Block::SslGet), URL_ROWS] };

#[rustfmt::skip]
const URL_ROWS: &[Row<url::Draft>] = &[
    row("tls_compliant", switch(), Of(Block::SslGet, "tls_compliant"), NotYet("the word of the block around counts"), "say the end of TLS before the connection is closed"),
];

pub(super) fn read(said: &mut Said<'_, '_, '_>, outer: &mut real_server::Draft) {
    http_get::read_as(&TABLE, said, outer, http_get::secure);
}

/// `SSL`.
#[derive(Clone, Debug, std::default::Default)]
pub(super) struct Files {
    material: Material,
    places: Places,
}

impl said::Draft for Files {
    fn places(&mut self) -> Option<&mut Places> {
        Some(&mut self.places)
    }
}

pub(super) const SSL: Table<Files> = Table { block: Block::Ssl, rows: &[SSL_ROWS] };

#[rustfmt::skip]
const SSL_ROWS: &[Row<Files>] = &[
    row("password", text("TEXT"), Nothing, NotYet("the key must not be encrypted: `openssl pkey -in KEY -out PLAIN`"), "password of the key"),
    row("ca", text("FILE"), Nothing, NotYet("certificates of real servers are not verified"), "file of the authority"),
    row("certificate", text("FILE"), Nothing, Acted(|said, draft| {
        draft.material.certificate = said.string();
    }), "file of the certificate that the check shows a server which asks for one; PEM"),
    row("key", text("FILE"), Nothing, Acted(|said, draft| {
        draft.material.key = said.string();
    }), "file of its key; PEM, not encrypted"),
];

/// Of several blocks the last one counts.
pub(super) fn files(said: &mut Said<'_, '_, '_>) -> Material {
    let (block, mut draft) = (said.line, said.lower.fresh(&SSL));
    draft.places.head(block.span());
    said.lower.fill(&SSL, block.lines(), &mut draft);
    let Files { material, places } = draft;
    let alone = match &material {
        Material { certificate: Some(_), key: None } => Some(("certificate", "key")),
        Material { certificate: None, key: Some(_) } => Some(("key", "certificate")),
        Material { .. } => None,
    };
    if let Some((there, missing)) = alone {
        said.lower.push(
            Diagnostic::error("missing-word", format!("`SSL` has a `{there}` and no `{missing}`"))
                .at(places.of(there), "of no use alone")
                .help(format!("add `{missing} FILE`; one file may have both")),
        );
    }
    material
}
