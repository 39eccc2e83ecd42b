//! Columns of text.

/// How wide a line may be.
pub const WIDTH: usize = 80;

/// Columns as wide as their longest cell, two spaces between; what is beyond [`WIDTH`] of the last column is cut off. Every row
/// has as many cells as the head.
pub fn aligned(head: &[&str], rows: &[Vec<String>]) -> String {
    let heads = head.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    let all = || std::iter::once(&heads).chain(rows);
    let width = |column: usize| all().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..head.len()).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in all() {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count()) + 2));
        }
        text.push_str(&cut(line.trim_end()));
        text.push('\n');
    }
    text
}

/// At most [`WIDTH`] characters.
pub fn cut(line: &str) -> String {
    if line.chars().count() <= WIDTH {
        return line.to_owned();
    }
    let mut short: String = line.chars().take(WIDTH - 1).collect();
    short.push('…');
    short
}

/// Words in lines of at most [`WIDTH`], each begun with `indent`.
pub fn wrapped(text: &str, indent: &str) -> String {
    let mut lines = String::new();
    let mut line = indent.to_owned();
    for word in text.split_whitespace() {
        let empty = line.len() == indent.len();
        if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push_str(&line);
            lines.push('\n');
            line = indent.to_owned();
        } else if !empty {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines + &line + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_in_time() {
        let rows = vec![vec!["VI_1".to_owned(), "MASTER".to_owned()], vec!["long name".to_owned(), "x".repeat(100)]];
        let text = aligned(&["ROUTER", "ROLE"], &rows);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.first().copied(), Some("ROUTER     ROLE"));
        assert_eq!(lines.get(1).copied(), Some("VI_1       MASTER"));
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH));
        assert!(text.ends_with("…\n"));
    }

    #[test]
    fn a_long_sentence_is_wrapped() {
        let text = wrapped(&"word ".repeat(40), "    ");
        assert!(
            text.lines().count() == 3 && text.lines().all(|line| line.starts_with("    word") && line.len() <= WIDTH)
        );
    }
}
