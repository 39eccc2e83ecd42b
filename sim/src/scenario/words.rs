//! The words of a scenario file, once: the reader, its messages and `vipward-sim words` come from these tables.

mod steps;

pub use steps::{EXPECT, STEPS};

/// A word of a table, or one that stands beside the verb of a line.
pub struct Key {
    pub word: &'static str,
    /// What its value is, as `words` says it.
    pub takes: &'static str,
    pub help: &'static str,
    /// A line that the reader takes, as it may stand in a file.
    pub example: &'static str,
}

const fn key(word: &'static str, takes: &'static str, help: &'static str, example: &'static str) -> Key {
    Key { word, takes, help, example }
}

/// The verb of a line, with what may stand beside it.
pub struct Word {
    pub word: &'static str,
    /// What its value is.
    pub takes: &'static str,
    /// Words that may stand beside it in the same line.
    pub with: &'static [&'static str],
    pub help: &'static str,
    /// A line that the reader takes.
    pub example: &'static str,
}

const fn word(
    word: &'static str,
    takes: &'static str,
    with: &'static [&'static str],
    help: &'static str,
    example: &'static str,
) -> Word {
    Word { word, takes, with, help, example }
}

/// What values are written as.
pub const TYPES: &[(&str, &str)] = &[
    ("TEXT", "in quotes"),
    ("DURATION", "a number and ms, s or m, in quotes: \"250ms\", \"1.5s\", \"2m\""),
    ("SHARE", "per cent in quotes, to a tenth: \"20%\""),
    ("NUMBER", "a whole number"),
    ("COUNT", "a number, \"at most 2\" or \"at least 2\""),
    ("ADDRESS", "\"192.0.2.100\""),
    ("PLACE", "\"192.0.2.11/24 on front\"; without `on` where there is one segment"),
    ("NODE", "the name of a director, real server, client or quorum service"),
    ("DIRECTOR, SERVER, CLIENT", "the name of such a node"),
    ("SERVICE", "a real server, or a port that a director `listens` on: \"web1\", \"lb1:80\""),
    ("SEGMENT", "the name of a segment; without any [segment.NAME] there is one, \"lan\""),
    ("FILE", "a path, from the scenario's folder"),
    ("CODE", "the code of a message of `vipward check`"),
];

/// Words at the top of a file.
pub const TOP: &[Key] = &[
    key("title", "TEXT", "one line about it", r#"title = "The master dies""#),
    key("about", "TEXT", "what it shows, and why", r#"about = "Nobody says goodbye.""#),
    key("seed", "NUMBER", "everything random is drawn from it; default 1", "seed = 7"),
    key("duration", "DURATION", "how long the run lasts", r#"duration = "30s""#),
    key("network", "FILE", "segments and nodes from another file", r#"network = "networks/lvs-dr.toml""#),
    key("segment", "tables", "Ethernet segments: [segment.NAME]", "[segment.front]"),
    key("routed", "list of SEGMENT", "a router joins these; it never fails", r#"routed = ["front", "back"]"#),
    key("mistakes", "list of CODE", "what is wrong between the files, and meant", r#"mistakes = ["vrid-differs"]"#),
    key("director", "tables", "directors: [director.NAME]", "[director.lb1]"),
    key("real_server", "tables", "real servers: [real_server.NAME]", "[real_server.web1]"),
    key("quorum", "tables", "a ZooKeeper ensemble, one at most: [quorum.NAME]", "[quorum.zk]"),
    key("client", "tables", "who asks all the time: [client.NAME]", "[client.visitor]"),
    key("steps", "list of lines", "what happens, each line `at` a time", r#"steps = [{ at = "8s", kill = "lb1" }]"#),
    key("expect", "list of lines", "what must hold", r#"expect = [{ at = "20s", owner = "lb2" }]"#),
];

/// Words of `TOP` that a `network` file may have.
pub const NETWORK: &[&str] = &["segment", "routed", "director", "real_server", "quorum", "client"];

pub const SEGMENT: &[Key] = &[
    key("delay", "DURATION", "how long a packet travels; default 0", r#"delay = "1ms""#),
    key("lose", "SHARE", "packets that are lost; default 0%", r#"lose = "1%""#),
];

pub const DIRECTOR: &[Key] = &[
    key("config", "FILE", "the keepalived.conf that it runs", r#"config = "two-directors/lb1.conf""#),
    key(
        "settings",
        "FILE",
        "its vipward.toml; default: the one beside `config`",
        r#"settings = "lifetime-off/vipward.toml""#,
    ),
    key("interfaces", "PLACE by interface", "its interfaces, each where", r#"interfaces.eth0 = "192.0.2.11/24""#),
    key(
        "listens",
        "NUMBER or list",
        "ports on which services of its own answer, on every address that it holds",
        "listens = [80, 443]",
    ),
    key(
        "loopback",
        "ADDRESS or list",
        "addresses that it takes whether it holds them or not, as a real server of another director has to",
        r#"loopback = "192.0.2.100""#,
    ),
    key(
        "tracks",
        "NUMBER or false, by vrrp_script",
        "the script checks what listens on this port and exits with 1 while that is not well; false: none of it. Without the \
         word it is guessed from the script's command",
        "tracks = { nginx = 8080 }",
    ),
    key("starts", "true or false", "its daemon runs from the beginning; default true", "starts = false"),
    key("dataplane", r#""ipvs" or "relay""#, "who carries connections; default \"ipvs\"", r#"dataplane = "relay""#),
    key("drift", "TEXT", "how much faster its clock is, up to a thousandth; default 0", r#"drift = "-200ppm""#),
    key("mistakes", "list of CODE", "what is wrong in `config`, and meant", r#"mistakes = ["unknown-word"]"#),
];

pub const REAL_SERVER: &[Key] = &[
    key("address", "PLACE", "where it is", r#"address = "192.0.2.21/24""#),
    key("listens", "NUMBER or list", "ports that answer; default 80", "listens = 8080"),
    key(
        "loopback",
        "ADDRESS or list",
        "addresses that it takes and does not answer ARP for: DR and TUN need the VIP here",
        r#"loopback = "192.0.2.100""#,
    ),
    key("gateway", "ADDRESS", "where its answers go: NAT needs the director here", r#"gateway = "192.0.2.100""#),
    key("tunnel", "true or false", "it unpacks what its tunnel packs, as TUN needs it; default false", "tunnel = true"),
];

pub const QUORUM: &[Key] = &[
    key("address", "PLACE", "where it is", r#"address = "192.0.2.31/24""#),
    key("tick", "DURATION", "ZooKeeper's tickTime; default 2s", r#"tick = "1s""#),
    key("drift", "TEXT", "how much faster its clock is, up to a thousandth; default 0", r#"drift = "100ppm""#),
];

pub const CLIENT: &[Key] = &[
    key("address", "PLACE", "where it is", r#"address = "192.0.2.200/24""#),
    key("asks", "ADDRESS:PORT", "whom it asks", r#"asks = "192.0.2.100:80""#),
    key("every", "DURATION", "how often a request starts; default 100ms", r#"every = "250ms""#),
    key("timeout", "DURATION", "when it gives one up; default 1s", r#"timeout = "3s""#),
    key("from", "DURATION", "when it begins; default 0s", r#"from = "5s""#),
    key(
        "keeps",
        "NUMBER",
        "so many connections it keeps open besides, and asks over each as often: what breaks one is told; default 0",
        "keeps = 2",
    ),
];

/// What stands beside a verb.
pub const BESIDE: &[(&str, &str)] = &[
    ("with", "FILE"),
    ("settings", "FILE"),
    ("mistakes", "list of CODE"),
    ("interface", "the name of one"),
    ("direction", r#""in", "out" or "both""#),
    ("to", "NODE"),
    ("from", "NODE"),
    ("on", "DIRECTOR; with lose, delay, jitter, duplicate: SEGMENT"),
    ("between", "[NODE, NODE]"),
    ("by", "DURATION; with decision, mail: DIRECTOR"),
    ("code", "NUMBER, 100 to 999"),
    ("every", "DURATION"),
    ("times", "NUMBER; with decision, mail: COUNT"),
    ("exits", "NUMBER"),
    ("holds", "NUMBER"),
    ("runs", "NUMBER"),
    ("lasts", "DURATION"),
    ("source", "ADDRESS"),
    ("vrid", "NUMBER, 1 to 255"),
    ("priority", "NUMBER, default 254"),
    ("version", "2 or 3, default 3"),
    ("interval", "DURATION, default 1s"),
    ("addresses", "ADDRESS or list"),
    ("password", "TEXT"),
    ("ttl", "NUMBER, default 255"),
    ("address", "ADDRESS; needed where there are several"),
    ("of", "CLIENT; with role, role_changes, diagnostic: DIRECTOR; with destinations: ADDRESS:PORT"),
    ("router", "the name of a vrrp_instance; needed where there are several"),
    ("naming", "TEXT or list"),
];

/// The words themselves.
pub fn names(keys: &'static [Key]) -> Vec<&'static str> {
    keys.iter().map(|key| key.word).collect()
}

/// Text in lines of at most `width`, every one with `indent` spaces before it.
fn wrapped(text: &str, indent: usize, width: usize) -> String {
    let options = textwrap::Options::new(width);
    let space = " ".repeat(indent);
    let options = options.initial_indent(&space).subsequent_indent(&space);
    textwrap::fill(text, options) + "\n"
}

/// All words with what they mean, as `vipward-sim words` prints them: in 80 columns.
pub fn words_help() -> String {
    const WIDTH: usize = 80;
    let mut text = String::from("Values\n\n");
    for (name, what) in TYPES {
        text.push_str(&wrapped(&format!("{name}: {what}"), 2, WIDTH));
    }
    let places = [
        ("At the top of a file", TOP),
        ("[segment.NAME]", SEGMENT),
        ("[director.NAME]", DIRECTOR),
        ("[real_server.NAME]", REAL_SERVER),
        ("[quorum.NAME]", QUORUM),
        ("[client.NAME]", CLIENT),
    ];
    for (place, keys) in places {
        text.push_str(&format!("\n{place}\n"));
        for key in keys {
            text.push_str(&format!("\n  {} = {}\n", key.word, key.takes));
            text.push_str(&wrapped(key.help, 6, WIDTH));
            text.push_str(&format!("      {}\n", key.example));
        }
    }
    for (place, words) in
        [("steps = [ … ], each with `at`", STEPS), ("expect = [ … ], with `at`, or `from` and `until`", EXPECT)]
    {
        text.push_str(&format!("\n{place}\n"));
        for word in words {
            text.push_str(&format!("\n  {} = {}\n", word.word, word.takes));
            text.push_str(&wrapped(word.help, 6, WIDTH));
            if !word.with.is_empty() {
                text.push_str(&wrapped(&format!("beside it: {}", word.with.join(", ")), 6, WIDTH));
            }
            text.push_str(&format!("      {}\n", word.example));
        }
    }
    text.push_str("\nBeside a verb\n\n");
    for (word, takes) in BESIDE {
        text.push_str(&wrapped(&format!("{word} = {takes}"), 2, WIDTH));
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
mod tests;
