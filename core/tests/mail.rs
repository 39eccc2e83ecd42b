//! Mail: the text of one, the conversation with a server that behaves and with others, and the queue as timelines.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that fails panics")]

use vipward_core::config::GlobalDefs;
use vipward_core::mail::message::{Message, date};
use vipward_core::mail::queue::{ALONE, Fate, LONGEST, LONGEST_GATHERING, MOST, Report};
use vipward_core::mail::smtp::Conversation;
use vipward_core::mail::{Batch, Mail, Queue, Settings, Topic};
use vipward_core::time::{Duration, Instant};

fn settings() -> Settings {
    let global = GlobalDefs {
        router_id: Some("LVS_1".to_owned()),
        notification_email: vec!["a@example.com".to_owned(), "b@example.com".to_owned()],
        smtp_server: Some(("mail.example.com".to_owned(), 25)),
        ..GlobalDefs::default()
    };
    Settings::of(&global, "lb1").unwrap()
}

fn mail(subject: &str) -> Mail {
    Mail { topic: Topic::Checker, subject: subject.to_owned(), body: "=> all is well <=\n".to_owned() }
}

fn secs(secs: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(secs)
}

fn data(subject: &str, body: &str) -> String {
    let message = Message { subject: subject.to_owned(), body: body.to_owned(), wall: 1_795_874_692, id: 7 };
    String::from_utf8(message.data(&settings())).unwrap()
}

#[test]
fn a_mail_has_the_headers_of_keepalived_and_those_of_a_program() {
    let lines = [
        "Date: Sat, 28 Nov 2026 14:04:52 +0000",
        "From: root@lb1",
        "Subject: [LVS_1] VRRP Instance V - Entering MASTER state",
        "X-Mailer: vipward",
        "To: a@example.com,",
        " b@example.com",
        "Message-ID: <1795874692.7@lb1>",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 7bit",
        "",
        "=> one <=",
        "",
        "..dot",
        ".",
        "",
    ];
    assert_eq!(data("VRRP Instance V - Entering MASTER state", "=> one <=\n\n.dot\n"), lines.join("\r\n"));
}

#[test]
fn dates_are_those_of_rfc_5322() {
    assert_eq!(date(0), "Thu, 01 Jan 1970 00:00:00 +0000");
    assert_eq!(date(1_795_874_692), "Sat, 28 Nov 2026 14:04:52 +0000");
    assert_eq!(date(951_827_696), "Tue, 29 Feb 2000 12:34:56 +0000");
    assert!(date(u64::MAX).ends_with("+0000"), "a clock that is nonsense stops nothing");
}

/// Whatever a subject or a body holds: the headers are those that we wrote, and the text ends where we end it.
#[test]
fn nothing_adds_a_header_or_ends_the_text() {
    let plain = data("x", "y\n");
    let names = |text: &str| {
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        head.split("\r\n")
            .filter(|line| !line.starts_with(' '))
            .map(|line| line.split(':').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    for (subject, body) in [
        ("x\r\nBcc: evil@example.com", "y"),
        ("x\nBcc: evil@example.com\n\nbody", "y\r\n.\r\nMAIL FROM:<evil@example.com>\r\n"),
        ("ü\r\nBcc: evil@example.com", "\u{0}\u{85}ü\n.\n"),
        (&"ü".repeat(3000), &"long ".repeat(100_000)),
        ("", ""),
        (".", ".\n..\n"),
    ] {
        let text = data(subject, body);
        assert_eq!(names(&text), names(&plain), "{subject:?}");
        let (_, content) = text.split_once("\r\n\r\n").unwrap();
        let lines: Vec<&str> = content.strip_suffix("\r\n").unwrap().split("\r\n").collect();
        assert_eq!(lines.iter().filter(|line| **line == ".").count(), 1, "{content:?}");
        assert_eq!(lines.last(), Some(&"."));
        assert!(text.split("\r\n").all(|line| line.len() <= 998 && line.is_ascii() && !line.contains(['\r', '\n'])));
    }
    assert!(data("Köln", "y").contains("Subject: =?UTF-8?B?W0xWU18xXSBLw7Zsbg==?=\r\n"));
}

/// What a server says, one answer after the other; returns what the client said, and what came of it.
fn talks(batch: Batch, answers: &[&str]) -> (Vec<String>, Report) {
    let mut conversation = Conversation::new(batch);
    let mut said = Vec::new();
    for answer in answers {
        conversation.heard(answer.as_bytes());
        said.push(String::from_utf8(conversation.says()).unwrap());
    }
    let closed = (!conversation.is_over()).then(|| "it closed the connection".to_owned());
    (said, conversation.end(closed))
}

fn batch(mails: usize) -> Batch {
    let mut queue = Queue::default();
    queue.configure(Some(settings()));
    (0..mails).for_each(|n| drop(queue.put(mail(&format!("m{n}")), Instant::ZERO, 0)));
    queue.begin(Instant::ZERO).0.unwrap()
}

fn fates(report: &Report) -> Vec<String> {
    let one = |(id, fates): &(u64, Vec<(String, Fate)>)| {
        let fates: Vec<String> = fates.iter().map(|(to, fate)| format!("{to} {fate:?}")).collect();
        format!("{id}: {}", fates.join(", "))
    };
    report.mails.iter().map(one).collect()
}

#[test]
fn a_server_that_behaves_gets_every_mail_on_one_connection() {
    let answers =
        ["220 hi\r\n", "250-me\r\n250 ok\r\n", "250 ok\r\n", "250 ok\r\n", "251 ok\r\n", "354 go\r\n", "250 taken\r\n"];
    let more = ["250 ok\r\n", "250 ok\r\n", "250 ok\r\n", "354 go\r\n", "250 taken\r\n"];
    let (said, report) = talks(batch(2), &[&answers[..], &more].concat());
    let first_lines: Vec<&str> = said.iter().map(|said| said.split("\r\n").next().unwrap()).collect();
    assert_eq!(
        first_lines,
        [
            "HELO lb1",
            "MAIL FROM:<root@lb1>",
            "RCPT TO:<a@example.com>",
            "RCPT TO:<b@example.com>",
            "DATA",
            "Date: Thu, 01 Jan 1970 00:00:00 +0000",
            "MAIL FROM:<root@lb1>",
            "RCPT TO:<a@example.com>",
            "RCPT TO:<b@example.com>",
            "DATA",
            "Date: Thu, 01 Jan 1970 00:00:00 +0000",
            "QUIT",
        ]
    );
    assert_eq!(
        fates(&report),
        ["1: a@example.com Delivered, b@example.com Delivered", "2: a@example.com Delivered, b@example.com Delivered"]
    );
    assert_eq!(report.error, None);
}

#[test]
fn who_is_refused_does_not_keep_the_mail_from_others() {
    let answers =
        ["220 hi\r\n", "250 ok\r\n", "250 ok\r\n", "550 no such user\r\n", "250 ok\r\n", "354 go\r\n", "250 ok\r\n"];
    let (_, report) = talks(batch(1), &answers);
    assert_eq!(fates(&report), ["1: a@example.com Refused(\"550 no such user\"), b@example.com Delivered"]);
    let answers = ["220 hi\r\n", "250 ok\r\n", "250 ok\r\n", "550 no\r\n", "451 greylisted\r\n", "250 reset\r\n"];
    let (said, report) = talks(batch(1), &answers);
    assert_eq!(said[4..], ["RSET\r\n", "QUIT\r\n"], "nobody to send it to");
    assert_eq!(fates(&report), ["1: a@example.com Refused(\"550 no\"), b@example.com Later(\"451 greylisted\")"]);
}

#[test]
fn servers_that_misbehave_are_left_and_nothing_counts_as_delivered() {
    let endless = "x".repeat(1_000_000);
    let chatter = "220-more\r\n".repeat(1000);
    for (answers, error) in [
        (vec![""], "it closed the connection"),
        (vec!["SSH-2.0-OpenSSH_9\r\n"], "which is no answer of a mail server"),
        (vec!["\r\n"], "which is no answer of a mail server"),
        (vec!["999 what\r\n"], "which is no answer of a mail server"),
        (vec!["\u{1b}[2J\r\n"], "it says \" [2J\""),
        (vec![&endless], "a line of more than 1024 bytes"),
        (vec![&chatter], "more than 100 lines"),
        (vec!["554 go away\r\n"], "554 go away"),
        (vec!["220 hi\r\n", "421 overloaded\r\n"], "421 overloaded"),
        (
            vec!["220 hi\r\n", "250 ok\r\n", "250 ok\r\n", "250 ok\r\n", "250 ok\r\n", "354 go\r\n"],
            "it closed the connection",
        ),
        (vec!["220 hi\r\n", "250 ok\r\n", "250 ok\r\n", "421 shutting down\r\n"], "421 shutting down"),
    ] {
        let (_, report) = talks(batch(3), &answers);
        assert!(report.error.as_ref().unwrap().contains(error), "{report:?} {error}");
        assert!(!format!("{report:?}").contains("Delivered"));
        assert!(report.error.as_ref().unwrap().chars().all(|c| !c.is_control()));
    }
}

/// A queue, and a mail server that is there or not.
struct World {
    queue: Queue,
    now: Instant,
    server: bool,
    delivered: Vec<String>,
    said: Vec<String>,
}

impl World {
    fn new() -> Self {
        let mut queue = Queue::default();
        queue.configure(Some(settings()));
        Self { queue, now: Instant::ZERO, server: true, delivered: Vec::new(), said: Vec::new() }
    }

    fn put(&mut self, subject: &str) {
        self.put_about(Topic::Checker, subject);
    }

    fn put_about(&mut self, topic: Topic, subject: &str) {
        let wall = self.now.since(Instant::ZERO).as_secs();
        let said = self.queue.put(Mail { topic, ..mail(subject) }, self.now, wall);
        self.said.extend(said.map(|said| said.text));
    }

    fn until(&mut self, end: Instant) {
        while let Some(at) = self.queue.next_wakeup().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            let (batch, said) = self.queue.begin(self.now);
            self.said.extend(said.map(|said| said.text));
            let Some(batch) = batch else { continue };
            let report = if self.server {
                for mail in &batch.mails {
                    let text = String::from_utf8(mail.data.clone()).unwrap();
                    let line = text.lines().find(|line| line.starts_with("Subject")).unwrap();
                    self.delivered.push(line.replace("Subject: [LVS_1] ", ""));
                }
                let took = |mail: &vipward_core::mail::queue::Outgoing| {
                    (mail.id, mail.to.iter().map(|to| (to.clone(), Fate::Delivered)).collect())
                };
                Report { mails: batch.mails.iter().map(took).collect(), error: None }
            } else {
                Report { mails: Vec::new(), error: Some("connection refused".to_owned()) }
            };
            let said = self.queue.ended(report, self.now);
            self.said.extend(said.into_iter().map(|said| said.text));
        }
        self.now = end;
    }
}

#[test]
fn a_server_that_was_away_gets_everything_once_and_the_log_one_line() {
    let mut world = World::new();
    world.server = false;
    world.put("one");
    world.until(secs(100));
    world.put("two");
    world.until(secs(1000));
    assert_eq!(world.said, ["mail can't be delivered, 1 waiting: connection refused; tried again for a day"]);
    assert_eq!(
        (world.queue.status().waiting, world.queue.status().last_error.as_deref()),
        (2, Some("connection refused"))
    );
    world.server = true;
    world.until(secs(2000));
    assert_eq!(world.delivered, ["one", "two"]);
    assert_eq!(world.said[1..], ["mail is delivered again"]);
    let status = world.queue.status();
    assert_eq!((status.waiting, status.sent, status.dropped, status.last_error), (0, 2, 0, None));
    world.until(secs(20_000));
    assert_eq!(world.delivered.len(), 2, "once");
}

#[test]
fn a_server_that_stays_away_is_asked_ever_less_often_and_a_mail_is_given_up_after_a_day() {
    let mut world = World::new();
    world.server = false;
    world.put("one");
    let mut tries = Vec::new();
    while let Some(at) = world.queue.next_wakeup().filter(|at| *at <= secs(3600)) {
        tries.push(at.since(Instant::ZERO).as_secs());
        world.until(at);
    }
    assert_eq!(tries, [0, 5, 15, 35, 75, 155, 315, 635, 1275, 2175, 3075]);
    world.until(Instant::ZERO + LONGEST + Duration::from_secs(1000));
    assert_eq!(world.said[1..], ["mail: 1 given up after a day"]);
    assert_eq!((world.queue.status().waiting, world.queue.status().dropped), (0, 1));
    assert_eq!(world.queue.next_wakeup(), None);
}

#[test]
fn many_changes_are_one_list_and_roles_do_not_wait_for_it() {
    let mut world = World::new();
    for n in 0..1000 {
        world.put(&format!("change {n}"));
    }
    world.put_about(Topic::Vrrp, "a role");
    world.until(secs(59));
    assert_eq!(world.delivered.len(), ALONE + 1);
    assert_eq!(world.delivered[ALONE], "a role");
    world.until(secs(300));
    assert_eq!(world.delivered[ALONE + 1..], ["990 changes"]);
    world.put("afterwards");
    world.until(secs(301));
    assert_eq!(world.delivered.last().unwrap(), "afterwards");
}

#[test]
fn what_flaps_for_a_day_makes_few_mails_and_no_change_is_uncounted() {
    let mut world = World::new();
    let day = 24 * 3600;
    for second in 0..day {
        world.until(secs(second));
        world.put("flaps");
    }
    world.until(secs(day) + LONGEST_GATHERING);
    assert!(world.delivered.len() < 170, "{}", world.delivered.len());
    let counted: u64 = world
        .delivered
        .iter()
        .map(|line| match line.split_once(" changes") {
            Some((count, _)) => count.parse().unwrap(),
            None => 1,
        })
        .sum();
    assert_eq!(counted, day);
}

#[test]
fn no_more_wait_than_there_is_room_for_and_the_newest_stay() {
    let mut world = World::new();
    world.server = false;
    // Ten a minute, each by itself.
    let minutes = u64::try_from(MOST / ALONE).unwrap() + 20;
    for minute in 0..minutes {
        world.until(secs(minute * 61));
        (0..ALONE).for_each(|n| world.put(&format!("{minute}.{n}")));
    }
    let status = world.queue.status();
    assert_eq!((status.waiting, status.dropped), (MOST, 200));
    assert_eq!(world.said.iter().filter(|said| said.contains("the oldest is given up")).count(), 1);
    world.server = true;
    world.until(secs(minutes * 61 + 3600));
    assert_eq!((world.delivered.len(), world.delivered[0].as_str()), (MOST, "20.0"));
}

#[test]
fn a_reload_takes_another_server_at_once_and_one_without_mail_ends_it() {
    let mut world = World::new();
    world.server = false;
    world.put("one");
    world.until(secs(3000));
    world.server = true;
    let other = Settings { server: ("other".to_owned(), 25), ..settings() };
    assert_eq!(world.queue.configure(Some(other)), None);
    world.until(secs(3001));
    assert_eq!(world.delivered, ["one"]);
    world.server = false;
    world.put("two");
    world.until(secs(3002));
    let said = world.queue.configure(None).unwrap();
    assert_eq!(said.text, "mail: 1 that waited are not sent: nobody gets mail any more");
    world.put("three");
    assert_eq!((world.queue.status().waiting, world.queue.next_wakeup()), (0, None));
}

#[test]
fn who_is_refused_for_good_is_told_once_and_others_are_tried_again() {
    let mut world = World::new();
    for round in 0..3 {
        world.put("one");
        let (batch, _) = world.queue.begin(world.now);
        let id = batch.unwrap().mails[0].id;
        let fates = vec![
            ("a@example.com".to_owned(), Fate::Refused("550 no".to_owned())),
            ("b@example.com".to_owned(), Fate::Later("451 later".to_owned())),
        ];
        let said = world.queue.ended(Report { mails: vec![(id, fates)], error: None }, world.now);
        assert_eq!(said.len(), if round == 0 { 1 } else { 0 }, "{said:?}");
        world.now = world.queue.next_wakeup().unwrap();
        let (batch, _) = world.queue.begin(world.now);
        assert_eq!(batch.as_ref().unwrap().mails[0].to, ["b@example.com"]);
        let took = vec![("b@example.com".to_owned(), Fate::Delivered)];
        world.queue.ended(Report { mails: vec![(id, took)], error: None }, world.now);
    }
    assert_eq!(world.queue.status().sent, 3);
}
