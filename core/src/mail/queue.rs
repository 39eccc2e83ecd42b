//! Mails that wait: when they are sent, together or alone, again or not at all.
//!
//! - Of each topic [`ALONE`] mails within a minute go by themselves. More are gathered, and become one mail that lists them when the
//!   minute is over. While it goes on like that each such mail gathers twice as long, ten minutes at most.
//! - A server that can't be reached, or refuses for now, is asked again after 5 s, 10 s, 20 s and so on, 15 minutes at most.
//!   A mail is tried for [`LONGEST`]; what a server refuses for good is not tried again.
//! - [`MOST`] mails wait. The oldest makes room for the newest.
//! - What can't be sent is told once for each cause, and counted.

use super::message::{Message, time_of_day};
use super::{Mail, Settings, Topic};
use crate::decision::LogLevel;
use crate::time::{Duration, Instant};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Mails within [`MINUTE`] that are sent by themselves.
pub const ALONE: usize = 10;

pub const MINUTE: Duration = Duration::from_secs(60);

/// The longest that changes are gathered.
pub const LONGEST_GATHERING: Duration = Duration::from_secs(600);

/// Lines of one list; what is more is counted.
pub const MOST_LISTED: usize = 200;

/// Mails that wait.
pub const MOST: usize = 1000;

/// How long a mail is tried.
pub const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Mails of one connection.
pub const TOGETHER: usize = 50;

const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(900);

/// What became of a mail for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    Delivered,
    /// For good.
    Refused(String),
    /// For now.
    Later(String),
}

/// A mail on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    pub id: u64,
    pub to: Vec<String>,
    /// What follows DATA, with its end.
    pub data: Vec<u8>,
}

/// What one connection is to carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub settings: Arc<Settings>,
    pub mails: Vec<Outgoing>,
}

/// What became of a batch. What is not in it is tried again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// By the number of a mail.
    pub mails: Vec<(u64, Vec<(String, Fate)>)>,
    /// Why it ended early.
    pub error: Option<String>,
}

/// Something for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub level: LogLevel,
    pub text: String,
}

/// How mail is, for whoever asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailStatus {
    /// Mails that wait, a list that is being gathered included.
    pub waiting: usize,
    /// Since the start of this process: delivered to all that did not refuse them, and given up.
    pub sent: u64,
    pub dropped: u64,
    /// Why nothing is delivered now.
    pub last_error: Option<String>,
}

#[derive(Debug)]
struct Waiting {
    message: Message,
    since: Instant,
    /// Who has not got it yet.
    to: Vec<String>,
    /// Somebody has got it.
    delivered: bool,
}

/// How fast mails of one topic come.
#[derive(Debug, Default)]
struct Pace {
    /// When mails were put that go alone, within the last minute.
    recent: VecDeque<Instant>,
    gathered: Option<Gathered>,
}

/// Changes that become one mail.
#[derive(Debug)]
struct Gathered {
    since: Instant,
    wall: u64,
    lasts: Duration,
    lines: Vec<String>,
    count: usize,
}

/// The mails of a director.
#[derive(Debug, Default)]
pub struct Queue {
    settings: Option<Arc<Settings>>,
    waiting: VecDeque<Waiting>,
    paces: BTreeMap<Topic, Pace>,
    on_their_way: bool,
    pause: Option<Duration>,
    /// No connection before this.
    again: Option<Instant>,
    last_error: Option<String>,
    /// The cause that was told last, until a delivery.
    told: Option<String>,
    refused: Vec<String>,
    full: bool,
    ids: u64,
    sent: u64,
    dropped: u64,
}

impl Queue {
    /// A configuration is in force. `None`: nobody gets mail from now on.
    pub fn configure(&mut self, settings: Option<Settings>) -> Option<Said> {
        if self.settings.as_deref() == settings.as_ref() {
            return None;
        }
        self.settings = settings.map(Arc::new);
        (self.again, self.pause, self.last_error, self.told) = (None, None, None, None);
        self.refused.clear();
        if self.settings.is_some() {
            return None;
        }
        let lost = self.status().waiting;
        self.waiting.clear();
        self.paces.clear();
        self.drop_some(lost);
        let text = || format!("mail: {lost} that waited are not sent: nobody gets mail any more");
        (lost > 0).then(|| Said { level: LogLevel::Warning, text: text() })
    }

    /// Takes a mail about what happened at `wall`, in seconds since 1970.
    pub fn put(&mut self, mail: Mail, now: Instant, wall: u64) -> Option<Said> {
        let settings = self.settings.clone()?;
        let Pace { recent, gathered } = self.paces.entry(mail.topic).or_default();
        while recent.front().is_some_and(|at| now.since(*at) >= MINUTE) {
            recent.pop_front();
        }
        match gathered {
            None if recent.len() < ALONE => {
                recent.push_back(now);
                self.wait(mail, &settings, now, wall)
            }
            gathered => {
                let begun = || Gathered { since: now, wall, lasts: MINUTE, lines: Vec::new(), count: 0 };
                gathered.get_or_insert_with(begun).take(&mail, wall);
                None
            }
        }
    }

    /// When something is due next. Waking earlier is harmless.
    pub fn next_wakeup(&self) -> Option<Instant> {
        if self.paces.is_empty() && self.waiting.is_empty() {
            return None;
        }
        let closes = self.gathered().map(Gathered::ends).min();
        let sends = (!self.on_their_way && !self.waiting.is_empty()).then_some(self.again.unwrap_or(Instant::ZERO));
        closes.into_iter().chain(sends).min()
    }

    /// What is to be sent now, on one connection; what becomes of it is told by [`Self::ended`].
    pub fn begin(&mut self, now: Instant) -> (Option<Batch>, Option<Said>) {
        let said = self.close(now).or_else(|| self.too_old(now));
        let Some(settings) = self.settings.clone().filter(|_| !self.on_their_way) else { return (None, said) };
        if self.waiting.is_empty() || self.again.is_some_and(|again| now < again) {
            return (None, said);
        }
        self.on_their_way = true;
        let outgoing = |waiting: &Waiting| Outgoing {
            id: waiting.message.id,
            to: waiting.to.clone(),
            data: waiting.message.data(&settings),
        };
        let mails = self.waiting.iter().take(TOGETHER).map(outgoing).collect();
        (Some(Batch { settings, mails }), said)
    }

    /// What became of the batch.
    pub fn ended(&mut self, report: Report, now: Instant) -> Vec<Said> {
        self.on_their_way = false;
        let mut said = Vec::new();
        let mut later = report.error;
        for (id, fates) in report.mails {
            let Some(at) = self.waiting.iter().position(|waiting| waiting.message.id == id) else { continue };
            let Some(waiting) = self.waiting.get_mut(at) else { continue };
            for (address, fate) in fates {
                match fate {
                    Fate::Later(why) => {
                        later.get_or_insert(why);
                        continue;
                    }
                    Fate::Delivered => waiting.delivered = true,
                    Fate::Refused(why) => {
                        let told = format!("mail: {address} is refused by the mail server: {why}");
                        if !self.refused.contains(&told) && self.refused.len() < MOST_LISTED {
                            self.refused.push(told.clone());
                            said.push(Said { level: LogLevel::Warning, text: told });
                        }
                    }
                }
                waiting.to.retain(|left| *left != address);
            }
            if waiting.to.is_empty() {
                let delivered = waiting.delivered;
                self.waiting.remove(at);
                if delivered { self.sent += 1 } else { self.dropped += 1 }
            }
        }
        match later {
            Some(why) => {
                let second = self.pause.is_some();
                let pause = self.pause.map_or(FIRST_PAUSE, |pause| (pause * 2).min(LONGEST_PAUSE));
                (self.pause, self.again) = (Some(pause), Some(now + pause));
                // Once for each cause; and a server that takes a mail only the second time (greylisting) is no news.
                if second && self.told.as_ref() != Some(&why) {
                    let waiting = self.waiting.len();
                    let text = format!("mail can't be delivered, {waiting} waiting: {why}; tried again for a day");
                    said.push(Said { level: LogLevel::Warning, text });
                    self.told = Some(why.clone());
                }
                self.last_error = Some(why);
            }
            None => {
                (self.pause, self.again, self.full, self.last_error) = (None, None, false, None);
                if self.told.take().is_some() {
                    said.push(Said { level: LogLevel::Info, text: "mail is delivered again".to_owned() });
                }
            }
        }
        said
    }

    pub fn status(&self) -> MailStatus {
        MailStatus {
            waiting: self.waiting.len() + self.gathered().filter(|gathered| gathered.count > 0).count(),
            sent: self.sent,
            dropped: self.dropped,
            last_error: self.last_error.clone(),
        }
    }

    /// The director ends: what is gathered is due, and everything is tried once more at once.
    pub fn hurry(&mut self, now: Instant) {
        let gathered: Vec<(Topic, Gathered)> =
            self.paces.iter_mut().filter_map(|(topic, pace)| Some((*topic, pace.gathered.take()?))).collect();
        for (topic, gathered) in gathered {
            self.list(topic, gathered, now);
        }
        self.again = None;
    }

    fn gathered(&self) -> impl Iterator<Item = &Gathered> {
        self.paces.values().filter_map(|pace| pace.gathered.as_ref())
    }

    fn wait(&mut self, mail: Mail, settings: &Settings, now: Instant, wall: u64) -> Option<Said> {
        let mut said = None;
        if self.waiting.len() >= MOST {
            self.waiting.pop_front();
            self.drop_some(1);
            if !std::mem::replace(&mut self.full, true) {
                let text = format!("mail: {MOST} wait: for each new one the oldest is given up");
                said = Some(Said { level: LogLevel::Warning, text });
            }
        }
        self.ids += 1;
        let message = Message { subject: mail.subject, body: mail.body, wall, id: self.ids };
        self.waiting.push_back(Waiting { message, since: now, to: settings.to.clone(), delivered: false });
        said
    }

    /// Ends the gathering whose time is over. If there was as much as before, another one begins.
    fn close(&mut self, now: Instant) -> Option<Said> {
        let over = |(topic, pace): (&Topic, &mut Pace)| {
            Some((*topic, pace.gathered.take_if(|gathered| now >= gathered.ends())?))
        };
        let (topic, gathered) = self.paces.iter_mut().find_map(over)?;
        if gathered.count > ALONE {
            let lasts = (gathered.lasts * 2).min(LONGEST_GATHERING);
            let wall = gathered.wall + gathered.lasts.as_secs();
            let next = Gathered { since: now, wall, lasts, lines: Vec::new(), count: 0 };
            self.paces.entry(topic).or_default().gathered = Some(next);
        }
        self.list(topic, gathered, now)
    }

    fn list(&mut self, topic: Topic, gathered: Gathered, now: Instant) -> Option<Said> {
        let Gathered { lines, count, wall, lasts, .. } = gathered;
        if count == 0 {
            return None;
        }
        let settings = self.settings.clone()?;
        let more = count - lines.len();
        let mut body = format!("=> {count} changes within {} s <=\n\n{}\n", lasts.as_secs(), lines.join("\n"));
        if more > 0 {
            body += &format!("and {more} more\n");
        }
        self.wait(Mail { topic, subject: format!("{count} changes"), body }, &settings, now, wall)
    }

    fn too_old(&mut self, now: Instant) -> Option<Said> {
        let before = self.waiting.len();
        if self.on_their_way {
            return None;
        }
        self.waiting.retain(|waiting| now.since(waiting.since) < LONGEST);
        let lost = before - self.waiting.len();
        self.drop_some(lost);
        let text = || format!("mail: {lost} given up after a day");
        (lost > 0).then(|| Said { level: LogLevel::Warning, text: text() })
    }

    fn drop_some(&mut self, lost: usize) {
        self.dropped = self.dropped.saturating_add(u64::try_from(lost).unwrap_or(u64::MAX));
    }
}

impl Gathered {
    fn ends(&self) -> Instant {
        self.since + self.lasts
    }

    fn take(&mut self, mail: &Mail, wall: u64) {
        self.count += 1;
        if self.lines.len() < MOST_LISTED {
            self.lines.push(format!("{} {}", time_of_day(wall), mail.subject));
        }
    }
}
