//! Mail about roles.

use crate::timeline::*;
use vipward_core::config::{NotifyScripts, RoleMails, VirtualRouterConfig};

/// Subjects as keepalived 2.2.7 has them; a stop makes no mail there either.
#[test]
fn mails_tell_of_roles_but_not_of_a_stop() {
    for (mail, faults) in [(RoleMails::All, true), (RoleMails::NoFaults, false), (RoleMails::None, false)] {
        let notify = NotifyScripts { mail, ..NotifyScripts::default() };
        let mut t = Timeline::of(vec![VirtualRouterConfig { notify, ..router() }]);
        let some = mail != RoleMails::None;
        let mailed = |word: &str| format!("mail: VRRP Instance V - Entering {word} state");
        let of = |t: &mut Timeline, at: &str| -> Vec<String> {
            let all = t.until(at).into_iter();
            all.filter_map(|line| line.split_once(' ').map(|(_, line)| line.to_owned()))
                .filter(|line| line.starts_with("mail"))
                .collect()
        };
        assert_eq!(of(&mut t, "5"), if some { vec![mailed("MASTER")] } else { vec![] });
        let expected = if faults { vec![mailed("FAULT")] } else { vec![] };
        t.at("6").link(false).gives_of("mail", &expected.iter().map(String::as_str).collect::<Vec<_>>());
        let expected = if some { vec![mailed("BACKUP")] } else { vec![] };
        t.at("7").link(true).gives_of("mail", &expected.iter().map(String::as_str).collect::<Vec<_>>());
        t.at("8").stops().gives_of("mail", &[]);
    }
}
