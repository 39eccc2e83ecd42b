//! What people are told of a role: by notify scripts (`notify_master` and its kin, and `notify`, which gets four more arguments),
//! and by mail, with the subjects of keepalived 2.2.7 and its first line.

use crate::command::Command;
use crate::config::{NotifyScripts, RoleMails};
use crate::decision::Decision;
use crate::mail::{Mail, Topic};
use crate::quantity::{Priority, Role};
use crate::vrrp::Outbox;
use std::sync::Arc;

/// Starts the scripts for a new role: first the one of that role, then `notify` with `INSTANCE`, the router's name, the
/// word for the role and the effective priority behind its own arguments. Leaving for [`Role::Init`] is keepalived's
/// `STOP`. They wait in one queue for each router: what a script keeps elsewhere can't go out of order.
pub fn role_changed(scripts: &NotifyScripts, router: &Arc<str>, role: Role, priority: Priority, out: &mut Outbox) {
    run(scripts, "INSTANCE", router, role, priority.get(), out);
}

/// The mail about it, if one is wanted. A stop makes none, as in keepalived.
pub fn role_mail(notify: &NotifyScripts, router: &str, role: Role, why: &Decision, out: &mut Outbox) {
    let line = match role {
        Role::Master => "VRRP Instance is now owning VRRP VIPs",
        Role::Backup | Role::Fault | Role::Init => "VRRP Instance is no longer owning VRRP VIPs",
    };
    mail(notify.mail, role, out, |word| {
        (format!("VRRP Instance {router} - Entering {word} state"), format!("=> {line} <=\n\n{why}\n"))
    });
}

fn mail(wanted: RoleMails, role: Role, out: &mut Outbox, text: impl FnOnce(&str) -> (String, String)) {
    let word = match (wanted, role) {
        (RoleMails::None, _) | (_, Role::Init) | (RoleMails::NoFaults, Role::Fault) => return,
        (RoleMails::All | RoleMails::NoFaults, Role::Master) => "MASTER",
        (RoleMails::All | RoleMails::NoFaults, Role::Backup) => "BACKUP",
        (RoleMails::All, Role::Fault) => "FAULT",
    };
    let (subject, body) = text(word);
    out.mail(Mail { topic: Topic::Vrrp, subject, body });
}

/// The same for a sync group, with `GROUP`, its name, the role and 0 (keepalived 2.2.7).
pub fn group_changed(scripts: &NotifyScripts, group: &Arc<str>, role: Role, out: &mut Outbox) {
    run(scripts, "GROUP", group, role, 0, out);
    mail(scripts.mail, role, out, |word| {
        let body = format!("=> All VRRP group instances are now in {word} state <=\n");
        (format!("VRRP Group {group} - Entering {word} state"), body)
    });
}

fn run(scripts: &NotifyScripts, kind: &str, name: &Arc<str>, role: Role, priority: u8, out: &mut Outbox) {
    let (script, word) = match role {
        Role::Master => (&scripts.master, "MASTER"),
        Role::Backup => (&scripts.backup, "BACKUP"),
        Role::Fault => (&scripts.fault, "FAULT"),
        Role::Init => (&scripts.stop, "STOP"),
    };
    let any = scripts.any.as_ref().map(|command| {
        let added = [kind.to_owned(), name.to_string(), word.to_owned(), priority.to_string()];
        Command { argv: command.argv.iter().cloned().chain(added).collect(), user: command.user.clone() }
    });
    let commands = script.clone().into_iter().chain(any);
    commands.for_each(|command| out.notify(name.clone(), command));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Output;

    fn command(argv: &[&str]) -> Command {
        Command { argv: argv.iter().map(|word| (*word).to_owned()).collect(), user: None }
    }

    /// keepalived 2.2.7 called `notify "SCRIPT own"` as: own INSTANCE V MASTER 80.
    #[test]
    fn the_arguments_are_keepaliveds_in_its_order() {
        let scripts = NotifyScripts {
            master: Some(command(&["/etc/up", "eth0"])),
            any: Some(command(&["/etc/any", "own"])),
            ..NotifyScripts::default()
        };
        let router: Arc<str> = Arc::from("V");
        let ran = |role| {
            let mut out = Outbox::default();
            role_changed(&scripts, &router, role, Priority::new(80).unwrap(), &mut out);
            out.into_iter()
                .map(|effect| match effect {
                    Output::Notify { queue, command } => format!("{queue}: {}", command.argv.join(" ")),
                    other => panic!("{other:?}"),
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(ran(Role::Master), ["V: /etc/up eth0", "V: /etc/any own INSTANCE V MASTER 80"]);
        assert_eq!(ran(Role::Backup), ["V: /etc/any own INSTANCE V BACKUP 80"]);
        assert_eq!(ran(Role::Fault), ["V: /etc/any own INSTANCE V FAULT 80"]);
        assert_eq!(ran(Role::Init), ["V: /etc/any own INSTANCE V STOP 80"]);
    }
}
