//! What the demo shows: a timeline that only grows, below it on a terminal one line that lives, and a table at the end.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};
use vipward_lab::client::Sample;

/// How a line looks on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Good,
    Bad,
    Quiet,
    Heading,
}

impl Tone {
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "\x1b[32m",
            Self::Bad => "\x1b[31m",
            Self::Quiet => "\x1b[2m",
            Self::Heading => "\x1b[1m",
        }
    }
}

/// Time and name take so many columns in front of each sentence.
const INDENT: usize = 17;
/// Cells of the living line, each a stretch of 100 ms.
const CELLS: usize = 40;
const CELL: Duration = Duration::from_millis(100);

pub struct Screen {
    start: Instant,
    terminal: bool,
    colours: bool,
    width: usize,
}

impl Screen {
    pub fn new() -> Self {
        let terminal = std::io::stdout().is_terminal();
        let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        Self {
            start: Instant::now(),
            terminal,
            colours: terminal && std::env::var_os("NO_COLOR").is_none(),
            width: columns.unwrap_or(80_usize).clamp(60, 100),
        }
    }

    /// Columns in use.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Text as it is, outside the timeline.
    pub fn text(&self, tone: Tone, text: &str) {
        self.wipe();
        for line in text.lines() {
            self.print(tone, line);
        }
    }

    /// A new chapter of the timeline.
    pub fn heading(&self, text: &str) {
        self.wipe();
        println!();
        let rule = "─".repeat(self.width.saturating_sub(INDENT + text.chars().count() + 1));
        self.print(Tone::Heading, &format!("{}  {text} {rule}", self.clock(Instant::now())));
    }

    /// One event of the timeline.
    pub fn event(&self, at: Instant, who: &str, tone: Tone, sentence: &str) {
        self.wipe();
        let mut margin = format!("{}  {who:<7}", self.clock(at));
        for line in wrap(sentence, self.width.saturating_sub(INDENT)) {
            self.print(tone, &format!("{margin:<INDENT$}{line}"));
            margin.clear();
        }
    }

    /// The line that lives: what the client met in the last seconds. Only on a terminal.
    pub fn alive(&self, samples: &[Sample]) {
        if !self.terminal {
            return;
        }
        let now = Instant::now();
        let mut line = String::from("         client  ");
        for cell in (1..=CELLS).rev() {
            let from = now.checked_sub(CELL * u32::try_from(cell).unwrap_or(1)).unwrap_or(self.start);
            let mut inside = samples.iter().filter(|one| one.asked >= from && one.asked < from + CELL).peekable();
            let mark = match (inside.peek().is_some(), inside.all(|one| one.answer.is_ok())) {
                (false, _) => " ".to_owned(),
                (true, true) => self.paint(Tone::Good, "▪"),
                (true, false) => self.paint(Tone::Bad, "×"),
            };
            line.push_str(&mark);
        }
        let last_second = now.checked_sub(Duration::from_secs(1)).unwrap_or(self.start);
        let recent: Vec<_> = samples.iter().filter(|one| one.asked >= last_second).collect();
        for web in ["web1", "web2"] {
            let share = recent.iter().filter(|one| one.answer.as_deref() == Ok(web)).count();
            let _ = write!(line, "  {web} {:>3} %", (share * 100).checked_div(recent.len()).unwrap_or(0));
        }
        print!("\r\x1b[2K{line}");
        let _ = std::io::stdout().flush();
    }

    /// Wipes the living line, so that something can be printed in its place.
    fn wipe(&self) {
        if self.terminal {
            print!("\r\x1b[2K");
        }
    }

    fn print(&self, tone: Tone, line: &str) {
        println!("{}", self.paint(tone, line));
    }

    fn paint(&self, tone: Tone, text: &str) -> String {
        if self.colours && tone != Tone::Plain { format!("{}{text}\x1b[0m", tone.code()) } else { text.to_owned() }
    }

    fn clock(&self, at: Instant) -> String {
        let since = at.saturating_duration_since(self.start);
        format!("{:>4}.{:02}", since.as_secs(), since.subsec_millis() / 10)
    }
}

/// Milliseconds with thin groups: `3 214 ms`.
pub fn millis(duration: Duration) -> String {
    let millis = (duration.as_micros() + 500) / 1000;
    if millis >= 1000 { format!("{} {:03} ms", millis / 1000, millis % 1000) } else { format!("{millis} ms") }
}

/// Breaks a sentence between words into lines of at most `width` characters; a longer word stays whole.
pub fn wrap(sentence: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in sentence.split(' ') {
        let Some(line) = lines.last_mut() else { break };
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_break_between_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("enormously long", 4), ["enormously", "long"]);
        assert_eq!(wrap("", 4), [""]);
    }

    #[test]
    fn milliseconds_are_rounded_and_grouped() {
        assert_eq!(millis(Duration::from_micros(3_609_375)), "3 609 ms");
        assert_eq!(millis(Duration::from_micros(1_000_500)), "1 001 ms");
        assert_eq!(millis(Duration::from_micros(999_499)), "999 ms");
    }
}
