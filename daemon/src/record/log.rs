//! From entries to the files of a ring.
//!
//! A new file begins with where it comes from and with the configuration's text, then with each machine's state, so
//! that it can be replayed and checked by itself. A machine tells its state before its next step; what it did before
//! that still goes to the file before. So at a turn two files are open for a moment.
//!
//! Within a file a section begins in the same way every so often, so that a damaged place costs no more than what stands
//! before the next one.

use super::Shared;
use super::ring::Ring;
use crate::system::clock;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use vipward_core::record::{self, Begin, Entry, MachineName, Writer};

/// While the disk refuses, so many bytes are held; after that the queue fills, and then steps are lost, and counted.
const HELD: usize = 4 << 20;

/// After so many bytes, and [`SECTION_HEADS`] times what its beginning takes, a new section begins.
const SECTION: u64 = 1 << 20;

/// So what is written for this is at most a sixteenth of the whole.
const SECTION_HEADS: u64 = 16;

pub struct Log {
    ring: Ring,
    begin: Begin,
    shared: Arc<Shared>,
    /// The configuration's text, which every file has.
    files: Vec<record::File>,
    /// `None`: it could not be opened yet.
    current: Option<Output>,
    previous: Option<Output>,
    /// Whether each machine's state is in the current file.
    election: bool,
    balancer: bool,
    /// The last trouble that was told.
    trouble: Option<String>,
}

/// One file being written.
struct Output {
    file: File,
    writer: Writer,
    /// What is to be written next, and where.
    bytes: Vec<u8>,
    offset: u64,
    /// How much of its first section is configuration and state.
    head: u64,
    /// Where the latest section begins, and how much of that is configuration and state.
    section: u64,
    section_head: u64,
}

impl Output {
    fn entry(&mut self, entry: &Entry) {
        let before = self.writer.waiting();
        self.writer.entry(entry);
        match entry {
            Entry::Begin(_) | Entry::Files(_) | Entry::State { .. } => {
                let length = (self.writer.waiting() - before) as u64;
                self.section_head += length;
                if self.section == 0 {
                    self.head += length;
                }
            }
            Entry::Step(_) | Entry::Lost { .. } => {}
        }
    }

    /// Whether enough stands behind the latest beginning for another one.
    fn is_long(&self) -> bool {
        self.offset.saturating_sub(self.section) >= SECTION.max(SECTION_HEADS * self.section_head)
    }

    /// How much is not written yet.
    fn waiting(&self) -> usize {
        self.bytes.len() + self.writer.waiting()
    }

    /// Written at its place, so that a failure in the middle is mended by the next try.
    fn write(&mut self) -> io::Result<()> {
        self.bytes.append(&mut self.writer.take());
        if !self.bytes.is_empty() {
            self.file.write_all_at(&self.bytes, self.offset)?;
            self.offset += self.bytes.len() as u64;
            self.bytes.clear();
        }
        Ok(())
    }
}

impl Log {
    pub fn new(ring: Ring, begin: Begin, shared: Arc<Shared>) -> Self {
        let files = Vec::new();
        Self {
            ring,
            begin,
            shared,
            files,
            current: None,
            previous: None,
            election: false,
            balancer: false,
            trouble: None,
        }
    }

    /// Whether more entries can be taken.
    pub fn has_room(&self) -> bool {
        let outputs = [&self.current, &self.previous];
        self.current.is_some() && outputs.into_iter().flatten().map(Output::waiting).sum::<usize>() < HELD
    }

    /// Takes one entry into the file where it belongs.
    pub fn take(&mut self, entry: Entry) {
        if let Entry::Step(step) = &entry
            && step.loads()
        {
            self.take_files();
        }
        let (machine, state) = match &entry {
            Entry::State { machine, .. } => (*machine, true),
            Entry::Step(step) => (step.machine(), false),
            Entry::Lost { machine, steps, .. } => {
                tracing::warn!("the recording lacks {steps} steps of the {machine}: the disk was too slow");
                (*machine, false)
            }
            // No machine sends these.
            Entry::Begin(_) | Entry::Files(_) => return,
        };
        let here = match machine {
            MachineName::Election => &mut self.election,
            MachineName::Balancer => &mut self.balancer,
        };
        *here |= state;
        let output = if *here { &mut self.current } else { &mut self.previous };
        match output {
            Some(output) => output.entry(&entry),
            // Its state will follow; until then this is for the eye only.
            None => {
                if let Some(output) = &mut self.current {
                    output.entry(&entry);
                }
            }
        }
    }

    /// Writes what has come together, and turns the ring when it is time. False when the disk refused.
    pub fn write(&mut self) -> bool {
        let result = self.try_write();
        let path = self.ring.file.display();
        match (&result, &self.trouble) {
            (Err(error), None) => tracing::error!("can't record to {path}: {error}; trying again every second"),
            (Err(error), Some(told)) if *told != error.to_string() => tracing::error!("recording to {path}: {error}"),
            (Ok(()), Some(_)) => tracing::info!("recording to {path} again"),
            (Err(_), Some(_)) | (Ok(()), None) => {}
        }
        self.trouble = result.as_ref().err().map(ToString::to_string);
        result.is_ok()
    }

    fn try_write(&mut self) -> io::Result<()> {
        if self.current.is_none() {
            self.turn()?;
        }
        for output in [&mut self.previous, &mut self.current].into_iter().flatten() {
            output.write()?;
        }
        if self.election && self.balancer {
            self.previous = None;
        }
        if self.current.as_ref().is_some_and(|output| output.offset >= self.ring.max_bytes.max(2 * output.head)) {
            self.turn()?;
            // A process that ends now leaves no file without a beginning.
            if let Some(output) = &mut self.current {
                output.write()?;
            }
        } else if self.election && self.balancer {
            self.begin_section();
        }
        Ok(())
    }

    /// The same beginning once more, if it is time: each machine adds its state with its next step.
    fn begin_section(&mut self) {
        let Some(output) = self.current.as_mut().filter(|output| output.is_long()) else { return };
        (output.section, output.section_head) = (output.offset, 0);
        // The number is that of this file; the field is the next one's.
        let file = self.begin.file.saturating_sub(1);
        output.entry(&Entry::Begin(Begin { file, at: clock::now(), ..self.begin.clone() }));
        output.entry(&Entry::Files(self.files.clone()));
        self.shared.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// The next file begins. Whoever waits for the state of a machine that had nothing to do meanwhile waits in vain:
    /// it will come with that machine's next step, into the file of that time.
    fn turn(&mut self) -> io::Result<()> {
        self.take_files();
        let file = self.ring.turn()?;
        self.begin.at = clock::now();
        let mut output = Output {
            file,
            writer: Writer::default(),
            bytes: Vec::new(),
            offset: 0,
            head: 0,
            section: 0,
            section_head: 0,
        };
        output.entry(&Entry::Begin(self.begin.clone()));
        output.entry(&Entry::Files(self.files.clone()));
        self.previous = self.current.replace(output);
        (self.election, self.balancer) = (false, false);
        // The machines have no state before the first one.
        self.shared.generation.fetch_add(u64::from(self.begin.file > 0), Ordering::AcqRel);
        self.begin.file += 1;
        Ok(())
    }

    /// A new configuration's text, into every file that may hold a step with it.
    fn take_files(&mut self) {
        let new = self.shared.files.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(files) = new else { return };
        self.files = files;
        let entry = Entry::Files(self.files.clone());
        for output in [&mut self.current, &mut self.previous].into_iter().flatten() {
            output.entry(&entry);
        }
    }
}
