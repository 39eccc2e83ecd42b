//! The client's side of SMTP (RFC 5321), as a state machine: bytes in, bytes out.
//!
//! One conversation carries the mails of one [`Batch`]. What a server sends is bounded: a line, the lines of one answer. What
//! could not be settled in it (the connection ended, time was up) is tried later; a mail is sent twice only if a server took it
//! and the answer that says so was lost.

use super::queue::{Batch, Fate, Outgoing, Report};
use super::{Settings, one_line};
use crate::time::Duration;
use std::sync::Arc;

/// The longest that a conversation may take, whatever a server does.
pub const LONGEST: Duration = Duration::from_secs(300);

/// Bytes of one line (RFC 5321 4.5.3.1.5: 512).
const LONGEST_LINE: usize = 1024;

/// Lines of one answer.
const MOST_LINES: u32 = 100;

/// Bytes of an answer that are told.
const TOLD: usize = 200;

/// What the next answer is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Greeting,
    Helo,
    From,
    /// The recipient at this place.
    To(usize),
    Data,
    /// The text.
    Text,
    /// No recipient was taken.
    Reset,
    Over,
}

/// One conversation.
#[derive(Debug)]
pub struct Conversation {
    settings: Arc<Settings>,
    mails: std::vec::IntoIter<Outgoing>,
    /// The one that is being sent, and what was said of its recipients.
    current: Option<(Outgoing, Vec<Option<Fate>>)>,
    step: Step,
    out: Vec<u8>,
    line: Vec<u8>,
    lines: u32,
    report: Report,
}

impl Conversation {
    pub fn new(batch: Batch) -> Self {
        Self {
            settings: batch.settings,
            mails: batch.mails.into_iter(),
            current: None,
            step: Step::Greeting,
            out: Vec::new(),
            line: Vec::new(),
            lines: 0,
            report: Report::default(),
        }
    }

    /// The server sent this.
    pub fn heard(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.step == Step::Over {
                return;
            }
            match byte {
                b'\n' => {
                    let line = std::mem::take(&mut self.line);
                    self.heard_line(line.strip_suffix(b"\r").unwrap_or(&line));
                }
                _ if self.line.len() < LONGEST_LINE => self.line.push(*byte),
                _ => self.give_up(format!("it sends a line of more than {LONGEST_LINE} bytes")),
            }
        }
    }

    /// What is to be sent now.
    pub fn says(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Nothing more is to be heard: once what it [`Self::says`] is sent the connection can be closed.
    pub fn is_over(&self) -> bool {
        self.step == Step::Over
    }

    /// It has ended; `why`, if the connection did.
    pub fn end(mut self, why: Option<String>) -> Report {
        if let Some(why) = why.filter(|_| self.step != Step::Over) {
            self.give_up(why);
        }
        self.report
    }

    fn heard_line(&mut self, line: &[u8]) {
        let text = one_line(&String::from_utf8_lossy(line), TOLD);
        let code = line.get(..3).filter(|code| code.iter().all(u8::is_ascii_digit));
        let code: Option<u16> = code.and_then(|code| std::str::from_utf8(code).ok()?.parse().ok());
        match (code, line.get(3)) {
            (Some(200..=599), Some(b'-')) => {
                self.lines += 1;
                if self.lines > MOST_LINES {
                    self.give_up(format!("it answers with more than {MOST_LINES} lines"));
                }
            }
            (Some(code @ 200..=599), Some(b' ') | None) => {
                self.lines = 0;
                self.answered(code, text);
            }
            _ => self.give_up(format!("it says \"{text}\", which is no answer of a mail server")),
        }
    }

    fn answered(&mut self, code: u16, text: String) {
        // It shuts down (RFC 5321 3.8).
        if code == 421 {
            return self.give_up(text);
        }
        let good = (200..300).contains(&code);
        match self.step {
            Step::Greeting if good => self.say(Step::Helo, &format!("HELO {}", self.settings.helo)),
            Step::Greeting | Step::Helo if !good => self.give_up(text),
            Step::Greeting | Step::Helo | Step::Reset => self.next_mail(),
            Step::From if good => self.recipient(0),
            Step::From => {
                self.decide_all(&fate(code, text));
                self.say(Step::Reset, "RSET");
            }
            Step::To(at) => {
                if let Some(slot) = self.current.as_mut().and_then(|(_, fates)| fates.get_mut(at)).filter(|_| !good) {
                    *slot = Some(fate(code, text));
                }
                self.recipient(at + 1);
            }
            Step::Data if code == 354 => {
                let data = self.current.as_ref().map(|(mail, _)| mail.data.clone()).unwrap_or_default();
                self.out.extend(data);
                self.step = Step::Text;
            }
            Step::Data => {
                self.decide_all(&fate(code, text));
                self.say(Step::Reset, "RSET");
            }
            Step::Text => {
                self.decide_all(&if good { Fate::Delivered } else { fate(code, text) });
                self.next_mail();
            }
            Step::Over => {}
        }
    }

    /// What is not decided about the current mail's recipients is so now.
    fn decide_all(&mut self, fate: &Fate) {
        let Some((_, fates)) = &mut self.current else { return };
        fates.iter_mut().filter(|slot| slot.is_none()).for_each(|slot| *slot = Some(fate.clone()));
    }

    fn next_mail(&mut self) {
        self.settle();
        match self.mails.next() {
            Some(mail) => {
                let fates = vec![None; mail.to.len()];
                self.current = Some((mail, fates));
                self.say(Step::From, &format!("MAIL FROM:<{}>", self.settings.from));
            }
            None => self.say(Step::Over, "QUIT"),
        }
    }

    fn recipient(&mut self, at: usize) {
        let Some((mail, fates)) = &self.current else { return };
        match mail.to.get(at) {
            Some(address) => self.say(Step::To(at), &format!("RCPT TO:<{address}>")),
            None if fates.iter().any(Option::is_none) => self.say(Step::Data, "DATA"),
            None => self.say(Step::Reset, "RSET"),
        }
    }

    /// Takes what is known of the current mail into the report.
    fn settle(&mut self) {
        let Some((mail, fates)) = self.current.take() else { return };
        let of_each = mail.to.into_iter().zip(fates);
        let known = of_each.filter_map(|(address, fate)| Some((address, fate?))).collect();
        self.report.mails.push((mail.id, known));
    }

    fn give_up(&mut self, why: String) {
        self.settle();
        self.report.error = Some(why);
        self.step = Step::Over;
        self.out.clear();
    }

    fn say(&mut self, step: Step, line: &str) {
        self.step = step;
        self.out.extend_from_slice(line.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }
}

/// What an answer other than yes means (RFC 5321 4.2.1).
fn fate(code: u16, text: String) -> Fate {
    if code >= 500 { Fate::Refused(text) } else { Fate::Later(text) }
}
