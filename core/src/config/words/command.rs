//! Commands of `script` and `notify_*`: split as keepalived splits them; no shell reads them.

use super::said::{Lower, Said};
use crate::command::{Command, ScriptUser};
use crate::config::UpDownScripts;
use crate::config::line::Word;
use crate::text::Diagnostic;
use crate::text::Span;

impl Said<'_, '_, '_> {
    /// `USER [GROUP]`.
    pub fn user(&self) -> Option<ScriptUser> {
        Some(ScriptUser { user: self.string()?, group: self.line.args.get(1).map(|group| group.text.to_string()) })
    }

    /// `notify_master COMMAND [USER [GROUP]]`: a command with arguments stands in quotes.
    pub fn notify(&mut self, default: Option<&ScriptUser>) -> Option<Command> {
        let (line, word) = (self.line, self.value()?);
        if let Some(user) = line.args.get(1)
            && !looks_like_user(&user.text)
        {
            self.lower.push(
                Diagnostic::warning("argument-as-user", format!("`{}` stands where the user's name does", user.text))
                    .at(user.span, "read as the user that runs the command")
                    .help(format!(
                        "to give it to the command, quote both: `{} \"{} {}\"`",
                        line.word.text, word.text, user.text
                    )),
            );
        }
        let user = line.args.get(1).map(|user| ScriptUser {
            user: user.text.to_string(),
            group: line.args.get(2).map(|group| group.text.to_string()),
        });
        let user = user.as_ref().or(default);
        let (argv, span) = self.command(split(word))?;
        self.lower.no_shell(&argv, span);
        if user.is_none() {
            self.lower.memory.shell_users.push(span);
        }
        Some(Command { argv, user: user.cloned() })
    }

    /// `notify_up` and its kin. The first command counts, as in keepalived. Who runs it is known later, if it does not say so
    /// itself: virtual servers are read before `script_user` is known.
    pub fn up_or_down(&mut self, scripts: &mut UpDownScripts, slot: fn(&mut UpDownScripts) -> &mut Option<Command>) {
        let command = self.unowned_command();
        let slot = slot(scripts);
        if slot.is_none() {
            *slot = command;
        }
    }

    /// A command whose user may be `script_user`: whoever is to run it is looked for when all is read.
    pub fn unowned_command(&mut self) -> Option<Command> {
        // Not a user.
        let nobody = ScriptUser { user: String::new(), group: None };
        let command = self.notify(Some(&nobody))?;
        Some(Command { user: command.user.filter(|user| *user != nobody), ..command })
    }

    /// `script COMMAND`: quoted as a whole, or word by word. Also where it stands.
    pub fn script_command(&mut self) -> Option<(Vec<String>, Span)> {
        let argv = match self.line.args.as_slice() {
            [one] => split(one),
            many => many.iter().map(|word| word.text.to_string()).collect(),
        };
        let (argv, span) = self.command(argv)?;
        Some((redirect(self, argv, span), span))
    }

    fn command(&mut self, argv: Vec<String>) -> Option<(Vec<String>, Span)> {
        let line = self.line;
        let span = line.args.first().map_or(line.word.span, |first| first.span.to(line.span()));
        if argv.first().is_some_and(|program| !program.is_empty()) {
            return Some((argv, span));
        }
        if !line.args.is_empty() {
            self.lower.push(
                Diagnostic::error("bad-value", format!("`{}` names no command", line.word.text))
                    .at(span, "nothing to run"),
            );
        }
        None
    }
}

impl Lower<'_> {
    /// What only a shell would understand.
    pub fn no_shell(&mut self, argv: &[String], span: Span) {
        let Some(program) = argv.first() else { return };
        let shell = matches!(program.rsplit('/').next(), Some("sh" | "bash" | "dash" | "ash" | "ksh" | "zsh"));
        if shell {
            return;
        }
        let sign = argv.iter().skip(1).find(|word| {
            matches!(word.as_str(), "|" | "||" | "&&" | "&" | ";" | ">" | ">>" | "<")
                || word.starts_with(['>', '|'])
                || word.starts_with("2>")
                || word.starts_with("1>")
                || word.starts_with("&>")
                || word.starts_with("$(")
                || word.ends_with(';')
                || word.starts_with('`')
        });
        if let Some(sign) = sign {
            self.push(
                Diagnostic::warning(
                    "shell-syntax",
                    format!("`{sign}` means nothing here: no shell reads this command"),
                )
                .at(span, format!("`{program}` gets `{sign}` as an argument, as in keepalived"))
                .help("put the command into a script file, or write: \"/bin/sh -c '...'\""),
            );
        }
    }
}

/// `</path`: keepalived has a shell read a command that is no program, and for that this says whether the file can be
/// read.
fn redirect(said: &mut Said<'_, '_, '_>, argv: Vec<String>, span: Span) -> Vec<String> {
    let [one] = argv.as_slice() else { return argv };
    let Some(path) = one.strip_prefix('<').filter(|path| path.starts_with('/')) else { return argv };
    said.lower.push(
        Diagnostic::warning("shell-syntax", format!("`{one}` is no program: a shell reads it, as in keepalived"))
            .at(span, "succeeds while the file can be read, whatever is in it")
            .help(format!("write `script \"/usr/bin/test -r {path}\"`")),
    );
    vec!["/bin/sh".to_owned(), "-c".to_owned(), argv.concat()]
}

/// Splits at spaces; quotes within keep words together.
fn split(word: &Word<'_>) -> Vec<String> {
    let (mut argv, mut current, mut quote, mut some) = (Vec::new(), String::new(), None, false);
    for c in word.text.chars() {
        match (quote, c) {
            (Some(end), c) if c == end => quote = None,
            (Some(_), c) => current.push(c),
            (None, '\'' | '"') => (quote, some) = (Some(c), true),
            (None, c) if c.is_whitespace() => {
                if some {
                    argv.push(std::mem::take(&mut current));
                }
                some = false;
            }
            (None, c) => {
                some = true;
                current.push(c);
            }
        }
    }
    if some {
        argv.push(current);
    }
    argv
}

/// What useradd(8) lets pass.
fn looks_like_user(name: &str) -> bool {
    let rest = name.strip_suffix('$').unwrap_or(name);
    let numeric = rest.bytes().all(|byte| byte.is_ascii_digit());
    numeric
        || rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && rest
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_like_keepalived() {
        for (text, want) in [
            ("/usr/bin/killall -0 haproxy", vec!["/usr/bin/killall", "-0", "haproxy"]),
            ("sh -c 'exit 0'", vec!["sh", "-c", "exit 0"]),
            ("x ''", vec!["x", ""]),
            ("  ", vec![]),
        ] {
            assert_eq!(split(&Word { text: text.into(), span: Span::default() }), want, "{text}");
        }
    }
}
