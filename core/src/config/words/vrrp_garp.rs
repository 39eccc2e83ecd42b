//! Pace of gratuitous ARP: the same six words in `global_defs` and `vrrp_instance`, under two names.

use super::Block;
use super::row::Default::{Is, Of, Told};
use super::row::Status::Acted;
use super::row::{Default, FOREVER, Row, count, row, seconds};
use super::values::keep;
use crate::config::Garp;
use crate::time::Duration;

#[derive(Clone, Copy, Debug, std::default::Default)]
pub(in crate::config) struct Announcements {
    pub garp: Garp,
    /// None: as after becoming MASTER.
    pub lower_prio_repeat: Option<u32>,
    pub lower_prio_delay: Option<Duration>,
}

impl Announcements {
    /// What a `vrrp_instance` begins with: its own `garp_master_delay` says nothing of `garp_lower_prio_delay`.
    pub fn handed_down(self) -> Self {
        let Garp { lower_prio_repeat, lower_prio_delay, .. } = self.whole();
        Self { lower_prio_repeat: Some(lower_prio_repeat), lower_prio_delay: Some(lower_prio_delay), ..self }
    }

    pub fn whole(self) -> Garp {
        Garp {
            lower_prio_repeat: self.lower_prio_repeat.unwrap_or(self.garp.repeat),
            lower_prio_delay: self.lower_prio_delay.unwrap_or(self.garp.delay),
            ..self.garp
        }
    }
}

/// What announces.
pub(super) trait Announces {
    fn announcements(&mut self) -> &mut Announcements;
}

/// Defaults in `global_defs`, in the order of [`rows`].
pub(super) const OWN: [Default; 6] =
    [Is("5"), Is("5"), Is("0"), Is("1"), Told("as many as in a burst"), Told("as in a burst")];

/// Defaults in `vrrp_instance`.
pub(super) const HANDED_DOWN: [Default; 6] = [
    Of(Block::GlobalDefs, "vrrp_garp_master_repeat"),
    Of(Block::GlobalDefs, "vrrp_garp_master_delay"),
    Of(Block::GlobalDefs, "vrrp_garp_master_refresh"),
    Of(Block::GlobalDefs, "vrrp_garp_master_refresh_repeat"),
    Of(Block::GlobalDefs, "vrrp_garp_lower_prio_repeat"),
    Of(Block::GlobalDefs, "vrrp_garp_lower_prio_delay"),
];

#[rustfmt::skip]
pub(super) const fn rows<D: Announces>(names: [&'static str; 6], defaults: [Default; 6]) -> [Row<D>; 6] {
    let [repeat, delay, refresh, refresh_repeat, lower_repeat, lower_delay] = names;
    let [d_repeat, d_delay, d_refresh, d_refresh_repeat, d_lower_repeat, d_lower_delay] = defaults;
    [
        row(repeat, count(0), d_repeat, Acted(|said, draft| {
            keep(&mut draft.announcements().garp.repeat, said.number());
        }), "announcements in a burst"),
        row(delay, seconds(0, FOREVER), d_delay, Acted(|said, draft| {
            keep(&mut draft.announcements().garp.delay, said.seconds());
        }), "when the second burst comes; 0: never"),
        row(refresh, seconds(0, FOREVER), d_refresh, Acted(|said, draft| {
            keep(&mut draft.announcements().garp.refresh, said.seconds());
        }), "announce every so often while MASTER; 0: never"),
        row(refresh_repeat, count(0), d_refresh_repeat, Acted(|said, draft| {
            keep(&mut draft.announcements().garp.refresh_repeat, said.number());
        }), "announcements in a refresh"),
        row(lower_repeat, count(0), d_lower_repeat, Acted(|said, draft| {
            if let Some(repeat) = said.number() { draft.announcements().lower_prio_repeat = Some(repeat) }
        }), "announcements after an advert of lower priority"),
        row(lower_delay, seconds(0, FOREVER), d_lower_delay, Acted(|said, draft| {
            if let Some(delay) = said.seconds() { draft.announcements().lower_prio_delay = Some(delay) }
        }), "second burst after an advert of lower priority"),
    ]
}
