//! Nothing that stands in a scenario file makes the reader panic, and what is wrong has a place.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use proptest::prelude::*;
use vipward_core::text::render;
use vipward_sim::scenario;

const REAL: &str = include_str!("../../scenarios/split-brain.toml");

/// A real scenario, to be read from anywhere.
fn real() -> String {
    REAL.replace("networks/", concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/networks/"))
}

fn read(text: &[u8]) -> Result<(), TestCaseError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.toml");
    std::fs::write(&path, text).unwrap();
    let loaded = scenario::load(&path);
    let errors = loaded.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
    prop_assert!(loaded.scenario.is_some() || errors > 0, "no scenario, and nobody says why");
    let _ = render(&loaded.sources, &loaded.diagnostics, false);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn random_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        read(&bytes)?;
    }

    /// A real scenario with something cut out and something else put in its place.
    #[test]
    fn a_mangled_scenario(
        from in 0..REAL.len(),
        length in 0usize..80,
        instead in r#"[ -~äß\n\t"'=\[\]{}.,#0-9a-z]{0,24}"#,
    ) {
        let mut bytes = real().into_bytes();
        let from = from.min(bytes.len());
        let until = (from + length).min(bytes.len());
        bytes.splice(from..until, instead.into_bytes());
        read(&bytes)?;
    }

    /// Numbers and times at the edges of what fits.
    #[test]
    fn odd_times(number in r"-?[0-9]{0,22}(\.[0-9]{0,12})?(s|ms|us|min|h|%)?") {
        let text = real().replace("20s", &number);
        read(text.as_bytes())?;
    }
}
