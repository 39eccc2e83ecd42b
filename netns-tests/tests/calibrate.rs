//! The simulator beside reality, as far as an ordinary test run has time for it; the example `calibrate` plays every case.

use vipward_netns_tests::calibrate::{all, cases, compare};
use vipward_netns_tests::{Need, in_lab};

/// What contradicts is played again: a busy machine is no wrong model.
const PLAYS: u32 = 4;

#[test]
fn a_service_that_dies_a_link_that_is_lost_and_a_cut_are_as_the_model_says() {
    let test = "a_service_that_dies_a_link_that_is_lost_and_a_cut_are_as_the_model_says";
    in_lab(test, &[Need::Nftables, Need::Curl], || {
        let folder = tempfile::tempdir().unwrap();
        let clusters = all().into_iter().filter(|cluster| cluster.pace == vipward_netns_tests::calibrate::Pace::Quick);
        let found: Vec<_> = clusters.flat_map(|cluster| cases(cluster, folder.path()).unwrap()).collect();
        let wanted = [
            ("service", "lb1's service on port 8080 dies"),
            ("two-links", "lb1 loses the link of eth0"),
            ("active-active", "the directors can't hear each other"),
        ];
        std::thread::scope(|scope| {
            for (cluster, fault) in wanted {
                let chosen = found.iter().find(|one| one.cluster.name == cluster && one.case.fault == fault);
                let chosen = chosen.unwrap_or_else(|| panic!("{cluster}: no case {fault}"));
                scope.spawn(move || {
                    let (compared, said) = compare(chosen, PLAYS).unwrap();
                    assert!(compared.real.asked > 50, "clients asked: {}", compared.real.asked);
                    assert_eq!(compared.contradictions, Vec::<String>::new(), "{}:\n{said}", chosen.name());
                });
            }
        });
    });
}
