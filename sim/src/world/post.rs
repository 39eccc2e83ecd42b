//! Mail in the simulated world: each director's queue is core's, and so is its side of the conversation. A mail server is a real
//! server that listens on that port; how packets of one conversation travel is left out: it takes no time if the way is
//! open, and fails at once if not.

use super::World;
use crate::scenario::NodeId;
use crate::trace::What;
use std::net::IpAddr;
use vipward_core::mail::queue::{Batch, Fate, Report};
use vipward_core::mail::smtp::Conversation;
use vipward_core::mail::{Mail, Settings};
use vipward_core::time::Instant;

/// What a status of this or more stands for: a mail server that refuses (RFC 5321 4.2.1).
const REFUSES: u16 = 400;

impl World {
    pub fn mailed(&mut self, id: NodeId, mail: &Mail) {
        self.note(Some(id), What::Mailed { subject: mail.subject.clone() });
        let (now, name) = (self.now, self.name(id).to_owned());
        let Some(director) = self.director_mut(id) else { return };
        let settings = director.config.as_ref().and_then(|config| Settings::of(&config.global, &name));
        director.post.configure(settings);
        director.post.put(mail.clone(), now, now.since(Instant::ZERO).as_secs());
    }

    /// Sends what is due.
    pub(super) fn advance_post(&mut self) {
        let now = self.now;
        for id in self.director_ids() {
            while let Some(director) = self.director_mut(id).filter(|director| director.running()) {
                if director.post.next_wakeup().is_none_or(|at| at > now) {
                    break;
                }
                let (Some(batch), _) = director.post.begin(now) else { continue };
                let report = self.converse(id, batch);
                if let Some(director) = self.director_mut(id) {
                    director.post.ended(report, now);
                }
            }
        }
    }

    /// When the next mail is due.
    pub(super) fn next_post(&self) -> Option<Instant> {
        let running = self.directors().filter(|(_, director)| director.running());
        running.filter_map(|(_, director)| director.post.next_wakeup()).min().map(|at| at.max(self.now))
    }

    fn converse(&mut self, id: NodeId, batch: Batch) -> Report {
        let mails = batch.mails.clone();
        let greeting = self.greets(id, &batch.settings);
        let mut conversation = Conversation::new(batch);
        let mut text = false;
        let mut answer = match greeting {
            Ok(greeting) => greeting,
            Err(why) => return conversation.end(Some(why)),
        };
        while !conversation.is_over() {
            conversation.heard(answer.as_bytes());
            let said = conversation.says();
            // After 354 comes the text.
            text = !text && said.starts_with(b"DATA\r\n");
            answer = if text { "354 go on\r\n".to_owned() } else { "250 ok\r\n".to_owned() };
        }
        let report = conversation.end(None);
        for (number, fates) in &report.mails {
            let arrived = fates.iter().any(|(_, fate)| *fate == Fate::Delivered);
            let Some(mail) = mails.iter().find(|mail| mail.id == *number).filter(|_| arrived) else { continue };
            let text = String::from_utf8_lossy(&mail.data);
            let subject = text.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap_or_default().to_owned();
            self.note(Some(id), What::Delivered { subject });
        }
        report
    }

    /// How the mail server greets; why it can't be asked.
    fn greets(&self, id: NodeId, settings: &Settings) -> Result<String, String> {
        let (host, port) = &settings.server;
        let by_name = || self.ids().find(|id| self.name(*id) == host);
        let server = match host.parse::<IpAddr>() {
            Ok(address) => self.holder_of_own(address),
            Err(_) => by_name(),
        };
        let server = server.filter(|server| self.reachable(id, *server)).ok_or("it can't be reached")?;
        let state = self.listening(server, *port).ok_or("connection refused")?;
        if state.slow >= settings.timeout {
            return Err("it did not answer in time".to_owned());
        }
        let code = if state.status >= REFUSES { state.status } else { 220 };
        Ok(format!("{code} {}\r\n", self.name(server)))
    }
}
