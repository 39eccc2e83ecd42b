//! `vipward drain` with the kernel's IPVS: weight 0, connections that go on, and taken out when the kernel counts none.

use super::*;
use vipward_lab::kept::Kept;

#[test]
#[ignore = "needs a kernel with IPVS; real_ipvs_in_a_guest runs it"]
fn a_drained_real_server_has_weight_0_and_keeps_its_connections() {
    in_lab("drain::a_drained_real_server_has_weight_0_and_keeps_its_connections", &[], || {
        let pair = Pair::build().unwrap();
        let _webs = [nginx(&pair, &pair.web1), nginx(&pair, &pair.web2)];
        for web in [&pair.web1, &pair.web2] {
            web.default_route("198.51.100.100".parse().unwrap()).unwrap();
        }
        pair.lb1.sysctl("net/ipv4/ip_forward", "1").unwrap();
        let text = file("lb1", 150, "NAT", "198.51.100.100/24 dev eth1", ["198.51.100.21", "198.51.100.22"]);
        let mut lb1 = start(&pair, &pair.lb1, &text);
        lb1.wait_for_line("-> MASTER", SOON).unwrap();
        wait_for_table(&pair.lb1, &NAT_TABLE, &lb1);
        wait_for_answers(&pair, &[("web1", 5), ("web2", 5)]);
        let order = |words: &[&str]| {
            let mut command = Command::new(vipward());
            command.args(words).arg("--control").arg(pair.control(&pair.lb1));
            let output = pair.lb1.output(command).unwrap();
            assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8_lossy(&output.stdout).into_owned()
        };

        // Two connections, one over each.
        let kept: Vec<Kept> = (0..2)
            .map(|_| Kept::start(&pair.client, service(), Duration::from_millis(500), Duration::from_secs(60)).unwrap())
            .collect();
        std::thread::sleep(Duration::from_secs(10));
        order(&["drain", "192.0.2.100", "80", "198.51.100.21:80", "--remove"]);
        let [service_line, _, web2_line] = NAT_TABLE;
        let drained = "-a -t 192.0.2.100:80 -r 198.51.100.21:80 -m -w 0";
        wait_for_table(&pair.lb1, &[service_line, drained, web2_line], &lb1);
        wait_for_answers(&pair, &[("web2", 6)]);
        let left = wait_for(SOON, || order(&["status", "192.0.2.100:80"]).contains("1 connection left").then_some(()));
        assert!(left.is_some(), "{}\n{}", order(&["status", "192.0.2.100:80"]), ipvsadm(&pair.lb1, &["-Ln"]));
        std::thread::sleep(Duration::from_secs(6));
        assert_eq!(table(&pair.lb1), [service_line, drained, web2_line]);
        let breaks: Vec<_> = kept.iter().flat_map(Kept::breaks).collect();
        assert!(breaks.is_empty(), "{breaks:?}");

        // The last of them ends.
        drop(kept);
        lb1.wait_for_line("is taken out: no active connection is left", SOON).unwrap();
        wait_for_table(&pair.lb1, &[service_line, web2_line], &lb1);
        order(&["undrain", "198.51.100.21:80"]);
        wait_for_table(&pair.lb1, &NAT_TABLE, &lb1);
        wait_for_answers(&pair, &[("web1", 5), ("web2", 5)]);
    });
}
