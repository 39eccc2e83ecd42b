//! RFC 9568 6.4.3 and RFC 3768 6.4.3: what a MASTER hears, whom it yields to and whom it does not.

use super::{Context, Heard, Proposal, Proposed, State, VirtualRouter};
use crate::decision::{Decision, RoleCause};
use crate::time::{Duration, Instant};
use crate::vrrp::announce::To;
use crate::vrrp::book::Holder;
use crate::vrrp::notify;
use crate::vrrp::packet::Advert;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Adverts are answered at once as often as this, and then every [`ANSWERS_EVERY`].
pub const ANSWERS_AT_ONCE: u32 = 8;
/// See [`ANSWERS_AT_ONCE`]. The adverts of a MASTER's own timer are no answers.
pub const ANSWERS_EVERY: Duration = Duration::from_millis(250);

/// `notify_master_rx_lower_pri` runs at once as often as [`ANSWERS_AT_ONCE`], and then every so often: each time is a process.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// Another MASTER with the lower claim.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Rival {
    /// Heard first and last, without a Master_Down_Interval of silence between.
    since: Instant,
    last: Instant,
    told: bool,
    told_that_it_stays: bool,
    /// Since when it has had our priority.
    #[serde(default)]
    equal_since: Option<Instant>,
}

impl VirtualRouter {
    pub(super) fn hear_as_master(&mut self, advert: &Advert<'_>, source: IpAddr, ctx: &mut Context<'_>) {
        let ours = self.priority.get();
        if advert.priority == 0 {
            // Another MASTER stops: the addresses are ours alone, and everybody must hear that, the neighbours whom its
            // announcements drew away included.
            self.answer(ctx);
            self.announce_again(ctx);
            return;
        }
        // "an unsigned integer comparison of the IPvX addresses in network byte order"
        let greater = self.source.is_none_or(|ours| source > ours);
        if advert.priority == ours && greater && !ctx.yields_to_equal {
            // Another member of its sync group decides. No answer: two of them would answer each other.
            self.tell_of_rival(advert, source, ctx);
        } else if advert.priority > ours || advert.priority == ours && greater {
            if !self.doubts(advert, source) {
                self.yield_to(advert, source, ctx);
            }
        } else {
            self.assert_mastership(advert, source, ctx);
        }
    }

    fn yield_to(&mut self, advert: &Advert<'_>, source: IpAddr, ctx: &mut Context<'_>) {
        let (theirs, ours) = (advert.priority, self.priority.get());
        let cause = if theirs > ours {
            RoleCause::HigherPriority { source, theirs, ours }
        } else {
            RoleCause::SamePriorityGreaterAddress { source, priority: ours, ours: self.source.unwrap_or(source) }
        };
        // Its own first announcements may have been lost with the adverts that we did not hear, and ours drew the neighbours
        // here, where nobody answers any more. To hear a lower priority makes it announce itself again. Not in the RFC;
        // keepalived does so with `higher_prio_send_advert` only. Who yields does not know what the other one has heard.
        self.advertise(ctx);
        let to = Proposed::Backup {
            heard: Heard::Active { source, at: ctx.now },
            learned: Some(self.learn(advert, source)),
        };
        ctx.propose(Proposal { to, cause });
    }

    /// "Send an ADVERTISEMENT immediately to assert the Active state to the sending VRRP Router and to update any
    /// learning bridges" (RFC 9568 6.4.3); keepalived does so in version 2 as well, unless `lower_prio_no_advert`.
    fn assert_mastership(&mut self, advert: &Advert<'_>, source: IpAddr, ctx: &mut Context<'_>) {
        if !self.config.adverts.lower_prio_no_advert {
            self.answer(ctx);
        }
        self.announce_again(ctx);
        if self.limits.lower.take(ctx.now, TOLD_EVERY, ANSWERS_AT_ONCE).is_ok() {
            notify::lower_priority_heard(&self.config.notify, &self.config.name, self.priority, ctx.out);
        }
        self.tell_of_rival(advert, source, ctx);
    }

    /// One advert of a lower priority is what a MASTER that was just preempted says as it yields. Any other is a second MASTER.
    /// That is told once, and once more with the likely causes if it stays; not for ever.
    fn tell_of_rival(&mut self, advert: &Advert<'_>, source: IpAddr, ctx: &mut Context<'_>) {
        // A forged interval of 10 ms must not make a story of every packet.
        let own = self.master_down_interval(self.config.adverts.interval);
        let (now, pause) = (ctx.now, self.master_down_interval(advert.interval).max(own));
        let before = self.rival.filter(|rival| now.since(rival.last) <= pause);
        let mut rival = before.unwrap_or(Rival {
            since: now,
            last: now,
            told: false,
            told_that_it_stays: false,
            equal_since: None,
        });
        rival.last = now;
        rival.equal_since = (advert.priority == self.priority.get()).then(|| rival.equal_since.unwrap_or(now));
        let last_words = before.is_none() && now.since(self.master_since) <= pause;
        let router = self.config.name.clone();
        if !rival.told && !last_words {
            rival.told = true;
            ctx.decide(Decision::RivalMaster { router, source, priority: advert.priority });
        } else if !rival.told_that_it_stays && now.since(rival.since) >= advert.interval.duration() * 3 {
            rival.told_that_it_stays = true;
            ctx.decide(Decision::RivalStays { router, source, version: advert.version });
        }
        self.rival = Some(rival);
    }

    /// Since when another MASTER of the same priority has been heard, without a Master_Down_Interval of silence and as long as
    /// this one is MASTER.
    pub fn equal_rival(&self, now: Instant) -> Option<Instant> {
        let pause = self.master_down_interval(self.config.adverts.interval);
        let rival = self.rival.filter(|rival| now.since(rival.last) <= pause && rival.last >= self.master_since)?;
        rival.equal_since.map(|since| since.max(self.master_since))
    }

    /// When such a MASTER was heard last.
    pub fn equal_rival_last(&self, now: Instant) -> Option<Instant> {
        self.equal_rival(now).and(self.rival).map(|rival| rival.last)
    }

    /// Advertises at once. Whoever sends a thousand packets a second gets a few answers.
    fn answer(&mut self, ctx: &mut Context<'_>) {
        let State::Master(master) = &mut self.state else { return };
        if master.answers.take(ctx.now, ANSWERS_EVERY, ANSWERS_AT_ONCE).is_ok() {
            self.advertise(ctx);
        }
    }

    /// `garp_lower_prio_repeat`, `garp_lower_prio_delay`.
    fn announce_again(&mut self, ctx: &mut Context<'_>) {
        if let State::Master(master) = &mut self.state
            && master.holds
        {
            let to = &mut To { holder: Holder::Router(self.id), book: ctx.book };
            master.announcements.lower_priority(&self.config.announcements, &self.addresses, ctx.now, to);
        }
    }

    pub(super) fn advertise(&mut self, ctx: &mut Context<'_>) {
        let State::Master(_) = &self.state else { return };
        self.say(self.adverts.clone(), ctx);
        let State::Master(master) = &mut self.state else { return };
        master.last_advert = ctx.now;
        master.advertise_at = ctx.now + self.config.adverts.interval.duration();
    }
}
