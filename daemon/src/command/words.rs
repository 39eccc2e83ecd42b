//! `vipward config words`: every word of the configuration, or all that is known of one.

use crate::options::cli::{WordFormat, Words};
use crate::system::exit::Exit;
use std::io::Write;
use vipward_core::config::words;

pub fn words(options: &Words) -> Exit {
    let found = match options.word.as_deref().map(words::places) {
        Some(Err(meant)) => {
            let word = options.word.as_deref().unwrap_or_default();
            let meant = meant.map_or_else(String::new, |meant| format!(": did you mean `{meant}`?"));
            eprintln!("vipward config words: nobody knows the word `{word}`{meant}");
            return Exit::Usage;
        }
        Some(Ok(found)) => Some(found),
        None => None,
    };
    let text = match (options.format, found) {
        (WordFormat::Text, Some(found)) => words::explain(&found),
        (WordFormat::Text, None) => words::list(),
        (WordFormat::Json, Some(found)) => format!("{:#}\n", words::json(found)),
        (WordFormat::Json, None) => format!("{:#}\n", words::json(words::all())),
        (WordFormat::Markdown, _) => words::markdown(),
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        // `vipward config words | head`.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            eprintln!("vipward config words: can't print: {error}");
            Exit::Failed
        }
        Ok(()) | Err(_) => Exit::Fine,
    }
}
