//! `TCP_CHECK` and `HTTP_GET`, and the pace of checks that virtual server, real server and checker hand down.

use super::super::model::{CheckerConfig, HttpVersion, UrlCheck};
use super::super::tree::Statement;
use super::values::FOREVER;
use super::{Lower, canonical};
use crate::check::{http, tcp};
use crate::config::places::Places;
use crate::text::Diagnostic;
use crate::time::Duration;
use std::net::SocketAddr;

/// Settings of a check that are inherited from the block around.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    delay_loop: Option<Duration>,
    warmup: Option<Duration>,
    retry: Option<u32>,
    delay_before_retry: Option<Duration>,
    connect_timeout: Option<Duration>,
    alpha: Option<bool>,
    virtualhost: Option<String>,
}

impl Lower<'_> {
    /// Takes the word if it is one of these; says whether it was.
    pub fn pace(&mut self, line: &Statement, word: &str, pace: &mut Pace) -> bool {
        match word {
            "delay_loop" => pace.delay_loop = self.seconds(line, 1..=FOREVER).or(pace.delay_loop),
            "warmup" => pace.warmup = self.seconds(line, 0..=FOREVER).or(pace.warmup),
            "retry" => pace.retry = self.number(line, 0..=i64::from(i32::MAX)).or(pace.retry),
            "delay_before_retry" => {
                pace.delay_before_retry = self.seconds(line, 0..=FOREVER).or(pace.delay_before_retry);
            }
            "connect_timeout" => pace.connect_timeout = self.seconds(line, 1..=FOREVER).or(pace.connect_timeout),
            "alpha" => pace.alpha = Some(self.switch(line)),
            "virtualhost" => pace.virtualhost = self.value(line).map(|host| host.text.to_string()),
            _ => return false,
        }
        true
    }

    pub fn checkers(&mut self, server: &Statement, address: SocketAddr, pace: &Pace) -> Vec<CheckerConfig> {
        let mut checkers = Vec::new();
        for block in server.lines() {
            match canonical(block) {
                Some("TCP_CHECK") => checkers.push(self.checker(block, address, pace, false)),
                Some("HTTP_GET") => checkers.push(self.checker(block, address, pace, true)),
                _ => {}
            }
        }
        checkers
    }

    fn checker(&mut self, block: &Statement, address: SocketAddr, outer: &Pace, http: bool) -> CheckerConfig {
        let mut places = Places::default();
        places.set("", block.span());
        let (mut target, mut pace) = (address, outer.clone());
        let (mut http_version, mut fast_recovery) = (HttpVersion::default(), false);
        for line in block.lines() {
            let Some(word) = canonical(line) else { continue };
            places.set(word, line.span());
            if self.pace(line, word, &mut pace) {
                continue;
            }
            match word {
                "connect_ip" => {
                    if let Some(ip) = self.value(line).and_then(|value| self.ip(line, value)) {
                        target.set_ip(ip);
                    }
                }
                "connect_port" => target.set_port(self.number(line, 1..=65535).unwrap_or(target.port())),
                "http_protocol" => {
                    let versions = [
                        ("1.0", HttpVersion::Http10),
                        ("1.0C", HttpVersion::Http10Close),
                        ("1.1", HttpVersion::Http11),
                    ];
                    http_version = self.choice(line, &versions).unwrap_or(http_version);
                }
                "fast_recovery" => fast_recovery = self.switch(line),
                // URLs come below; the audit reports the rest.
                _ => {}
            }
        }
        let kind = if http {
            let urls = self.urls(block, &pace);
            http::Settings { urls, http_version, fast_recovery }.into()
        } else {
            tcp::Settings.into()
        };
        if target.port() == 0 {
            self.push(
                Diagnostic::error("no-check-port", "this checker has no port to check")
                    .at(block.span(), "the real server stands for all ports")
                    .help("add `connect_port PORT`"),
            );
        }
        let delay_loop = pace.delay_loop.unwrap_or(Duration::from_secs(60));
        let delay_before_retry = Duration::from_secs(if http { 3 } else { 1 });
        CheckerConfig {
            kind,
            target,
            connect_timeout: pace.connect_timeout.unwrap_or(Duration::from_secs(5)),
            retry: pace.retry.unwrap_or(1),
            delay_before_retry: pace.delay_before_retry.unwrap_or(delay_before_retry),
            delay_loop,
            warmup: pace.warmup.unwrap_or(delay_loop),
            alpha: pace.alpha.unwrap_or(false),
            places,
        }
    }

    fn urls(&mut self, block: &Statement, pace: &Pace) -> Vec<UrlCheck> {
        let mut urls = Vec::new();
        for url in super::of(block.lines(), "url") {
            urls.push(self.url(url, pace));
        }
        if urls.is_empty() {
            self.push(
                Diagnostic::error("missing-word", "`HTTP_GET` has no `url`")
                    .at(block.span(), "nothing to fetch")
                    .help("add `url { path / }`, with a `status_code` if need be"),
            );
            urls.push(UrlCheck {
                path: "/".to_owned(),
                status: vec![(200, 299)],
                digest: None,
                virtualhost: pace.virtualhost.clone(),
            });
        }
        urls
    }

    fn url(&mut self, block: &Statement, pace: &Pace) -> UrlCheck {
        let mut url =
            UrlCheck { path: "/".to_owned(), status: Vec::new(), digest: None, virtualhost: pace.virtualhost.clone() };
        for line in block.lines() {
            match canonical(line) {
                Some("path") => {
                    if let Some(path) = self.value(line) {
                        if !path.text.starts_with('/') {
                            self.push(
                                Diagnostic::error("bad-value", format!("`path` can't be `{}`", path.text))
                                    .at(path.span, "must begin with `/`")
                                    .help("give the path alone; the host goes into `virtualhost`"),
                            );
                        }
                        url.path = path.text.to_string();
                    }
                }
                Some("status_code") => {
                    for word in &line.args {
                        match status_range(&word.text) {
                            Some(range) => url.status.push(range),
                            None => {
                                self.bad(line, word, "codes or ranges within 100 to 599, such as `200` or `200-299`")
                            }
                        }
                    }
                }
                Some("digest") => {
                    if let Some(word) = self.value(line) {
                        url.digest = md5(&word.text);
                        if url.digest.is_none() {
                            self.bad(line, word, "an MD5 of 32 hexadecimal digits, as `md5sum` prints it");
                        }
                    }
                }
                Some("virtualhost") => url.virtualhost = self.value(line).map(|host| host.text.to_string()),
                _ => {}
            }
        }
        if url.status.is_empty() {
            url.status.push((200, 299));
        }
        url
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
