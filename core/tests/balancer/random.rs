//! Random histories: servers of every mood, reloads, strangers at the kernel's table.

use crate::world::*;
use proptest::prelude::*;
use vipward_core::config::VirtualServer;
use vipward_core::time::Duration;

const VIPS: [&str; 3] = [VIP, "10.0.0.2:80", "10.0.0.3:80"];
const WEBS: [&str; 4] = [WEB1, WEB2, WEB3, "192.0.2.4:80"];

#[derive(Clone, Debug)]
enum Step {
    Mood(usize, Mood),
    Load(Vec<VirtualServer>),
    /// Somebody takes a destination out, or a whole service.
    Meddle(usize, Option<usize>),
    Kernel(bool),
}

fn mood() -> impl Strategy<Value = Mood> {
    prop_oneof![
        (0..4000_u64).prop_map(|ms| Mood::Good(Duration::from_millis(ms % 2900))),
        Just(Mood::Refuses),
        Just(Mood::Silent),
        Just(Mood::Short(vipward_core::check::Shortage::Memory)),
        Just(Mood::Fails('b')),
    ]
}

fn virtual_server(vip: usize) -> impl Strategy<Value = VirtualServer> {
    let reals = prop::collection::vec((0..WEBS.len(), 0..4_u32, 0..3_usize, any::<(bool, bool)>()), 0..4);
    (reals, 1..4_u32, 0..3_u32, any::<bool>()).prop_map(move |(reals, quorum, hysteresis, with_sorry)| {
        let mut configured = service(VIPS[vip], &[]);
        (configured.quorum, configured.hysteresis) = (quorum, hysteresis);
        configured.sorry_server = with_sorry.then(sorry);
        for (web, weight, checkers, (inhibit, alpha)) in reals {
            let all = [tcp(WEBS[web]), http(WEBS[web], &["/a", "/b"])];
            let mut server = real(WEBS[web], all[..checkers].to_vec());
            (server.weight, server.inhibit_on_failure) = (weight, inhibit);
            server.checkers.iter_mut().for_each(|checker| checker.alpha = alpha);
            configured.real_servers.push(server);
        }
        configured
    })
}

fn services() -> impl Strategy<Value = Vec<VirtualServer>> {
    prop::sample::subsequence(vec![0, 1, 2], 0..=3)
        .prop_flat_map(|vips| vips.into_iter().map(virtual_server).collect::<Vec<_>>())
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..WEBS.len(), mood()).prop_map(|(web, mood)| Step::Mood(web, mood)),
        2 => services().prop_map(Step::Load),
        1 => (0..VIPS.len(), prop::option::of(0..WEBS.len())).prop_map(|(vip, web)| Step::Meddle(vip, web)),
        1 => any::<bool>().prop_map(Step::Kernel),
    ]
}

/// Plays a history; returns the world at its end, some time after the last step.
fn play(first: &[VirtualServer], steps: &[(u64, Step)]) -> World {
    let mut world = World::new();
    world.kernel.services.insert(
        key("10.96.0.1:443"),
        vipward_core::ipvs::ServiceEntry {
            service: vipward_core::ipvs::Service {
                scheduler: vipward_core::ipvs::Scheduler("rr".into()),
                persistence: None,
                flags: Default::default(),
                persistence_engine: None,
            },
            destinations: Default::default(),
        },
    );
    world.load(first.to_vec());
    let mut at = Duration::ZERO;
    for (after, step) in steps {
        at += Duration::from_millis(*after);
        world.until(at);
        match step {
            Step::Mood(web, mood) => world.mood(WEBS[*web], *mood),
            Step::Load(services) => world.load(services.clone()),
            Step::Meddle(vip, Some(web)) => {
                if let Some(entry) = world.kernel.services.get_mut(&key(VIPS[*vip])) {
                    entry.destinations.remove(&address(WEBS[*web]));
                }
            }
            Step::Meddle(vip, None) => {
                world.kernel.services.remove(&key(VIPS[*vip]));
            }
            Step::Kernel(works) => world.refuses = if *works { |_| false } else { |_| true },
        }
    }
    world.refuses = |_| false;
    world.until(at + secs(25));
    world
}

proptest! {
    /// Whatever happened: some time later the kernel has what is wanted, and the stranger's service is untouched.
    /// (That no two probes of one checker overlap, the world asserts at every start.)
    #[test]
    fn the_kernel_ends_up_with_what_is_wanted(
        first in services(),
        steps in prop::collection::vec((0..9000_u64, step()), 0..12),
    ) {
        let world = play(&first, &steps);
        let mut kernel = world.kernel.clone();
        let stranger = kernel.services.remove(&key("10.96.0.1:443"));
        prop_assert!(stranger.is_some_and(|entry| entry.destinations.is_empty()));
        prop_assert_eq!(kernel, world.desired());
    }

    #[test]
    fn the_same_history_gives_the_same_timeline(
        first in services(),
        steps in prop::collection::vec((0..9000_u64, step()), 0..12),
    ) {
        prop_assert_eq!(play(&first, &steps).timeline, play(&first, &steps).timeline);
    }

    /// Reloading the file that is in force changes nothing but the moment.
    #[test]
    fn reloading_the_same_file_is_never_noticed(
        first in services(),
        moods in prop::collection::vec((0..9000_u64, 0..WEBS.len(), mood()), 0..8),
        reload_at in 0..8_usize,
    ) {
        let mut steps: Vec<_> = moods.into_iter().map(|(after, web, mood)| (after, Step::Mood(web, mood))).collect();
        let without = play(&first, &steps).timeline;
        steps.insert(reload_at.min(steps.len()), (0, Step::Load(first.clone())));
        prop_assert_eq!(play(&first, &steps).timeline, without);
    }
}
