//! pcapng's blocks (draft-ietf-opsawg-pcapng): section header, interface description and enhanced packet, which is all
//! that a recording needs. Other blocks are stepped over. Sections of either byte order are read; ours are little-endian.

use super::Damage;
use super::read::Kind;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
/// Type, length, and length again.
const FRAME: usize = 12;
/// No block is longer: what other programs refuse as well. Ours are far below.
const LONGEST: usize = 16 << 20;

const OPT_END: u16 = 0;
const OPT_COMMENT: u16 = 1;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const EPB_FLAGS: u16 = 2;

/// Which way a packet went (`epb_flags`, bits 0 and 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    In = 1,
    Out = 2,
}

/// Appends a section header that names the program.
pub fn section_header(out: &mut Vec<u8>, program: &str) {
    block(out, SECTION_HEADER, |out| {
        out.extend_from_slice(&BYTE_ORDER_MAGIC.to_le_bytes());
        out.extend_from_slice(&[1, 0, 0, 0]);
        // The section's length is not known.
        out.extend_from_slice(&u64::MAX.to_le_bytes());
        option(out, SHB_USERAPPL, program.as_bytes());
        option(out, OPT_END, &[]);
    });
}

/// Appends an interface; interfaces number themselves from 0 in each section. Times are in nanoseconds.
pub fn interface(out: &mut Vec<u8>, link_type: u16, name: &str) {
    block(out, INTERFACE_DESCRIPTION, |out| {
        out.extend_from_slice(&link_type.to_le_bytes());
        // Reserved; no limit to the length of packets.
        out.extend_from_slice(&[0; 6]);
        option(out, IF_NAME, name.as_bytes());
        option(out, IF_TSRESOL, &[9]);
        option(out, OPT_END, &[]);
    });
}

/// Appends a packet of `parts`, sent or received at `nanos` since 1970.
pub fn packet(
    out: &mut Vec<u8>,
    interface: u32,
    nanos: u64,
    parts: [&[u8]; 2],
    direction: Option<Direction>,
    comment: &str,
) {
    block(out, ENHANCED_PACKET, |out| {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let length = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
        let [a, b, c, d, e, f, g, h] = nanos.to_le_bytes();
        out.extend_from_slice(&interface.to_le_bytes());
        // The upper half comes first, whatever the byte order.
        out.extend_from_slice(&[e, f, g, h, a, b, c, d]);
        out.extend_from_slice(&length);
        out.extend_from_slice(&length);
        parts.iter().for_each(|part| out.extend_from_slice(part));
        pad(out);
        if let Some(direction) = direction {
            option(out, EPB_FLAGS, &(direction as u32).to_le_bytes());
        }
        if !comment.is_empty() {
            option(out, OPT_COMMENT, comment.as_bytes());
        }
        if direction.is_some() || !comment.is_empty() {
            option(out, OPT_END, &[]);
        }
    });
}

fn block(out: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    body(out);
    // No block is near 4 GiB: records are cut into pieces.
    let length = u32::try_from(out.len() - start + 4).unwrap_or(u32::MAX).to_le_bytes();
    out.extend_from_slice(&length);
    if let Some(place) = out.get_mut(start + 4..start + 8) {
        place.copy_from_slice(&length);
    }
}

/// An option; values of more than 65,535 bytes are cut short. Everything before it is a multiple of 4 bytes long.
fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(value.get(..usize::from(length)).unwrap_or_default());
    pad(out);
}

/// Blocks begin at multiples of 4, so the whole buffer may count.
fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

/// One block that means something here.
#[derive(Debug)]
pub enum Block<'a> {
    Section { program: String },
    Interface { link_type: u16, name: String },
    Packet { interface: u32, data: &'a [u8] },
}

/// Takes a file apart.
#[derive(Debug)]
pub struct Blocks<'a> {
    bytes: &'a [u8],
    /// Where the next block begins.
    at: usize,
    /// How many blocks came before.
    count: u64,
    big_endian: bool,
}

impl<'a> Blocks<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, count: 0, big_endian: false }
    }

    /// The next block that means something, with its place; `None` at the end.
    pub fn next(&mut self) -> Option<Result<(u64, u64, Block<'a>), Damage>> {
        loop {
            let (offset, number) = (self.at as u64, self.count);
            let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
            let damage = |kind, what: String| Some(Err(Damage { offset, block: number, kind, what }));
            let (kind, body, whole) = match self.frame(rest) {
                Ok(frame) => frame,
                Err((kind, what)) => return damage(kind, what),
            };
            self.at += whole;
            self.count += 1;
            match self.meaning(kind, body) {
                Ok(Some(block)) => return Some(Ok((offset, number, block))),
                Ok(None) => {}
                Err((kind, what)) => return damage(kind, what),
            }
        }
    }

    /// Goes on at the next section header behind `offset`; tells where that is. What is passed over counts as one block.
    pub fn skip_to_section(&mut self, offset: u64) -> Option<u64> {
        let from = usize::try_from(offset).ok()?.checked_add(1)?;
        let starts = |place: &usize| {
            let Some(rest) = self.bytes.get(*place..) else { return false };
            let word = |at: usize| rest.get(at..at + 4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
            let magic = word(8).map(|magic| (u32::from_le_bytes(magic), u32::from_be_bytes(magic)));
            word(0) == Some(SECTION_HEADER.to_le_bytes())
                && magic.is_some_and(|(little, big)| [little, big].contains(&BYTE_ORDER_MAGIC))
        };
        let at = (from..self.bytes.len()).find(starts)?;
        self.at = at;
        self.count += 1;
        Some(at as u64)
    }

    /// Type, body and whole length of the block at the start of `rest`.
    fn frame(&mut self, rest: &'a [u8]) -> Result<(u32, &'a [u8], usize), (Kind, String)> {
        let cut_off = |need: usize| (Kind::CutOff, format!("{} of {need} bytes of the block are there", rest.len()));
        let word = |at: usize| rest.get(at..at + 4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
        let first = self.count == 0;
        let kind = word(0).ok_or_else(|| cut_off(FRAME))?;
        if u32::from_le_bytes(kind) == SECTION_HEADER {
            let magic = word(8).ok_or_else(|| cut_off(FRAME + 4))?;
            self.big_endian = match (u32::from_le_bytes(magic), u32::from_be_bytes(magic)) {
                (BYTE_ORDER_MAGIC, _) => false,
                (_, BYTE_ORDER_MAGIC) => true,
                _ if first => return Err((Kind::NotARecording, "this is no pcapng file".to_owned())),
                _ => return Err((Kind::Damaged, "a section header without its byte order".to_owned())),
            };
        } else if first {
            return Err((Kind::NotARecording, "this is no pcapng file".to_owned()));
        }
        let length = self.u32(word(4).ok_or_else(|| cut_off(FRAME))?) as usize;
        if length < FRAME || !length.is_multiple_of(4) {
            return Err((Kind::Damaged, format!("no block is {length} bytes long")));
        }
        let Some(block) = rest.get(..length) else {
            return Err(match self.end(u32::from_le_bytes(kind), rest) {
                Some(end) => (Kind::Damaged, format!("the block ends after {end} bytes and not after {length}")),
                None if length > LONGEST => (Kind::Damaged, format!("no block is {length} bytes long")),
                None => cut_off(length),
            });
        };
        let again = word(length - 4).map(|bytes| self.u32(bytes) as usize);
        if again != Some(length) {
            return Err((Kind::Damaged, "the block's two lengths differ".to_owned()));
        }
        Ok((self.u32(kind), block.get(8..length - 4).unwrap_or_default(), length))
    }

    /// Where the block at the start of `rest` ends by what is in it: behind its options its length stands once more.
    /// This tells a damaged length from a file that is cut off. `None`: its end is not there, or it is of no type that
    /// is written here.
    fn end(&self, kind: u32, rest: &[u8]) -> Option<usize> {
        let word = |at: usize| Some(self.u32(rest.get(at..at.checked_add(4)?)?.try_into().ok()?) as usize);
        let mut at = match kind {
            SECTION_HEADER => 24,
            _ => match self.u32(kind.to_le_bytes()) {
                INTERFACE_DESCRIPTION => 16,
                ENHANCED_PACKET => 28 + word(20)?.checked_next_multiple_of(4)?,
                _ => return None,
            },
        };
        loop {
            let end = at.checked_add(4)?;
            if word(at)? == end {
                return Some(end);
            }
            at = end + usize::from(self.u16(rest, at + 2)?).next_multiple_of(4);
        }
    }

    fn meaning(&self, kind: u32, body: &'a [u8]) -> Result<Option<Block<'a>>, (Kind, String)> {
        let short = || (Kind::Damaged, "the block is too short for its type".to_owned());
        match kind {
            SECTION_HEADER => {
                let (fixed, options) = body.split_at_checked(16).ok_or_else(short)?;
                let major = self.u16(fixed, 4).ok_or_else(short)?;
                if major != 1 {
                    return Err((Kind::OtherVersion, format!("version {major} of pcapng is not known here")));
                }
                let program = self.option(options, SHB_USERAPPL).unwrap_or_default();
                Ok(Some(Block::Section { program: text(program) }))
            }
            INTERFACE_DESCRIPTION => {
                let (fixed, options) = body.split_at_checked(8).ok_or_else(short)?;
                let link_type = self.u16(fixed, 0).ok_or_else(short)?;
                let name = self.option(options, IF_NAME).unwrap_or_default();
                Ok(Some(Block::Interface { link_type, name: text(name) }))
            }
            ENHANCED_PACKET => {
                let (fixed, rest) = body.split_at_checked(20).ok_or_else(short)?;
                let (words, _) = fixed.as_chunks::<4>();
                let (Some(interface), Some(length)) = (words.first(), words.get(3)) else { return Err(short()) };
                let data = rest.get(..self.u32(*length) as usize).ok_or_else(short)?;
                Ok(Some(Block::Packet { interface: self.u32(*interface), data }))
            }
            // Name resolution, statistics, comments of other programs.
            _ => Ok(None),
        }
    }

    /// The first option with this code.
    fn option(&self, mut options: &'a [u8], wanted: u16) -> Option<&'a [u8]> {
        loop {
            let (code, length) = (self.u16(options, 0)?, usize::from(self.u16(options, 2)?));
            if code == OPT_END {
                return None;
            }
            let rest = options.get(4..)?;
            if code == wanted {
                return rest.get(..length);
            }
            options = rest.get(length.next_multiple_of(4)..)?;
        }
    }

    fn u32(&self, bytes: [u8; 4]) -> u32 {
        if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    fn u16(&self, bytes: &[u8], at: usize) -> Option<u16> {
        let bytes = bytes.get(at..at + 2)?.try_into().ok()?;
        Some(if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
