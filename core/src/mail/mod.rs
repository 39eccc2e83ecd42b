//! Mail about changes, as keepalived sends it (`notification_email`).
//!
//! A machine decides which change is worth a mail and asks for one ([`crate::machine::Output::Mail`]): subject and body, nothing of
//! how it travels. A [`Queue`] decides when to connect, which mails go together, what is tried again and what is given up. A
//! [`smtp::Conversation`] speaks with the mail server. All three are pure; a world has a clock and a connection.

pub mod message;
pub mod queue;
pub mod smtp;

pub use queue::{Batch, MailStatus, Queue, Said};

use crate::config::GlobalDefs;
use crate::time::Duration;
use serde::{Deserialize, Serialize};

/// What a mail is about, by keepalived's words. Each has a measure of its own ([`queue::ALONE`]): real servers that flap delay no
/// mail about a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Topic {
    /// `smtp_alert_vrrp`.
    Vrrp,
    /// `smtp_alert_checker`.
    Checker,
}

/// One mail, as a machine asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    pub topic: Topic,
    /// What happened to what. `[router_id]` is put before it.
    pub subject: String,
    pub body: String,
}

/// Who gets mail, from whom, and by which server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `smtp_server`: a name or an address, and a port.
    pub server: (String, u16),
    /// `notification_email`; never empty.
    pub to: Vec<String>,
    /// `notification_email_from`.
    pub from: String,
    /// `smtp_helo_name`.
    pub helo: String,
    /// `router_id`.
    pub router_id: String,
    /// `smtp_connect_timeout`: for the connection, and for each answer.
    pub timeout: Duration,
}

impl Settings {
    /// What a configuration says about mail on the host of this name; `None`: nobody gets any.
    pub fn of(global: &GlobalDefs, host: &str) -> Option<Self> {
        let server = global.smtp_server.clone()?;
        let to = global.notification_email.clone();
        // What the kernel calls a host may be anything.
        let host: String = host.chars().filter(|c| c.is_ascii_graphic() && !matches!(c, '<' | '>' | '@')).collect();
        let host = if host.is_empty() { "localhost".to_owned() } else { host };
        (!to.is_empty()).then(|| Self {
            server,
            to,
            // As keepalived 2.2.7, which runs as root.
            from: global.notification_email_from.clone().unwrap_or_else(|| format!("root@{host}")),
            helo: global.smtp_helo_name.clone().unwrap_or_else(|| host.clone()),
            router_id: global.router_id.clone().unwrap_or(host),
            timeout: global.smtp_connect_timeout,
        })
    }
}

/// On one line, without anything that a terminal or a header would take for more than text, and no longer than `most` bytes.
pub fn one_line(text: &str, most: usize) -> String {
    let mut line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.truncate(line.floor_char_boundary(most));
    line
}
