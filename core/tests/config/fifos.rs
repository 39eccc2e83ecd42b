//! `notify_fifo` and its kin.

use crate::helpers::{good, instance, said, service};
use vipward_core::command::ScriptUser;
use vipward_core::config::Fifos;

fn global(lines: &str) -> String {
    format!("global_defs {{\n{lines}\n}}\n")
}

#[test]
fn lines_go_where_they_are_asked_for() {
    let text = global(
        "vrrp_notify_fifo /run/vrrp nobody daemon\nlvs_notify_fifo /run/lvs\nnotify_fifo /run/all\n\
         notify_fifo_script \"/bin/reader own\"\nvrrp_notify_fifo_script /bin/reader daemon\nscript_user nobody",
    ) + &instance("")
        + &service("", "")
        + "vrrp_sync_group G {\n group {\n VI_1\n }\n}\n";
    let config = good(&text);
    let paths = |paths: &[std::sync::Arc<str>]| paths.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(paths(&config.routers[0].notify.fifos), ["/run/vrrp", "/run/all"]);
    assert_eq!(paths(&config.groups[0].notify.fifos), ["/run/vrrp", "/run/all"]);
    let service = &config.services[0];
    assert_eq!(paths(&service.notify.as_ref().unwrap().fifos), ["/run/lvs", "/run/all"]);
    assert_eq!(paths(&service.real_servers[0].notify.as_ref().unwrap().fifos), ["/run/lvs", "/run/all"]);
    let Fifos { all, vrrp, lvs } = &config.global.fifos;
    let user = |user: &str, group: Option<&str>| ScriptUser { user: user.to_owned(), group: group.map(str::to_owned) };
    let [all, vrrp, lvs] = [all, vrrp, lvs].map(|fifo| fifo.as_ref().unwrap());
    assert_eq!([&all.user, &vrrp.user, &lvs.user], [&None, &Some(user("nobody", Some("daemon"))), &None]);
    let reader = all.script.as_ref().unwrap();
    assert_eq!(reader.argv, ["/bin/reader", "own", "/run/all"]);
    assert_eq!(reader.user, Some(user("nobody", None)));
    assert_eq!(vrrp.script.as_ref().unwrap().user, Some(user("daemon", None)));
    assert_eq!(lvs.script, None);
}

#[test]
fn changes_of_the_priority_are_told_where_somebody_asks_for_it() {
    let group = "vrrp_sync_group G {\n group {\n VI_1\n }\n notify_priority_changes\n}\n";
    for (global_word, own, group, told) in [
        ("", "", "", false),
        ("vrrp_notify_priority_changes", "", "", true),
        ("vrrp_notify_priority_changes", "notify_priority_changes no", "", false),
        ("", "notify_priority_changes", "", true),
        ("", "", group, true),
    ] {
        let config = good(&(global(global_word) + &instance(own) + group));
        assert_eq!(config.routers[0].notify.priority_changes, told, "{global_word} {own} {group}");
    }
}

#[test]
fn what_is_said_of_them() {
    for (lines, begins) in [
        ("notify_fifo fifo", "E bad-value 2:1"),
        ("notify_fifo /a\nlvs_notify_fifo /a", "E fifo-twice 3:1"),
        ("notify_fifo_script /bin/x", "W unused-script 2:1"),
        ("notify_fifo /a\nnotify_fifo_script /bin/x", "W root-scripts 3:1"),
        ("notify_fifo /a\nnotify_fifo /b", "E duplicate-word 3:1"),
    ] {
        let said = said(&(global(lines) + &instance("")));
        assert_eq!(said.first().map_or("", |first| first), begins, "{lines}: {said:?}");
    }
}
