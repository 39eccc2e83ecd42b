//! The rows as people and programs read them: `vipward config words`, and the reference chapter of the manual.

use super::{Block, Default, Keyword, Standing, all, nearest, words};
use crate::text::nearest_name;
use serde_json::{Value, json};
use std::fmt::Write;

impl Block {
    /// Every block that has words, in the order of the manual.
    fn every() -> impl Iterator<Item = Self> {
        let mut blocks: Vec<Self> = all().map(|keyword| keyword.block).collect();
        blocks.dedup();
        blocks.into_iter()
    }
}

impl Default {
    fn sentence(self) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::Is(value) => Some(format!("`{value}`")),
            Self::Of(block, word) => Some(format!("as `{word}` of `{}`", block.name())),
            Self::Like(word) => Some(format!("as `{word}`")),
            Self::Told(what) => Some(what.to_owned()),
        }
    }
}

impl Standing {
    /// One word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Acted => "acted on",
            Self::Always(_) => "always so",
            Self::NotYet(_) => "not yet",
            Self::Dead(_) => "no effect",
            Self::Renamed(_) => "old name",
            Self::Also(_) => "other name",
        }
    }

    fn sentence(self) -> String {
        match self {
            Self::Acted => "acted on".to_owned(),
            Self::Always(why) => format!("always so: {why}"),
            Self::NotYet("") => "not acted on yet".to_owned(),
            Self::NotYet(instead) => format!("not acted on yet: {instead}"),
            Self::Dead(why) => format!("no effect: {why}"),
            Self::Renamed(to) => format!("old name of `{to}`"),
            Self::Also(to) => format!("other name of `{to}`"),
        }
    }
}

impl Keyword {
    /// The word with what follows it.
    fn line(&self) -> String {
        let syntax = self.takes.syntax();
        let block = if self.takes.block.is_some() { " { }" } else { "" };
        if syntax.is_empty() { format!("{}{block}", self.word) } else { format!("{} {syntax}{block}", self.word) }
    }

    fn json(&self) -> Value {
        json!({
            "word": self.word,
            "block": self.block.path(),
            "arguments": self.takes.syntax(),
            "range": self.takes.range(),
            "opens": self.takes.block.is_some(),
            "default": match self.default {
                Default::Is(value) => Some(value),
                Default::Nothing | Default::Of(..) | Default::Like(_) | Default::Told(_) => None,
            },
            "inherited_from": match self.default {
                Default::Of(block, word) => Some(json!({ "block": block.path(), "word": word })),
                Default::Like(word) => Some(json!({ "block": self.block.path(), "word": word })),
                Default::Nothing | Default::Is(_) | Default::Told(_) => None,
            },
            "absent": self.default.sentence(),
            "status": self.standing.name(),
            "status_text": self.standing.sentence(),
            "help": self.help,
        })
    }
}

/// Where that word may stand. `Err`: nobody knows it; the word that was probably meant, if any.
pub fn places(word: &str) -> Result<Vec<&'static Keyword>, Option<&'static str>> {
    let found: Vec<_> = all().filter(|keyword| keyword.word == word).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let meant = Block::every().find_map(|block| match nearest(block, word, [])? {
        super::Nearest::Misspelt(keyword) => Some(keyword.word),
        super::Nearest::Glued(..) | super::Nearest::Split(..) | super::Nearest::Elsewhere(_) => None,
    });
    Err(nearest_name(word, all().map(|keyword| keyword.word)).or(meant))
}

/// For a terminal: all that is known of a word.
pub fn explain(places: &[&Keyword]) -> String {
    let mut text = String::new();
    for keyword in places {
        let _ = writeln!(text, "{}", keyword.line());
        let _ = writeln!(text, "    in       {}", keyword.block.path());
        let _ = writeln!(text, "    does     {}", keyword.help);
        if let Some(range) = keyword.takes.range() {
            let _ = writeln!(text, "    takes    {range}");
        }
        if let Some(absent) = keyword.default.sentence() {
            let _ = writeln!(text, "    if absent {absent}");
        }
        let _ = writeln!(text, "    status   {}\n", keyword.standing.sentence());
    }
    text
}

/// For a terminal: every word by block, with its status.
pub fn list() -> String {
    let mut text = String::new();
    for block in Block::every() {
        let _ = writeln!(text, "{}", block.path());
        for keyword in words(block) {
            let _ = writeln!(text, "    {:<12} {}", keyword.standing.name(), keyword.line());
        }
    }
    text
}

/// For programs.
pub fn json<'a>(keywords: impl IntoIterator<Item = &'a Keyword>) -> Value {
    json!({ "words": keywords.into_iter().map(Keyword::json).collect::<Vec<_>>() })
}

/// The reference chapter of the manual. `keywords` are what is to be in it.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Every word of keepalived.conf\n\n\
         This page is made by `vipward config words --format markdown` from the rows that the reader itself works with.\n\
         What vipward does otherwise than keepalived is in [differences.md](differences.md).\n\n\
         | status | meaning |\n|---|---|\n\
         | acted on | it has its meaning |\n\
         | always so | vipward does so without being told |\n\
         | not yet | read, reported, not acted on; what happens instead is said if it matters |\n\
         | no effect | nothing needs it any more |\n\
         | old name, other name | taken for the word that is named |\n",
    );
    for block in Block::every() {
        let _ = writeln!(text, "\n## {}\n", title(block));
        text.push_str("| word | what it does | if absent | status |\n|---|---|---|---|\n");
        for keyword in words(block) {
            let mut help = keyword.help.to_owned();
            if let Some(range) = keyword.takes.range() {
                let _ = write!(help, " ({range})");
            }
            let absent = keyword.default.sentence().unwrap_or_default();
            let cells = [format!("`{}`", keyword.line()), help, absent, keyword.standing.sentence()];
            let cells = cells.map(|cell| cell.replace('|', "\\|"));
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
    }
    text
}

fn title(block: Block) -> String {
    if block == Block::Root { "Top level".to_owned() } else { format!("`{}`", block.path()) }
}
