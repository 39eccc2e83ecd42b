//! The routes and policy rules with our mark: what is there, and news of them. A thread of its own asks and listens, from the first question on.
//!
//! A host may have a million routes of a routing daemon, which change all the time. The kernel drops news of them before they
//! wake anybody, and is asked for ours alone: it looks through its table for that, on this thread and not on the Election's.

use super::route_message::key_of;
use super::rule_message::rule_of;
use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::route::{RouteMessage, RouteProtocol};
use netlink_packet_route::rule::RuleMessage;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{pipe2, read, write};
use socket2::SockFilter;
use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use tokio::sync::mpsc::UnboundedSender;
use vipward_core::machine::Input;
use vipward_core::route::{OURS, RouteKey, Rule};
use vipward_core::vrrp::{self, Effect, Event};

/// `RTNLGRP_IPV4_ROUTE`, `RTNLGRP_IPV4_RULE`, `RTNLGRP_IPV6_ROUTE`, `RTNLGRP_IPV6_RULE`.
const GROUPS: [u32; 4] = [7, 8, 11, 19];

/// Room for news that come while the thread does not run.
const RECEIVE_BUFFER: usize = 1 << 20;

/// The way to that thread.
pub struct Routes {
    tell: UnboundedSender<vrrp::Input>,
    /// The port number of the socket that changes routes: of what it does there is nothing to hear.
    own_port: u32,
    asks: RefCell<Option<OwnedFd>>,
}

impl Routes {
    pub fn new(tell: UnboundedSender<vrrp::Input>, own_port: u32) -> Self {
        Self { tell, own_port, asks: RefCell::new(None) }
    }

    /// Asks for all of them; the answer comes as an event.
    pub fn ask(&self) -> io::Result<()> {
        let mut asks = self.asks.borrow_mut();
        if let Some(line) = &*asks {
            match write(line, b"?") {
                // Full: it is asked already.
                Ok(_) | Err(Errno::EAGAIN) => return Ok(()),
                // The thread has ended.
                Err(_) => *asks = None,
            }
        }
        let (asked, line) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let watch = Watch::open(self.tell.clone(), self.own_port, asked)?;
        std::thread::Builder::new().name("routes".to_owned()).spawn(move || watch.run())?;
        write(&line, b"?")?;
        *asks = Some(line);
        Ok(())
    }
}

struct Watch {
    tell: UnboundedSender<vrrp::Input>,
    news: Socket,
    questions: Socket,
    asked: OwnedFd,
}

impl Watch {
    fn open(tell: UnboundedSender<vrrp::Input>, own_port: u32, asked: OwnedFd) -> io::Result<Self> {
        let mut news = Socket::new(NETLINK_ROUTE)?;
        news.set_non_blocking(true)?;
        let _ = news.set_rx_buf_sz(RECEIVE_BUFFER);
        hear_ours_alone(&news, own_port)?;
        news.bind_auto()?;
        GROUPS.iter().try_for_each(|group| news.add_membership(*group))?;
        let mut questions = Socket::new(NETLINK_ROUTE)?;
        questions.bind_auto()?;
        questions.connect(&SocketAddr::new(0, 0))?;
        // Otherwise it would not look at what is asked for, and answer with all routes that there are.
        questions.set_netlink_get_strict_chk(true)?;
        Ok(Self { tell, news, questions, asked })
    }

    fn run(self) {
        while self.wait() {
            // First what came before the answer that follows.
            let complete = self.hear();
            let asked = self.is_asked();
            let told = match asked {
                None => return,
                Some(false) if complete => true,
                Some(_) => {
                    let input = match self.read() {
                        Ok(read) => read.into(),
                        Err(error) => Input::Failed { effect: Box::new(Effect::ReadRoutes), error: error.to_string() },
                    };
                    self.tell.send(input).is_ok()
                }
            };
            if !told {
                return;
            }
        }
    }

    /// Until there is something to do. False: it is over.
    fn wait(&self) -> bool {
        let mut waits =
            [PollFd::new(self.asked.as_fd(), PollFlags::POLLIN), PollFd::new(self.news.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waits, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => true,
            Err(error) => {
                tracing::warn!("routes are not watched any more: {error}");
                false
            }
        }
    }

    /// Whether somebody has asked; none: nobody will any more.
    fn is_asked(&self) -> Option<bool> {
        match read(&self.asked, &mut [0; 64]) {
            Ok(0) => None,
            Ok(_) => Some(true),
            Err(_) => Some(false),
        }
    }

    /// What the kernel has told. False: not all of it.
    fn hear(&self) -> bool {
        loop {
            let bytes = match self.news.recv_from_full() {
                Ok((bytes, _)) => bytes,
                // ENOBUFS: it had more to tell than the buffer holds.
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            };
            let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&bytes) else { continue };
            let NetlinkPayload::InnerMessage(message) = message.payload else { continue };
            let route = |message, present| Some(Event::RouteChanged { route: key_of(message)?, present });
            let rule = |message, present| Some(Event::RuleChanged { rule: Box::new(rule_of(message)?), present });
            let event = match &message {
                RouteNetlinkMessage::NewRoute(message) => route(message, true),
                RouteNetlinkMessage::DelRoute(message) => route(message, false),
                RouteNetlinkMessage::NewRule(message) => rule(message, true),
                RouteNetlinkMessage::DelRule(message) => rule(message, false),
                // The groups joined bring nothing else.
                _ => continue,
            };
            if let Some(event) = event {
                let _ = self.tell.send(event.into());
            }
        }
    }

    fn read(&self) -> io::Result<Event> {
        let (mut routes, mut rules) = (Vec::new(), Vec::new());
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut question = RouteMessage::default();
            question.header.address_family = family;
            question.header.protocol = RouteProtocol::from(OURS);
            self.question(RouteNetlinkMessage::GetRoute(question))?;
            self.answer(&mut routes, &mut rules)?;
            // Of these a host has few.
            let mut question = RuleMessage::default();
            question.header.family = family;
            self.question(RouteNetlinkMessage::GetRule(question))?;
            self.answer(&mut routes, &mut rules)?;
        }
        Ok(Event::RoutesRead { routes, rules })
    }

    fn question(&self, question: RouteNetlinkMessage) -> io::Result<()> {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(question));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.questions.send(&bytes, 0).map(drop)
    }

    /// All parts of one answer.
    fn answer(&self, routes: &mut Vec<RouteKey>, rules: &mut Vec<Rule>) -> io::Result<()> {
        loop {
            let (bytes, _) = self.questions.recv_from_full()?;
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let part = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).map_err(io::Error::other)?;
                match part.payload {
                    NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(message)) => {
                        routes.extend(key_of(&message).filter(RouteKey::is_marked));
                    }
                    NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRule(message)) => {
                        rules.extend(rule_of(&message))
                    }
                    NetlinkPayload::Done(_) => return Ok(()),
                    NetlinkPayload::Error(error) => return Err(error.to_io()),
                    // Nothing else was asked for.
                    _ => {}
                }
                // Each begins at a multiple of four bytes.
                let length = usize::try_from(part.header.length).unwrap_or(usize::MAX).max(1).next_multiple_of(4);
                rest = rest.get(length..).unwrap_or_default();
            }
        }
    }
}

/// Drops in the kernel what is about routes without our mark, and what the socket with this port number did.
fn hear_ours_alone(news: &Socket, own_port: u32) -> io::Result<()> {
    const LOAD_BYTE: u16 = (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16;
    const LOAD_HALF: u16 = (libc::BPF_LD | libc::BPF_H | libc::BPF_ABS) as u16;
    const LOAD_WORD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    // Offsets of the kind and the sender's port in `struct nlmsghdr`, and of `rtm_protocol` behind it; a rule has its mark
    // elsewhere. Netlink speaks the machine's byte order, filters load the network's.
    let (kind, sender, protocol) = (4, 12, 16 + 5);
    socket2::SockRef::from(news).attach_filter(&[
        SockFilter::new(LOAD_WORD, 0, 0, sender),
        SockFilter::new(IF_EQUAL, 6, 0, own_port.to_be()),
        SockFilter::new(LOAD_HALF, 0, 0, kind),
        SockFilter::new(IF_EQUAL, 3, 0, u32::from(libc::RTM_NEWRULE.to_be())),
        SockFilter::new(IF_EQUAL, 2, 0, u32::from(libc::RTM_DELRULE.to_be())),
        SockFilter::new(LOAD_BYTE, 0, 0, protocol),
        SockFilter::new(IF_EQUAL, 0, 1, u32::from(OURS)),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ])
}
