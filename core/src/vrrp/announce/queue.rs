//! Announcements that wait: one queue for each interface, served in turns and paced (`garp_interval`, `gna_interval`),
//! the interfaces of a `garp_group` together.
//!
//! A MASTER with thousands of addresses has tens of thousands of announcements to make, five for each. They leave a few
//! at a time, so that an advert that is due never waits for them, and round by round over all routers, so that each
//! address is announced early, and again later. What is no longer wanted when its turn comes is left out.

use super::super::book::Holder;
use crate::interface::{InterfaceAddress, InterfaceName};
use crate::time::{Duration, Instant};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

/// How many leave at most in one event. The kernel takes 5 to 10 µs for each.
pub const AT_ONCE: usize = 64;

/// What waits.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Queue {
    interfaces: BTreeMap<InterfaceName, Line>,
    /// How many have left.
    #[serde(default)]
    taken: u64,
}

/// What waits for one interface.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Line {
    bursts: VecDeque<Burst>,
    /// Nothing leaves before.
    not_before: Instant,
    /// How many had left, of all interfaces, when one left here: who waits longest comes first.
    #[serde(default)]
    served: u64,
}

/// Rounds of announcements of some addresses.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Burst {
    holder: Holder,
    addresses: Arc<[IpAddr]>,
    /// The place of the next one in this round.
    next: usize,
    /// This one included.
    rounds: u32,
}

impl Queue {
    /// Announces each of these so many times, as soon as their turn comes.
    pub fn push<'a>(&mut self, holder: Holder, addresses: impl Iterator<Item = &'a InterfaceAddress>, rounds: u32) {
        if rounds == 0 {
            return;
        }
        let mut by_interface: BTreeMap<&InterfaceName, Vec<IpAddr>> = BTreeMap::new();
        for address in addresses {
            by_interface.entry(&address.interface).or_default().push(address.address);
        }
        for (interface, addresses) in by_interface {
            let burst = Burst { holder, addresses: addresses.into(), next: 0, rounds };
            match self.interfaces.get_mut(interface) {
                Some(line) => line.bursts.push_back(burst),
                None => {
                    let line = Line { bursts: VecDeque::from([burst]), ..Line::default() };
                    self.interfaces.insert(interface.clone(), line);
                }
            }
        }
    }

    /// How many bursts of this holder wait.
    pub fn waiting(&self, holder: Holder) -> usize {
        self.interfaces.values().flat_map(|line| &line.bursts).filter(|burst| burst.holder == holder).count()
    }

    /// This holder announces nothing any more.
    pub fn cancel(&mut self, holder: Holder) {
        for line in self.interfaces.values_mut() {
            line.bursts.retain(|burst| burst.holder != holder);
        }
    }

    /// Takes what may leave now, at most `most`. `pause`: after an announcement of such an address on an interface, and the
    /// interfaces that keep it too. Those for which `wanted` says no are left out and cost nothing.
    pub fn take<'a>(
        &mut self,
        now: Instant,
        most: usize,
        pause: impl Fn(&InterfaceName, IpAddr) -> (Duration, &'a [InterfaceName]),
        wanted: impl Fn(&InterfaceName, IpAddr) -> bool,
    ) -> Vec<(InterfaceName, IpAddr)> {
        let mut taken = Vec::new();
        let ready = |line: &Line| !line.bursts.is_empty() && line.not_before <= now;
        let mut order: Vec<(u64, InterfaceName)> = self
            .interfaces
            .iter()
            .filter(|(_, line)| ready(line))
            .map(|(name, line)| (line.served, name.clone()))
            .collect();
        order.sort_unstable();
        for (_, interface) in order {
            while taken.len() < most
                && let Some(line) = self.interfaces.get_mut(&interface).filter(|line| ready(line))
            {
                let Some(address) = line.pop() else { break };
                if !wanted(&interface, address) {
                    continue;
                }
                taken.push((interface.clone(), address));
                self.taken += 1;
                line.served = self.taken;
                let (pause, others) = pause(&interface, address);
                if !pause.is_zero() {
                    line.not_before = now + pause;
                    for other in others {
                        self.interfaces.entry(other.clone()).or_default().not_before = now + pause;
                    }
                }
            }
        }
        self.interfaces.retain(|_, line| !line.bursts.is_empty() || line.not_before > now);
        taken
    }

    /// When something may leave: in the past if that is now.
    pub fn next(&self) -> Option<Instant> {
        self.interfaces.values().filter(|line| !line.bursts.is_empty()).map(|line| line.not_before).min()
    }
}

impl Line {
    /// The next address. A round that is over goes behind those of the others.
    fn pop(&mut self) -> Option<IpAddr> {
        let mut burst = self.bursts.pop_front()?;
        let address = burst.addresses.get(burst.next).copied()?;
        burst.next += 1;
        if burst.next < burst.addresses.len() {
            self.bursts.push_front(burst);
        } else if burst.rounds > 1 {
            self.bursts.push_back(Burst { next: 0, rounds: burst.rounds - 1, ..burst });
        }
        Some(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interface::Scope;
    use std::net::Ipv4Addr;

    fn vip(interface: &str, last: u8) -> InterfaceAddress {
        InterfaceAddress {
            interface: InterfaceName::new(interface),
            address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)),
            prefix_len: 24,
            broadcast: None,
            label: None,
            scope: Scope::Global,
            no_prefix_route: false,
            permanent: false,
        }
    }

    fn taken(queue: &mut Queue, now: u64, most: usize, pause: u64) -> Vec<String> {
        let taken =
            queue.take(Instant::from_millis(now), most, |_, _| (Duration::from_millis(pause), &[]), |_, _| true);
        let last = |address: IpAddr| address.to_string().rsplit('.').next().map(ToOwned::to_owned).unwrap();
        taken.into_iter().map(|(interface, address)| format!("{interface} {}", last(address))).collect()
    }

    #[test]
    fn rounds_of_all_routers_come_in_turns() {
        let mut queue = Queue::default();
        queue.push(Holder::Router(1), [vip("eth0", 1), vip("eth0", 2)].iter(), 2);
        queue.push(Holder::Router(2), [vip("eth0", 3)].iter(), 2);
        assert_eq!(taken(&mut queue, 0, 4, 0), ["eth0 1", "eth0 2", "eth0 3", "eth0 1"]);
        assert_eq!(queue.next(), Some(Instant::ZERO), "the rest may leave at once");
        assert_eq!(taken(&mut queue, 0, 4, 0), ["eth0 2", "eth0 3"]);
        assert_eq!(queue.next(), None);
    }

    #[test]
    fn a_pace_is_kept_on_each_interface_by_itself() {
        let mut queue = Queue::default();
        queue.push(Holder::Router(1), [vip("eth0", 1), vip("eth1", 2)].iter(), 2);
        assert_eq!(taken(&mut queue, 10, 9, 500), ["eth0 1", "eth1 2"]);
        assert_eq!(taken(&mut queue, 509, 9, 500), [""; 0]);
        assert_eq!(queue.next(), Some(Instant::from_millis(510)));
        assert_eq!(taken(&mut queue, 510, 9, 500).len(), 2);
        assert_eq!(queue.next(), None);
        // The pause holds for what comes later as well.
        queue.push(Holder::Router(1), [vip("eth0", 3)].iter(), 1);
        assert_eq!(queue.next(), Some(Instant::from_millis(1010)));
    }

    #[test]
    fn no_interface_starves_another() {
        let mut queue = Queue::default();
        queue.push(Holder::Router(1), [vip("eth0", 1)].iter(), 100);
        queue.push(Holder::Router(2), [vip("eth1", 2)].iter(), 100);
        assert_eq!(taken(&mut queue, 0, 2, 0), ["eth0 1", "eth0 1"]);
        assert_eq!(taken(&mut queue, 0, 2, 0), ["eth1 2", "eth1 2"]);
        assert_eq!(taken(&mut queue, 0, 2, 0), ["eth0 1", "eth0 1"]);
    }

    /// One outside of a group, at the same pace, lets nobody inside wait for ever.
    #[test]
    fn no_interface_of_a_group_starves_another() {
        let mut queue = Queue::default();
        let names = ["eth0", "eth1", "eth2"].map(InterfaceName::new);
        (1..).zip(["eth0", "eth1", "eth2"]).for_each(|(id, name)| {
            queue.push(Holder::Router(id), [vip(name, 9)].iter(), 100);
        });
        let pause = |name: &InterfaceName, _| {
            (Duration::from_millis(100), if *name == names[2] { &[][..] } else { &names[..2] })
        };
        let mut all = Vec::new();
        for turn in 0..4 {
            let taken = queue.take(Instant::from_millis(turn * 100), 9, pause, |_, _| true);
            all.push(taken.into_iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>().join(" "));
        }
        assert_eq!(all, ["eth0 eth2", "eth1 eth2", "eth0 eth2", "eth1 eth2"]);
    }

    #[test]
    fn who_is_no_master_any_more_announces_nothing() {
        let mut queue = Queue::default();
        queue.push(Holder::Router(1), [vip("eth0", 1)].iter(), 5);
        queue.push(Holder::Router(2), [vip("eth0", 2), vip("eth0", 3)].iter(), 1);
        queue.cancel(Holder::Router(1));
        let three = vip("eth0", 3).address;
        let taken = queue.take(Instant::ZERO, 9, |_, _| (Duration::ZERO, &[]), |_, address| address == three);
        assert_eq!(taken, [(InterfaceName::new("eth0"), three)]);
        assert_eq!(queue.next(), None);
    }
}
