//! What must not hurt a director that takes leases: an ensemble that is away, wrong passwords, access rights, nodes of
//! others, a session that moves.

use std::time::{Duration, SystemTime};
use vipward_lab::{Node, Process, Signal, wait_for};
use vipward_netns_tests::owners::stretches;
use vipward_netns_tests::quorate::{FENCE, Quorate, SESSION, SOON, router};
use vipward_netns_tests::zookeeper::{Server, Timing};
use vipward_netns_tests::{Need, Pair, VIP, in_lab};
use zookeeper_client::{Acl, Acls, CreateMode, Error, Permission};

const ANYBODY: Acls<'static> = Acls::anyone_all();

/// A director whose `auth_file` is `auth` in the lab's folder.
fn with_auth(lab: &Quorate, node: &Node) -> Process {
    let file = lab.pair.folder.path().join(format!("{}.auth", node.name()));
    lab.start(node, &format!("auth_file = \"{}\"\n{FENCE}", file.display()))
}

fn write_auth(lab: &Quorate, node: &Node, text: &str) {
    lab.pair.file(&format!("{}.auth", node.name()), text).unwrap();
}

fn create(server: &Server, path: &'static str, data: &'static str, acls: Acls<'static>) {
    let created = server.client(None, move |client| async move {
        client.create(path, data.as_bytes(), &CreateMode::Persistent.with_acls(acls)).await.map(drop)
    });
    created.unwrap_or_else(|error| panic!("{path}: {error}"));
}

fn read(server: &Server, path: &'static str) -> Result<String, Error> {
    let read = server.client(None, move |client| async move { client.get_data(path).await });
    read.map(|(data, _)| String::from_utf8_lossy(&data).into_owned())
}

fn delete(server: &Server, path: &'static str) {
    server.client(None, move |client| async move { client.delete(path, None).await }).unwrap();
}

/// Kills the server, does something, and starts it again.
fn restart(lab: &mut Quorate) {
    lab.ensemble.servers[0].start().unwrap();
    lab.ensemble.serves(SOON).unwrap();
}

#[test]
fn an_ensemble_that_is_away_at_start_is_waited_for() {
    in_lab("an_ensemble_that_is_away_at_start_is_waited_for", &[Need::Zookeeper], || {
        let mut lab = Quorate::build(1);
        lab.ensemble.servers[0].kill();
        let mut director = lab.start(&lab.pair.lb1, FENCE);
        director.wait_for_line("can't be reached: no server of 198.51.100.31:2181 gives us a session", SOON).unwrap();
        director.wait_for_line("-> FAULT: no session with the quorum service", SOON).unwrap();
        assert!(!lab.pair.lb1.has(VIP));
        let said = director.output().matches("can't be reached").count();
        assert_eq!(said, 1, "once, not with every attempt: {}", director.output());
        restart(&mut lab);
        lab.has_it(&lab.pair.lb1);
    });
}

#[test]
fn an_ensemble_that_is_away_at_start_hinders_nobody_who_keeps() {
    in_lab("an_ensemble_that_is_away_at_start_hinders_nobody_who_keeps", &[Need::Zookeeper], || {
        let mut lab = Quorate::build(1);
        lab.ensemble.servers[0].kill();
        let more = format!("{FENCE}\n[coordination.routers.VI_1]\non_loss = \"keep\"");
        let mut director = lab.start(&lab.pair.lb1, &more);
        director.wait_for_line("has its addresses without the quorum service (on_loss keep)", SOON).unwrap();
        lab.has_it(&lab.pair.lb1);
        restart(&mut lab);
        director.wait_for_line("opened a session", SOON).unwrap();
        // Its lease is entered, and the address was there all the time.
        wait_for(SOON, || read(&lab.ensemble.servers[0], "/vipward/owners/VI_1/holder").ok()).expect("a holder");
        assert_eq!(stretches(&lab.watch1, VIP).len(), 1, "{}", director.output());
    });
}

#[test]
fn a_wrong_password_is_told_with_the_path_and_mended_without_a_restart() {
    in_lab("a_wrong_password_is_told_with_the_path_and_mended_without_a_restart", &[Need::Zookeeper], || {
        let lab = Quorate::bare(1, Timing::QUICK);
        write_auth(&lab, &lab.pair.lb1, "vipward:secret\n");
        write_auth(&lab, &lab.pair.lb2, "vipward:wrong\n");
        let _first = with_auth(&lab, &lab.pair.lb1);
        lab.has_it(&lab.pair.lb1);
        let mut second = with_auth(&lab, &lab.pair.lb2);
        second.wait_for_line("/vipward: its access rights don't let this director in", SOON).unwrap();
        second.wait_for_line("-> FAULT: no session with the quorum service", SOON).unwrap();
        assert!(!lab.pair.lb2.has(VIP));
        // Nor anybody else.
        assert_eq!(read(&lab.ensemble.servers[0], "/vipward/owners/VI_1"), Err(Error::NoAuth));
        write_auth(&lab, &lab.pair.lb2, "");
        second.wait_for_line("lines `user:password` are expected, the newest first", SOON).unwrap();
        write_auth(&lab, &lab.pair.lb2, "vipward:secret\n");
        second.wait_for_line("opened a session", SOON).unwrap();
        second.wait_for_line("FAULT -> BACKUP", SOON).unwrap();
        assert!(!second.output().contains("secret") && !second.output().contains("wrong"), "{}", second.output());
    });
}

#[test]
fn access_rights_that_refuse_a_lease_are_told_and_tried_again() {
    in_lab("access_rights_that_refuse_a_lease_are_told_and_tried_again", &[Need::Zookeeper], || {
        let lab = Quorate::bare(1, Timing::QUICK);
        let server = &lab.ensemble.servers[0];
        // The administrator lets directors into the tree, but not create anything in one folder of it.
        create(server, "/vipward", "", ANYBODY);
        create(server, "/vipward/owners", "", Acls::anyone_read());
        let mut director = lab.start(&lab.pair.lb1, FENCE);
        director.wait_for_line("/vipward/owners/VI_1: its access rights don't let this director in", SOON).unwrap();
        assert!(!lab.pair.lb1.has(VIP));
        assert!(director.running());
        delete(server, "/vipward/owners");
        create(server, "/vipward/owners", "", ANYBODY);
        lab.has_it(&lab.pair.lb1);
    });
}

#[test]
fn a_tree_of_somebody_else_is_left_alone() {
    in_lab("a_tree_of_somebody_else_is_left_alone", &[Need::Zookeeper], || {
        let lab = Quorate::bare(1, Timing::QUICK);
        let server = &lab.ensemble.servers[0];
        create(server, "/vipward", "kafka's", ANYBODY);
        let mut director = lab.start(&lab.pair.lb1, FENCE);
        director.wait_for_line("/vipward: what stands there was not written by vipward", SOON).unwrap();
        director.wait_for_line("-> FAULT", SOON).unwrap();
        assert_eq!(read(server, "/vipward"), Ok("kafka's".to_owned()));
        assert!(!lab.pair.lb1.has(VIP));
        let mended = server.client(None, |client| async move { client.set_data("/vipward", b"", None).await });
        mended.unwrap();
        lab.has_it(&lab.pair.lb1);
    });
}

#[test]
fn a_record_of_somebody_else_is_never_trusted_and_never_deleted() {
    in_lab("a_record_of_somebody_else_is_never_trusted_and_never_deleted", &[Need::Zookeeper], || {
        let lab = Quorate::bare(1, Timing::QUICK);
        let server = &lab.ensemble.servers[0];
        create(server, "/vipward", "", ANYBODY);
        create(server, "/vipward/owners", "", ANYBODY);
        create(server, "/vipward/owners/VI_1", "lb1", ANYBODY);
        let mut director = lab.start(&lab.pair.lb1, FENCE);
        director.wait_for_line("/vipward/owners/VI_1: what stands there was not written by vipward", SOON).unwrap();
        assert!(!lab.pair.lb1.has(VIP));
        assert_eq!(read(server, "/vipward/owners/VI_1"), Ok("lb1".to_owned()));
        delete(server, "/vipward/owners/VI_1");
        lab.has_it(&lab.pair.lb1);
        // A holder that nobody's session made, while ours lives.
        delete(server, "/vipward/owners/VI_1/holder");
        director.wait_for_line("somebody deleted its lease", SOON).unwrap();
        lab.has_it(&lab.pair.lb1);
    });
}

/// The holder lives and is heard: nobody else gets the lease that was taken away from it.
#[test]
fn a_lease_that_an_administrator_deletes_comes_back_to_its_holder() {
    in_lab("a_lease_that_an_administrator_deletes_comes_back_to_its_holder", &[Need::Zookeeper], || {
        let lab = Quorate::build(1);
        let (mut first, mut second) = lab.both(FENCE);
        // lb2 is MASTER too, and waits for the lease.
        lab.cut_directors(true);
        second.wait_for_line("MASTER without addresses: lb1 has the lease", SOON).unwrap();
        delete(&lab.ensemble.servers[0], "/vipward/owners/VI_1/holder");
        first.wait_for_line("somebody deleted its lease", SOON).unwrap();
        lab.has_it(&lab.pair.lb1);
        assert!(stretches(&lab.watch2, VIP).is_empty(), "{}", lab.story());
    });
}

#[test]
fn candidates_of_somebody_else_do_not_count() {
    in_lab("candidates_of_somebody_else_do_not_count", &[Need::Zookeeper], || {
        let lab = Quorate::bare(1, Timing::QUICK);
        let server = &lab.ensemble.servers[0];
        for folder in ["/vipward", "/vipward/candidates", "/vipward/candidates/VI_1"] {
            create(server, folder, "", ANYBODY);
        }
        create(server, "/vipward/candidates/VI_1/c-0000000000", "me first", ANYBODY);
        // What looks like a claim but belongs to no session.
        let claim = r#"{"director":"lb9","priority":255,"preempt":true}"#;
        create(server, "/vipward/candidates/VI_1/c-0000000001", claim, ANYBODY);
        let mut director = lab.start(&lab.pair.lb1, "default = \"elect\"");
        lab.has_it(&lab.pair.lb1);
        for foreign in ["c-0000000000", "c-0000000001"] {
            director.wait_for_line(&format!("{foreign} was not written by vipward"), SOON).unwrap();
        }
        assert_eq!(read(server, "/vipward/candidates/VI_1/c-0000000000"), Ok("me first".to_owned()));
    });
}

#[test]
fn a_session_that_moves_costs_nothing() {
    in_lab("a_session_that_moves_costs_nothing", &[Need::Zookeeper], || {
        let lab = Quorate::build(3);
        let mut director = lab.start(&lab.pair.lb1, FENCE);
        lab.has_it(&lab.pair.lb1);
        let server = &lab.ensemble.servers[0];
        let sessions = || server.client(None, |client| async move { client.list_children("/vipward/sessions").await });
        let [name] = &sessions().unwrap()[..] else { panic!("one session") };
        let session = u64::from_str_radix(name, 16).unwrap().cast_signed();
        let version = || {
            let path = format!("/vipward/sessions/{name}");
            let stat = server.client(None, |client| async move { client.get_data(&path).await });
            stat.unwrap().1.version
        };
        for thief in &lab.ensemble.servers {
            thief.steal(session, Duration::from_secs(SESSION), SOON).unwrap();
            let before = version();
            wait_for(SOON, || (version() > before + 2).then_some(())).expect("proofs of life go on");
        }
        assert_eq!(
            &sessions().unwrap()[..],
            std::slice::from_ref(name),
            "still the same session: {}",
            director.output()
        );
        assert_eq!(stretches(&lab.watch1, VIP).len(), 1, "{}", director.output());
        assert!(director.running() && lab.pair.lb1.has(VIP), "{}", director.output());
    });
}

/// A session that is closed under the director's feet, by somebody who knows its number.
#[test]
fn a_session_that_is_ended_by_others_is_followed_by_another_one() {
    in_lab("a_session_that_is_ended_by_others_is_followed_by_another_one", &[Need::Zookeeper], || {
        let mut lab = Quorate::build(1);
        let mut director = lab.start(&lab.pair.lb1, FENCE);
        lab.has_it(&lab.pair.lb1);
        let before = director.lines(0).len();
        // Frozen for longer than the session, the server ends all of them when it goes on.
        lab.ensemble.servers[0].freeze(true);
        director.wait_for_line_after(before, "-> FAULT", SOON).unwrap();
        lab.nobody_has_it();
        lab.ensemble.servers[0].kill();
        restart(&mut lab);
        director.wait_for_line_after(before, "the lease is granted", SOON).unwrap();
        lab.has_it(&lab.pair.lb1);
    });
}

/// Neither what the tree does not let in, nor what can't be read, locks a director out that was let in before.
#[test]
fn a_session_that_begins_later_falls_back_to_the_password_that_was_let_in() {
    in_lab("a_session_that_begins_later_falls_back_to_the_password_that_was_let_in", &[Need::Zookeeper], || {
        let mut lab = Quorate::bare(1, Timing::QUICK);
        write_auth(&lab, &lab.pair.lb1, "vipward:secret\n");
        let mut director = with_auth(&lab, &lab.pair.lb1);
        lab.has_it(&lab.pair.lb1);
        for (wrong, said) in [
            ("vipward:wrong\n", "does not let in whom it names now: what it said before counts"),
            ("", "the newest first: what it said before counts"),
        ] {
            write_auth(&lab, &lab.pair.lb1, wrong);
            let before = director.lines(0).len();
            lab.ensemble.servers[0].kill();
            // The client gives up after 7/5 of the session; only then is the file read again.
            std::thread::sleep(Duration::from_secs(SESSION * 7 / 5 + 2));
            restart(&mut lab);
            director.wait_for_line_after(before, said, SOON).unwrap();
            director.wait_for_line_after(before, "the lease is granted", SOON).unwrap();
            lab.has_it(&lab.pair.lb1);
        }
    });
}

#[test]
fn a_folder_that_is_deleted_is_told() {
    in_lab("a_folder_that_is_deleted_is_told", &[Need::Zookeeper], || {
        let lab = Quorate::bare(1, Timing::QUICK);
        let server = &lab.ensemble.servers[0];
        create(server, "/vipward", "", ANYBODY);
        let sealed: &'static [Acl] = Box::leak(Box::new([Acl::new_const(Permission::READ, "world", "anyone")]));
        create(server, "/vipward/sessions", "", Acls::from(sealed));
        let mut director =
            lab.pair.vipward_beside(&lab.pair.lb1, &router(&lab.pair.lb1).text(), &lab.settings(&lab.pair.lb1, FENCE));
        let director = director.as_mut().unwrap();
        // Without a sign of life there is no proof, and without proof no address.
        director.wait_for_line("/vipward/sessions/", SOON).unwrap();
        assert!(!lab.pair.lb1.has(VIP));
        delete(server, "/vipward/sessions");
        create(server, "/vipward/sessions", "", ANYBODY);
        lab.has_it(&lab.pair.lb1);
    });
}

/// Who holds a lease that the tree does not tell of any more may have its addresses for a while.
#[test]
fn in_a_new_tree_nobody_takes_a_lease_at_once() {
    in_lab("in_a_new_tree_nobody_takes_a_lease_at_once", &[Need::Zookeeper], || {
        let lab = Quorate::bare(1, Timing::QUICK);
        let server = &lab.ensemble.servers[0];
        let since = SystemTime::now();
        let mut director = lab.start(&lab.pair.lb1, FENCE);
        director.wait_for_line("the tree at the quorum service is new", SOON).unwrap();
        lab.has_it(&lab.pair.lb1);
        let got = stretches(&lab.watch1, VIP)[0].from;
        let waited = got.duration_since(since).unwrap();
        assert!(waited >= Duration::from_secs(SESSION), "{waited:?}: {}", director.output());
        let gone = || (read(server, "/vipward/new") == Err(Error::NoNode)).then_some(());
        wait_for(SOON, gone).expect("the tree is not new any more");
    });
}

#[test]
fn a_name_that_leads_nowhere_is_told() {
    in_lab("a_name_that_leads_nowhere_is_told", &[Need::Zookeeper], || {
        let pair = Pair::build().unwrap();
        let text = "[coordination]\nhosts = [\"zk1.invalid:2181\"]\ndirector = \"lb1\"\ndefault = \"fence\"\n";
        let mut director = pair.vipward_beside(&pair.lb1, &router(&pair.lb1).text(), text).unwrap();
        director.wait_for_line("zk1.invalid is not resolved", SOON).unwrap();
    });
}

#[test]
fn a_password_is_changed_director_by_director_and_the_address_stays() {
    in_lab("a_password_is_changed_director_by_director_and_the_address_stays", &[Need::Zookeeper], || {
        let lab = Quorate::bare(1, Timing::QUICK);
        let server = &lab.ensemble.servers[0];
        let (lb1, lb2) = (&lab.pair.lb1, &lab.pair.lb2);
        let lets_in = |auth: &'static str| {
            let read = |path: &'static str| {
                server.client(Some(auth), move |client| async move { client.get_data(path).await })
            };
            let read = ["/vipward", "/vipward/owners", "/vipward/owners/VI_1", "/vipward/owners/VI_1/holder"].map(read);
            read.map(|it| it.is_ok())
        };
        write_auth(&lab, lb1, "vipward:old\n");
        write_auth(&lab, lb2, "vipward:old\n");
        let mut first = with_auth(&lab, lb1);
        lab.has_it(lb1);
        let mut second = with_auth(&lab, lb2);
        second.wait_for_line("-> BACKUP", SOON).unwrap();

        // Only the new one is not let in yet: told, and everything goes on.
        write_auth(&lab, lb1, "vipward:new\n");
        first.signal(Signal::SIGHUP);
        first.wait_for_line("does not let in whom it names now", SOON).unwrap();
        assert_eq!(lets_in("vipward:old"), [true; 4]);
        assert_eq!(lets_in("vipward:new"), [false; 4]);

        // The new one above the old one, on one director after the other; lb2 has only the old one meanwhile.
        write_auth(&lab, lb1, "vipward:new\nvipward:old\n");
        first.signal(Signal::SIGHUP);
        first.wait_for_line("the access rights of", SOON).unwrap();
        assert_eq!(lets_in("vipward:old"), [true; 4]);
        assert_eq!(lets_in("vipward:new"), [true; 4]);
        write_auth(&lab, lb2, "vipward:new\nvipward:old\n");
        second.signal(Signal::SIGHUP);
        second.wait_for_line("read anew, and the tree lets it in", SOON).unwrap();

        // The old one away, first on the other director.
        write_auth(&lab, lb2, "vipward:new\n");
        second.signal(Signal::SIGHUP);
        second.wait_for_line("the access rights of", SOON).unwrap();
        assert_eq!(lets_in("vipward:old"), [false; 4]);
        assert_eq!(lets_in("vipward:new"), [true; 4]);
        write_auth(&lab, lb1, "vipward:new\n");
        first.signal(Signal::SIGHUP);
        let read_anew = || first.output().matches("read anew, and the tree lets it in").count() == 2;
        wait_for(SOON, || read_anew().then_some(())).expect("both changes");

        // The address has stayed, its lease is renewed, and the other director can have it.
        assert_eq!(stretches(&lab.watch1, VIP).len(), 1, "{}", first.output());
        first.signal(Signal::SIGTERM);
        lab.has_it(lb2);
        lab.never_both();
        for said in [first.output(), second.output()] {
            assert!(!said.contains(":old") && !said.contains(":new"), "{said}");
        }
    });
}
