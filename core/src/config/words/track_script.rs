//! `track_script` and `track_interface`: lines of names with options.

use super::said::Lower;
use crate::config::model::{TrackWeight, TrackedScript, VrrpScript};
use crate::config::tree::Statement;
use crate::interface::InterfaceName;
use crate::text::{Diagnostic, nearest_name};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Lower<'_> {
    /// Adds the scripts of one list.
    pub(super) fn track_scripts(
        &mut self,
        list: &Statement<'_>,
        scripts: &BTreeMap<Arc<str>, VrrpScript>,
        tracked: &mut Vec<TrackedScript>,
    ) {
        for line in list.lines() {
            let name = &line.word;
            self.memory.tracked.insert(name.text.to_string());
            let Some(script) = scripts.get(&*name.text) else {
                if self.report.is_full() {
                    continue;
                }
                let mut diagnostic =
                    Diagnostic::error("unknown-script", format!("there is no vrrp_script called `{}`", name.text))
                        .at(name.span, "this check would never run");
                diagnostic = match nearest_name(&name.text, scripts.keys().map(|name| &**name)) {
                    Some(near) => {
                        self.memory.tracked.insert(near.to_owned());
                        let place = scripts.get(near).map(|script| script.places.of("")).unwrap_or_default();
                        diagnostic.also(place, "is this one meant?").help(format!("write `{near}`"))
                    }
                    None => {
                        diagnostic.help(format!("define `vrrp_script {} {{ ... }}`, or delete the line", name.text))
                    }
                };
                self.push(diagnostic);
                continue;
            };
            let defined = script.places.of("");
            if defined.file == name.span.file && defined.start > name.span.start {
                self.push(
                    Diagnostic::info(
                        "late-script",
                        format!("`{}` is defined after the instance that tracks it", name.text),
                    )
                    .at(name.span, "fine here; keepalived 2.2 would ignore this line")
                    .also(defined, "defined here")
                    .help("move the vrrp_script above the instance if keepalived is to read this file too"),
                );
            }
            let weight = match line.args.split_first() {
                None => script.weight,
                Some((word, rest)) if &*word.text == "weight" => {
                    let reverse_given = rest.len() > 1;
                    match self.track_weight(line, rest) {
                        Some(weight) if reverse_given => weight,
                        Some(weight) => TrackWeight { reverse: script.weight.reverse, ..weight },
                        None => script.weight,
                    }
                }
                Some((word, _)) => {
                    self.unknown_option(word, &["weight"], "track_script");
                    script.weight
                }
            };
            if tracked.iter().all(|other| *other.script != *name.text) {
                tracked.push(TrackedScript { script: script.name.clone(), weight });
            }
        }
    }

    pub(super) fn track_interfaces(&mut self, list: &Statement<'_>, interface: &InterfaceName) {
        for line in list.lines() {
            let name = &line.word;
            if &*name.text == interface.as_str() && line.args.is_empty() {
                self.push(
                    Diagnostic::info("tracked-anyway", format!("`{}` is tracked anyway", name.text))
                        .at(name.span, "an instance always tracks its own interface")
                        .help("delete the line"),
                );
            } else {
                self.report.once("track_interface", name.span, || {
                    Diagnostic::warning("not-yet", "`track_interface` is known, but vipward does not act on it yet")
                        .at(name.span, "when this interface fails, the virtual router stays where it is")
                });
            }
        }
    }
}
