//! `lb_kind`, `lvs_method`, `sorry_server_lvs_method`: how packets reach a server, and what a tunnel is.

use super::row::{Takes, choice};
use super::said::Said;
use crate::config::line::Word;
use crate::ipvs::{Forwarding, TunnelChecksum};
use crate::text::{Diagnostic, Span};

const METHODS: [(&str, Forwarding); 3] = [("NAT", Forwarding::Nat), ("DR", Forwarding::Dr), ("TUN", Forwarding::Tun)];

pub(super) const fn method() -> Takes {
    choice(&["NAT", "DR", "TUN"]).more(6, "[type {ipip | gue port N | gre}] [nocsum | csum | remcsum]")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Ipip,
    Gue,
    Gre,
}

const TYPES: [(&str, Type); 3] = [("ipip", Type::Ipip), ("gue", Type::Gue), ("gre", Type::Gre)];

const CHECKSUMS: [(&str, TunnelChecksum); 3] =
    [("nocsum", TunnelChecksum::Absent), ("csum", TunnelChecksum::Present), ("remcsum", TunnelChecksum::Remote)];

/// What stands behind `TUN`, in any order.
struct Tunnel {
    kind: Option<Type>,
    port: Option<(u16, Span)>,
    checksum: Option<(TunnelChecksum, Span)>,
}

impl Said<'_, '_, '_> {
    pub fn forwarding(&mut self) -> Option<Forwarding> {
        let method = self.choice(&METHODS)?;
        let extra = self.line.args.get(1..).unwrap_or_default();
        match (method, extra) {
            (Forwarding::Tun, [_, ..]) => {
                let tunnel = self.tunnel(extra)?;
                self.forwarding_of(&tunnel)
            }
            (_, [first, ..]) => {
                self.lower.push(
                    Diagnostic::warning("no-tunnel", format!("{method} is no tunnel"))
                        .at(first.span, "ignored, as in keepalived")
                        .help(format!("delete it, or write `{} TUN`", self.line.word.text)),
                );
                Some(method)
            }
            (_, []) => Some(method),
        }
    }

    fn tunnel(&mut self, words: &[Word<'_>]) -> Option<Tunnel> {
        let (line, mut tunnel) = (self.line, Tunnel { kind: None, port: None, checksum: None });
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            let twice = match &*word.text {
                "type" | "port" => {
                    let Some(value) = rest.next() else {
                        self.lower.push(
                            Diagnostic::error("missing-value", format!("`{}` needs a value", word.text))
                                .at(word.span.after(), "the line ends here")
                                .help(format!("write `{} TUN type gue port 6080`", line.word.text)),
                        );
                        return None;
                    };
                    match &*word.text {
                        "type" => tunnel.kind.replace(self.lower.choice_of(line, value, &TYPES)?).is_some(),
                        _ => tunnel.port.replace((self.lower.port(line, value)?, word.span)).is_some(),
                    }
                }
                text => match CHECKSUMS.iter().find(|(name, _)| *name == text) {
                    Some((_, checksum)) => tunnel.checksum.replace((*checksum, word.span)).is_some(),
                    None => {
                        self.lower.bad(line, word, "type, port, nocsum, csum or remcsum");
                        return None;
                    }
                },
            };
            if twice {
                self.lower.push(
                    Diagnostic::error("bad-tunnel", "a tunnel has one type, one port and one word about checksums")
                        .at(word.span, "the second one")
                        .help("delete one of them"),
                );
                return None;
            }
        }
        Some(tunnel)
    }

    /// What the kernel has of it. keepalived leaves the whole line out where something does not fit.
    fn forwarding_of(&mut self, tunnel: &Tunnel) -> Option<Forwarding> {
        let (word, line) = (&self.line.word.text, self.line.span());
        let wrong = |message: &str, at: Span, help: String| {
            let leads_to = "keepalived leaves out the whole line, and packets would go another way";
            Some(Diagnostic::error("bad-tunnel", message).at(at, leads_to).help(help))
        };
        let kind = tunnel.kind.unwrap_or(Type::Ipip);
        let checksum = tunnel.checksum.unwrap_or((TunnelChecksum::Absent, line));
        let mistake = match (kind, tunnel.port, checksum) {
            (Type::Gue, None, _) => {
                wrong("a GUE tunnel needs a port", line, format!("write `{word} TUN type gue port 6080`"))
            }
            (Type::Ipip | Type::Gre, Some((port, at)), _) => {
                let help = format!("delete the port, or write `{word} TUN type gue port {port}`");
                wrong("only a GUE tunnel has a port", at, help)
            }
            (Type::Ipip, None, (TunnelChecksum::Present | TunnelChecksum::Remote, at)) => {
                let help = format!("delete it, or write `{word} TUN type gre csum`");
                wrong("an IPIP tunnel has no checksum", at, help)
            }
            (Type::Gre, None, (TunnelChecksum::Remote, at)) => {
                wrong("a GRE tunnel has no remote checksum", at, format!("write `{word} TUN type gre csum`"))
            }
            (Type::Gue, Some(_), _) | (Type::Ipip, None, _) | (Type::Gre, None, _) => None,
        };
        if let Some(mistake) = mistake {
            self.lower.push(mistake);
            return None;
        }
        Some(match (kind, tunnel.port, checksum.0) {
            (Type::Gue, Some((port, _)), checksum) => Forwarding::Gue { port, checksum },
            (Type::Gre, ..) => Forwarding::Gre { checksum: checksum.0 == TunnelChecksum::Present },
            (Type::Ipip, ..) | (Type::Gue, None, _) => Forwarding::Tun,
        })
    }
}
