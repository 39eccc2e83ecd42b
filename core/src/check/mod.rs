//! The kinds of checkers, each in a file of its own: its settings, its conversation with the real server, the ways in which
//! that fails and their texts, how long it may take, and what a simulated world has to know to play it.
//!
//! Whoever handles checkers asks [`CheckerKind`] and [`ProbeKind`]; nobody outside this room matches on the kinds, except
//! the configuration reader, which makes their settings. This room lies below the configuration, which holds those
//! settings, and below the decisions, which print those failures.
//!
//! [`probe`] has what all kinds share: one attempt, its name, its limit in time and its verdict.

mod after_request;
mod binding;
pub mod dns;
pub mod http;
pub mod misc;
mod model;
mod pattern;
pub mod ping;
mod probe;
pub mod smtp;
pub mod ssl;
mod streams;
pub mod tcp;
pub mod udp;

pub use binding::Binding;
pub use http::{HttpVersion, UrlCheck};
pub use model::{Answer, Exchange, Shown};
pub use pattern::{MAX_SEARCHED, Options as RegexOptions, Pattern};
pub use probe::{Failure, Probe, ProbeId, Progress, Shortage, Trouble, Verdict, run};
pub use streams::{Datagrams, Streams};

use crate::command::{Command, ScriptOutcome};
use crate::time::Duration;
use serde::{Deserialize, Serialize};
use std::future::Future;

/// What a kind is, by its settings. The default is the block of the configuration without any word in it.
pub trait Kind: Default + Into<CheckerKind> {
    /// One attempt with these settings.
    type Attempt: Attempt;

    /// The block's name in the configuration.
    const WORD: &'static str;

    /// The attempt at a step, counted from 0.
    fn attempt(&self, step: usize) -> Self::Attempt;

    /// One attempt after another is made, step by step. A real server that is down rises when every step has passed in one
    /// run.
    fn steps(&self) -> usize {
        1
    }

    /// While it is down, the next step comes at once after one that passed (`fast_recovery`).
    fn hurries(&self) -> bool {
        false
    }

    /// How long one attempt takes at the longest, with this `connect_timeout`.
    fn longest(&self, connect_timeout: Duration) -> Duration;

    /// The program that it runs.
    fn command(&self) -> Option<&Command> {
        None
    }

    /// The files of TLS that it needs, which are known only when all of the configuration has been read.
    fn material_mut(&mut self) -> Option<&mut ssl::Material> {
        None
    }

    /// The program, for what is known of it only when all of the configuration has been read.
    fn command_mut(&mut self) -> Option<&mut Command> {
        None
    }
}

/// One attempt of a kind.
pub trait Attempt {
    /// What is said and heard, in order, if all goes well; never empty.
    const EXCHANGES: &'static [Exchange];

    /// It needs [`Probe::random`].
    const GUARDED: bool = false;

    /// The conversation. It tells `progress` after each of [`Self::EXCHANGES`], and has no time limit of its own.
    fn converse<S: Streams>(
        &self,
        probe: &Probe,
        streams: &S,
        progress: &Progress,
    ) -> impl Future<Output = Result<(), Trouble>>;

    /// What it means that this exchange did not end within the time limit.
    fn overdue(&self, exchange: Exchange) -> Result<(), Failure> {
        Err(exchange.overdue())
    }

    /// What an answer to a [`Exchange::Request`] or a [`Exchange::Datagram`] means.
    fn judge(&self, answer: Answer) -> Result<(), Failure>;

    /// What the end of a [`Exchange::Command`] means; a weight: that of the real server from now on.
    fn ended(&self, _: &ScriptOutcome) -> Result<Option<u32>, Failure> {
        Ok(None)
    }

    /// One failure of each sort that this attempt may end with.
    fn failures(&self) -> Vec<Failure>;

    /// What tells this attempt from others of its checker, for people: a path. Empty if there is nothing.
    fn about(&self) -> &str {
        ""
    }

    /// The program that it runs.
    fn command(&self) -> Option<&Command> {
        None
    }
}

/// Makes the two enums of the kinds and all that asks each kind the same question. A kind is one line: the name of its
/// variant and its file, which has its `Settings`.
macro_rules! kinds {
    ($($kind:ident => $file:ident),+ $(,)?) => {
        /// A checker's settings.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum CheckerKind {
            $($kind($file::Settings)),+
        }

        /// What one attempt tries.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum ProbeKind {
            $($kind(<$file::Settings as Kind>::Attempt)),+
        }

        $(impl From<$file::Settings> for CheckerKind {
            fn from(settings: $file::Settings) -> Self {
                Self::$kind(settings)
            }
        })+

        impl CheckerKind {
            /// Every kind, with its default settings.
            pub fn all() -> Vec<Self> {
                vec![$($file::Settings::default().into()),+]
            }

            /// The block's name in the configuration.
            pub fn word(&self) -> &'static str {
                match self {
                    $(Self::$kind(_) => <$file::Settings as Kind>::WORD),+
                }
            }

            /// See [`Kind::attempt`].
            pub fn attempt(&self, step: usize) -> ProbeKind {
                match self {
                    $(Self::$kind(settings) => ProbeKind::$kind(settings.attempt(step))),+
                }
            }

            /// See [`Kind::steps`]; at least 1.
            pub fn steps(&self) -> usize {
                match self {
                    $(Self::$kind(settings) => settings.steps().max(1)),+
                }
            }

            /// See [`Kind::hurries`].
            pub fn hurries(&self) -> bool {
                match self {
                    $(Self::$kind(settings) => settings.hurries()),+
                }
            }

            /// See [`Kind::longest`].
            pub fn longest(&self, connect_timeout: Duration) -> Duration {
                match self {
                    $(Self::$kind(settings) => settings.longest(connect_timeout)),+
                }
            }

            /// See [`Kind::command`].
            pub fn command(&self) -> Option<&Command> {
                match self {
                    $(Self::$kind(settings) => Kind::command(settings)),+
                }
            }

            /// See [`Kind::material_mut`].
            pub fn material_mut(&mut self) -> Option<&mut ssl::Material> {
                match self {
                    $(Self::$kind(settings) => settings.material_mut()),+
                }
            }

            /// See [`Kind::command_mut`].
            pub fn command_mut(&mut self) -> Option<&mut Command> {
                match self {
                    $(Self::$kind(settings) => settings.command_mut()),+
                }
            }
        }

        impl ProbeKind {
            /// See [`Attempt::EXCHANGES`].
            pub fn exchanges(&self) -> &'static [Exchange] {
                match self {
                    $(Self::$kind(_) => <$file::Settings as Kind>::Attempt::EXCHANGES),+
                }
            }

            /// See [`Attempt::GUARDED`].
            pub fn guarded(&self) -> bool {
                match self {
                    $(Self::$kind(_) => <$file::Settings as Kind>::Attempt::GUARDED),+
                }
            }

            /// See [`Attempt::overdue`].
            pub fn overdue(&self, exchange: Exchange) -> Result<(), Failure> {
                match self {
                    $(Self::$kind(attempt) => attempt.overdue(exchange)),+
                }
            }

            /// See [`Attempt::judge`].
            pub fn judge(&self, answer: Answer) -> Result<(), Failure> {
                match self {
                    $(Self::$kind(attempt) => attempt.judge(answer)),+
                }
            }

            /// See [`Attempt::ended`].
            pub fn ended(&self, outcome: &ScriptOutcome) -> Result<Option<u32>, Failure> {
                match self {
                    $(Self::$kind(attempt) => attempt.ended(outcome)),+
                }
            }

            /// See [`Attempt::command`].
            pub fn command(&self) -> Option<&Command> {
                match self {
                    $(Self::$kind(attempt) => Attempt::command(attempt)),+
                }
            }

            /// See [`Attempt::failures`].
            pub fn failures(&self) -> Vec<Failure> {
                match self {
                    $(Self::$kind(attempt) => attempt.failures()),+
                }
            }

            /// See [`Attempt::about`].
            pub fn about(&self) -> &str {
                match self {
                    $(Self::$kind(attempt) => attempt.about()),+
                }
            }

            async fn converse<S: Streams>(
                &self,
                probe: &Probe,
                streams: &S,
                progress: &Progress,
            ) -> Result<(), Trouble> {
                match self {
                    $(Self::$kind(attempt) => attempt.converse(probe, streams, progress).await),+
                }
            }
        }
    };
}

// Estates know checkers by a sum of their settings, in which a kind is its position here: a new one goes to the end.
kinds! {
    Tcp => tcp,
    Http => http,
    Ping => ping,
    Smtp => smtp,
    Misc => misc,
    Ssl => ssl,
    Udp => udp,
    Dns => dns,
}

impl CheckerKind {
    /// The attempts of all steps.
    pub fn attempts(&self) -> impl Iterator<Item = ProbeKind> {
        (0..self.steps()).map(|step| self.attempt(step))
    }

    /// Whether every step would pass at a server that gives this status to every request.
    pub fn accepts(&self, status: u16) -> bool {
        self.attempts().all(|attempt| attempt.judge(Answer::Status(status)).is_ok())
    }
}

impl ProbeKind {
    /// Whether it opens a connection.
    pub fn connects(&self) -> bool {
        self.exchanges().contains(&Exchange::Handshake)
    }

    /// Whether it sends datagrams.
    pub fn sends(&self) -> bool {
        self.exchanges().contains(&Exchange::Datagram)
    }

    /// Whether it can fail because the service is slow.
    pub fn asks(&self) -> bool {
        self.exchanges().contains(&Exchange::Request) || (self.sends() && self.overdue(Exchange::Datagram).is_err())
    }
}
