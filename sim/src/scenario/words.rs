//! The words of a scenario file, once: the reader, its messages and `vipward-sim words` come from these tables.

/// One word with what may stand beside it.
pub struct Word {
    pub word: &'static str,
    /// Words that may stand beside it in the same line.
    pub with: &'static [&'static str],
    pub help: &'static str,
}

const fn word(word: &'static str, with: &'static [&'static str], help: &'static str) -> Word {
    Word { word, with, help }
}

/// Words at the top of a file.
pub const TOP: &[&str] = &[
    "title",
    "about",
    "seed",
    "duration",
    "network",
    "segment",
    "routed",
    "mistakes",
    "director",
    "real_server",
    "quorum",
    "client",
    "steps",
    "expect",
];
/// Words at the top of a `network` file.
pub const NETWORK: &[&str] = &["segment", "routed", "director", "real_server", "quorum", "client"];
pub const SEGMENT: &[&str] = &["delay", "lose"];
pub const DIRECTOR: &[&str] =
    &["config", "settings", "interfaces", "listens", "tracks", "starts", "dataplane", "drift", "mistakes"];
pub const REAL_SERVER: &[&str] = &["address", "listens", "loopback", "gateway", "tunnel"];
pub const QUORUM: &[&str] = &["address", "tick", "drift"];
pub const CLIENT: &[&str] = &["address", "asks", "every", "timeout", "from"];

/// What a step can do. Each has `at` beside it.
pub const STEPS: &[Word] = &[
    word(
        "kill",
        &[],
        "SIGKILL for the director's daemon, all of it; the kernel keeps the IPVS table, and addresses until their lifetime is over",
    ),
    word(
        "kill_worker",
        &[],
        "SIGKILL for the process that does the work; its supervisor speaks for it and starts another",
    ),
    word("hang_worker", &[], "the process that does the work stands still; its supervisor notices"),
    word("power_off", &[], "the machine goes dark and forgets its kernel tables"),
    word("stop", &[], "SIGTERM"),
    word("start", &[], "power on, if it is off; on a director, start the daemon"),
    word("upgrade", &[], "a new process takes over from the director's daemon"),
    word(
        "freeze",
        &[],
        "nothing of the director runs (SIGSTOP, a paused virtual machine); its kernel goes on. The quorum service: it answers nobody, and its clock goes on",
    ),
    word("resume", &[], "after freeze"),
    word("reload", &["with", "settings", "mistakes"], "SIGHUP, `with` another configuration file"),
    word("unplug", &["interface"], "the cable is out: no carrier, of one `interface` or of all"),
    word("plug", &["interface"], "the cable is in again"),
    word(
        "isolate",
        &["direction"],
        "nothing from (`direction = \"out\"`), nothing to (\"in\") or neither way (\"both\")",
    ),
    word("cut", &["to"], "nothing between two nodes (`[\"lb1\", \"lb2\"]`), or from one `to` another"),
    word(
        "lose",
        &["on", "between", "from", "to"],
        "a share of packets on a segment, between two nodes, or from one to another",
    ),
    word("delay", &["on", "between", "from", "to"], "packets come later, on the ways that `lose` has"),
    word(
        "jitter",
        &["on", "between", "from", "to"],
        "packets come later by a time drawn up to this, and overtake each other, on the ways that `lose` has",
    ),
    word("duplicate", &["on", "between", "from", "to"], "a share of adverts comes twice, on the ways that `lose` has"),
    word(
        "heal",
        &[],
        "what isolate, cut, lose, delay, jitter and duplicate began ends: \"all\", of one node, or between two",
    ),
    word(
        "down",
        &[],
        "the ports of a real server are closed, or one that a director `listens` on, \"lb1:80\": connection refused",
    ),
    word("up", &[], "the real server or \"lb1:80\" answers again, at once and with 200"),
    word("slow", &["by"], "the real server or \"lb1:80\" answers later"),
    word("status", &["code"], "the real server or \"lb1:80\" answers with this HTTP status"),
    word("hang", &[], "the real server or \"lb1:80\" accepts connections and never answers, until `up`"),
    word("flap", &["every", "times"], "the real server or \"lb1:80\" goes down and up in turn"),
    word(
        "script",
        &["on", "exits"],
        "from now on the tracked script of this name exits so on that director; one that checks a service, until the next step about that service",
    ),
    word("leader_change", &["lasts"], "the quorum service has no leader for so long, then counts every session anew"),
    word(
        "server_dies",
        &[],
        "the server that the director talks to dies with what it had not passed on; there are others",
    ),
    word("end_session", &[], "somebody ends the director's session at the quorum service"),
    word("starve_worker", &["lasts"], "the worker alone gets no processor for so long; its supervisor does"),
    word(
        "forge",
        &["source", "vrid", "priority", "version", "interval", "addresses", "password", "ttl", "to", "times", "every"],
        "a host on this segment that is no director sends `times` adverts from this source, to all or by unicast `to` one",
    ),
    word("delete_address", &["on"], "somebody takes an address off the director by hand"),
];

/// What can be expected. Each may have `at`, or `from` and `until`, beside it; without them the whole run is meant.
pub const EXPECT: &[Word] = &[
    word("owner", &["address"], "exactly these directors hold the virtual address: a name, a list, or \"none\""),
    word("role", &["of", "router"], "the director's virtual router has this role"),
    word("role_changes", &["of", "router"], "so many role changes: 2, \"at most 2\", \"at least 2\""),
    word("destinations", &["of", "on"], "exactly these are in the director's kernel table for a service"),
    word("longest_outage", &["of"], "no outage of the client is longer"),
    word("failed_share", &["of"], "at most this share of the client's requests fails"),
    word("served_by", &["of"], "exactly these nodes answer the client's requests"),
    word("decision", &["by", "times"], "this text occurs in a decision"),
    word(
        "violation",
        &["naming"],
        "this invariant is broken, and its message names these; any other break is a failure",
    ),
    word(
        "diagnostic",
        &["of"],
        "the configuration reader reports this code: for the file `of` a director, or between the directors' files",
    ),
];

/// All words with what they mean, as `vipward-sim words` prints them.
pub fn words_help() -> String {
    let mut text = String::new();
    let lists = [("file", TOP), ("[segment.NAME]", SEGMENT), ("[director.NAME]", DIRECTOR)];
    for (place, known) in lists.into_iter().chain([
        ("[real_server.NAME]", REAL_SERVER),
        ("[quorum.NAME]", QUORUM),
        ("[client.NAME]", CLIENT),
    ]) {
        text.push_str(&format!("{place}: {}\n", known.join(", ")));
    }
    text.push_str(
        "\n`tracks = { chk_haproxy = 80 }`: the vrrp_script checks what the director `listens` on at this port, and exits \
         with 1 while that is not well; `false`: none of it. Without the word it is guessed from the script's command.\n",
    );
    for (place, words) in [("steps, each with `at`", STEPS), ("expect, with `at`, or `from` and `until`", EXPECT)] {
        text.push_str(&format!("\n{place}:\n"));
        for word in words {
            let beside = if word.with.is_empty() { String::new() } else { format!(" ({})", word.with.join(", ")) };
            text.push_str(&format!("  {:<40} {}\n", format!("{}{beside}", word.word), word.help));
        }
    }
    text
}

/// The word that was probably meant.
pub fn nearest<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|word| (strsim::damerau_levenshtein(written, word), word))
        .filter(|(distance, word)| *distance <= 1 + word.len() / 4)
        .min()
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_word_and_a_strange_word_finds_none() {
        let steps = || STEPS.iter().map(|word| word.word);
        assert_eq!(nearest("frezee", steps()), Some("freeze"));
        assert_eq!(nearest("poweroff", steps()), Some("power_off"));
        assert_eq!(nearest("reboot", steps()), None);
    }
}
