//! `HTTP_GET` against web servers of every temper.

use super::*;

/// The request as the server saw it.
async fn request(version: HttpVersion, virtualhost: Option<&str>) -> String {
    let (tell, told) = tokio::sync::oneshot::channel();
    let tell = Cell::new(Some(tell));
    let network = server(move |mut stream| {
        let tell = tell.take().unwrap();
        async move {
            tell.send(read_request(&mut stream).await).unwrap();
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").await.unwrap();
        }
    });
    let url = UrlCheck { virtualhost: virtualhost.map(Into::into), ..url() };
    assert_eq!(verdict(network, ProbeKind::Http(Get { url, version })).await.0, Verdict::Passed);
    told.await.unwrap().replace(env!("CARGO_PKG_VERSION"), "VERSION").replace('\r', "")
}

#[tokio::test(start_paused = true)]
async fn the_request_in_each_version() {
    insta::assert_snapshot!(request(HttpVersion::Http10, None).await, @r"
    GET /health HTTP/1.0
    User-Agent: vipward/VERSION
    Host: 192.0.2.10:80
    ");
    insta::assert_snapshot!(request(HttpVersion::Http10Close, None).await, @r"
    GET /health HTTP/1.0
    User-Agent: vipward/VERSION
    Host: 192.0.2.10:80
    Connection: close
    ");
    insta::assert_snapshot!(request(HttpVersion::Http11, Some("www.example.org")).await, @r"
    GET /health HTTP/1.1
    User-Agent: vipward/VERSION
    Host: www.example.org
    Connection: close
    ");
}

#[tokio::test(start_paused = true)]
async fn passes_on_a_whole_response_however_its_end_is_marked() {
    for response in [
        "HTTP/1.0 200 OK\r\n\r\nuntil it closes",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
    ] {
        assert_eq!(verdict(answers(response), get(url())).await.0, Verdict::Passed, "{response}");
    }
}

/// A keep-alive server answers and then waits for more: the body's own end counts.
/// Nothing of it makes a server dead: keepalived reads the status and the body alone.
#[tokio::test(start_paused = true)]
async fn passes_on_headers_of_every_shape() {
    let many: String = (0..900).map(|n| format!("X-{n}: y\r\n")).collect();
    let shapes = [many.as_str(), "X-Folded: one\r\n two\r\n", "X-Space : y\r\n", "no colon at all\r\n", "X-Empty:\r\n"];
    for shape in shapes {
        let response = format!("HTTP/1.1 200 OK\r\n{shape}Content-Length: 2\r\n\r\nok");
        let shown: String = shape.chars().take(20).collect();
        assert_eq!(verdict(answers(response), get(url())).await.0, Verdict::Passed, "{shown}");
    }
}

/// It answers whoever connects, and reads later or never.
#[tokio::test(start_paused = true)]
async fn passes_on_a_server_that_answers_before_it_reads() {
    let network = server(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nok").await;
    });
    assert_eq!(verdict(network, get(url())).await.0, Verdict::Passed);
    let network = server(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.0 500 Oh\r\n\r\n").await;
        std::future::pending::<()>().await;
    });
    assert!(matches!(failure(network, get(url())).await, Failure::Http(Wrong::Status { got: 500, .. })));
}

#[tokio::test(start_paused = true)]
async fn does_not_wait_for_a_server_that_keeps_the_connection() {
    let keeps = server(|mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
        let _ = stream.read_u8().await;
    });
    assert_eq!(verdict(keeps, get(url())).await, (Verdict::Passed, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn the_status_must_be_in_one_of_the_ranges() {
    let picky = UrlCheck { status: vec![(200, 204), (301, 301)], ..url() };
    for (status, passes) in [(404, false), (200, true), (204, true), (205, false), (301, true), (302, false)] {
        let response = format!("HTTP/1.0 {status} X\r\n\r\n");
        let expected = match passes {
            true => Verdict::Passed,
            false => Verdict::Failed(Wrong::Status { path: "/health".into(), got: status }.into()),
        };
        assert_eq!(verdict(answers(response), get(picky.clone())).await.0, expected, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_digest_is_the_md5_of_the_body() {
    // printf hello | md5sum
    let hello: [u8; 16] = 0x5d41402abc4b2a76b9719d911017c592_u128.to_be_bytes();
    let url = UrlCheck { digest: Some(hello), ..url() };
    let good = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
    assert_eq!(verdict(answers(good), get(url.clone())).await.0, Verdict::Passed);
    let other = failure(answers("HTTP/1.0 200 OK\r\n\r\nhello\n"), get(url)).await;
    let got = "b1946ac92492d2347c6235b4d2611184".to_owned();
    assert_eq!(other, Wrong::Digest { path: "/health".into(), got }.into());
}

/// 64 MiB through pipes of 4 KiB.
#[tokio::test(start_paused = true)]
async fn a_large_body_is_digested_as_it_comes() {
    const LEN: usize = 64 << 20;
    let large = server(|mut stream| async move {
        read_request(&mut stream).await;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LEN}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..LEN / 65536 {
            stream.write_all(&[0; 65536]).await.unwrap();
        }
    });
    // head -c 64M /dev/zero | md5sum
    let zeros = 0x7f614da9329cd3aebf59b91aadc30bf0_u128.to_be_bytes();
    let url = UrlCheck { digest: Some(zeros), ..url() };
    assert_eq!(verdict(large, get(url)).await.0, Verdict::Passed);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_takes_connect_timeout() {
    let silent = server(|mut stream| async move {
        read_request(&mut stream).await;
        std::future::pending::<()>().await;
        drop(stream);
    });
    assert_eq!(verdict(silent, get(url())).await, (Verdict::Failed(Failure::ResponseTimeout), TIMEOUT));
}

/// Each byte comes soon after the one before; the whole does not come in time.
#[tokio::test(start_paused = true)]
async fn a_server_that_trickles_takes_connect_timeout() {
    let trickles = server(|mut stream| async move {
        read_request(&mut stream).await;
        for byte in b"HTTP/1.0 200 OK\r\n\r\na body of some length that comes slowly" {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if stream.write_u8(*byte).await.is_err() {
                return;
            }
        }
    });
    assert_eq!(verdict(trickles, get(url())).await, (Verdict::Failed(Failure::ResponseTimeout), TIMEOUT));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_stops_sending_takes_connect_timeout() {
    for head in ["HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"] {
        let endless = server(move |mut stream| async move {
            read_request(&mut stream).await;
            stream.write_all(head.as_bytes()).await.unwrap();
            let piece = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
            while stream.write_all(piece.as_bytes()).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        assert_eq!(verdict(endless, get(url())).await, (Verdict::Failed(Failure::ResponseTimeout), TIMEOUT));
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_without_end_is_refused_before_it_fills_memory() {
    let endless = server(|mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.0 200 OK\r\nX: ").await.unwrap();
        let mut sent = 0_usize;
        while stream.write_all(&[b'x'; 1024]).await.is_ok() {
            sent += 1024;
            assert!(sent < 200_000, "it goes on reading");
        }
    });
    let (verdict, took) = verdict(endless, get(url())).await;
    assert_eq!(took, Duration::ZERO);
    assert!(matches!(verdict, Verdict::Failed(Failure::Http(Wrong::Protocol(_)))), "{verdict:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_http_is_said_so() {
    insta::assert_snapshot!(words(failure(answers("SSH-2.0-OpenSSH_9.2\r\n"), get(url())).await),
        @"invalid HTTP version parsed");
    insta::assert_snapshot!(words(failure(answers("HTTP/1.0 999999 X\r\n\r\n"), get(url())).await),
        @"invalid HTTP status-code parsed");
    insta::assert_snapshot!(words(failure(answers(""), get(url())).await),
        @"connection closed before message completed");
    insta::assert_snapshot!(words(failure(answers("HTTP/1.0 200"), get(url())).await),
        @"connection closed before message completed");
    insta::assert_snapshot!(
        words(failure(answers("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"), get(url())).await),
        @"error reading a body from connection: end of file before message length reached");
}

#[tokio::test(start_paused = true)]
async fn a_path_that_can_not_be_asked_for_fails_its_probe() {
    let url = UrlCheck { path: "/two words".into(), ..url() };
    insta::assert_snapshot!(words(failure(answers("HTTP/1.0 200 OK\r\n\r\n"), get(url)).await),
        @"/two words can't be asked for: invalid uri character");
}

/// The server answered at once; it is us who did not run. That must not take it out.
#[tokio::test]
async fn a_response_that_waited_while_we_were_frozen_counts() {
    struct ByHand {
        now: Cell<Instant>,
        stream: Cell<Option<DuplexStream>>,
    }
    impl Clock for ByHand {
        fn now(&self) -> Instant {
            self.now.get()
        }
        fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> {
            std::future::poll_fn(move |_| if at <= self.now.get() { Poll::Ready(()) } else { Poll::Pending })
        }
    }
    impl Streams for ByHand {
        type Stream = DuplexStream;

        async fn connect(&self, _: SocketAddr, _: &Binding) -> io::Result<DuplexStream> {
            Ok(self.stream.take().unwrap())
        }

        type Datagrams = udp_check::Wire;
        async fn datagrams(&self, _: SocketAddr, _: &Binding) -> io::Result<udp_check::Wire> {
            Err(io::ErrorKind::Unsupported.into())
        }
        async fn echo(&self, _: IpAddr, _: &Binding) -> io::Result<()> {
            std::future::pending().await
        }

        type Secure = DuplexStream;

        async fn secure(&self, stream: DuplexStream, _: &Tls) -> io::Result<DuplexStream> {
            Ok(stream)
        }

        async fn run(&self, _: &Command) -> Result<ScriptOutcome, Shortage> {
            Err(Shortage::Processes)
        }

        fn shortage(&self, _: &io::Error) -> Option<Shortage> {
            None
        }
    }
    let probe = Probe {
        random: 0,
        target: "192.0.2.10:80".parse().unwrap(),
        from: Binding::default(),
        timeout: TIMEOUT,
        kind: get(url()),
    };
    let (ours, mut theirs) = tokio::io::duplex(4096);
    let network = Rc::new(ByHand { now: Cell::new(Instant::ZERO), stream: Cell::new(Some(ours)) });
    let mut attempt = Box::pin(check::run(probe, network.clone()));
    // The request leaves, the server answers ...
    assert!(futures::poll!(&mut attempt).is_pending());
    read_request(&mut theirs).await;
    theirs.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
    // ... and we sleep for a minute.
    network.now.set(Instant::from_millis(60_000));
    assert_eq!(attempt.await, Verdict::Passed);
}

proptest! {
    /// Whatever a server sends: a verdict within the time limit, and no panic.
    #[test]
    fn any_bytes_lead_to_a_verdict(
        head in prop_oneof![
            Just(Vec::new()),
            Just(b"HTTP/1.1 200 OK\r\n".to_vec()),
            Just(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec()),
            Just(b"HTTP/1.0 200 OK\r\n\r\n".to_vec()),
            Just(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n".to_vec()),
            Just(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()),
        ],
        rest in prop::collection::vec(any::<u8>(), 0..2000),
        before_the_request: bool,
        closes: bool,
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let response = [head, rest].concat();
        let network = server(move |mut stream| {
            let response = response.clone();
            async move {
                if !before_the_request {
                    read_request(&mut stream).await;
                }
                let _ = stream.write_all(&response).await;
                if !closes {
                    std::future::pending::<()>().await;
                }
            }
        });
        let (_, took) = runtime.block_on(verdict(network, get(url())));
        prop_assert!(took <= TIMEOUT);
    }
}

mod bodies {
    use super::*;
    use vipward_core::check::{MAX_SEARCHED, Pattern};

    fn searched(regex: &str, no_match: bool) -> ProbeKind {
        let mut pattern = Pattern::new(regex.to_owned());
        pattern.no_match = no_match;
        get(UrlCheck { pattern: Some(pattern), ..url() })
    }

    #[tokio::test(start_paused = true)]
    async fn the_body_must_match_or_must_not() {
        let body = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nall o\r\n1\r\nk\r\n0\r\n\r\n";
        let found = |found| Verdict::Failed(Wrong::Regex { path: "/health".into(), found }.into());
        assert_eq!(verdict(answers(body), searched("^all ok$", false)).await.0, Verdict::Passed);
        assert_eq!(verdict(answers(body), searched("error", true)).await.0, Verdict::Passed);
        assert_eq!(verdict(answers(body), searched("error", false)).await.0, found(false));
        assert_eq!(verdict(answers(body), searched("ok", true)).await.0, found(true));
    }

    /// The status comes first: what a page says with a wrong one does not matter.
    #[tokio::test(start_paused = true)]
    async fn a_wrong_status_is_said_before_the_body() {
        let failure = failure(answers("HTTP/1.0 503 No\r\n\r\nall ok"), searched("error", false)).await;
        assert_eq!(failure, Wrong::Status { path: "/health".into(), got: 503 }.into());
    }

    fn long(length: usize, end: &'static str) -> OneServer {
        server(move |mut stream| async move {
            read_request(&mut stream).await;
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").await.unwrap();
            let mut left = length;
            while left > 0 {
                let piece = left.min(65536);
                if stream.write_all(&vec![b'x'; piece]).await.is_err() {
                    return;
                }
                left -= piece;
            }
            let _ = stream.write_all(end.as_bytes()).await;
        })
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_mebibyte_is_searched() {
        assert_eq!(verdict(long(MAX_SEARCHED - 2, "ok"), searched("ok", false)).await.0, Verdict::Passed);
        let failure = failure(long(MAX_SEARCHED - 1, "ok"), searched("ok", false)).await;
        assert_eq!(failure, Wrong::Regex { path: "/health".into(), found: false }.into());
    }

    /// As fast as it is read: it costs so much an attempt and no more.
    #[tokio::test(start_paused = true)]
    async fn a_body_without_end_is_refused_after_64_mib() {
        let (verdict, took) = verdict(long(usize::MAX, ""), get(url())).await;
        assert_eq!(
            (verdict, took),
            (Verdict::Failed(Wrong::Endless { path: "/health".into() }.into()), Duration::ZERO)
        );
    }
}
