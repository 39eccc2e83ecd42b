//! The kill matrix: whatever dies, the VIP is off the dead side within its lifetime in the kernel and a second, never has
//! two owners for longer, and moves only where it must. The times: `--example dying`.

use vipward_netns_tests::dying::{cells, run, table};
use vipward_netns_tests::{Daemon, in_lab};

#[test]
fn whatever_dies_the_vip_is_where_somebody_serves_it() {
    in_lab("whatever_dies_the_vip_is_where_somebody_serves_it", &[], || {
        let results = run(&cells(Daemon::Vipward), 8);
        println!("{}", table(&results));
        let wrong: Vec<String> = results
            .iter()
            .filter_map(|(cell, outcome)| {
                let why = outcome.as_ref().map_err(Clone::clone).and_then(|outcome| outcome.judge(cell)).err()?;
                Some(format!("{cell}: {why}"))
            })
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    });
}
