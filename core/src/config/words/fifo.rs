//! Words of `global_defs` about notify FIFOs.

use super::global_defs::Draft;
use super::row::Default::{Is, Nothing};
use super::row::Status::{Acted, NotYet};
use super::row::{Row, command, flag, row, switch, texts};
use super::said::{Lower, Said};
use crate::command::{Command, ScriptUser};
use crate::config::{Fifo, Fifos, GlobalDefs};
use crate::text::{Diagnostic, Span};

/// What lines say of the three FIFOs.
#[derive(Clone, Debug, std::default::Default)]
pub(super) struct Lines {
    all: Line,
    vrrp: Line,
    lvs: Line,
}

#[derive(Clone, Debug, std::default::Default)]
struct Line {
    fifo: Option<(String, Option<ScriptUser>, Span)>,
    /// Its user may be `script_user`, which may stand below.
    script: Option<(Command, Span)>,
}

const FIFO: super::row::Takes = texts(1, 3, "PATH [USER [GROUP]]");

#[rustfmt::skip]
pub(super) const ROWS: &[Row<Draft>] = &[
    row("notify_fifo", FIFO, Nothing, Acted(|said, draft| fifo(said, &mut draft.fifos.all)), "pipe that gets a line for every change of a role and of health; made at the start, mode 0600, for that user"),
    row("vrrp_notify_fifo", FIFO, Nothing, Acted(|said, draft| fifo(said, &mut draft.fifos.vrrp)), "pipe that gets a line for every change of a role"),
    row("lvs_notify_fifo", FIFO, Nothing, Acted(|said, draft| fifo(said, &mut draft.fifos.lvs)), "pipe that gets a line for every change of health"),
    row("notify_fifo_script", command(), Nothing, Acted(|said, draft| script(said, &mut draft.fifos.all)), "command that reads that pipe; its path is the last argument"),
    row("vrrp_notify_fifo_script", command(), Nothing, Acted(|said, draft| script(said, &mut draft.fifos.vrrp)), "command that reads that pipe; its path is the last argument"),
    row("lvs_notify_fifo_script", command(), Nothing, Acted(|said, draft| script(said, &mut draft.fifos.lvs)), "command that reads that pipe; its path is the last argument"),
    row("vrrp_notify_priority_changes", switch(), Is("off"), Acted(|said, draft| draft.inherited.priority_changes = said.switch()), "a changed priority of a MASTER or BACKUP goes into the pipes too"),
    row("fifo_write_vrrp_states_on_reload", flag(), Nothing, NotYet(""), "write every role into the pipes after a reload"),
];

fn fifo(said: &mut Said<'_, '_, '_>, line: &mut Line) {
    let (Some(path), span) = (said.string(), said.line.span()) else { return };
    if !path.starts_with('/') || path.len() > LONGEST {
        said.lower.push(
            Diagnostic::error("bad-value", format!("`{path}` is no absolute path of a FIFO"))
                .at(span, "where is it to be made?")
                .help("write a path that begins with `/`, such as /run/vipward.fifo"),
        );
        return;
    }
    let words = &said.line.args;
    let word = |at: usize| words.get(at).map(|word| word.text.to_string());
    let user = word(1).map(|user| ScriptUser { user, group: word(2) });
    line.fifo.get_or_insert((path, user, span));
}

/// Bytes of a path (PATH_MAX of Linux, with the zero at its end).
const LONGEST: usize = 4095;

fn script(said: &mut Said<'_, '_, '_>, line: &mut Line) {
    let span = said.line.span();
    // Whoever is to run it is looked for when all is read.
    let command = said.unowned_command();
    if let Some(command) = command.filter(|_| line.script.is_none()) {
        line.script = Some((command, span));
    }
}

impl Lower<'_> {
    /// When all of `global_defs` is read.
    pub(super) fn fifos(&mut self, global: &mut GlobalDefs) {
        let Lines { all, vrrp, lvs } = std::mem::take(&mut self.memory.global.fifos);
        let mut taken: Vec<(String, Span)> = Vec::new();
        let all = self.fifo("notify_fifo", all, &mut taken);
        let vrrp = self.fifo("vrrp_notify_fifo", vrrp, &mut taken);
        let lvs = self.fifo("lvs_notify_fifo", lvs, &mut taken);
        global.fifos = Fifos { all, vrrp, lvs };
    }

    fn fifo(&mut self, word: &str, line: Line, taken: &mut Vec<(String, Span)>) -> Option<Fifo> {
        let Line { fifo, script } = line;
        let Some((path, user, place)) = fifo else {
            if let Some((_, place)) = script {
                self.push(
                    Diagnostic::warning("unused-script", format!("`{word}_script` has no `{word}` to read"))
                        .at(place, "never run")
                        .help(format!("add `{word} PATH`, or delete it")),
                );
            }
            return None;
        };
        if let Some((_, other)) = taken.iter().find(|(other, _)| *other == path) {
            self.push(
                Diagnostic::error("fifo-twice", format!("`{path}` is the FIFO of two words"))
                    .at(place, "its readers would take each other's lines")
                    .also(*other, "named here as well")
                    .help("give each word a path of its own; `notify_fifo` gets the lines of both kinds"),
            );
            return None;
        }
        taken.push((path.clone(), place));
        let script = script.map(|(mut command, place)| {
            command.argv.push(path.clone());
            if command.user.is_none() {
                command.user.clone_from(&self.memory.global.inherited.script_user);
                if command.user.is_none() {
                    self.memory.shell_users.push(place);
                }
            }
            command
        });
        Some(Fifo { path: path.into(), user, script })
    }
}
