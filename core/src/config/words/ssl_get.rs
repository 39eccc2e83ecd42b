//! `SSL_GET` and its `url`, and `SSL`, its certificates. Not acted on yet.

use super::Block;
use super::connection::UNREAD as CONNECTION;
use super::pace::UNREAD as PACE;
use super::row::Default::{Is, Nothing};
use super::row::Status::{NotYet, Renamed};
use super::row::{Row, Table, Unread, choice, count, flag, opens, row, switch, text, texts};

pub(super) const TABLE: Table<Unread> = Table { block: Block::SslGet, rows: &[ROWS, PACE, CONNECTION] };

#[rustfmt::skip]
const ROWS: &[Row<Unread>] = &[
    row("nb_get_retry", count(0), Nothing, Renamed("retry"), "tries after the first failure"),
    row("url", opens(Block::SslUrl), Nothing, NotYet(""), "one URL; several allowed, all must answer"),
    row("virtualhost", text("HOST"), Nothing, NotYet(""), "Host header"),
    row("http_protocol", choice(&["1.0", "1.0C", "1.1"]), Is("1.0"), NotYet(""), "HTTP version"),
    row("fast_recovery", switch(), Nothing, NotYet(""), "ask all URLs at once while it comes up"),
    row("enable_sni", flag(), Nothing, NotYet(""), "send the server's name in TLS"),
    row("sni_name", text("NAME"), Nothing, NotYet(""), "that name"),
    row("tls_compliant", switch(), Nothing, NotYet(""), "close TLS as its standard says"),
];

pub(super) const URL: Table<Unread> = Table { block: Block::SslUrl, rows: &[URL_ROWS] };

#[rustfmt::skip]
const URL_ROWS: &[Row<Unread>] = &[
    row("tls_compliant", switch(), Nothing, NotYet(""), "close TLS as its standard says"),
    row("path", text("PATH"), Is("/"), NotYet(""), "path and query"),
    row("status_code", texts(1, usize::MAX, "CODE | FROM-TO ..."), Is("200-299"), NotYet(""), "good status codes"),
    row("digest", text("MD5"), Nothing, NotYet(""), "MD5 of the body"),
    row("virtualhost", text("HOST"), Nothing, NotYet(""), "Host header"),
    row("regex", text("REGEX"), Nothing, NotYet("the body is not searched"), "the body must match"),
    row("regex_no_match", flag(), Nothing, NotYet("the body is not searched"), "the body must not match"),
    row("regex_options", texts(1, usize::MAX, "OPTION..."), Nothing, NotYet("the body is not searched"), "options of the regex"),
    row("regex_min_offset", text("BYTE"), Nothing, NotYet("the body is not searched"), "first byte that is searched"),
    row("regex_max_offset", text("BYTE"), Nothing, NotYet("the body is not searched"), "last byte at which a match begins"),
    row("regex_stack", texts(2, 2, "START MAX"), Nothing, NotYet("the body is not searched"), "memory of the regex"),
];

pub(super) const SSL: Table<Unread> = Table { block: Block::Ssl, rows: &[SSL_ROWS] };

#[rustfmt::skip]
const SSL_ROWS: &[Row<Unread>] = &[
    row("password", text("TEXT"), Nothing, NotYet(""), "password of the key"),
    row("ca", text("TEXT"), Nothing, NotYet(""), "file of the authority"),
    row("certificate", text("TEXT"), Nothing, NotYet(""), "file of the certificate"),
    row("key", text("TEXT"), Nothing, NotYet(""), "file of the key"),
];
