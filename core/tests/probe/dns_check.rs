//! `DNS_CHECK` against name servers of every temper, and against those who are none.

use super::*;
use crate::udp_check::comes_back;
use vipward_core::check::dns::{Name, Query, Wrong};

const SOON: Duration = Duration::from_millis(20);

pub fn query() -> ProbeKind {
    ProbeKind::Dns(asked("www.example.org", 1))
}

fn asked(name: &str, record: u16) -> Query {
    Query { record, name: name.parse().unwrap() }
}

/// The upper half of [`RANDOM`].
const ID: [u8; 2] = [1, 2];

/// An answer with these flags and this RCODE to whatever is asked.
fn reply(query: &[u8], rcode: u8) -> Vec<u8> {
    let mut reply = query.to_vec();
    reply[2] |= 0x80;
    reply[3] = rcode;
    reply
}

/// What comes back is made of the query, each a while after the one before.
fn says(replies: impl Fn(&[u8]) -> Vec<Vec<u8>> + 'static) -> OneServer {
    comes_back(move |query| replies(query).into_iter().map(|reply| (SOON, Ok(reply))).collect())
}

#[tokio::test(start_paused = true)]
async fn a_query_is_as_the_rfc_has_it() {
    let heard = Rc::new(std::cell::RefCell::new(Vec::new()));
    let theirs = heard.clone();
    let network = says(move |query| {
        theirs.replace(query.to_vec());
        vec![reply(query, 0)]
    });
    assert_eq!(verdict(network, query()).await, (Verdict::Passed, SOON));
    // RFC 1035 4.1.1: id, RD, one question; 4.1.2: the name, A, IN.
    let expected =
        [&ID, b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00".as_slice(), b"\x03www\x07example\x03org\x00\x00\x01\x00\x01"];
    assert_eq!(*heard.borrow(), expected.concat());
    assert_eq!(&asked(".", 6).message(7)[12..], b"\x00\x00\x06\x00\x01");
}

#[tokio::test(start_paused = true)]
async fn what_the_server_says_of_itself_counts() {
    for code in 1..=15 {
        let network = says(move |query| vec![reply(query, code)]);
        assert_eq!(verdict(network, query()).await, (Verdict::Failed(Wrong::Code(code).into()), SOON));
    }
    let text = failure(says(|query| vec![reply(query, 3)]), query()).await.to_string();
    assert_eq!(text, "answered with NXDOMAIN: there is no such name");
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_records_or_cut_off_or_in_other_letters_is_one() {
    let changed: [fn(&mut Vec<u8>); 4] = [
        |_| {},
        // TC.
        |reply| reply[2] |= 0x02,
        |reply| reply[13..16].copy_from_slice(b"WwW"),
        // What stands behind the question is not looked at.
        |reply| reply.extend([0xc0; 900]),
    ];
    for change in changed {
        let network = says(move |query| {
            let mut reply = reply(query, 0);
            change(&mut reply);
            vec![reply]
        });
        assert_eq!(verdict(network, query()).await.0, Verdict::Passed);
    }
    // A server that could not read the question leaves it out.
    let network = says(|query| {
        let mut reply = reply(query, 1);
        reply[5] = 0;
        reply.truncate(12);
        vec![reply]
    });
    assert_eq!(failure(network, query()).await, Wrong::Code(1).into());
}

/// Forged, late, or somebody else's: the right answer may still come.
#[tokio::test(start_paused = true)]
async fn what_is_no_answer_to_the_query_is_not_listened_to() {
    let none: [fn(&mut Vec<u8>); 9] = [
        |reply| reply[0] ^= 1,
        |reply| reply[1] ^= 1,
        // A query, another opcode.
        |reply| reply[2] &= 0x7f,
        |reply| reply[2] |= 0x28,
        // No question, two, another name, type, class.
        |reply| reply[5] = 0,
        |reply| reply[5] = 2,
        |reply| reply[13] = b'x',
        |reply| {
            let at = reply.len() - 3;
            reply[at] = 28;
        },
        |reply| {
            let at = reply.len() - 1;
            reply[at] = 3;
        },
    ];
    for change in none {
        let wrong = move |query: &[u8]| {
            let mut wrong = reply(query, 0);
            change(&mut wrong);
            wrong
        };
        let late = verdict(says(move |query| vec![wrong(query)]), query()).await;
        assert_eq!(late, (Verdict::Failed(Failure::ResponseTimeout), TIMEOUT));
        let right = verdict(says(move |query| vec![wrong(query), Vec::new(), reply(query, 0)]), query()).await;
        assert_eq!(right, (Verdict::Passed, SOON * 3));
        let refused = verdict(says(move |query| vec![wrong(query), reply(query, 5)]), query()).await;
        assert_eq!(refused.0, Verdict::Failed(Wrong::Code(5).into()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_strangers_does_not_hold_the_limit_off() {
    let network = comes_back(|_| (0..10_000).map(|_| (Duration::from_millis(1), Ok(vec![0xff; 40]))).collect());
    assert_eq!(verdict(network, query()).await, (Verdict::Failed(Failure::ResponseTimeout), TIMEOUT));
}

#[test]
fn a_name_is_labels_of_63_bytes_and_255_in_all() {
    let parse = |text: &str| text.parse::<Name>().is_ok();
    let label = "x".repeat(63);
    let long = |last: usize| format!("{label}.{label}.{label}.{}", "y".repeat(last));
    for good in [".", "org", "org.", "_dmarc.example.org", "a-b.1", &label, &long(61), &format!("{}.", long(61))] {
        assert!(parse(good), "{good}");
    }
    for bad in ["..", ".org", "a..b", "a b", "a\\.b", "\u{e9}.org", &"x".repeat(64), &long(62)] {
        assert!(!parse(bad), "{bad}");
    }
}

proptest! {
    /// Whatever comes: it is an answer to this query, or none.
    #[test]
    fn any_bytes_are_read(id: u16, bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        if let Some(said) = asked("www.example.org", 1).read(&bytes, id) {
            prop_assert_eq!(&bytes[..2], id.to_be_bytes());
            prop_assert!(bytes[2] & 0x80 != 0 && (bytes[3] & 0x0f == 0) == said.is_ok());
        }
    }

    /// A good answer with some of its bytes changed or cut off.
    #[test]
    fn nearly_good_answers_are_read(flips in prop::collection::vec((0..40_usize, any::<u8>()), 0..4), length in 0..40_usize) {
        let query = asked("www.example.org", 1);
        let mut answer = reply(&query.message(7), 0);
        prop_assert_eq!(query.read(&answer, 7), Some(Ok(())));
        for (at, with) in flips {
            if let Some(byte) = answer.get_mut(at) {
                *byte = with;
            }
        }
        answer.truncate(length);
        if let Some(Ok(())) = query.read(&answer, 7) {
            prop_assert!(answer.len() >= 12 + 21);
        }
    }
}
