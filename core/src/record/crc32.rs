//! CRC-32 as Ethernet has it (IEEE 802.3, reflected, polynomial 0xedb88320): finds what a bad disk or an editor did.

/// A sum that grows.
#[derive(Clone, Copy, Debug)]
pub struct Crc32(u32);

impl Default for Crc32 {
    fn default() -> Self {
        Self(u32::MAX)
    }
}

impl Crc32 {
    /// Takes bytes in.
    pub fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let [low, ..] = (self.0 ^ u32::from(*byte)).to_le_bytes();
            // The table has an entry for each value of a byte.
            self.0 = TABLE.get(usize::from(low)).copied().unwrap_or_default() ^ (self.0 >> 8);
        }
    }

    /// The sum of all so far.
    pub fn sum(self) -> u32 {
        !self.0
    }
}

const TABLE: [u32; 256] = table();

#[allow(clippy::indexing_slicing, reason = "computed at compile time, where an index out of bounds does not compile")]
const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let mut value = at as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { 0xedb8_8320 ^ (value >> 1) } else { value >> 1 };
            bit += 1;
        }
        table[at] = value;
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_algorithm() {
        let mut crc = Crc32::default();
        crc.add(b"12345");
        crc.add(b"6789");
        assert_eq!(crc.sum(), 0xcbf4_3926);
    }
}
