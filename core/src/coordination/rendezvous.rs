//! Spreading: which of the living directors should have which virtual router, by rendezvous hashing (Thaler and
//! Ravishankar 1998). Every director computes the same from the same members, and nobody has to tell anybody.
//!
//! Each pair of a virtual router and a director has a score, and a router goes to the director with the highest. When a
//! director dies, only what it had moves, since no other score changes. With a `limit`, pairs are granted from the highest
//! score down: then what finds its place taken goes on to its next choice.

use crate::lease::{DirectorName, LeaseKey, Member};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

/// For each router the directors that may have it: first the one that should, then those that have room, best first.
/// A router for which nobody has room has an empty list.
pub fn assign(group: &Arc<str>, routers: &[LeaseKey], members: &[Member]) -> BTreeMap<LeaseKey, Vec<DirectorName>> {
    let mut pairs: Vec<(Reverse<u64>, &LeaseKey, &Member)> = routers
        .iter()
        .flat_map(|router| members.iter().map(move |member| (Reverse(score(router, &member.director)), router, member)))
        .collect();
    pairs.sort();
    let mut taken: BTreeMap<&DirectorName, u32> = BTreeMap::new();
    let mut first: BTreeMap<&LeaseKey, &DirectorName> = BTreeMap::new();
    let room = |taken: &BTreeMap<&DirectorName, u32>, member: &Member| {
        let limit = member.limits.get(group).copied().unwrap_or(u32::MAX);
        taken.get(&member.director).copied().unwrap_or(0) < limit
    };
    for (_, router, member) in &pairs {
        if !first.contains_key(router) && room(&taken, member) {
            first.insert(router, &member.director);
            *taken.entry(&member.director).or_default() += 1;
        }
    }
    let mut lists: BTreeMap<LeaseKey, Vec<DirectorName>> = BTreeMap::new();
    for router in routers {
        let list = first.get(router).map(|director| (*director).clone());
        lists.insert(router.clone(), list.into_iter().collect());
    }
    for (_, router, member) in &pairs {
        if let Some(list) = lists.get_mut(*router)
            && !list.is_empty()
            && !list.contains(&member.director)
            && room(&taken, member)
        {
            list.push(member.director.clone());
        }
    }
    lists
}

/// The score of a pair: FNV-1a over both names, mixed so that names that differ in their last letter are as far apart as
/// others (the finalizer of MurmurHash3).
fn score(router: &str, director: &str) -> u64 {
    let hash = |seed: u64, text: &str| {
        text.bytes().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
    };
    // 0xff is in no name: `a`, `bc` and `ab`, `c` are different pairs.
    let mut hash = hash((hash(0xcbf2_9ce4_8422_2325, router) ^ 0xff).wrapping_mul(0x0000_0100_0000_01b3), director);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(word: &str, count: usize) -> Vec<Arc<str>> {
        (1..=count).map(|n| format!("{word}{n}").into()).collect()
    }

    fn members(names: &[Arc<str>], limit: Option<u32>) -> Vec<Member> {
        let member = |name: &Arc<str>| Member {
            director: name.clone(),
            limits: limit.map(|limit| ("all".into(), limit)).into_iter().collect(),
        };
        names.iter().map(member).collect()
    }

    fn first(routers: &[LeaseKey], members: &[Member]) -> BTreeMap<LeaseKey, Option<DirectorName>> {
        assign(&"all".into(), routers, members).into_iter().map(|(key, list)| (key, list.first().cloned())).collect()
    }

    fn load(of: &BTreeMap<LeaseKey, Option<DirectorName>>, director: &str) -> usize {
        of.values().filter(|it| it.as_deref() == Some(director)).count()
    }

    /// With 24 routers a director, none has more than twice its share, and none less than half of it.
    #[test]
    fn many_routers_are_spread_evenly() {
        for count in 2..=8 {
            let (routers, directors) = (names("VI_", 24 * count), names("lb", count));
            let spread = first(&routers, &members(&directors, None));
            for director in &directors {
                let load = load(&spread, director);
                assert!((12..=48).contains(&load), "{director} of {count} has {load}");
            }
        }
    }

    proptest! {
        /// The one that dies is missed by its own routers only.
        #[test]
        fn a_death_moves_only_its_share(routers in 1usize..40, directors in 2usize..8, dead in 0usize..8, order: bool) {
            let (routers, names) = (names("VI_", routers), names("lb", directors));
            let dead = names[dead % directors].clone();
            let mut living = members(&names, None);
            let before = first(&routers, &living);
            living.retain(|member| member.director != dead);
            if order {
                living.reverse();
            }
            for (router, after) in first(&routers, &living) {
                let was = before[&router].clone();
                prop_assert!(was == after || was == Some(dead.clone()), "{router}: {was:?} -> {after:?}");
            }
        }

        /// A limit is kept, by the second choices too, and nothing is left out while anybody has room.
        #[test]
        fn limits_are_kept(routers in 1usize..40, directors in 1usize..8, limit in 1u32..12) {
            let (routers, names) = (names("VI_", routers), names("lb", directors));
            let living = members(&names, Some(limit));
            let lists = assign(&"all".into(), &routers, &living);
            let spread = first(&routers, &living);
            let room = directors * limit as usize;
            prop_assert_eq!(spread.values().flatten().count(), routers.len().min(room));
            for name in &names {
                let load = load(&spread, name);
                prop_assert!(load <= limit as usize);
                if load == limit as usize {
                    let second = lists.values().filter(|list| list.iter().skip(1).any(|it| it == name)).count();
                    prop_assert_eq!(second, 0, "{} is full and no second choice", name);
                }
            }
        }
    }
}
