//! Every kind of checker has all that a kind must have. A kind that is added is in this test by itself.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails panics")]

use std::collections::BTreeSet;
use vipward_core::check::{
    Answer, CheckerKind, Exchange, Failure, UrlCheck, dns, http, misc, ping, smtp, ssl, tcp, udp,
};
use vipward_core::command::{Command, ScriptOutcome};
use vipward_core::config::words::{self, Block};
use vipward_core::time::Duration;

#[test]
fn every_kind_is_a_block_of_the_configuration() {
    let words: BTreeSet<&str> = CheckerKind::all().iter().map(CheckerKind::word).collect();
    assert_eq!(words.len(), CheckerKind::all().len(), "no two have one word");
    for word in words {
        assert!(words::words(Block::RealServer).any(|row| row.word == word), "{word} is no word of the configuration");
    }
}

#[test]
fn every_kind_has_texts_for_its_failures() {
    for attempt in CheckerKind::all().iter().flat_map(CheckerKind::attempts) {
        let failures = attempt.failures();
        let texts: BTreeSet<String> = failures.iter().map(Failure::to_string).collect();
        assert!(!failures.is_empty() && texts.len() == failures.len(), "{attempt:?}: {texts:?}");
        assert!(texts.iter().all(|text| !text.is_empty()), "{attempt:?}: {texts:?}");
    }
}

#[test]
fn every_kind_has_bounds() {
    for kind in CheckerKind::all() {
        let [short, long] = [1, 60].map(|secs| kind.longest(Duration::from_secs(secs)));
        assert!(Duration::ZERO < short && short <= long, "{kind:?}");
        assert!(kind.steps() > 0, "{kind:?}");
    }
}

/// What the model can end with, the texts know.
#[test]
fn every_kind_has_a_model() {
    let sort = |failure: &Failure| std::mem::discriminant(failure);
    for attempt in CheckerKind::all().iter().flat_map(CheckerKind::attempts) {
        let exchanges = attempt.exchanges();
        assert!(!exchanges.is_empty(), "{attempt:?}");
        let known: Vec<_> = attempt.failures().iter().map(sort).collect();
        for exchange in exchanges {
            if let Err(late) = attempt.overdue(*exchange) {
                assert!(known.contains(&sort(&late)), "{attempt:?}: {exchange:?} may be late");
            }
        }
        let judged = [Answer::Status(200), Answer::Status(503), Answer::Closed].map(|answer| attempt.judge(answer));
        assert!(judged[0].is_ok(), "{attempt:?}");
        assert!(
            judged.iter().filter_map(|judged| judged.as_ref().err()).all(|failure| known.contains(&sort(failure))),
            "{attempt:?}: {judged:?}"
        );
        let ended = [0, 1, 255].map(|status| attempt.ended(&ScriptOutcome::Exited(status)));
        assert!(ended[0].is_ok(), "{attempt:?}");
        assert!(
            ended.iter().filter_map(|ended| ended.as_ref().err()).all(|failure| known.contains(&sort(failure))),
            "{attempt:?}: {ended:?}"
        );
        assert_eq!(attempt.command().is_some(), exchanges.contains(&Exchange::Command), "{attempt:?}");
        let first = exchanges.iter().position(|exchange| *exchange == Exchange::Request);
        let connects = exchanges.iter().position(|exchange| *exchange == Exchange::Handshake);
        assert!(first.is_none() || connects < first, "{attempt:?}: a request needs a connection");
    }
}

#[test]
fn what_a_server_must_answer() {
    let accepts = |kind: CheckerKind| [200, 204, 503].map(|status| kind.accepts(status));
    let one = |status| UrlCheck { status: vec![status], ..UrlCheck::default() };
    let two = http::Settings { urls: vec![one((200, 299)), one((204, 204))], ..http::Settings::default() };
    assert_eq!(accepts(http::Settings::default().into()), [true, true, false]);
    assert_eq!(accepts(two.into()), [false, true, false], "every URL must pass");
    assert_eq!(accepts(tcp::Settings.into()), [true; 3]);
    assert_eq!(accepts(ping::Settings.into()), [true; 3]);
    assert_eq!(accepts(udp::Settings::default().into()), [true; 3]);
    let reply = udp::Reply { pattern: vec![udp::Masked { byte: 0xab, mask: 0xf0 }], ..udp::Reply::default() };
    let required = udp::Settings { payload: None, reply: Some(reply) };
    assert_eq!(accepts(required.into()), [true, true, false]);
    assert_eq!(accepts(dns::Settings::default().into()), [true, true, false]);
    assert_eq!(accepts(smtp::Settings::default().into()), [true, true, false]);
    assert_eq!(accepts(ssl::Settings::default().into()), [true, true, false]);
}

/// Estates know a checker by a sum over its settings: these are the bytes that are summed up, as the first version wrote
/// them.
#[test]
fn the_bytes_of_a_kind_stay() {
    let bytes = |kind: CheckerKind| postcard::to_allocvec(&kind).unwrap();
    assert_eq!(bytes(tcp::Settings.into()), [0]);
    assert_eq!(bytes(http::Settings::default().into()), [1, 1, 1, b'/', 1, 200, 1, 171, 2, 0, 0, 0, 0]);
    assert_eq!(bytes(ping::Settings.into()), [2]);
    let command = Command { argv: vec!["/x".to_owned()], user: None };
    assert_eq!(bytes(misc::Settings { command, dynamic: true }.into()), [4, 1, 2, b'/', b'x', 0, 1]);
    assert_eq!(bytes(dns::Settings::default().into()), [7, 6, 1, 0]);
    assert_eq!(bytes(udp::Settings::default().into()), [6, 0, 0]);
    assert_eq!(bytes(smtp::Settings { helo_name: "x".to_owned() }.into()), [3, 1, b'x']);
}
