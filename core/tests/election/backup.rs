//! RFC 9568 6.4.2 and RFC 3768 6.4.2: a BACKUP, its timer and what resets it. Boundary pairs: a nanosecond before, and
//! the instant itself.

use crate::timeline::*;
use vipward_core::config::{Adverts, InitialState, Preemption, VirtualRouterConfig};
use vipward_core::quantity::Role;
use vipward_core::time::Duration;

/// Advert, address, announcement, then the news.
const TAKES_OVER: [&str; 3] = ["advert 100", "add 10.0.0.100/24", "garp 10.0.0.100"];

fn nopreempt(config: VirtualRouterConfig) -> VirtualRouterConfig {
    VirtualRouterConfig { preemption: Preemption { on: false, ..config.preemption }, ..config }
}

/// "If the Master_Down_timer fires": send an advert, broadcast gratuitous ARP, become MASTER.
#[test]
fn it_takes_over_when_it_hears_nobody() {
    let mut t = Timeline::of(vec![router()]);
    t.at("3.609374999").wakes().nothing();
    t.at("3.609375").wakes().gives(
        &[&TAKES_OVER[..], &["V: BACKUP -> MASTER: no MASTER heard in 3.609 s (Master_Down_Interval)"]].concat(),
    );
}

#[test]
fn version_3_waits_in_its_own_interval() {
    let mut t = Timeline::of(vec![v3(100, 10)]);
    t.at("0.360937499").wakes().nothing();
    t.at("0.3609375").wakes().is(Role::Master);
}

/// "Set the Master_Down_Timer to Master_Down_Interval."
#[test]
fn an_advert_starts_the_wait_anew() {
    let mut t = Timeline::of(vec![router()]);
    for at in ["0.5", "1.5", "2.5", "3.5"] {
        t.at(at).hears(peer(2, 200)).nothing();
    }
    t.at("7.109374999").wakes().nothing();
    t.at("7.109375").wakes().gives(
        &[&TAKES_OVER[..], &["V: BACKUP -> MASTER: nothing from 10.0.0.2 for 3.609 s (Master_Down_Interval 3.609 s)"]]
            .concat(),
    );
}

/// "If the Priority in the ADVERTISEMENT is zero, then: set the Master_Down_Timer to Skew_Time."
#[test]
fn a_master_that_stops_is_followed_after_skew_time() {
    let mut t = Timeline::of(vec![router()]);
    t.at("1").hears(peer(2, 200)).nothing();
    t.at("3").hears(peer(2, 0)).nothing();
    t.at("3.609374999").wakes().nothing();
    t.at("3.609375").wakes().gives(
        &[&TAKES_OVER[..], &["V: BACKUP -> MASTER: 10.0.0.2 stopped (priority 0); Skew_Time 0.609 s is over"]].concat(),
    );
}

/// The next one in line speaks within its shorter Skew_Time and is obeyed.
#[test]
fn the_best_of_several_backups_follows() {
    let mut t = Timeline::of(vec![router()]);
    t.at("3").hears(peer(2, 0)).nothing();
    t.at("3.5").hears(peer(9, 150)).nothing();
    t.at("3.609375").wakes().nothing();
    t.at("7.109374999").wakes().nothing();
    t.at("7.109375").wakes().is(Role::Master);
}

/// "greater than or equal to the local priority": a BACKUP does not look at addresses.
#[test]
fn an_equal_priority_counts_as_alive_whatever_its_address() {
    for source in [2, 9] {
        let mut t = Timeline::of(vec![router()]);
        t.at("3.6").hears(peer(source, 100)).nothing();
        t.at("3.609375").wakes().nothing();
        t.at("7.209374999").wakes().nothing();
        t.at("7.209375").wakes().is(Role::Master);
    }
}

/// "else discard the ADVERTISEMENT": the timer runs on. keepalived 2.2.7: the same, to the hundredth.
#[test]
fn a_lower_priority_is_preempted() {
    let mut t = Timeline::of(vec![priority(150)]);
    for at in ["0.5", "1.5", "2.5"] {
        t.at(at).hears(peer(2, 50)).nothing();
    }
    t.at("3.414062499").wakes().nothing();
    t.at("3.4140625").wakes().gives_of("V:", &["V: BACKUP -> MASTER: preempts 10.0.0.2: priority 150 over 50"]);
}

/// "If Preempt_Mode is False".
#[test]
fn nopreempt_leaves_a_lower_priority_in_peace_for_as_long_as_it_lives() {
    let mut t = Timeline::of(vec![nopreempt(priority(150))]);
    for at in ["0.5", "1.5", "2.5", "3.5", "4.5"] {
        t.at(at).hears(peer(2, 50)).nothing();
    }
    t.at("7.914062499").wakes().nothing();
    t.at("7.9140625").wakes().is(Role::Master);
}

/// keepalived: "nopreempt will not work with initial state MASTER". RFC 9568 6.1: the owner always preempts.
#[test]
fn nopreempt_means_nothing_with_state_master_and_to_an_owner() {
    let state_master = VirtualRouterConfig { initial_state: InitialState::Master, ..nopreempt(priority(150)) };
    for (config, at) in [(state_master, "3.4140625"), (nopreempt(priority(255)), "3.00390625")] {
        let mut t = Timeline::of(vec![config]);
        for second in ["1", "2", "3"] {
            t.at(second).hears(peer(2, 50)).nothing();
        }
        t.at(at).wakes().is(Role::Master);
    }
}

/// As keepalived 2.2.7 did it: the first lower advert starts the delay, and while it runs they count as alive.
#[test]
fn preempt_delay_counts_from_the_first_lower_advert() {
    let delayed =
        VirtualRouterConfig { preemption: Preemption { on: true, delay: Duration::from_secs(5) }, ..priority(150) };
    let mut t = Timeline::of(vec![delayed]);
    for at in ["0.5", "1.5", "2.5", "3.5", "4.5"] {
        t.at(at).hears(peer(2, 200)).nothing();
    }
    for at in ["5.5", "6.5", "7.5", "8.5", "9.5", "10.499999999"] {
        t.at(at).hears(peer(2, 50)).nothing();
    }
    // From here on they are discarded: 10.499999999 was the last that counted.
    for at in ["10.5", "11.5", "12.5", "13.5"] {
        t.at(at).hears(peer(2, 50)).nothing();
    }
    t.at("13.914062498").wakes().nothing();
    t.at("13.914062499").wakes().gives_of("V:", &["V: BACKUP -> MASTER: preempts 10.0.0.2: priority 150 over 50"]);
}

#[test]
fn preempt_delay_does_not_delay_when_there_is_nobody_to_preempt() {
    let delayed =
        || VirtualRouterConfig { preemption: Preemption { on: true, delay: Duration::from_secs(5) }, ..router() };
    Timeline::of(vec![delayed()]).at("3.609375").wakes().is(Role::Master);
    // The lower MASTER dies meanwhile: nobody is preempted any more.
    let mut t = Timeline::of(vec![delayed()]);
    t.at("1").hears(peer(2, 50)).nothing();
    t.at("4.609374999").wakes().nothing();
    t.at("4.609375")
        .wakes()
        .gives_of("V:", &["V: BACKUP -> MASTER: nothing from 10.0.0.2 for 3.609 s (Master_Down_Interval 3.609 s)"]);
    // A higher one in between ends the delay; the next lower one starts it anew.
    let mut t = Timeline::of(vec![delayed()]);
    t.at("1").hears(peer(2, 50)).nothing();
    t.at("4").hears(peer(9, 200)).nothing();
    t.at("7").hears(peer(2, 50)).nothing();
    t.at("10.609374999").wakes().nothing();
}

/// "Set Active_Adver_Interval to the Max Advertise Interval in the ADVERTISEMENT, recompute Skew_Time and
/// Active_Down_Interval." keepalived 2.2.7 took over 7.22 s after the last of 2 s, too.
#[test]
fn version_3_learns_the_masters_interval() {
    let mut t = Timeline::of(vec![v3(100, 100)]);
    t.at("0.5")
        .hears(peer(2, 200).v3(200))
        .gives(&["V: 10.0.0.2 has advert_int 2 s, configured here is 1 s; learned from it, as VRRPv3 does"]);
    t.at("2.5").hears(peer(2, 200).v3(200)).nothing();
    t.at("9.718749999").wakes().nothing();
    t.at("9.71875").wakes().is(Role::Master);
    // As MASTER it has its own again.
    assert_eq!(t.until("11.9"), ["10.718 advert 100", "11.718 advert 100"]);

    // Skew_Time after a priority 0 is a share of the learned interval.
    let mut t = Timeline::of(vec![v3(100, 100)]);
    t.at("0.4").hears(peer(2, 200).v3(10)).is(Role::Backup);
    t.at("0.5").hears(peer(2, 200).v3(10)).is(Role::Backup);
    t.at("0.6").hears(peer(2, 0).v3(10)).nothing();
    t.at("0.660937499").wakes().nothing();
    t.at("0.6609375").wakes().is(Role::Master);
}

/// One packet with a short interval must not make anybody take over from a MASTER that advertises as it should.
#[test]
fn a_short_interval_is_believed_when_it_is_said_again() {
    let mut t = Timeline::of(vec![v3(100, 100)]);
    t.at("1").hears(peer(2, 200).v3(100)).nothing();
    t.at("1.5").hears(peer(9, 255).v3(1)).is(Role::Backup);
    t.at("1.54").wakes().is(Role::Backup);
    t.at("2").hears(peer(2, 200).v3(100)).nothing();
    t.at("3").hears(peer(2, 200).v3(100)).nothing();
    // The same peer says it again: 0.3 s and 0.1 s * 156 / 256.
    t.at("3.1").hears(peer(9, 255).v3(10)).is(Role::Backup);
    t.at("3.2").hears(peer(9, 255).v3(10)).is(Role::Backup);
    t.at("3.560937499").wakes().nothing();
    t.at("3.5609375").wakes().is(Role::Master);
    // A farewell names an interval, too, and Skew_Time is a share of the one that is believed.
    let mut t = Timeline::of(vec![v3(100, 100)]);
    t.at("1").hears(peer(2, 0).v3(1)).is(Role::Backup);
    t.at("1.609374999").wakes().nothing();
    t.at("1.609375").wakes().is(Role::Master);
}

/// One packet with a long interval must not take the address from everybody for minutes: a MASTER that is heard so for the
/// first time is waited for no longer than in three times our own interval. One that says it again means it.
#[test]
fn a_long_interval_is_believed_when_it_is_said_again() {
    // 3 * 3 s + 3 s * 156 / 256, not 3 * 40 s.
    let mut t = Timeline::of(vec![v3(100, 100)]);
    t.at("1").hears(peer(2, 200).v3(4000)).is(Role::Backup);
    t.at("11.828124999").wakes().nothing();
    t.at("11.828125").wakes().is(Role::Master);
    // It answers at once, and is believed.
    t.at("11.9").hears(peer(2, 200).v3(4000)).is(Role::Backup);
    t.at("156.275").wakes().is(Role::Master);
    // Another one is another one.
    let mut t = Timeline::of(vec![v3(100, 100)]);
    t.at("1").hears(peer(2, 200).v3(4000)).is(Role::Backup);
    t.at("2").hears(peer(9, 200).v3(4000)).is(Role::Backup);
    t.at("12.828125").wakes().is(Role::Master);
    // Nor does a MASTER that yields to it wait any longer.
    let mut t = Timeline::of(vec![v3(100, 100)]);
    t.becomes_master();
    t.at("4").hears(peer(2, 200).v3(4000)).is(Role::Backup);
    t.at("14.828125").wakes().is(Role::Master);
}

/// Version 2 has no long interval that could be meant: one advert of priority 254 and interval 255 s took the address from
/// everybody for 765 s.
#[test]
fn version_2_never_waits_for_long() {
    let mut t = Timeline::of(vec![router()]);
    for at in ["1", "2", "3"] {
        t.at(at).hears(Peer { centis: 25_500, ..peer(2, 254) }).is(Role::Backup);
    }
    t.at("12.609374999").wakes().nothing();
    t.at("12.609375").wakes().is(Role::Master);
}

/// Nor does a MASTER yield to such an advert before the same peer says it again.
#[test]
fn a_master_of_version_2_doubts_a_long_interval() {
    let forged = |last| Peer { centis: 25_500, ..peer(last, 254) };
    let mut t = Timeline::of(vec![router()]);
    t.becomes_master();
    t.at("4").hears(forged(2)).is(Role::Master);
    t.at("4.2").hears(forged(9)).is(Role::Master);
    t.at("4.5").hears(forged(9)).is(Role::Backup);
    // Three times its own interval is waited for.
    t.at("14.109374999").wakes().nothing();
    t.at("14.109375").wakes().is(Role::Master);
}

/// RFC 3768 7.1 would drop it, and there would be two. Told, learned, obeyed.
#[test]
fn version_2_learns_another_interval_as_well_and_says_so() {
    let slow = || Peer { centis: 300, ..peer(2, 200) };
    let mut t = Timeline::of(vec![router()]);
    t.at("1")
        .hears(slow())
        .gives(&["V: 10.0.0.2 has advert_int 3 s, configured here is 1 s (VRRPv2 needs them equal); counted as alive"]);
    for at in ["4", "7", "10", "13"] {
        t.at(at).hears(slow()).nothing();
    }
    t.at("22.609374999").wakes().nothing();
    t.at("22.609375").wakes().is(Role::Master);
}

#[test]
fn down_timer_adverts_says_how_many_may_be_missed() {
    let mut t =
        Timeline::of(vec![VirtualRouterConfig { adverts: Adverts { down_timer: 5, ..router().adverts }, ..router() }]);
    t.at("5.609374999").wakes().nothing();
    t.at("5.609375").wakes().is(Role::Master);
}

/// Not in the RFC: a BACKUP that slept through its timer did not listen either. A living MASTER gets one interval.
#[test]
fn a_backup_that_overslept_listens_first() {
    let mut t = Timeline::of(vec![router()]);
    t.at("4.609375").wakes().is(Role::Master);

    let mut t = Timeline::of(vec![router()]);
    t.at("4.609375001").wakes().nothing();
    t.at("5").hears(peer(2, 200)).nothing();
    t.at("8.609374999").wakes().nothing();
    t.at("8.609375").wakes().is(Role::Master);

    let mut t = Timeline::of(vec![router()]);
    t.at("60").wakes().nothing();
    t.at("61.609374999").wakes().nothing();
    t.at("61.609375").wakes().is(Role::Master);

    // Late every time: it waits no second time, so that somebody takes over.
    let mut t = Timeline::of(vec![router()]);
    t.at("60").wakes().nothing();
    t.at("120").wakes().is(Role::Master);
}

/// A director sleeps as a whole. Its quick router shows that it did, and for longer than the slow one's interval: the slow
/// one's timer, only just expired, ran out in that sleep. The adverts that it should have heard lie behind hundreds of the
/// quick one's, or found the socket's buffer full.
#[test]
fn one_router_overslept_so_all_of_them_listen_first() {
    let quick = || VirtualRouterConfig {
        name: "W".into(),
        vrid: 52.try_into().unwrap(),
        addresses: vec![vip(101)],
        ..v3(100, 10)
    };
    let mut t = Timeline::of(vec![router(), quick()]);
    t.at("3.7").wakes().nothing();
    t.at("5.309374999").wakes().gives_of("V:", &[]);
    t.at("5.309375")
        .wakes()
        .gives_of("V:", &["V: BACKUP -> MASTER: no MASTER heard in 1.609 s (Master_Down_Interval)"]);

    // The same where the slow one's timer runs on for a while: what reset it is lost, and the next one is not yet due.
    let mut t = Timeline::of(vec![router(), quick()]);
    t.at("3").wakes();
    t.until("4.609374999");
    t.is(Role::Backup);
    t.until("4.609375");
    t.is(Role::Master);

    // Awake all the time, it is as punctual as ever.
    let mut t = Timeline::of(vec![router(), quick()]);
    t.until("3.609375");
    t.is(Role::Master);
}

#[test]
fn waking_too_early_is_harmless() {
    let mut t = Timeline::of(vec![router()]);
    for at in ["0", "0.001", "1", "2", "3", "3.6", "3.609374999"] {
        t.at(at).wakes().nothing();
    }
    t.at("3.609375").wakes().is(Role::Master);
}
