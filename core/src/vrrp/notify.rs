//! What people are told of a role: by notify scripts (`notify_master` and its kin, and `notify`, which gets four more arguments),
//! by lines of notify FIFOs (`vrrp_notify_fifo`, `notify_fifo`), and by mail, with the subjects of keepalived 2.2.7 and its first line.

use crate::command::Command;
use crate::config::{NotifyScripts, RoleMails};
use crate::decision::Decision;
use crate::mail::{Mail, Topic};
use crate::quantity::{Priority, Role};
use crate::vrrp::Outbox;
use std::sync::Arc;

/// What scripts are told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// A new role; [`Role::Init`] is keepalived's `STOP`.
    Role(Role),
    /// A reload took the virtual router away: `DELETED` with `notify_deleted`, else `FAULT`, as from keepalived.
    Gone,
}

/// Starts the scripts for a new role: first the one of that role, then `notify` with `INSTANCE`, the router's name, the
/// word for the role and the effective priority behind its own arguments. They wait in one queue for each router: what a script
/// keeps elsewhere can't go out of order.
pub fn role_changed(scripts: &NotifyScripts, router: &Arc<str>, told: Told, priority: Priority, out: &mut Outbox) {
    run(scripts, router, told, ("INSTANCE", priority.get(), false), out);
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

/// The same for a sync group, with `GROUP`, its name, the role and 0 (keepalived 2.2.7). `begins`: it had no role; FIFOs then
/// hear of the group before its members, and else after them.
pub fn group_changed(scripts: &NotifyScripts, group: &Arc<str>, role: Role, begins: bool, out: &mut Outbox) {
    run(scripts, group, Told::Role(role), ("GROUP", 0, begins), out);
    mail(scripts.mail, role, out, |word| {
        let body = format!("=> All VRRP group instances are now in {word} state <=\n");
        (format!("VRRP Group {group} - Entering {word} state"), body)
    });
}

/// `notify_master_rx_lower_pri`: a MASTER heard an advert of a lower priority. `notify` is not told.
pub fn lower_priority_heard(scripts: &NotifyScripts, router: &Arc<str>, priority: Priority, out: &mut Outbox) {
    if let Some(command) = &scripts.rx_lower_pri {
        out.notify(router.clone(), command.clone());
    }
    out.fifos(&scripts.fifos, &line("INSTANCE", router, "MASTER_RX_LOWER_PRI", priority.get()));
}

/// `notify_priority_changes`: the priority of a virtual router has become another one. Only FIFOs hear of it, and whoever is not
/// MASTER is BACKUP there, in FAULT too (keepalived 2.2.7).
pub fn priority_changed(scripts: &NotifyScripts, router: &Arc<str>, role: Role, priority: Priority, out: &mut Outbox) {
    if scripts.priority_changes {
        let word = match role {
            Role::Master => "MASTER_PRIORITY",
            Role::Init | Role::Backup | Role::Fault => "BACKUP_PRIORITY",
        };
        out.fifos(&scripts.fifos, &line("INSTANCE", router, word, priority.get()));
    }
}

/// A line of a FIFO: keepalived.conf(5), `vrrp_notify_fifo`.
fn line(kind: &str, name: &str, word: &str, priority: u8) -> String {
    format!("{kind} \"{name}\" {word} {priority}")
}

/// `kind`, the priority behind the word, and whether the line of the FIFO comes before those of virtual routers.
fn run(
    scripts: &NotifyScripts,
    name: &Arc<str>,
    told: Told,
    (kind, priority, first): (&str, u8, bool),
    out: &mut Outbox,
) {
    let (script, word) = match told {
        Told::Gone if scripts.tells_deleted => (&scripts.deleted, "DELETED"),
        Told::Role(Role::Master) => (&scripts.master, "MASTER"),
        Told::Role(Role::Backup) => (&scripts.backup, "BACKUP"),
        Told::Gone | Told::Role(Role::Fault) => (&scripts.fault, "FAULT"),
        Told::Role(Role::Init) => (&scripts.stop, "STOP"),
    };
    let any = scripts.any.as_ref().map(|command| {
        let added = [kind.to_owned(), name.to_string(), word.to_owned(), priority.to_string()];
        Command { argv: command.argv.iter().cloned().chain(added).collect(), user: command.user.clone() }
    });
    let commands = script.clone().into_iter().chain(any);
    commands.for_each(|command| out.notify(name.clone(), command));
    let line = line(kind, name, word, priority);
    if first {
        out.fifos_before(&scripts.fifos, &line, |other| other.starts_with("INSTANCE"));
    } else {
        out.fifos(&scripts.fifos, &line);
    }
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
        let ran = |told: Told, scripts: &NotifyScripts| {
            let mut out = Outbox::default();
            role_changed(scripts, &router, told, Priority::new(80).unwrap(), &mut out);
            out.into_iter()
                .map(|effect| match effect {
                    Output::Notify { queue, command } => format!("{queue}: {}", command.argv.join(" ")),
                    other => panic!("{other:?}"),
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(
            ran(Told::Role(Role::Master), &scripts),
            ["V: /etc/up eth0", "V: /etc/any own INSTANCE V MASTER 80"]
        );
        assert_eq!(ran(Told::Role(Role::Backup), &scripts), ["V: /etc/any own INSTANCE V BACKUP 80"]);
        assert_eq!(ran(Told::Role(Role::Fault), &scripts), ["V: /etc/any own INSTANCE V FAULT 80"]);
        assert_eq!(ran(Told::Role(Role::Init), &scripts), ["V: /etc/any own INSTANCE V STOP 80"]);
        assert_eq!(ran(Told::Gone, &scripts), ["V: /etc/any own INSTANCE V FAULT 80"]);
        let deleted = NotifyScripts { tells_deleted: true, deleted: Some(command(&["/etc/gone"])), ..scripts.clone() };
        assert_eq!(ran(Told::Gone, &deleted), ["V: /etc/gone", "V: /etc/any own INSTANCE V DELETED 80"]);
    }
}
