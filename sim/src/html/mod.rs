//! A run, or a whole drill, as one page that needs nothing else: no network, no other file.
//!
//! What is shown is data (`data.rs`) in a JSON block; a small script (`page.js`) draws it. The script makes every piece
//! of text a text node, and the block can't be left early, so nothing that a file or a network says becomes markup.

mod data;
mod lanes;
mod places;

use crate::drill::Drill;
use crate::report::Report;
use data::Page;
use vipward_core::text::Sources;

/// Runs, with the files that they are about: one, or several of which each can be chosen.
pub fn runs_page(reports: &[(&Report, &Sources)]) -> String {
    render(&Page::of_runs(reports))
}

/// What an explorer's sweep found: each failure, shrunk. `swept` says what was looked at, `covered` what happened meanwhile.
pub fn sweep_page(swept: &str, covered: &[String], failures: &[(Report, Sources)]) -> String {
    render(&Page::of_sweep(swept, covered, failures))
}

/// A replay, with the recorded configurations.
pub fn replay_page(report: &Report, sources: &Sources) -> String {
    render(&Page::of_replay(report, sources))
}

/// A drill: its table, its findings, and every case to look into.
pub fn drill_page(drill: &Drill) -> String {
    render(&Page::of_drill(drill))
}

/// Nothing may be fetched, from nowhere.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";

fn render(page: &Page) -> String {
    let data = serde_json::to_string(page).unwrap_or_else(|_| "null".to_owned());
    let mut text = String::new();
    for piece in [
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
        "<meta http-equiv=\"Content-Security-Policy\" content=\"",
        POLICY,
        "\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>",
        &markup(page.title()),
        "</title>\n<style>\n",
        include_str!("page.css"),
        "</style>\n</head>\n<body>\n<noscript>This page is drawn by a script of its own; please allow it.</noscript>\n",
        "<script type=\"application/json\" id=\"data\">",
        &script(&data),
        "</script>\n<script>\n",
        include_str!("page.js"),
        "</script>\n</body>\n</html>\n",
    ] {
        text.push_str(piece);
    }
    text
}

/// Text as markup that shows it.
fn markup(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// JSON that can stand in a script element: no `<` can end it or begin a comment, and JSON knows another way to write
/// it. U+2028 and U+2029 are left for JSON's sake; the block is never run.
fn script(json: &str) -> String {
    json.replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_block_can_not_be_left_early() {
        let hostile = serde_json::to_string("</script><script>alert(1)</script><!--").unwrap();
        let safe = script(&hostile);
        assert!(!safe.contains('<'));
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), "</script><script>alert(1)</script><!--");
        assert_eq!(markup("a<b>&\"c\""), "a&lt;b&gt;&amp;&quot;c&quot;");
    }
}
