//! Quorum: is there enough live weight to serve (keepalived.conf(5): `quorum`, `hysteresis`)?
//!
//! Gained at `quorum` + `hysteresis`, lost below `quorum` - `hysteresis`; between the two limits it stays as it is. As in
//! keepalived a `quorum` above the sum of all weights counts as that sum, a `hysteresis` of `quorum` or more as one less.
//!
//! Unlike there the upper limit too is at most that sum. (In keepalived 2.2.7 two servers with quorum 2 and hysteresis 1
//! never have quorum, not even at start: the sorry server stays with both of them up.)

/// The quorum of one virtual server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum {
    limits: Limits,
    up: bool,
}

/// How the quorum changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Gained,
    Lost,
}

/// Live weights. `keep` <= `gain`, and both are at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limits {
    /// Gained at this weight.
    gain: u64,
    /// Lost below this one.
    keep: u64,
}

impl Quorum {
    /// The quorum at start. `total`: the weights of all real servers; `live`: of those that are up.
    pub fn new(quorum: u32, hysteresis: u32, total: u64, live: u64) -> Self {
        let limits = Limits::new(quorum, hysteresis, total);
        Self { limits, up: live >= limits.gain }
    }

    /// New settings at a reload; the state stays until [`Quorum::update`].
    pub fn set_limits(&mut self, quorum: u32, hysteresis: u32, total: u64) {
        self.limits = Limits::new(quorum, hysteresis, total);
    }

    /// Whether it is there.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// Takes the live weight; tells whether quorum was gained or lost by it.
    pub fn update(&mut self, live: u64) -> Option<Change> {
        if self.up && live < self.limits.keep {
            self.up = false;
            Some(Change::Lost)
        } else if !self.up && live >= self.limits.gain {
            self.up = true;
            Some(Change::Gained)
        } else {
            None
        }
    }
}

impl Limits {
    fn new(quorum: u32, hysteresis: u32, total: u64) -> Self {
        let quorum = u64::from(quorum).min(total).max(1);
        let hysteresis = u64::from(hysteresis).min(quorum - 1);
        Self { gain: (quorum + hysteresis).min(total).max(1), keep: quorum - hysteresis }
    }
}
