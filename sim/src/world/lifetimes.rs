//! Addresses with a lifetime: the kernel takes them off by itself, whatever has become of the daemon.

use super::World;
use crate::scenario::NodeId;
use crate::trace::What;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vipward_core::interface::{AddressKey, InterfaceAddress, ObservedAddress};
use vipward_core::time::{Duration, Instant};
use vipward_core::vrrp::Event;

/// Linux looks at the lifetimes of IPv4 addresses at most once a second: so much later an address may go.
const LATE: Duration = Duration::from_secs(1);

/// How long an address stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    Forever,
    /// Renewed or not, it is there until then.
    Until(Instant),
    /// It was not renewed in time; at this instant the kernel looks.
    Ends(Instant),
}

impl Lifetime {
    /// When something happens to it.
    pub(super) fn due(self) -> Option<Instant> {
        match self {
            Self::Forever => None,
            Self::Until(at) | Self::Ends(at) => Some(at),
        }
    }
}

impl World {
    /// The lifetime of what the director's daemon adds or renews now.
    pub(super) fn lifetime(&self, id: NodeId) -> Lifetime {
        let config = self.director(id).and_then(|director| director.config.as_ref());
        match config.and_then(|config| config.vip.valid_lft()) {
            Some(lifetime) => Lifetime::Until(self.now + lifetime),
            None => Lifetime::Forever,
        }
    }

    /// `ip address replace`: one that is there keeps what it is and has its lifetime anew, one that is not is added, as
    /// Linux does it; the daemon, which is deaf to the news of its renewals, does not hear of that. Everyday business, so it
    /// leaves no trace.
    pub fn renew_addresses(&mut self, id: NodeId, addresses: &[InterfaceAddress]) -> Result<(), String> {
        let lifetime = self.lifetime(id);
        let mut refused = Ok(());
        for address in addresses {
            let key = address.key();
            let renewed = self.director_mut(id).is_some_and(|it| it.kernel.addresses.renew(&key, lifetime));
            if !renewed && let Err(error) = self.put_address(id, address) {
                refused = Err(error);
            }
        }
        refused
    }

    /// Takes off what was not renewed.
    pub(super) fn expire_addresses(&mut self) {
        let now = self.now;
        if self.next_expiry().is_none_or(|at| at > now) {
            return;
        }
        for id in self.ids() {
            let Some(director) = self.director(id) else { continue };
            if director.kernel.addresses.next_due().is_none_or(|at| at > now) {
                continue;
            }
            let due = |lifetime: Lifetime| lifetime.due().is_some_and(|at| at <= now);
            let addresses = director.kernel.addresses.iter().filter(|(_, held)| due(held.lifetime));
            let addresses: Vec<(AddressKey, Lifetime)> =
                addresses.map(|(key, held)| (key.clone(), held.lifetime)).collect();
            for (key, lifetime) in addresses {
                let ends = match lifetime {
                    Lifetime::Forever => continue,
                    Lifetime::Until(at) => at + self.late(id),
                    Lifetime::Ends(at) => at,
                };
                if ends <= now {
                    self.expire(id, key);
                } else if let Some(director) = self.director_mut(id) {
                    director.kernel.addresses.renew(&key, Lifetime::Ends(ends));
                }
            }
        }
    }

    fn expire(&mut self, id: NodeId, key: AddressKey) {
        let held = self.director_mut(id).and_then(|director| director.kernel.addresses.remove(&key));
        let ours = held.is_some_and(|held| held.ours);
        self.note(Some(id), What::AddressExpired(key.clone()));
        self.routes_from(id, key.address);
        self.stir();
        let address = ObservedAddress { key, ours };
        self.tell_election(id, Event::AddressChanged { address, present: false });
    }

    /// When the kernel of any director has to look next.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.directors().filter_map(|(_, director)| director.kernel.addresses.next_due()).min()
    }

    /// Drawn only when it matters, by a stream of the node's own kernel.
    fn late(&mut self, id: NodeId) -> Duration {
        let seed = self.seed;
        let dice = self.kernel_dice.entry(id).or_insert_with(|| {
            let mut dice = ChaCha8Rng::seed_from_u64(seed);
            // Those of the ways between two nodes have the node's number in the upper half.
            dice.set_stream((1 << 63) | id.0 as u64);
            dice
        });
        let most = u64::try_from(LATE.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(dice.next_u64() % (most + 1))
    }
}
