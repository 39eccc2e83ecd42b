//! Small pieces of sentences.

use vipward_core::time::Duration;

/// `a`, `a and b`, `a, b and c`.
pub(crate) fn list<T: AsRef<str>>(items: &[T]) -> String {
    match items {
        [] => String::new(),
        [only] => only.as_ref().to_owned(),
        [first @ .., last] => {
            let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", first.join(", "), last.as_ref())
        }
    }
}

/// `1 director`, `2 directors`.
pub(crate) fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// Seconds, with no more digits than needed down to the millisecond: `18 s`, `3.6 s`.
pub(crate) fn seconds(duration: Duration) -> String {
    let fraction = format!("{:03}", duration.subsec_millis());
    match fraction.trim_end_matches('0') {
        "" => format!("{} s", duration.as_secs()),
        fraction => format!("{}.{fraction} s", duration.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences() {
        assert_eq!([list::<&str>(&[]), list(&["a"]), list(&["a", "b", "c"])], ["", "a", "a, b and c"]);
        assert_eq!([count(0, "director"), count(1, "director")], ["0 directors", "1 director"]);
        assert_eq!(
            [18_000, 3_600, 609, 0].map(|ms| seconds(Duration::from_millis(ms))),
            ["18 s", "3.6 s", "0.609 s", "0 s"]
        );
    }
}
