//! How a driver ends, and when it wakes.

use super::*;

#[tokio::test(start_paused = true)]
async fn nothing_is_heard_after_stop_but_its_effects_are_carried_out() {
    let world = TestWorld::new();
    world.tells([Input::Stop, link(0)]);
    world.sends([advert(1)]);
    world.refuse.set(Some("remove"));
    let goodbye = |_: &Input| vec![Effect::SendAdvert(advert(1)).into(), Effect::RemoveAddress(address().key()).into()];
    assert_eq!(world.drives(&[0], goodbye).await, ["0.0 stop", "  send", "  remove"]);
}

#[tokio::test(start_paused = true)]
async fn what_waits_in_its_socket_is_heard_before_it_hands_over() {
    let world = TestWorld::new();
    world.tells([Input::HandOver, link(0)]);
    world.sends([advert(1), advert(2)]);
    let heard = ["0.0 hears 10.0.0.1", "0.0 hears 10.0.0.2", "0.0 HandOver"];
    assert_eq!(world.drives(&[0], nothing).await, heard);
}

#[tokio::test(start_paused = true)]
async fn a_director_without_timers_sleeps_until_something_happens() {
    let world = TestWorld::new();
    let elsewhere = async {
        tokio::time::sleep(Duration::from_secs(7)).await;
        world.sends([advert(1)]);
        tokio::time::sleep(Duration::from_secs(7)).await;
        world.tells([Input::Stop]);
    };
    let (log, ()) = tokio::join!(world.drives(&[], nothing), elsewhere);
    assert_eq!(log, ["7.0 hears 10.0.0.1", "14.0 stop"]);
}

#[tokio::test(start_paused = true)]
async fn timers_fire_when_they_are_due() {
    let world = TestWorld::new();
    let log = world.drives(&[1000, 1500, 90_000], nothing).await;
    assert_eq!(log, ["1.0 wakes", "1.5 wakes", "90.0 wakes"]);
}

/// The machine itself asserts that `now` never decreases.
#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_back_does_not_take_the_machine_along() {
    let world = TestWorld::new();
    let elsewhere = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        world.sends([advert(1)]);
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.skew_millis.set(-4000);
        world.tells([link(0), Input::Stop]);
    };
    let (log, ()) = tokio::join!(world.drives(&[], nothing), elsewhere);
    assert_eq!(log, ["5.0 hears 10.0.0.1", "5.0 eth0 gone", "5.0 stop"]);
}

/// Dropping the driver is a crash: a script that is under way ends with it, nothing more is asked for.
#[tokio::test(start_paused = true)]
async fn a_dropped_driver_does_nothing_more() {
    let world = TestWorld::new();
    world.tells([link(0)]);
    let driving = world.drives(&[2000], |_| vec![run_script("chk")]);
    assert!(tokio::time::timeout(Duration::from_millis(100), driving).await.is_err());
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.log.take(), ["0.0 eth0 gone", "  run"]);
}

/// A machine that always wants to be woken, and one that is flooded without end, let other tasks run.
#[tokio::test(start_paused = true)]
async fn other_tasks_get_their_turn() {
    let stops = |world: Rc<TestWorld>| async move {
        for _ in 0..5 {
            tokio::task::yield_now().await;
        }
        world.tells([Input::Stop]);
    };

    let world = TestWorld::new();
    let (log, ()) = tokio::join!(biased; world.drives(&[0; 10_000], nothing), stops(world.clone()));
    assert!(log.len() < 100, "{} turns before the stop was heard", log.len());

    let world = TestWorld::new();
    world.sends([advert(1)]);
    let flooding = |input: &Input| {
        if matches!(input, Input::Event(Event::AdvertReceived(_))) {
            world.sends([advert(1)]);
        }
        vec![]
    };
    let (log, ()) = tokio::join!(biased; world.drives(&[], flooding), stops(world.clone()));
    assert!(log.len() < MAX_WAITING * 10, "{} packets before the stop was heard", log.len());
}
