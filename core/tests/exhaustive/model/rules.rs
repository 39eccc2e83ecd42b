//! What one director must do at each step: RFC 9568 6.4, RFC 3768 6.4, in ticks.

use super::director::{Local, Message, Role, Stimulus};
use super::setup::{SECOND, Setup, Ticks};

/// Holds a step against the rules.
pub fn check(
    setup: &Setup,
    me: usize,
    before: Option<Local>,
    stimulus: Stimulus,
    after: Local,
    sent: &[Message],
) -> Result<(), String> {
    match (after.is_master(), after.owns) {
        (true, false) => return Err("a MASTER does not hold the VIP".to_owned()),
        (false, true) => return Err("a BACKUP holds the VIP".to_owned()),
        (true, true) | (false, false) => {}
    }
    if let (Some(Role::Master { .. }), Stimulus::Hears { from, message: Message::Advert }) =
        (before.map(|local| awake(setup, me, local.role)), stimulus)
    {
        match (beats(setup, usize::from(from), me), after.is_master()) {
            (true, true) => return Err("a MASTER that heard a better one is still MASTER".to_owned()),
            (false, false) => return Err("a MASTER yields to a worse one".to_owned()),
            (true, false) | (false, true) => {}
        }
    }
    let (role, messages) = expected(setup, me, before, stimulus);
    if after.role != role {
        return Err(format!("it should be {role} and is {}", after.role));
    }
    if sent != messages {
        return Err(format!("it should send {messages:?} and sends {sent:?}"));
    }
    Ok(())
}

/// RFC 9568 6.4.3: a MASTER says goodbye, once; what it held is given back.
pub fn check_stop(setup: &Setup, me: usize, before: Option<Local>, owns: bool, sent: &[Message]) -> Result<(), String> {
    if owns {
        return Err("stopped, and the VIP is still there".to_owned());
    }
    let goodbyes: &[Message] = match before.map(|local| awake(setup, me, local.role)) {
        Some(Role::Master { .. }) => &[Message::Goodbye],
        Some(Role::Backup { .. }) | None => &[],
    };
    if sent == goodbyes { Ok(()) } else { Err(format!("stopping it should send {goodbyes:?} and sends {sent:?}")) }
}

/// RFC 9568 6.4.3: higher priority, or the same and the greater address.
pub fn beats(setup: &Setup, one: usize, other: usize) -> bool {
    (setup.directors[one].priority, one) > (setup.directors[other].priority, other)
}

/// What a director becomes and what it sends.
fn expected(setup: &Setup, me: usize, before: Option<Local>, stimulus: Stimulus) -> (Role, &'static [Message]) {
    const SILENT: &[Message] = &[];
    const ADVERT: &[Message] = &[Message::Advert];
    let own = setup.directors[me].interval;
    let master = Role::Master { advertise: own * SECOND, last: 0 };
    let backup = |active| backup(setup, me, active);

    let role = match before {
        None if setup.directors[me].starts_as_master() => return (master, ADVERT),
        None => return (backup(own), SILENT),
        Some(local) => awake(setup, me, local.role),
    };
    // A shorter interval than its own is believed when the same peer says it again.
    let learned = |from: u8| {
        let theirs = setup.directors[usize::from(from)].interval;
        let again = before.is_some_and(|local| local.unsure == Some(from));
        if again { theirs } else { theirs.max(own) }
    };
    match (role, stimulus) {
        (Role::Backup { down, .. }, Stimulus::Wakeup) if down <= 0 => (master, ADVERT),
        (Role::Master { advertise, .. }, Stimulus::Wakeup) if advertise <= 0 => (master, ADVERT),
        (role, Stimulus::Wakeup | Stimulus::Start { .. } | Stimulus::Stop) => (role, SILENT),
        (Role::Backup { active, .. }, Stimulus::Hears { message: Message::Goodbye, .. }) => {
            (Role::Backup { down: setup.skew(me, active), active, slept: false }, SILENT)
        }
        (Role::Backup { down, active, slept, .. }, Stimulus::Hears { from, message: Message::Advert }) => {
            let (them, us) = (setup.directors[usize::from(from)], setup.directors[me]);
            if us.preempts() && them.priority < us.priority {
                (Role::Backup { down, active, slept }, SILENT)
            } else {
                (backup(learned(from)), SILENT)
            }
        }
        // One more advert: the winner may have been heard by nobody so far, and announces itself again.
        (Role::Master { .. }, Stimulus::Hears { from, message: Message::Advert })
            if beats(setup, usize::from(from), me) =>
        {
            (backup(learned(from)), ADVERT)
        }
        // "Send an ADVERTISEMENT immediately to assert the Active state" (RFC 9568 6.4.3), and so after a goodbye.
        (Role::Master { .. }, Stimulus::Hears { .. }) => (master, ADVERT),
    }
}

/// One who has just become BACKUP, or heard a MASTER with this interval.
fn backup(setup: &Setup, me: usize, active: Ticks) -> Role {
    Role::Backup { down: setup.master_down(me, active), active, slept: false }
}

/// A MASTER that did not run for so long that the others have given it up is none any more, whatever it is told next. A
/// BACKUP whose timer is long overdue did not listen either: it waits once more.
fn awake(setup: &Setup, me: usize, role: Role) -> Role {
    let own = setup.directors[me].interval;
    match role {
        Role::Master { last, .. } if -last > setup.master_down(me, own) => backup(setup, me, own),
        Role::Backup { down, active, slept: false } if -down > active * SECOND => {
            Role::Backup { down: active * SECOND + setup.skew(me, active), active, slept: true }
        }
        Role::Master { .. } | Role::Backup { .. } => role,
    }
}
