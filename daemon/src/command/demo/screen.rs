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
/// The longest that the shares of both servers get, at the end of the living line.
const SHARES: usize = 24;
/// Cells of the living line at most, each a stretch of 100 ms.
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
        let set = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        let columns = set.or_else(|| terminal_size::terminal_size().map(|(width, _)| usize::from(width.0)));
        Self {
            start: Instant::now(),
            terminal,
            colours: terminal && std::env::var_os("NO_COLOR").is_none(),
            width: columns.unwrap_or(80_usize).clamp(40, 100),
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
        let (cells, shares) = cells(self.width);
        for cell in (1..=cells).rev() {
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
        for web in ["web1", "web2"].into_iter().filter(|_| shares) {
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

/// How many cells fit into a line of so many columns, the last of which stays free, as some terminals go on below it; and
/// whether the shares fit too.
fn cells(width: usize) -> (usize, bool) {
    let room = width.saturating_sub(INDENT + 1);
    match room.checked_sub(SHARES).filter(|left| *left >= 10) {
        Some(left) => (left.min(CELLS), true),
        None => (room.min(CELLS), false),
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

    /// A line that is longer than the terminal would be printed anew below itself, ten times a second.
    #[test]
    fn the_living_line_fits_every_terminal() {
        for width in 40..=100 {
            let (cells, shares) = cells(width);
            let longest = INDENT + cells + if shares { "  web1 100 %  web2 100 %".len() } else { 0 };
            assert!(longest < width, "{width}: {longest}");
        }
        assert_eq!(cells(80), (38, true));
    }

    #[test]
    fn milliseconds_are_rounded_and_grouped() {
        assert_eq!(millis(Duration::from_micros(3_609_375)), "3 609 ms");
        assert_eq!(millis(Duration::from_micros(1_000_500)), "1 001 ms");
        assert_eq!(millis(Duration::from_micros(999_499)), "999 ms");
    }
}
