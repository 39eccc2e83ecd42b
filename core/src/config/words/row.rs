//! What a word is: one row of its block's file.

use super::said::Said;
use super::{Block, Keyword, Standing};
use std::borrow::Cow;

/// One word of one block. `D` is what the block's words are collected in.
pub(crate) struct Row<D: 'static> {
    pub word: &'static str,
    pub takes: Takes,
    pub default: Default,
    pub status: Status<D>,
    /// What it does, in one line.
    pub help: &'static str,
}

/// What vipward does about a word. What acts needs a setter: without one it does not compile.
pub(crate) enum Status<D: 'static> {
    /// It has its meaning.
    Acted(Setter<D>),
    /// It is read and checked, but does nothing yet. The text says what happens instead.
    Kept(Setter<D>, &'static str),
    /// vipward does so anyway; the text says why.
    Always(&'static str),
    /// Known, but it does nothing yet. The text says what happens instead; it may be empty.
    NotYet(&'static str),
    /// It does nothing any more, in keepalived either or by design here; the text says why and what to write instead.
    Dead(&'static str),
    /// An old spelling of another word of the block, which it is taken for.
    Renamed(&'static str),
    /// A second spelling of another word of the block, as good as the first.
    Also(&'static str),
}

/// Takes what a line says into the draft of its block.
pub(crate) type Setter<D> = fn(&mut Said<'_, '_, '_>, &mut D);

// Not derived: that would ask for a `D` that can be copied, and none is in here.
impl<D> Clone for Row<D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D> Copy for Row<D> {}

impl<D> Clone for Status<D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D> Copy for Status<D> {}

impl<D> Status<D> {
    const fn standing(&self) -> Standing {
        match *self {
            Self::Acted(_) => Standing::Acted,
            Self::Kept(_, instead) | Self::NotYet(instead) => Standing::NotYet(instead),
            Self::Always(why) => Standing::Always(why),
            Self::Dead(why) => Standing::Dead(why),
            Self::Renamed(to) => Standing::Renamed(to),
            Self::Also(to) => Standing::Also(to),
        }
    }

    /// What to call with a line of it.
    pub fn setter(&self) -> Option<Setter<D>> {
        match *self {
            Self::Acted(set) | Self::Kept(set, _) => Some(set),
            Self::Always(_) | Self::NotYet(_) | Self::Dead(_) | Self::Renamed(_) | Self::Also(_) => None,
        }
    }
}

/// What holds where the word is not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// Nothing, or the word must be there.
    Nothing,
    /// As if this value were written. The reader takes it from here.
    Is(&'static str),
    /// What this word of that block says.
    Of(Block, &'static str),
    /// What this other word of the same block says.
    Like(&'static str),
    /// What this sentence says.
    Told(&'static str),
}

/// What follows a word.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Takes {
    pub value: Value,
    /// Fewest and most words behind it.
    pub min: usize,
    pub max: usize,
    /// What may follow the value, as a manual writes it.
    pub more: &'static str,
    /// The block that it opens.
    pub block: Option<Block>,
}

/// The first value behind a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    None,
    /// A whole number.
    Number {
        from: i64,
        to: i64,
    },
    /// Seconds with a fraction; bounds in milliseconds.
    Seconds {
        from: u64,
        to: u64,
    },
    Choice(&'static [&'static str]),
    /// on, off, true, false, yes, no.
    Switch,
    Ip,
    Ipv4,
    Interface,
    /// Anything else, under the name that a manual gives it.
    Text(&'static str),
}

/// No bound: the most that keepalived takes for a number.
pub(crate) const MOST: i64 = i32::MAX as i64;

/// No bound, in milliseconds: 2^22 seconds, 48 days.
pub(crate) const FOREVER: u64 = 4_194_304_000;

impl Takes {
    const fn one(value: Value) -> Self {
        Self { value, min: 1, max: 1, more: "", block: None }
    }

    /// The value may be left out.
    pub const fn optional(mut self) -> Self {
        self.min = 0;
        self
    }

    /// Up to `max` words in all.
    pub const fn more(mut self, max: usize, more: &'static str) -> Self {
        (self.max, self.more) = (max, more);
        self
    }

    pub const fn opens(mut self, block: Block) -> Self {
        self.block = Some(block);
        self
    }

    /// As a manual writes it.
    pub fn syntax(&self) -> Cow<'static, str> {
        let value = self.value.syntax();
        let value = if self.min == 0 && !value.is_empty() && !value.starts_with('[') {
            Cow::Owned(format!("[{value}]"))
        } else {
            value
        };
        if self.more.is_empty() { value } else { Cow::Owned(format!("{value} {}", self.more)) }
    }

    /// Which values are taken, if the syntax does not say it.
    pub fn range(&self) -> Option<String> {
        match self.value {
            Value::Number { from, to: MOST } => Some(format!("a whole number from {from} up")),
            Value::Seconds { from, to } => Some(seconds_range(from, to)),
            Value::Switch => Some("on, true or yes; off, false or no".to_owned()),
            Value::Number { .. }
            | Value::None
            | Value::Choice(_)
            | Value::Ip
            | Value::Ipv4
            | Value::Interface
            | Value::Text(_) => None,
        }
    }
}

/// `seconds from 0.001 to 1000`, for messages and the manual.
pub(crate) fn seconds_range(from: u64, to: u64) -> String {
    match (from, to) {
        (0, FOREVER..) => "seconds, such as 3 or 0.5".to_owned(),
        (from, FOREVER..) => format!("seconds, {} at least", decimal(from)),
        (from, to) => format!("seconds from {} to {}", decimal(from), decimal(to)),
    }
}

/// Milliseconds as decimal seconds.
fn decimal(millis: u64) -> String {
    if millis.is_multiple_of(1000) { (millis / 1000).to_string() } else { format!("0.{:03}", millis % 1000) }
}

impl Value {
    fn syntax(&self) -> Cow<'static, str> {
        match *self {
            Self::None => Cow::Borrowed(""),
            Self::Number { to: MOST, .. } => Cow::Borrowed("COUNT"),
            Self::Number { from, to } => Cow::Owned(format!("{from}..{to}")),
            Self::Seconds { to: FOREVER.., .. } => Cow::Borrowed("SECONDS"),
            Self::Seconds { from, to } => Cow::Owned(format!("{}..{}", decimal(from), decimal(to))),
            Self::Choice(names) => Cow::Owned(names.join(" | ")),
            Self::Switch => Cow::Borrowed("BOOL"),
            Self::Ip => Cow::Borrowed("IP"),
            Self::Ipv4 => Cow::Borrowed("IPV4"),
            Self::Interface => Cow::Borrowed("INTERFACE"),
            Self::Text(name) => Cow::Borrowed(name),
        }
    }
}

pub(crate) const fn flag() -> Takes {
    Takes { value: Value::None, min: 0, max: 0, more: "", block: None }
}

/// Alone it means on.
pub(crate) const fn switch() -> Takes {
    Takes::one(Value::Switch).optional()
}

pub(crate) const fn number(from: i64, to: i64) -> Takes {
    Takes::one(Value::Number { from, to })
}

pub(crate) const fn count(from: i64) -> Takes {
    number(from, MOST)
}

/// Bounds in milliseconds.
pub(crate) const fn seconds(from: u64, to: u64) -> Takes {
    Takes::one(Value::Seconds { from, to })
}

pub(crate) const fn choice(names: &'static [&'static str]) -> Takes {
    Takes::one(Value::Choice(names))
}

pub(crate) const fn ip() -> Takes {
    Takes::one(Value::Ip)
}

pub(crate) const fn ipv4() -> Takes {
    Takes::one(Value::Ipv4)
}

pub(crate) const fn interface() -> Takes {
    Takes::one(Value::Interface)
}

pub(crate) const fn text(name: &'static str) -> Takes {
    Takes::one(Value::Text(name))
}

pub(crate) const fn texts(min: usize, max: usize, syntax: &'static str) -> Takes {
    Takes { value: Value::Text(syntax), min, max, more: "", block: None }
}

/// `COMMAND [USER [GROUP]]`.
pub(crate) const fn command() -> Takes {
    texts(1, 3, "COMMAND [USER [GROUP]]")
}

pub(crate) const fn opens(block: Block) -> Takes {
    flag().opens(block)
}

pub(crate) const fn named(block: Block, syntax: &'static str) -> Takes {
    text(syntax).opens(block)
}

pub(crate) const fn row<D>(
    word: &'static str,
    takes: Takes,
    default: Default,
    status: Status<D>,
    help: &'static str,
) -> Row<D> {
    Row { word, takes, default, status, help }
}

/// The draft of a block that is known, but not acted on: nothing is collected.
#[derive(Clone, Copy, Debug, std::default::Default)]
pub(crate) struct Unread;

/// All rows of a block.
pub(crate) struct Table<D: 'static> {
    pub block: Block,
    /// Several, since blocks share rows.
    pub rows: &'static [&'static [Row<D>]],
}

impl<D> Table<D> {
    pub fn iter(&self) -> impl Iterator<Item = &'static Row<D>> + use<D> {
        self.rows.iter().flat_map(|rows| rows.iter())
    }

    /// The row at this place, counted over all.
    pub fn row(&self, mut index: usize) -> Option<&'static Row<D>> {
        for rows in self.rows {
            match rows.get(index) {
                Some(row) => return Some(row),
                None => index -= rows.len(),
            }
        }
        None
    }

    /// What can be said of the rows without their setters.
    pub fn keywords(&self) -> Vec<Keyword> {
        let place = |word: &str| self.iter().position(|row| row.word == word);
        let keyword = |(index, row): (usize, &'static Row<D>)| Keyword {
            word: row.word,
            block: self.block,
            takes: row.takes,
            default: row.default,
            standing: row.status.standing(),
            help: row.help,
            target: match row.status {
                Status::Renamed(to) | Status::Also(to) => place(to).unwrap_or(index),
                _ => index,
            },
        };
        self.iter().enumerate().map(keyword).collect()
    }
}
