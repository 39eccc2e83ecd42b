//! `UDP_CHECK`.

use super::Block;
use super::connection::{self, Connects};
use super::pace::{self, Pace, Paced};
use super::real_server;
use super::row::Default::{Is, Nothing, Told};
use super::row::Status::{Acted, Renamed};
use super::row::{Row, Table, count, number, row, texts};
use super::said::{self, Said};
use super::tcp_check;
use super::values::keep;
use crate::check::udp::{self, MAX_PAYLOAD, Masked};
use crate::check::{Binding, CheckerKind};
use crate::config::places::Places;
use crate::text::Diagnostic;
use crate::time::Duration;
use std::net::SocketAddr;

/// How long Linux asks for a neighbour's link address before it says that the host is not there (three tries of a second),
/// and a second to spare: keepalived.conf(5) asks for four.
const ARP_GIVES_UP: Duration = Duration::from_secs(4);

#[derive(Clone, Debug, std::default::Default)]
pub(super) struct Draft {
    check: tcp_check::Draft,
    payload: Option<Vec<u8>>,
    pattern: Option<Vec<Masked>>,
    min: u16,
    max: u16,
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

pub(super) const TABLE: Table<Draft> = Table { block: Block::UdpCheck, rows: &[ROWS, PACE, CONNECTION] };

#[rustfmt::skip]
const ROWS: &[Row<Draft>] = &[
    row("nb_get_retry", count(0), Nothing, Renamed("retry"), "tries after the first failure"),
    row("payload", texts(1, usize::MAX, "HEX"), Told("the text `keepalived check - keepalived ch`"), Acted(|said, draft| {
        keep(&mut draft.payload, payload(said));
    }), "what is sent, in hexadecimal"),
    row("require_reply", texts(0, usize::MAX, "HEX"), Nothing, Acted(|said, draft| {
        keep(&mut draft.pattern, hexadecimal(said, true).map(Some));
    }), "an answer must come, and have these bytes as far as it goes; an x stands for any digit"),
    row("min_reply_length", number(0, 65535), Is("0"), Acted(|said, draft| {
        keep(&mut draft.min, said.number());
    }), "bytes of the shortest good answer"),
    row("max_reply_length", number(0, 65535), Is("65535"), Acted(|said, draft| {
        keep(&mut draft.max, said.number());
    }), "bytes of the longest good answer"),
];

const PACE: &[Row<Draft>] = &pace::rows(Some(Block::RealServer));
const CONNECTION: &[Row<Draft>] = &connection::rows();

pub(super) fn read(said: &mut Said<'_, '_, '_>, outer: &mut real_server::Draft) {
    let (block, mut draft) = (said.line, said.lower.fresh(&TABLE));
    draft.check.inherit(block, outer);
    said.lower.fill(&TABLE, block.lines(), &mut draft);
    let Draft { check, payload, pattern, min, max } = draft;
    let lower = &mut *said.lower;
    let lengths = ["min_reply_length", "max_reply_length"];
    if pattern.is_none() {
        for line in lengths.iter().flat_map(|word| said::of(block.lines(), word)) {
            lower.push(
                Diagnostic::warning("no-reply", format!("`{}` without `require_reply`", line.word.text))
                    .at(line.span(), "has no effect: no answer is waited for")
                    .help("add `require_reply`, or delete the line"),
            );
        }
        if check.pace.connect_timeout < ARP_GIVES_UP {
            let place = check.places.of("connect_timeout");
            lower.report.once("short-udp", place, || {
                Diagnostic::warning("short-timeout", "`connect_timeout` is too short to notice a host that is gone")
                    .at(place, "the kernel needs 3 seconds to say so, and until then silence counts as well")
                    .help("write `connect_timeout 4` or more, or add `require_reply`")
            });
        }
    } else if min > max {
        lower.push(
            Diagnostic::error("bad-length", format!("no answer is {min} bytes long at least and {max} at most"))
                .at(check.places.of("min_reply_length"), "this real server would never be up")
                .help("write a greater `max_reply_length`"),
        );
    }
    if outer.address.is_some() {
        let reply = pattern.map(|pattern| udp::Reply { pattern, min, max });
        let kind: CheckerKind = udp::Settings { payload, reply }.into();
        outer.checkers.push(lower.checker(block, check, kind, Duration::from_secs(1)));
    }
}

fn payload(said: &mut Said<'_, '_, '_>) -> Option<Option<Vec<u8>>> {
    let bytes = hexadecimal(said, false)?;
    if bytes.len() > MAX_PAYLOAD {
        let bad = format!("`payload` has {} bytes", bytes.len());
        let diagnostic = Diagnostic::error("bad-length", bad)
            .at(said.line.span(), format!("a datagram takes {MAX_PAYLOAD}"))
            .help("write fewer");
        said.lower.push(diagnostic);
        return None;
    }
    Some((!bytes.is_empty()).then(|| bytes.iter().map(|masked| masked.byte).collect()))
}

/// Bytes of two digits, and of one at the end of a word: `Ab12f 3` is ab 12 0f 03 (keepalived.conf(5)). With `any`, an x
/// stands for any digit.
fn hexadecimal(said: &mut Said<'_, '_, '_>, any: bool) -> Option<Vec<Masked>> {
    let mut bytes = Vec::new();
    for word in &said.line.args {
        let digits = |run: &str| run.chars().map(|c| digit(c, any)).collect::<Option<Vec<Masked>>>();
        // Within quotes there may be several.
        let runs: Option<Vec<Vec<Masked>>> = word.text.split_whitespace().map(digits).collect();
        let Some(runs) = runs else {
            let must = if any { "hexadecimal digits, or x for any digit" } else { "hexadecimal digits" };
            said.lower.bad(said.line, word, must);
            return None;
        };
        bytes.extend(runs.iter().flat_map(|digits| digits.chunks(2)).map(|pair| {
            let join =
                |high: Masked, low: Masked| Masked { byte: high.byte << 4 | low.byte, mask: high.mask << 4 | low.mask };
            match pair {
                [high, low, ..] => join(*high, *low),
                [low] => join(Masked { byte: 0, mask: 0xf }, *low),
                [] => Masked { byte: 0, mask: 0 },
            }
        }));
    }
    Some(bytes)
}

fn digit(c: char, any: bool) -> Option<Masked> {
    if any && matches!(c, 'x' | 'X') {
        return Some(Masked { byte: 0, mask: 0 });
    }
    let digit = c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())?;
    Some(Masked { byte: digit, mask: 0xf })
}
