//! `track_script` and `track_interface`: lines of names with options.

use super::said::Lower;
use super::vrrp_script::MOST;
use crate::config::places::Places;
use crate::config::tree::Statement;
use crate::config::{TrackWeight, Tracked, TrackerId, VrrpScript};
use crate::interface::InterfaceName;
use crate::text::{Diagnostic, nearest_name};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What collects the lines of such lists: a virtual router, or a sync group.
pub(super) trait Tracks {
    fn tracks(&mut self) -> (&mut Vec<Tracked>, &mut Places);
}

impl Lower<'_> {
    /// Adds the scripts of one list.
    pub(super) fn track_scripts(
        &mut self,
        list: &Statement<'_>,
        scripts: &BTreeMap<Arc<str>, VrrpScript>,
        draft: &mut impl Tracks,
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
            let weight = self.weight_of(line, script.weight, "track_script", MOST);
            let (tracked, places) = draft.tracks();
            if !line.args.is_empty() {
                places.set(&Places::tracked_script(&script.name), line.word.span);
            }
            track(tracked, TrackerId::Script(script.name.clone()), weight);
        }
    }

    /// Adds the interfaces of one list. `own`: the instance's, if it is an instance's list.
    pub(super) fn track_interfaces(
        &mut self,
        list: &Statement<'_>,
        own: Option<&InterfaceName>,
        draft: &mut impl Tracks,
    ) {
        for line in list.lines() {
            let name = &line.word;
            if own.is_some_and(|own| &*name.text == own.as_str()) {
                // keepalived 2.2.7 ignores it as well, with a weight and with `dont_track_primary`.
                let message = format!("`{}` is the instance's own interface: the line has no effect", name.text);
                let diagnostic = if line.args.is_empty() {
                    Diagnostic::info("own-interface", message)
                } else {
                    Diagnostic::warning("own-interface", message)
                };
                self.push(
                    diagnostic
                        .at(name.span, "it is tracked without weight, unless `dont_track_primary` says otherwise")
                        .help("delete the line"),
                );
                continue;
            }
            let Some(name) = self.interface(line, name) else { continue };
            let weight = self.weight_of(line, TrackWeight::default(), "track_interface", MOST);
            let (tracked, places) = draft.tracks();
            places.set(name.as_str(), line.word.span);
            track(tracked, TrackerId::Interface(name), weight);
        }
    }

    /// `weight N [reverse]` of a line; what it doesn't say is as in `otherwise`.
    pub(super) fn weight_of(
        &mut self,
        line: &Statement<'_>,
        otherwise: TrackWeight,
        list: &str,
        most: i64,
    ) -> TrackWeight {
        match line.args.split_first() {
            None => otherwise,
            Some((word, rest)) if &*word.text == "weight" => {
                let reverse_given = rest.len() > 1;
                match self.track_weight(line, rest, most) {
                    Some(weight) if reverse_given => weight,
                    Some(weight) => TrackWeight { reverse: otherwise.reverse, ..weight },
                    None => otherwise,
                }
            }
            Some((word, _)) => {
                self.unknown_option(word, &["weight"], list);
                otherwise
            }
        }
    }
}

/// Adds it to the list; the first line about a thing counts.
pub(super) fn track(tracked: &mut Vec<Tracked>, what: TrackerId, weight: TrackWeight) {
    if tracked.iter().all(|other| other.what != what) {
        tracked.push(Tracked { what, weight });
    }
}
