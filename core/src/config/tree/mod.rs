//! From words to blocks. The brackets of real files are often wrong, and one brace too few or too many would turn every
//! line behind it into nonsense. So the tree knows which words belong where ([`super::words`]) and how far lines are
//! indented: it finds the block that was left open, says so once, and goes on as if it had been closed.

mod orphans;
mod unclosed;

use super::line::{Token, Word};
use super::words::{self, Block, Keyword, Nearest};
use crate::text::Diagnostic;
use crate::text::Span;
use crate::text::report::Report;
use orphans::Orphans;
use smallvec::SmallVec;
use std::borrow::Cow;

/// One line, or one block with its head.
#[derive(Clone, Debug)]
pub(in crate::config) struct Statement<'t> {
    pub word: Word<'t>,
    /// Most words have one.
    pub args: SmallVec<[Word<'t>; 1]>,
    /// What the word is taken for; none in lists and where nobody knows it.
    pub keyword: Option<&'static Keyword>,
    pub body: Option<Vec<Statement<'t>>>,
}

impl<'t> Statement<'t> {
    /// The whole head.
    pub fn span(&self) -> Span {
        self.args.last().map_or(self.word.span, |last| self.word.span.to(last.span))
    }

    pub fn lines(&self) -> &[Statement<'t>] {
        self.body.as_deref().unwrap_or_default()
    }

    fn text(&self) -> String {
        let words = std::iter::once(&self.word).chain(&self.args).map(|word| &*word.text);
        words.collect::<Vec<_>>().join(" ")
    }
}

/// A block that is not closed yet.
#[derive(Debug)]
struct Frame<'t> {
    head: Statement<'t>,
    block: Block,
    body: Vec<Statement<'t>>,
    indent: Option<usize>,
}

/// A block whose closing brace, by its indent, was meant for a block farther out.
#[derive(Clone, Debug)]
struct Suspect<'t> {
    head: Span,
    word: Cow<'t, str>,
    /// Its closing brace.
    close: Span,
    /// How many blocks were open around it.
    depth: usize,
}

/// Blocks within blocks; keepalived's language needs five.
const DEEPEST: usize = 64;

/// Unknown lines in a row after which the rest of the run is not compared with known words any more.
const RUN: usize = 100;

#[derive(Debug, Default)]
pub(in crate::config) struct Tree<'t> {
    root: Vec<Statement<'t>>,
    frames: Vec<Frame<'t>>,
    /// Statements of the root that nothing can change any more.
    done: Vec<Statement<'t>>,
    /// Blocks beyond the deepest, whose content is skipped.
    skipped: usize,
    /// The statement whose words are being taken, or whose `{` may come on the next line.
    pending: Option<Statement<'t>>,
    pending_indent: Option<usize>,
    /// A new line begins a new statement.
    fresh: bool,
    suspects: Vec<Suspect<'t>>,
    /// The block closed last: its brace, its kind, its indent. Only while no other block followed.
    closed: Option<(Span, Block, Option<usize>)>,
    /// The message about a word that nobody knows, and how many more lines like it followed.
    garbage: Option<(usize, usize)>,
    /// Words of another block that stand in a row here: perhaps the line that opens their block is missing.
    orphans: Option<Orphans>,
}

impl<'t> Tree<'t> {
    /// Takes the words of one line.
    pub fn line(&mut self, indent: Option<usize>, tokens: impl IntoIterator<Item = Token<'t>>, report: &mut Report) {
        self.fresh = true;
        let mut first = true;
        for token in tokens {
            match token {
                Token::Word(_) if self.skipped > 0 => {}
                Token::Open(_) if self.skipped > 0 => self.skipped += 1,
                Token::Close(_) if self.skipped > 0 => self.skipped -= 1,
                Token::Open(span) if self.frames.len() >= DEEPEST => self.too_deep(span, report),
                Token::Word(word) => {
                    if self.fresh {
                        self.plain(report);
                        self.fresh = false;
                    }
                    match &mut self.pending {
                        Some(statement) => {
                            // Most words take one value; a list of them would begin with room for four.
                            statement.args.reserve_exact(usize::from(statement.args.is_empty()));
                            statement.args.push(word);
                        }
                        None => {
                            self.pending = Some(Statement { word, args: SmallVec::new(), keyword: None, body: None });
                            self.pending_indent = if first { indent } else { None };
                        }
                    }
                }
                Token::Open(span) => {
                    match self.pending.take() {
                        Some(head) => self.open(head, report),
                        None => self.nameless(span, report),
                    }
                    self.fresh = false;
                }
                Token::Close(span) => {
                    self.plain(report);
                    self.close(span, if first { indent } else { None }, report);
                    self.fresh = false;
                }
            }
            first = false;
        }
    }

    /// The end of all files: what is still open is reported.
    pub fn finish(mut self, report: &mut Report) -> Vec<Statement<'t>> {
        self.plain(report);
        self.end_garbage(report);
        self.end_orphans(report);
        if !self.frames.is_empty() {
            self.unclosed(0, None, report);
            while !self.frames.is_empty() {
                self.pop();
            }
        }
        self.done.append(&mut self.root);
        self.done
    }

    /// The whole blocks and lines of the top level so far. Once another block begins, no brace changes them any more.
    pub fn done(&mut self) -> std::vec::Drain<'_, Statement<'t>> {
        self.done.drain(..)
    }

    fn block(&self) -> Block {
        self.frames.last().map_or(Block::Root, |frame| frame.block)
    }

    /// The block `up` steps farther out.
    fn outer(&self, up: usize) -> Block {
        match self.frames.len().checked_sub(up + 1) {
            Some(index) => self.frames.get(index).map_or(Block::Root, |frame| frame.block),
            None => Block::Root,
        }
    }

    /// Ends the statement in progress: it has no block.
    fn plain(&mut self, report: &mut Report) {
        let Some(mut statement) = self.pending.take() else { return };
        self.settle(&mut statement, false, report);
        if let Some(keyword) = statement.keyword
            && let Some(block) = keyword.takes.block
        {
            // A block without `{`: its closing brace is there, more likely than not.
            report.push(
                Diagnostic::error("missing-brace", format!("`{}` opens a block: `{{` is missing", keyword.word))
                    .at(statement.span().after(), "expected `{` here")
                    .help(format!("write `{} {{` and close the block with `}}`", statement.text())),
            );
            self.push_frame(statement, block, report);
            return;
        }
        self.add(statement);
    }

    fn add(&mut self, statement: Statement<'t>) {
        match self.frames.last_mut() {
            Some(frame) => frame.body.push(statement),
            None => self.root.push(statement),
        }
    }

    fn open(&mut self, mut head: Statement<'t>, report: &mut Report) {
        self.settle(&mut head, true, report);
        let block = match head.keyword {
            Some(keyword) => keyword.takes.block.unwrap_or_else(|| {
                report.push(
                    Diagnostic::error("unexpected-block", format!("`{}` takes no block", keyword.word))
                        .at(head.span(), "followed by `{`")
                        .help("delete the braces; each word of the block goes on a line of its own"),
                );
                Block::Unknown
            }),
            None => {
                if self.block().is_list() {
                    let message = format!("`{}` opens no block here", head.word.text);
                    let list = self.block_word();
                    report.push(
                        Diagnostic::error("unexpected-block", message).at(head.span(), format!("within `{list}`")),
                    );
                }
                Block::Unknown
            }
        };
        self.push_frame(head, block, report);
    }

    fn push_frame(&mut self, head: Statement<'t>, block: Block, report: &mut Report) {
        self.closed = None;
        if head.keyword.is_some() && self.orphans.as_ref().is_some_and(|orphans| orphans.depth >= self.frames.len()) {
            self.end_orphans(report);
        }
        if self.frames.is_empty() {
            self.done.append(&mut self.root);
        }
        self.frames.push(Frame { head, block, body: Vec::new(), indent: self.pending_indent });
    }

    fn too_deep(&mut self, span: Span, report: &mut Report) {
        self.skipped = 1;
        self.pending = None;
        report.once("too-deep", span, || {
            Diagnostic::error("too-deep", "blocks nest too deeply")
                .at(span, format!("{DEEPEST} blocks are open here; the inside of this one is skipped"))
                .help("look above for missing `}`")
        });
    }

    /// `{` with nothing in front of it.
    fn nameless(&mut self, span: Span, report: &mut Report) {
        report.push(Diagnostic::error("nameless-block", "`{` without a word in front of it").at(span, "opens nothing"));
        let word = Word { text: Cow::Borrowed(""), span };
        let head = Statement { word, args: SmallVec::new(), keyword: None, body: None };
        self.push_frame(head, Block::Unknown, report);
    }

    fn close(&mut self, span: Span, indent: Option<usize>, report: &mut Report) {
        self.end_garbage(report);
        let Some(frame) = self.frames.last() else {
            if self.unopened(span, report) {
                return;
            }
            report.push(
                Diagnostic::error("stray-brace", "this brace closes nothing")
                    .at(span, "no block is open here")
                    .help("delete it, or look above for a `}` too many or a `{` too few"),
            );
            return;
        };
        let (block, opened) = (frame.block, frame.indent);
        if let (Some(column), Some(own)) = (indent, opened)
            && column < own
            && self.frames.iter().any(|outer| outer.indent == Some(column))
        {
            let (head, word) = (frame.head.span(), frame.head.word.text.clone());
            self.suspects.push(Suspect { head, word, close: span, depth: self.frames.len() - 1 });
        }
        self.pop();
        self.closed = Some((span, block, opened));
    }

    fn pop(&mut self) {
        if let Some(frame) = self.frames.pop() {
            self.add(Statement { body: Some(frame.body), ..frame.head });
        }
    }

    /// Finds out what the word of a statement is, closing or opening again what a wrong brace got wrong.
    fn settle(&mut self, statement: &mut Statement<'t>, has_block: bool, report: &mut Report) {
        let block = self.block();
        if let Some(keyword) = words::find(block, &statement.word.text) {
            statement.keyword = Some(keyword);
            self.end_garbage(report);
            return;
        }
        if let Some(up) = self.belongs_outside(statement, has_block) {
            let frames = self.frames.len() - up;
            self.unclosed(frames, Some(statement.word.span), report);
            while self.frames.len() > frames {
                self.pop();
            }
            statement.keyword = words::find(self.block(), &statement.word.text);
            return;
        }
        if block.is_list() || block == Block::Unknown {
            return;
        }
        if self.reopen(statement, report) {
            statement.keyword = words::find(self.block(), &statement.word.text);
            return;
        }
        self.unknown(statement, has_block, report);
    }

    /// How many blocks must have been left open for this word to make sense; none if that is not what happened.
    fn belongs_outside(&self, statement: &Statement<'t>, has_block: bool) -> Option<usize> {
        let block = self.block();
        let word = &statement.word.text;
        let (up, keyword) = (1..=self.frames.len()).find_map(|up| Some((up, words::find(self.outer(up), word)?)))?;
        let opens = has_block && keyword.takes.block.is_some();
        let outdented = match (self.pending_indent, self.frames.last().and_then(|frame| frame.indent)) {
            (Some(own), Some(frame)) => own <= frame,
            _ => true,
        };
        let fits = match block {
            // In a list anything may be a name, but hardly one that opens a block or stands as far out as the list.
            Block::Unknown => opens && self.outer(up) == Block::Root && outdented,
            block if block.is_list() => opens || (outdented && keyword.takes.min <= statement.args.len()),
            _ => opens || outdented,
        };
        fits.then_some(up)
    }

    /// A word that would have been right in the block just closed: that brace was one too many. Plain words since then
    /// belong to it as well, if this one's indent speaks for it.
    fn reopen(&mut self, statement: &Statement<'t>, report: &mut Report) -> bool {
        let Some((brace, block, indent)) = self.closed else { return false };
        let inside = matches!((self.pending_indent, indent), (Some(own), Some(head)) if own > head);
        let address = statement.word.text.split('/').next().is_some_and(|ip| ip.parse::<std::net::IpAddr>().is_ok());
        let fits = match block {
            Block::Addresses | Block::Peers => address,
            Block::Tracked | Block::Lines => inside,
            block => words::find(block, &statement.word.text).is_some(),
        };
        if !fits {
            return false;
        }
        let list = match self.frames.last_mut() {
            Some(frame) => &mut frame.body,
            None => &mut self.root,
        };
        let Some(at) = list.iter().rposition(|line| line.body.is_some()) else { return false };
        if !inside && at + 1 < list.len() {
            return false;
        }
        let mut since = list.split_off(at + 1);
        let Some(mut head) = list.pop() else { return false };
        if !self.unopened(brace, report) {
            let first = since.first().map_or(statement, |first| first);
            report.push(
                Diagnostic::error("stray-brace", format!("this brace ends `{}` too early", head.word.text))
                    .at(brace, "one brace too many")
                    .also(first.word.span, format!("`{}` still belongs to it", first.word.text))
                    .also(head.span(), "this block")
                    .help("delete the brace"),
            );
        }
        let mut body = head.body.take().unwrap_or_default();
        for line in &mut since {
            line.keyword = words::find(block, &line.word.text).or(line.keyword);
        }
        body.append(&mut since);
        self.frames.push(Frame { head, block, body, indent });
        self.closed = None;
        true
    }

    /// A word that means nothing here.
    fn unknown(&mut self, statement: &mut Statement<'t>, has_block: bool, report: &mut Report) {
        let block = self.block();
        let word = statement.word.text.clone();
        let place = self.place();
        // Thousands of lines of something else: no use to look for the word that was meant in each.
        if report.is_full() {
            report.push(Diagnostic::warning("unknown-word", "").at(statement.word.span, ""));
            return;
        }
        if let Some((_, more @ RUN..)) = &mut self.garbage
            && !has_block
        {
            *more += 1;
            return;
        }
        let nearest = words::nearest(block, &word, statement.args.iter().map(|word| &*word.text));
        if let Some((_, more)) = &mut self.garbage
            && !has_block
            && matches!(nearest, None | Some(Nearest::Elsewhere(_)))
        {
            *more += 1;
            return;
        }
        let unknown = || Diagnostic::error("unknown-word", format!("unknown word `{word}`"));
        match nearest {
            Some(Nearest::Misspelt(keyword)) => {
                report.push(
                    unknown()
                        .at(statement.word.span, format!("not known {place}"))
                        .note(format!("`{}`: {}", keyword.word, keyword.meaning()))
                        .help(format!("did you mean `{}`?", keyword.word)),
                );
                statement.keyword = Some(keyword);
            }
            Some(Nearest::Glued(keyword, at)) => {
                let span = statement.word.span;
                // `mcast_src_ip=192.0.2.1`: the sign belongs to neither.
                let at =
                    at + usize::from(word.get(at..).is_some_and(|value| value.starts_with('=') && value.len() > 1));
                let value = word.get(at..).unwrap_or("");
                report.push(
                    Diagnostic::error("missing-space", format!("no space between `{}` and its value", keyword.word))
                        .at(span, "taken as one word")
                        .help(format!("write `{} {value}`", keyword.word)),
                );
                let cut = (span.end - span.start) as usize == word.len();
                let value_span = if cut { Span { start: span.start + at as u32, ..span } } else { span };
                statement.args.insert(0, Word { text: Cow::Owned(value.to_owned()), span: value_span });
                statement.word.text = Cow::Borrowed(keyword.word);
                statement.keyword = Some(keyword);
            }
            Some(Nearest::Split(keyword, count)) => {
                let last = statement.args.get(count.saturating_sub(2)).map_or(statement.word.span, |word| word.span);
                report.push(
                    unknown()
                        .at(statement.word.span.to(last), "one word, written as several")
                        .help(format!("write `{}`", keyword.word)),
                );
                statement.args.drain(..count.saturating_sub(1).min(statement.args.len()));
                statement.keyword = Some(keyword);
            }
            Some(Nearest::Elsewhere(keyword)) => self.misplaced(statement, keyword, has_block, report),
            None if block == Block::SyncGroup => {
                let members = std::iter::once(&statement.word).chain(&statement.args).map(|word| &*word.text);
                let members = members.collect::<Vec<_>>().join(" ");
                report.push(
                    Diagnostic::warning("unknown-word", format!("`{word}` stands in no `group`"))
                        .at(statement.span(), "no member: ignored, as in keepalived")
                        .help(format!(
                            "write the names of the members in a block of their own: `group {{ {members} }}`"
                        )),
                );
            }
            None => {
                let ignored = if has_block { "it and its block are ignored" } else { "the line is ignored" };
                let index = report.push(
                    Diagnostic::warning("unknown-word", format!("unknown word `{word}`"))
                        .at(statement.word.span, format!("not known {place}: {ignored}, as in keepalived"))
                        .help("to keep the text as a remark, put `#` in front of it"),
                );
                if let (Some(index), false) = (index, has_block) {
                    self.garbage = Some((index, 0));
                }
                return;
            }
        }
        self.end_garbage(report);
    }

    /// The innermost block by its word, for messages.
    fn place(&self) -> String {
        match self.frames.last() {
            Some(_) => format!("in `{}`", self.block_word()),
            None => "at the top level".to_owned(),
        }
    }

    fn block_word(&self) -> &str {
        self.frames.last().map_or("", |frame| frame.head.keyword.map_or(&*frame.head.word.text, |keyword| keyword.word))
    }

    /// One message for a run of lines that nobody knows: a pasted log, a page of a manual.
    fn end_garbage(&mut self, report: &mut Report) {
        if let Some((index, more @ 1..)) = self.garbage.take() {
            let lines = if more == 1 { "the next line is".to_owned() } else { format!("the next {more} lines are") };
            report.note(index, format!("{lines} unknown as well"));
        }
    }
}
