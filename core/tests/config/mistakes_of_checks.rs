//! The same of checkers: [`crate::mistakes`] looks at them.

use crate::helpers::service;

/// Text, and all that must be said about it.
pub fn of_checks() -> Vec<(&'static str, String, &'static str)> {
    vec![
        ("a check from another family", service("", "TCP_CHECK {\n bindto 2001:db8::11\n}"), "E mixed-families 8:2"),
        ("a name of two words", service("", "SMTP_CHECK {\n helo_name \"two words\"\n}"), "E bad-value 8:12"),
        ("no domain name", service("", "DNS_CHECK {\n name a..b\n}"), "E bad-value 8:7"),
        ("no type of record", service("", "DNS_CHECK {\n type SOAP\n}"), "E bad-value 8:7"),
        ("a file that nobody has", service("", "FILE_CHECK {\n track_file F\n}"), "E unknown-file 8:2"),
        ("no file", service("", "FILE_CHECK {\n weight 0\n}"), "E missing-word 7:1"),
        ("no digits", service("", "UDP_CHECK {\n payload 12 0x34\n}"), "E bad-value 8:13"),
        ("lengths of nothing", service("", "UDP_CHECK {\n max_reply_length 4\n}"), "W no-reply 8:2"),
        (
            "an answer that can't be",
            service("", "UDP_CHECK {\n require_reply\n min_reply_length 300\n max_reply_length 255\n}"),
            "E bad-length 9:2",
        ),
        ("a host's silence", service("", "UDP_CHECK {\n connect_timeout 3\n}"), "W short-timeout 8:2"),
        ("look-around", url("regex \"(?=ok)\""), "E bad-regex 9:8"),
        ("no such option", url("regex ok\n regex_options caseles"), "E bad-value 10:16"),
        ("options of nothing", url("regex_options caseless"), "W no-regex 9:2"),
        ("nothing to run", service("", "MISC_CHECK {\n misc_timeout 3\n}"), "E missing-word 7:1"),
        (
            "what a shell reads",
            service("", "MISC_CHECK {\n misc_path \"/bin/a | b\"\n}"),
            "W root-scripts 8:2 W shell-syntax 8:12",
        ),
        ("a host of a mail server", service("", "SMTP_CHECK {\n host {\n }\n host {\n }\n}"), "I old-word 8:2"),
    ]
}

/// A file with these lines in a `url`.
fn url(lines: &str) -> String {
    service("", &format!("HTTP_GET {{\n url {{\n {lines}\n }}\n}}"))
}
