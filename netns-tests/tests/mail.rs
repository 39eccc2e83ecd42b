//! Mail of a real director through a real mail server (aiosmtpd): what arrives, what waits while it is away, and that a SMTP_CHECK
//! of the same server passes.

use std::process::Command;
use std::time::Duration;
use vipward_lab::{Node, Process, wait_for};
use vipward_netns_tests::{BACK, Need, Pair, Router, in_lab, program};

const SOON: Duration = Duration::from_secs(60);

/// It prints each mail.
fn mail_server(node: &Node, listen: &str) -> Process {
    let mut command = Command::new(program("aiosmtpd").unwrap());
    command.args(["-n", "-l", listen, "-c", "aiosmtpd.handlers.Debugging", "stdout"]).env("PYTHONUNBUFFERED", "1");
    node.spawn(command).unwrap()
}

/// `server`: what follows `smtp_server`. Commands of the real server and of the quorum write into files of the test.
fn text(pair: &Pair, server: &str) -> String {
    let mail = format!(
        "global_defs {{\n    notification_email {{\n        admin@example.com\n        second@example.com\n    }}\n    \
         notification_email_from vip@example.com\n    smtp_server {server}\n    smtp_connect_timeout 2\n}}\n"
    );
    let writes = |word: &str| format!("{word} \"/bin/sh -c 'echo {word} >> {}'\"", told(pair));
    let [up, down, gained, lost] = ["notify_up", "notify_down", "quorum_up", "quorum_down"].map(writes);
    let servers = format!(
        "virtual_server 192.0.2.100 25 {{\n    delay_loop 1\n    lb_algo rr\n    lb_kind NAT\n    protocol TCP\n    omega\n    \
         {gained}\n    {lost}\n    real_server 198.51.100.30 25 {{\n        {up}\n        {down}\n        SMTP_CHECK {{\n            \
         alpha\n            connect_timeout 2\n            retry 0\n        }}\n    }}\n}}\n"
    );
    mail + &Router { more: "smtp_alert", blocks: servers, ..Router::master() }.text()
}

fn told(pair: &Pair) -> String {
    pair.folder.path().join("told").display().to_string()
}

fn status(pair: &Pair) -> String {
    let mut command = Command::new(vipward_netns_tests::vipward());
    command.args(["status", "--control"]).arg(pair.control(&pair.lb1));
    String::from_utf8_lossy(&pair.lb1.output(command).unwrap().stdout).into_owned()
}

/// Mails with this subject, by what the server has printed.
fn arrived(server: &Process, subject: &str) -> usize {
    server.output().matches(&format!("Subject: {subject}")).count()
}

fn arrives(server: &Process, director: &Process, subject: &str) {
    let there = wait_for(SOON, || (arrived(server, subject) > 0).then_some(()));
    assert!(there.is_some(), "{subject}\n{}\n{}", server.output(), director.output());
}

const MASTER: &str = "[lb1] VRRP Instance VI_1 - Entering MASTER state";
const UP: &str = "[lb1] Realserver [198.51.100.30]:tcp:25 of virtual server [192.0.2.100]:tcp:25 - UP";
const DOWN: &str = "[lb1] Realserver [198.51.100.30]:tcp:25 of virtual server [192.0.2.100]:tcp:25 - DOWN";

#[test]
fn mail_arrives_and_waits_while_the_server_is_away() {
    in_lab("mail_arrives_and_waits_while_the_server_is_away", &[Need::Aiosmtpd], || {
        let pair = Pair::build().unwrap();
        let post = pair.machine("post", &pair.back, BACK, 30).unwrap();
        let server = mail_server(&post, "0.0.0.0:25");
        let director = pair.vipward_with(&pair.lb1, &text(&pair, "198.51.100.30")).unwrap();
        arrives(&server, &director, MASTER);
        // It is what SMTP_CHECK asks as well.
        arrives(&server, &director, UP);
        let printed = server.output();
        for line in [
            "From: vip@example.com",
            "To: admin@example.com,",
            "X-Mailer: vipward",
            "=> VRRP Instance is now owning VRRP VIPs <=",
            "=> SMTP CHECK succeed on service <=",
        ] {
            assert!(printed.contains(line), "{line}\n{printed}");
        }
        assert_eq!(arrived(&server, MASTER), 1, "one mail for both: {printed}");

        server.kill();
        let waits = wait_for(SOON, || Some(status(&pair)).filter(|text| text.contains("mail: 1 waiting")));
        let waits = waits.unwrap_or_else(|| panic!("{}\n{}", status(&pair), director.output()));
        assert!(waits.contains("last error: mail server 198.51.100.30"), "{waits}");
        let server = mail_server(&post, "0.0.0.0:25");
        arrives(&server, &director, DOWN);
        let sent = wait_for(SOON, || Some(status(&pair)).filter(|text| text.contains("mail: 0 waiting")));
        assert!(sent.is_some(), "{}", status(&pair));
        assert_eq!((arrived(&server, DOWN), arrived(&server, MASTER)), (1, 0), "{}", server.output());

        // It comes up again; a stop with `omega` takes it down.
        arrives(&server, &director, UP);
        director.signal(vipward_lab::Signal::SIGTERM);
        director.wait(SOON).unwrap();
        let told = std::fs::read_to_string(told(&pair)).unwrap_or_default();
        let [mut servers, mut quorums]: [Vec<&str>; 2] = [Vec::new(), Vec::new()];
        told.lines().for_each(|line| if line.starts_with("notify") { servers.push(line) } else { quorums.push(line) });
        assert_eq!(servers, ["notify_up", "notify_down", "notify_up", "notify_down"], "{told}");
        assert_eq!(quorums, ["quorum_up", "quorum_down", "quorum_up", "quorum_down"], "{told}");
    });
}

/// Within all that a worker has given up.
#[test]
fn a_mail_server_is_found_by_its_name_and_one_without_a_name_is_told() {
    in_lab("a_mail_server_is_found_by_its_name_and_one_without_a_name_is_told", &[Need::Aiosmtpd], || {
        let pair = Pair::build().unwrap();
        let server = mail_server(&pair.lb1, "127.0.0.1:2525");
        let director = pair.vipward_with(&pair.lb1, &text(&pair, "localhost 2525")).unwrap();
        arrives(&server, &director, MASTER);
        director.signal(vipward_lab::Signal::SIGTERM);
        director.wait(SOON).unwrap();
        let mut director = pair.vipward_with(&pair.lb1, &text(&pair, "no-such-host.invalid")).unwrap();
        let told = director.wait_for_line("mail server no-such-host.invalid, port 25: its name", SOON).unwrap();
        assert!(told.text.contains("mail can't be delivered"), "{}", told.text);
    });
}
