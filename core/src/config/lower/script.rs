//! `vrrp_script`.

use super::super::line::Word;
use super::super::model::{TrackWeight, VrrpScript};
use super::super::tree::Statement;
use super::values::FOREVER;
use super::{Defaults, Lower, canonical};
use crate::command::{Command, ScriptUser};
use crate::config::places::Places;
use crate::text::Diagnostic;
use crate::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Lower<'_> {
    pub fn script(&mut self, block: &Statement, defaults: &Defaults, scripts: &mut BTreeMap<Arc<str>, VrrpScript>) {
        let Some(name) = self.value(block) else { return };
        let name: Arc<str> = Arc::from(&*name.text);
        let mut places = Places::default();
        places.set("", block.span());
        let mut user = defaults.script_user.clone();
        for line in super::of(block.lines(), "user") {
            user = self.user(line).or(user);
        }
        let (mut command, mut interval, mut timeout) = (None, Duration::from_secs(1), None);
        let (mut weight, mut rise, mut fall, mut init_fail) = (TrackWeight::default(), 1, 1, false);
        for line in block.lines() {
            let Some(word) = canonical(line) else { continue };
            places.set(word, line.span());
            match word {
                "script" => command = self.script_command(line, user.as_ref()),
                "interval" => interval = self.seconds(line, 1..=FOREVER).unwrap_or(interval),
                "timeout" => timeout = self.seconds(line, 1..=FOREVER),
                "weight" => weight = self.track_weight(line, &line.args).unwrap_or(weight),
                "rise" => rise = self.number(line, 1..=i64::from(i32::MAX)).unwrap_or(rise),
                "fall" => fall = self.number(line, 1..=i64::from(i32::MAX)).unwrap_or(fall),
                "init_fail" => init_fail = true,
                // `user` is taken above, because the command needs it.
                _ => {}
            }
        }
        if let Some(before) = scripts.get(&name) {
            self.push(
                Diagnostic::error("duplicate-name", format!("two vrrp_scripts are called `{name}`"))
                    .at(block.span(), "the second one")
                    .also(before.places.of(""), "the first one")
                    .help("give each a name of its own"),
            );
            return;
        }
        if command.is_none() && !super::of(block.lines(), "script").any(|line| !line.args.is_empty()) {
            self.push(
                Diagnostic::error("missing-word", format!("vrrp_script `{name}` has no `script`"))
                    .at(block.span(), "nothing to run")
                    .help("add `script \"COMMAND\"`"),
            );
        }
        // Without a command there is an error; the name is known all the same, so that its users are not blamed.
        let command = command.unwrap_or(Command { argv: vec![String::new()], user });
        let timeout = timeout.unwrap_or(interval);
        let script =
            VrrpScript { name: name.clone(), command, interval, timeout, weight, rise, fall, init_fail, places };
        scripts.insert(name, script);
    }

    /// `USER [GROUP]`.
    pub fn user(&mut self, line: &Statement) -> Option<ScriptUser> {
        let user = self.value(line)?.text.to_string();
        Some(ScriptUser { user, group: line.args.get(1).map(|group| group.text.to_string()) })
    }

    /// `-253..253 [reverse]`.
    pub fn track_weight(&mut self, line: &Statement, words: &[Word]) -> Option<TrackWeight> {
        let weight = self.number_of(line, words.first()?, -253..=253)?;
        let reverse = match words.get(1) {
            Some(word) => self.choice_of(line, word, &[("reverse", true), ("noreverse", false)])?,
            None => false,
        };
        Some(TrackWeight { weight, reverse })
    }
}
