//! The word that was probably meant.

/// One of `names` within two edits of `word`.
pub fn nearest_name<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > 64 {
        return None;
    }
    let plain = normal(word);
    names
        .into_iter()
        .map(|name| (strsim::osa_distance(&normal(name), &plain), name))
        .filter(|(distance, name)| *distance <= 2 && *distance * 2 <= name.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Case and separators make no difference here.
pub(crate) fn normal(word: &str) -> String {
    word.chars().map(|c| if matches!(c, '-' | '.' | ' ') { '_' } else { c.to_ascii_lowercase() }).collect()
}
