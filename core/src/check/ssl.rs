//! `SSL_GET` (keepalived.conf(5)): [`super::http`] under TLS. TLS itself is the world's ([`Streams::secure`]); here is what
//! is asked of it, and what its failure means.
//!
//! Who the real server is, its certificate does not have to prove, as in keepalived: real servers have certificates for
//! names that no checker asks for, and the check asks whether clients get an answer.

use super::http::{Get, UrlCheck};
use super::probe::not_connected;
use super::{Answer, Attempt, Exchange, Failure, Kind, Probe, Progress, Shown, Streams, Trouble, http};
use crate::time::Duration;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// What the block says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    pub http: http::Settings,
    /// `enable_sni`
    pub sends_name: bool,
    /// `sni_name`; none: the `virtualhost` of the URL.
    pub name: Option<String>,
    /// `tls_compliant`
    pub compliant: bool,
    /// The block `SSL`.
    pub material: Material,
}

/// The block `SSL`: files in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Material {
    /// `certificate`, with which the check says who it is, and its `key`.
    pub certificate: Option<String>,
    pub key: Option<String>,
}

/// What is asked of TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// The name that the server is told (RFC 6066 3); none: none.
    pub name: Option<String>,
    /// The end is said as well (RFC 8446 6.1).
    pub compliant: bool,
    pub material: Material,
}

/// Fetch one URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecureGet {
    pub get: Get,
    pub tls: Tls,
}

/// What was wrong before anything was asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Wrong {
    /// There is no TLS with it, for this reason.
    Handshake(String),
    /// It took the connection, and there was no TLS in time.
    Late,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handshake(why) => write!(f, "no TLS: {why}"),
            Self::Late => f.write_str("connected, but no TLS handshake in time"),
        }
    }
}

impl Wrong {
    pub fn shows(&self) -> Shown {
        match self {
            Self::Handshake(_) => Shown::Absent,
            Self::Late => Shown::Late,
        }
    }
}

impl From<Wrong> for Failure {
    fn from(wrong: Wrong) -> Self {
        Self::Ssl(wrong)
    }
}

impl Settings {
    /// keepalived: `sni_name`, else the `virtualhost`. A port is not part of it, and an address is no name (RFC 6066 3).
    fn name_for(&self, url: &UrlCheck) -> Option<String> {
        let name = self.name.as_deref().or(url.virtualhost.as_deref()).filter(|_| self.sends_name)?;
        let host = match name.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') && port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            Some(_) | None => name,
        };
        let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        (!host.is_empty() && !is_address).then(|| host.to_owned())
    }
}

impl Kind for Settings {
    type Attempt = SecureGet;

    const WORD: &'static str = "SSL_GET";

    fn attempt(&self, step: usize) -> SecureGet {
        let get = self.http.attempt(step);
        let tls = Tls { name: self.name_for(&get.url), compliant: self.compliant, material: self.material.clone() };
        SecureGet { get, tls }
    }

    fn steps(&self) -> usize {
        self.http.steps()
    }

    fn hurries(&self) -> bool {
        self.http.hurries()
    }

    /// Connection, handshake, request and response.
    fn longest(&self, connect_timeout: Duration) -> Duration {
        connect_timeout
    }

    fn material_mut(&mut self) -> Option<&mut Material> {
        Some(&mut self.material)
    }
}

impl Attempt for SecureGet {
    const EXCHANGES: &'static [Exchange] = &[Exchange::Handshake, Exchange::Tls, Exchange::Request];

    async fn converse<S: Streams>(&self, probe: &Probe, streams: &S, progress: &Progress) -> Result<(), Trouble> {
        let stream =
            streams.connect(probe.target, &probe.from).await.map_err(|error| not_connected(&error, streams))?;
        progress.next();
        let secure = streams.secure(stream, &self.tls).await.map_err(|error| match streams.shortage(&error) {
            Some(shortage) => Trouble::NotAsked(shortage),
            None => Wrong::Handshake(error.to_string()).into(),
        })?;
        progress.next();
        self.get.fetch(secure, probe.target, streams).await
    }

    fn judge(&self, answer: Answer) -> Result<(), Failure> {
        self.get.judge(answer)
    }

    fn failures(&self) -> Vec<Failure> {
        let handshake = Wrong::Handshake("the server ended the connection".to_owned());
        self.get.failures().into_iter().chain([handshake, Wrong::Late].map(Failure::from)).collect()
    }

    fn about(&self) -> &str {
        self.get.about()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_that_is_sent() {
        let name = |sends_name, name: Option<&str>, host: Option<&str>| {
            let url = UrlCheck { virtualhost: host.map(str::to_owned), ..UrlCheck::default() };
            Settings { sends_name, name: name.map(str::to_owned), ..Settings::default() }.name_for(&url)
        };
        assert_eq!(name(false, Some("a.example"), Some("b.example")), None, "without enable_sni");
        assert_eq!(name(true, None, None), None);
        assert_eq!(name(true, None, Some("b.example")).as_deref(), Some("b.example"));
        assert_eq!(name(true, None, Some("b.example:8443")).as_deref(), Some("b.example"));
        assert_eq!(name(true, Some("a.example"), Some("b.example")).as_deref(), Some("a.example"));
        assert_eq!(name(true, None, Some("192.0.2.1:443")), None);
        assert_eq!(name(true, None, Some("[2001:db8::1]")), None);
    }
}
