//! `MISC_CHECK`.

use super::Block;
use super::pace::{self, Pace, Paced};
use super::real_server;
use super::row::Default::{Like, Nothing, Of};
use super::row::Status::{Acted, Always, Renamed};
use super::row::{FOREVER, Row, Table, count, flag, row, seconds, switch, texts};
use super::said::{self, Said};
use super::tcp_check;
use crate::check::misc;
use crate::command::{Command, ScriptUser};
use crate::config::places::Places;
use crate::text::{Diagnostic, Span};
use crate::time::Duration;

#[derive(Clone, Debug, std::default::Default)]
pub(super) struct Draft {
    check: tcp_check::Draft,
    /// The command, and where it stands.
    argv: Option<(Vec<String>, Span)>,
    timeout: Option<Duration>,
    dynamic: bool,
    user: Option<ScriptUser>,
}

impl said::Draft for Draft {
    fn places(&mut self) -> Option<&mut Places> {
        Some(&mut self.check.places)
    }
}

impl Paced for Draft {
    fn pace(&mut self) -> &mut Pace {
        &mut self.check.pace
    }
}

pub(super) const TABLE: Table<Draft> = Table { block: Block::MiscCheck, rows: &[ROWS, PACE] };

#[rustfmt::skip]
const ROWS: &[Row<Draft>] = &[
    row("nb_get_retry", count(0), Nothing, Renamed("retry"), "tries after the first failure"),
    row("log_all_failures", switch(), Nothing, Always("every failure is logged"), "log every failure"),
    row("misc_path", texts(1, usize::MAX, "COMMAND"), Nothing, Acted(|said, draft| {
        draft.argv = said.script_command();
    }), "the command; no shell reads it"),
    row("misc_timeout", seconds(1, FOREVER), Like("delay_loop"), Acted(|said, draft| {
        draft.timeout = said.seconds();
    }), "running longer is failing: it is killed, with all that it started"),
    row("misc_dynamic", flag(), Nothing, Acted(|_, draft| draft.dynamic = true), "exit status 2 to 255 is well too, and makes the weight two less than itself"),
    row("user", texts(1, 2, "USER [GROUP]"), Of(Block::GlobalDefs, "script_user"), Acted(|said, draft| {
        draft.user = said.user();
    }), "who runs it"),
];

/// It connects to nothing.
const PACE: &[Row<Draft>] = &{
    let [delay_loop, retry, delay_before_retry, warmup, alpha, _] = pace::rows(Some(Block::RealServer));
    [delay_loop, retry, delay_before_retry, warmup, alpha]
};

pub(super) fn read(said: &mut Said<'_, '_, '_>, outer: &mut real_server::Draft) {
    let (block, mut draft) = (said.line, said.lower.fresh(&TABLE));
    draft.check.inherit(block, outer);
    said.lower.fill(&TABLE, block.lines(), &mut draft);
    let Draft { mut check, argv, timeout, dynamic, user } = draft;
    let lower = &mut *said.lower;
    if let Some((argv, span)) = &argv {
        lower.no_shell(argv, *span);
    } else if !said::of(block.lines(), "misc_path").any(|line| !line.args.is_empty()) {
        lower.push(
            Diagnostic::error("missing-word", "`MISC_CHECK` has no `misc_path`")
                .at(block.span(), "nothing to run")
                .help("add `misc_path \"COMMAND\"`"),
        );
    }
    if outer.address.is_none() {
        return;
    }
    // Without a command there is an error. `script_user` may stand further below: [`super::root::Meaning::finish`].
    let argv = argv.map_or_else(|| vec![String::new()], |(argv, _)| argv);
    check.pace.connect_timeout = timeout.unwrap_or(check.pace.delay_loop);
    // A program that fails is believed at once, unless somebody says otherwise.
    check.pace.retry.get_or_insert(0);
    let kind = misc::Settings { command: Command { argv, user }, dynamic };
    outer.checkers.push(lower.checker(block, check, kind.into(), Duration::from_secs(1)));
}
