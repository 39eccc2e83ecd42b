//! `real_server`.

use super::Block;
use super::forwarding::method;
use super::pace::{self, Pace, Paced};
use super::row::Default::{Is, Nothing, Of, Told};
use super::row::Status::{Acted, Also, NotYet};
use super::row::{Row, Table, command, count, number, opens, row, switch, text};
use super::said::{self, Lower, Said};
use super::values::keep;
use super::{
    dns_check, file_check, http_get, misc_check, ping_check, smtp_check, ssl_get, tcp_check, udp_check, virtual_server,
};
use crate::config::UpDownScripts;
use crate::config::line::Word;
use crate::config::places::Places;
use crate::config::tracking::FileCheck;
use crate::config::tree::Statement;
use crate::config::{CheckerConfig, RealServer};
use crate::ipvs::Forwarding;
use crate::text::Diagnostic;
use std::net::{IpAddr, SocketAddr};

#[derive(Clone, Debug)]
pub(super) struct Draft {
    /// None: there is a mistake in it.
    pub address: Option<SocketAddr>,
    weight: u32,
    forwarding: Forwarding,
    inhibit_on_failure: bool,
    upper_threshold: u32,
    lower_threshold: u32,
    notify: UpDownScripts,
    pub pace: Pace,
    pub checkers: Vec<CheckerConfig>,
    pub files: Vec<FileCheck>,
    places: Places,
}

impl Default for Draft {
    /// Before the rows have said what holds.
    fn default() -> Self {
        Self {
            address: None,
            weight: 0,
            forwarding: Forwarding::Nat,
            inhibit_on_failure: false,
            upper_threshold: 0,
            lower_threshold: 0,
            notify: UpDownScripts::default(),
            pace: Pace::default(),
            checkers: Vec::new(),
            files: Vec::new(),
            places: Places::default(),
        }
    }
}

impl said::Draft for Draft {
    fn places(&mut self) -> Option<&mut Places> {
        Some(&mut self.places)
    }
}

impl Paced for Draft {
    fn pace(&mut self) -> &mut Pace {
        &mut self.pace
    }
}

pub(super) const TABLE: Table<Draft> = Table { block: Block::RealServer, rows: &[ROWS, PACE, LATER] };

const PACE: &[Row<Draft>] = &pace::rows(Some(Block::VirtualServer));

#[rustfmt::skip]
const ROWS: &[Row<Draft>] = &[
    row("weight", number(0, 65535), Of(Block::VirtualServer, "weight"), Acted(|said, draft| {
        keep(&mut draft.weight, said.number());
    }), "share of the connections; 0: no new ones"),
    row("lvs_method", method(), Of(Block::VirtualServer, "lb_kind"), Acted(|said, draft| {
        keep(&mut draft.forwarding, said.forwarding());
    }), "how packets reach this real server"),
    row("lb_kind", method(), Of(Block::VirtualServer, "lb_kind"), Also("lvs_method"), "how packets reach this real server"),
    row("inhibit_on_failure", switch(), Of(Block::VirtualServer, "inhibit_on_failure"), Acted(|said, draft| {
        draft.inhibit_on_failure = said.switch();
    }), "when it fails it stays in the table with weight 0"),
    row("uthreshold", count(0), Is("0"), Acted(|said, draft| {
        draft.upper_threshold = said.number().unwrap_or(0);
    }), "connections beyond which no new ones come; 0: off"),
    row("lthreshold", count(0), Is("0"), Acted(|said, draft| {
        draft.lower_threshold = said.number().unwrap_or(0);
    }), "connections below which new ones come again"),
    row("virtualhost", text("HOST"), Of(Block::VirtualServer, "virtualhost"), Acted(|said, draft| {
        draft.pace.virtualhost = said.name();
    }), "Host header of HTTP checks that name none"),
    row("notify_up", command(), Nothing, Acted(|said, draft| said.up_or_down(&mut draft.notify, |it| &mut it.up)), "command when it comes up"),
    row("notify_down", command(), Nothing, Acted(|said, draft| said.up_or_down(&mut draft.notify, |it| &mut it.down)), "command when it goes down"),
    row("smtp_alert", switch(), Told("`smtp_alert_checker` of `global_defs`, else on"), Acted(|said, draft| draft.notify.mail = said.switch()), "mail when it comes up or goes down"),
    row("TCP_CHECK", opens(Block::TcpCheck), Nothing, Acted(tcp_check::read), "a connection can be opened"),
    row("HTTP_GET", opens(Block::HttpGet), Nothing, Acted(http_get::read), "URLs answer as they should"),
    row("PING_CHECK", opens(Block::PingCheck), Nothing, Acted(ping_check::read), "the host answers ICMP echo"),
    row("SMTP_CHECK", opens(Block::SmtpCheck), Nothing, Acted(smtp_check::read), "a mail server greets and answers HELO"),
    row("SSL_GET", opens(Block::SslGet), Nothing, Acted(ssl_get::read), "URLs answer as they should, over TLS"),
    row("MISC_CHECK", opens(Block::MiscCheck), Nothing, Acted(misc_check::read), "a command succeeds"),
    row("DNS_CHECK", opens(Block::DnsCheck), Nothing, Acted(dns_check::read), "a name server answers"),
    row("FILE_CHECK", opens(Block::FileCheck), Nothing, Acted(file_check::read), "a tracked file's number adds to the weight, or takes it out"),
    row("UDP_CHECK", opens(Block::UdpCheck), Nothing, Acted(udp_check::read), "a datagram is taken, or answered"),
];

/// Not acted on yet.
#[rustfmt::skip]
const LATER: &[Row<Draft>] = &[
    row("snmp_name", text("NAME"), Nothing, NotYet(""), "name in SNMP"),
    row("BFD_CHECK", opens(Block::BfdCheck), Nothing, NotYet("it is not run, and the real server counts as up as far as it goes"), "a BFD session is up"),
];

pub(super) fn read(said: &mut Said<'_, '_, '_>, outer: &mut virtual_server::Draft) {
    let (block, mut draft) = (said.line, said.lower.fresh(&TABLE));
    draft.address = said.lower.server_address(block, outer.port());
    (draft.weight, draft.forwarding) = (outer.weight, outer.forwarding);
    (draft.inhibit_on_failure, draft.pace) = (outer.inhibit_on_failure, outer.pace.clone());
    draft.places.head(block.span());
    said.lower.fill(&TABLE, block.lines(), &mut draft);
    let (Some(address), Some(target)) = (draft.address, &outer.target) else { return };
    let lower = &mut *said.lower;
    if draft.upper_threshold > 0 && draft.lower_threshold > draft.upper_threshold {
        lower.push(
            Diagnostic::error("bad-threshold", "`lthreshold` is above `uthreshold`")
                .at(draft.places.of("lthreshold"), "once full, this server would flap")
                .also(draft.places.of("uthreshold"), "")
                .help("use a lower `lthreshold`"),
        );
    }
    lower.reachable(block, address, draft.forwarding, &target.addresses());
    let is_checker = |line: &Statement<'_>| {
        line.keyword.is_some_and(|keyword| keyword.word.ends_with("_CHECK") || keyword.word.ends_with("_GET"))
    };
    if !block.lines().iter().any(is_checker) {
        lower.report.once("no-checker", block.span(), || {
            Diagnostic::warning("no-checker", "this real server has no checker")
                .at(block.span(), "always counts as up, whatever happens to it")
                .help("add `TCP_CHECK { }`, or HTTP_GET with a `url`")
        });
    }
    // They stay as long as the director runs, and there may be tens of thousands.
    draft.checkers.shrink_to_fit();
    draft.files.shrink_to_fit();
    draft.places.shrink();
    outer.real_servers.push(RealServer {
        address,
        weight: draft.weight,
        forwarding: draft.forwarding,
        inhibit_on_failure: draft.inhibit_on_failure,
        upper_threshold: draft.upper_threshold,
        lower_threshold: draft.lower_threshold,
        notify: draft.notify.shared(),
        checkers: draft.checkers,
        files: draft.files,
        places: draft.places,
    });
}

impl Lower<'_> {
    /// `IP [PORT]`; the virtual server's port if there is none.
    pub fn server_address(&mut self, line: &Statement<'_>, usual: u16) -> Option<SocketAddr> {
        let address = line.args.first()?;
        if let Some((ip, port)) = address.text.rsplit_once(':')
            && line.args.len() == 1
            && ip.parse::<IpAddr>().is_ok()
            && address.text.parse::<IpAddr>().is_err()
        {
            self.push(
                Diagnostic::error("bad-value", format!("`{}` is no address", address.text))
                    .at(address.span, "a space stands between address and port")
                    .help(format!("write `{} {ip} {port}`", line.word.text)),
            );
            return address.text.parse().ok();
        }
        let ip = self.ip(line, address)?;
        let port = match line.args.get(1) {
            Some(port) => self.number_of(line, port, 0..=65535)?,
            None => usual,
        };
        Some(SocketAddr::new(ip, port))
    }

    /// What the forwarding method can't do. Of `services` one address of each range is there; marks have none.
    fn reachable(
        &mut self,
        block: &Statement<'_>,
        address: SocketAddr,
        forwarding: Forwarding,
        services: &[SocketAddr],
    ) {
        let port_word: Option<&Word<'_>> = block.args.get(1);
        // With DR each address of a group has its own port on the real server too.
        let fits = |service: &SocketAddr| [0, address.port()].contains(&service.port());
        if let (Forwarding::Dr, Some(service)) = (forwarding, services.first())
            && !services.iter().any(fits)
            && (services.len() == 1 || address.port() != 0)
        {
            self.push(
                Diagnostic::error(
                    "dr-port",
                    format!("DR can't change the port from {} to {}", service.port(), address.port()),
                )
                .at(port_word.map_or(block.span(), |word| word.span), "packets arrive with the virtual server's port")
                .help(format!("use port {} here, or `lb_kind NAT`", service.port())),
            );
        }
        let other = services.iter().find(|service| service.is_ipv4() != address.is_ipv4());
        if let Some(service) = other.filter(|_| forwarding.tunnel().is_none()) {
            self.push(
                Diagnostic::error("mixed-families", format!("{forwarding} can't turn IPv4 into IPv6 or back"))
                    .at(block.span(), format!("the virtual server is {}", service.ip()))
                    .help("use an address of the same family, or `lb_kind TUN`"),
            );
        }
    }
}
