//! The kill matrix: whatever dies, the VIP is off the dead side within its lifetime in the kernel and a second, never has
//! two owners for longer, and moves only where it must. The times: `--example dying`.

use vipward_netns_tests::dying::{Cell, Outcome, cells, run, table};
use vipward_netns_tests::{Daemon, in_lab};

/// A machine with little to spare can be late by more than a second while six cells run at once. What is wrong for another
/// reason is wrong alone as well.
const TRIES_ALONE: usize = 2;

#[test]
fn whatever_dies_the_vip_is_where_somebody_serves_it() {
    in_lab("whatever_dies_the_vip_is_where_somebody_serves_it", &[], || {
        let mut results = run(&cells(Daemon::Vipward), 6);
        println!("{}", table(&results));
        for _ in 0..TRIES_ALONE {
            for (cell, outcome) in &mut results {
                let Some(why) = wrong(cell, outcome) else { continue };
                println!("again, alone: {cell}: {why}");
                if let Some((_, again)) = run(&[*cell], 1).pop() {
                    *outcome = again;
                }
            }
        }
        let wrong: Vec<String> =
            results.iter().filter_map(|(cell, outcome)| Some(format!("{cell}: {}", wrong(cell, outcome)?))).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    });
}

fn wrong(cell: &Cell, outcome: &Result<Outcome, String>) -> Option<String> {
    outcome.as_ref().map_err(Clone::clone).and_then(|outcome| outcome.judge(cell)).err()
}
