//! Ages and waits in words.

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`: two units at most.
pub fn words(millis: u64) -> String {
    let two = |big: u64, big_name: &str, small: u64, small_name: &str| match millis % big / small {
        0 => format!("{} {big_name}", millis / big),
        rest => format!("{} {big_name} {rest} {small_name}", millis / big),
    };
    match millis {
        ..10_000 => format!("{}.{} s", millis / SECOND, millis % SECOND / 100),
        10_000..MINUTE => format!("{} s", millis / SECOND),
        MINUTE..HOUR => two(MINUTE, "min", SECOND, "s"),
        HOUR..DAY => two(HOUR, "h", MINUTE, "min"),
        _ => two(DAY, "d", HOUR, "h"),
    }
}

/// `for 12 s`; of what has not changed since the configuration was loaded nothing.
pub fn since(millis: Option<u64>) -> String {
    millis.map(words).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn two_units_at_most() {
        let cases = [
            (0, "0.0 s"),
            (9_949, "9.9 s"),
            (12_345, "12 s"),
            (59_999, "59 s"),
            (60_000, "1 min"),
            (185_000, "3 min 5 s"),
            (7_800_000, "2 h 10 min"),
            (273_600_000, "3 d 4 h"),
        ];
        for (millis, expected) in cases {
            assert_eq!(words(millis), expected);
        }
    }
}
