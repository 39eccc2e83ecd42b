//! `UDP_CHECK` against services of every temper.

use super::*;
use std::cell::RefCell;
use std::collections::VecDeque;
use vipward_core::check::udp::{Masked, Reply, Send, Wrong};
use vipward_core::seam::Datagrams;

pub fn send(reply: Option<Reply>) -> ProbeKind {
    ProbeKind::Udp(Send { payload: None, reply })
}

/// What comes back on the way between the checker and the one server.
pub struct Wire {
    answers: Answers,
    coming: RefCell<VecDeque<(Duration, io::Result<Vec<u8>>)>>,
}

impl Wire {
    pub fn new(answers: Answers) -> Self {
        Self { answers, coming: RefCell::default() }
    }
}

impl Datagrams for Wire {
    async fn send(&self, payload: &[u8]) -> io::Result<()> {
        self.coming.borrow_mut().extend((self.answers)(payload));
        Ok(())
    }

    async fn receive(&self, room: usize) -> io::Result<Vec<u8>> {
        let next = self.coming.borrow_mut().pop_front();
        let Some((after, answer)) = next else { return std::future::pending().await };
        tokio::time::sleep(after).await;
        let mut answer = answer?;
        answer.truncate(room);
        Ok(answer)
    }
}

/// A network on which this comes back for a datagram.
pub fn comes_back(answers: impl Fn(&[u8]) -> Vec<(Duration, io::Result<Vec<u8>>)> + 'static) -> OneServer {
    let open = || {
        let (ours, _) = tokio::io::duplex(1);
        Box::pin(std::future::ready(Ok(ours))) as Connecting
    };
    OneServer { answers: Rc::new(answers), ..OneServer::new(open) }
}

const SOON: Duration = Duration::from_millis(20);

fn answer(bytes: &'static [u8]) -> OneServer {
    comes_back(move |_| vec![(SOON, Ok(bytes.to_vec()))])
}

fn error(kind: io::ErrorKind) -> OneServer {
    comes_back(move |_| vec![(SOON, Err(io::Error::new(kind, "by the test")))])
}

fn any() -> Option<Reply> {
    Some(Reply::default())
}

/// `text` in hexadecimal; an x stands for any digit.
fn begins(text: &str) -> Option<Reply> {
    let digit = |c: char| c.to_digit(16).map_or((0, 0), |digit| (u8::try_from(digit).unwrap(), 0xf));
    let digits: Vec<_> = text.chars().map(digit).collect();
    let byte = |pair: &[(u8, u8)]| Masked { byte: pair[0].0 << 4 | pair[1].0, mask: pair[0].1 << 4 | pair[1].1 };
    Some(Reply { pattern: digits.chunks(2).map(byte).collect(), ..Reply::default() })
}

#[tokio::test(start_paused = true)]
async fn silence_is_good_unless_an_answer_is_required() {
    let silent = || comes_back(|_| Vec::new());
    assert_eq!(verdict(silent(), send(None)).await, (Verdict::Passed, TIMEOUT));
    let late = (Verdict::Failed(Failure::ResponseTimeout), TIMEOUT);
    assert_eq!(verdict(silent(), send(any())).await, late);
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_any_kind_is_good_at_once_where_none_is_required() {
    assert_eq!(verdict(answer(b"what?"), send(None)).await, (Verdict::Passed, SOON));
    assert_eq!(verdict(answer(b""), send(None)).await, (Verdict::Passed, SOON));
}

#[tokio::test(start_paused = true)]
async fn what_the_network_says_is_a_failure() {
    for reply in [None, any()] {
        let refused = verdict(error(io::ErrorKind::ConnectionRefused), send(reply.clone())).await;
        assert_eq!(refused, (Verdict::Failed(Failure::Refused), SOON));
        let unreachable = failure(error(io::ErrorKind::HostUnreachable), send(reply)).await;
        assert_eq!(unreachable, Failure::Unreachable("by the test".into()));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_measured() {
    let between = |min, max| send(Some(Reply { min, max, ..Reply::default() }));
    for (bytes, min, max, wrong) in [
        (b"1234".as_slice(), 4, 4, None),
        (b"123", 4, 4, Some(Wrong::Short { bytes: 3, min: 4 })),
        (b"12345", 4, 4, Some(Wrong::Long { max: 4 })),
        (b"", 0, 0, None),
        (b"1", 0, 0, Some(Wrong::Long { max: 0 })),
    ] {
        let expected = wrong.map_or(Verdict::Passed, |wrong| Verdict::Failed(wrong.into()));
        assert_eq!(verdict(answer(bytes), between(min, max)).await.0, expected, "{bytes:?} {min} {max}");
    }
    let longest = vec![7; 65_507];
    let network = comes_back(move |_| vec![(SOON, Ok(longest.clone()))]);
    assert_eq!(verdict(network, between(0, u16::MAX)).await.0, Verdict::Passed);
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_compared_as_far_as_both_go() {
    for (pattern, bytes, place) in [
        ("abcd", b"\xab\xcd".as_slice(), None),
        ("abcd", b"\xab\xcd\xef", None),
        ("abcd", b"\xab", None),
        ("abcd", b"", None),
        ("abcd", b"\xab\xce", Some(2)),
        ("axxd", b"\xa0\xfd", None),
        ("axxd", b"\xb0\xfd", Some(1)),
        ("axxd", b"\xa0\xfc", Some(2)),
    ] {
        let found = match verdict(answer(bytes), send(begins(pattern))).await.0 {
            Verdict::Passed => None,
            Verdict::Failed(Failure::Udp(Wrong::Byte { place, .. })) => Some(place),
            other => panic!("{other:?}"),
        };
        assert_eq!(found, place, "{pattern} {bytes:?}");
    }
    let text = failure(answer(&[0xff; 40]), send(begins("00"))).await.to_string();
    assert_eq!(text, "answer ffffffffffffffffffffffffffffffff... differs from require_reply at byte 1");
}

#[tokio::test(start_paused = true)]
async fn the_payload_is_what_was_written_or_what_keepalived_sends() {
    let sent = |payload: Option<&[u8]>| {
        let payload = payload.map(<[u8]>::to_vec);
        async move {
            let heard = Rc::new(RefCell::new(Vec::new()));
            let theirs = heard.clone();
            let network = comes_back(move |payload| {
                theirs.borrow_mut().push(payload.to_vec());
                vec![(SOON, Ok(Vec::new()))]
            });
            verdict(network, ProbeKind::Udp(Send { payload, reply: None })).await;
            heard.take()
        }
    };
    assert_eq!(sent(Some(b"hello")).await, [b"hello"]);
    assert_eq!(sent(None).await, [b"keepalived check - keepalived ch"]);
}
