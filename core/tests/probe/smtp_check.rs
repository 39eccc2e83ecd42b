//! `SMTP_CHECK` against mail servers of every temper.

use super::*;
use vipward_core::check::smtp::{Greet, To, Wrong};

const GREETING: &str = "220 mail.example ESMTP ready\r\n";

pub fn greet() -> ProbeKind {
    ProbeKind::Smtp(Greet { helo_name: "lb.example".into() })
}

/// What a mail server says when a connection opens, to HELO and to QUIT; after the last of them it closes.
fn says(replies: [&'static str; 3]) -> OneServer {
    server(move |stream| converses(stream, replies, None))
}

/// Tells what it hears, if anybody wants to know.
async fn converses(
    stream: DuplexStream,
    replies: [&'static str; 3],
    heard: Option<tokio::sync::mpsc::UnboundedSender<String>>,
) {
    let mut stream = tokio::io::BufReader::new(stream);
    for (place, reply) in replies.into_iter().enumerate() {
        if stream.write_all(reply.as_bytes()).await.is_err() {
            return;
        }
        let mut line = String::new();
        if place < 2 && stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        if let Some(heard) = &heard {
            let _ = heard.send(line);
        }
    }
}

/// Reads and says nothing, until the other side closes.
async fn listens(mut stream: DuplexStream) {
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

async fn said(replies: [&'static str; 3]) -> String {
    failure(says(replies), greet()).await.to_string()
}

#[tokio::test(start_paused = true)]
async fn passes_when_the_server_greets_and_answers() {
    for replies in [
        [GREETING, "250 mail.example\r\n", "221 bye\r\n"],
        ["220\r\n", "250\r\n", "221\r\n"],
        ["220 no CR\n", "250 no CR\n", "221 no CR\n"],
        // RFC 5321 4.2.1.
        ["220-mail.example\r\n220-no spam\r\n220 go on\r\n", "250-mail.example\r\n250 SIZE 1000\r\n", "221 bye\r\n"],
        ["220-\r\n220 \r\n", "250-\r\n250\r\n", "221 bye\r\n"],
        // What QUIT is answered with does not matter.
        [GREETING, "250 mail.example\r\n", "500 unheard of\r\n"],
        // It does not wait to be asked.
        [GREETING, "250 mail.example\r\n221 bye\r\n", ""],
    ] {
        assert_eq!(verdict(says(replies), greet()).await, (Verdict::Passed, Duration::ZERO), "{replies:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn says_helo_and_quit() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let replies = [GREETING, "250 mail.example\r\n", "221 bye\r\n"];
    let network = server(move |stream| converses(stream, replies, Some(tell.clone())));
    assert_eq!(verdict(network, greet()).await.0, Verdict::Passed);
    let mut heard = Vec::new();
    while let Ok(line) = told.try_recv() {
        heard.push(line);
    }
    assert_eq!(heard, ["HELO lb.example\r\n", "QUIT\r\n", ""]);
}

#[tokio::test(start_paused = true)]
async fn what_was_said_instead_is_told() {
    for (replies, text) in [
        (["554 no\r\n", "", ""], r#"greeted with "554 no""#),
        (["220-hello\r\n421 not now\r\n", "", ""], r#"greeted with "421 not now""#),
        (["SSH-2.0-OpenSSH_9.2\r\n", "", ""], r#"greeted with "SSH-2.0-OpenSSH_9.2""#),
        (["2200 ready\r\n", "", ""], r#"greeted with "2200 ready""#),
        (["\r\n", "", ""], r#"greeted with """#),
        (["\u{1b}[2J\0\u{e9}\"\r\n", "", ""], r#"greeted with "\x1b[2J\x00\xc3\xa9\"""#),
        ([GREETING, "501 who\r\n", ""], r#"HELO answered with "501 who""#),
    ] {
        assert_eq!(said(replies).await, text);
    }
}

/// It says this, says no more, and goes on reading.
#[tokio::test(start_paused = true)]
async fn a_connection_that_closes_early_says_where() {
    for (said, text) in [
        ("", "no greeting: connection closed"),
        ("220 cut", "no greeting: connection closed"),
        ("220 ready\r\n250-more\r\n", "no answer to HELO: connection closed"),
        ("220 ready\r\n250 well\r\n", "no answer to QUIT: connection closed"),
    ] {
        let network = server(move |mut stream| async move {
            let _ = stream.write_all(said.as_bytes()).await;
            let _ = stream.shutdown().await;
            listens(stream).await;
        });
        assert_eq!(failure(network, greet()).await.to_string(), text, "{said}");
    }
}

/// A log line stays a line of some length.
#[tokio::test(start_paused = true)]
async fn a_long_line_is_cut() {
    let network = server(|mut stream| async move {
        let _ = stream.write_all(&[b"554 ".as_slice(), &[0xff; 3000], b"\r\n"].concat()).await;
        listens(stream).await;
    });
    let text = failure(network, greet()).await.to_string();
    assert!(text.starts_with("greeted with \"554 \\xff\\xff") && text.len() < 400, "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_takes_connect_timeout() {
    let late = (Verdict::Failed(Failure::ResponseTimeout), TIMEOUT);
    assert_eq!(verdict(server(listens), greet()).await, late);
    // Greets, and then answers nothing; greets and answers HELO, and then nothing.
    for first in [GREETING.to_owned(), format!("{GREETING}250 mail.example\r\n")] {
        let network = server(move |mut stream| {
            let first = first.clone();
            async move {
                let _ = stream.write_all(first.as_bytes()).await;
                listens(stream).await;
            }
        });
        assert_eq!(verdict(network, greet()).await, late);
    }
}

/// Each byte comes soon after the one before.
#[tokio::test(start_paused = true)]
async fn a_server_that_trickles_takes_connect_timeout() {
    let network = server(|mut stream| async move {
        while stream.write_all(b"2").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    assert_eq!(verdict(network, greet()).await, (Verdict::Failed(Failure::ResponseTimeout), TIMEOUT));
}

/// Lines without end, and a line without end: as fast as they are read.
#[tokio::test(start_paused = true)]
async fn a_reply_without_end_is_refused_before_it_fills_memory() {
    for piece in ["220-and another line\r\n", "220-and on and on ", "\0"] {
        let network = server(move |mut stream| async move {
            let mut sent = 0_usize;
            while stream.write_all(piece.as_bytes()).await.is_ok() {
                sent += piece.len();
                assert!(sent < 200_000, "it goes on reading");
            }
        });
        let (verdict, took) = verdict(network, greet()).await;
        assert_eq!((verdict, took), (Verdict::Failed(Wrong::Endless { to: To::Connection }.into()), Duration::ZERO));
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_says_how() {
    struct Broken;
    impl AsyncRead for Broken {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            into.put_slice(GREETING.as_bytes());
            Poll::Ready(Ok(()))
        }
    }
    impl AsyncWrite for Broken {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionReset, "reset by the test")))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
    let verdict = over(|| Broken, greet()).await;
    let cut = Wrong::Cut { to: To::Helo, reason: "reset by the test".into() };
    assert_eq!(verdict, Verdict::Failed(cut.into()));
}

proptest! {
    /// Whatever a server sends: a verdict within the time limit, no panic, and a text of printable ASCII.
    #[test]
    fn any_bytes_lead_to_a_verdict(
        head in prop_oneof![
            Just(Vec::new()),
            Just(b"220-".to_vec()),
            Just(b"220 x\r\n".to_vec()),
            Just(b"220 x\r\n250".to_vec()),
            Just(b"220 x\r\n250 y\r\n".to_vec()),
        ],
        rest in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(b'\r'), Just(b'2')], 0..2000),
        closes: bool,
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let bytes = [head, rest].concat();
        let network = server(move |mut stream| {
            let bytes = bytes.clone();
            async move {
                let _ = stream.write_all(&bytes).await;
                if !closes {
                    listens(stream).await;
                }
            }
        });
        let (verdict, took) = runtime.block_on(verdict(network, greet()));
        prop_assert!(took <= TIMEOUT);
        if let Verdict::Failed(failure) = verdict {
            let text = failure.to_string();
            prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{}", text);
        }
    }
}
