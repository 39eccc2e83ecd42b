//! Changes of addresses, one or many in one message to the kernel, which carries all of it out before the call returns.
//!
//! Asking and waiting for each would take thousands of turns of the loop that sends adverts. The socket is one of its own,
//! known by its port number: the kernel tells everybody of an address that was added or renewed, and [`deaf_to`] lets our
//! own monitor sleep through it.

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use socket2::SockFilter;
use std::io;

/// Room for an answer to each message of a batch, should all of them fail.
const RECEIVE_BUFFER: usize = 1 << 20;

/// The socket.
pub struct Requests {
    socket: Socket,
    port: u32,
}

/// What became of one message of a batch, by its place.
pub type Refused = (usize, io::Error);

impl Requests {
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        let port = socket.bind_auto()?.port_number();
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_non_blocking(true)?;
        socket.set_rx_buf_sz(RECEIVE_BUFFER)?;
        Ok(Self { socket, port })
    }

    /// What the kernel puts into its news of what this socket did.
    pub fn port(&self) -> u32 {
        self.port
    }

    /// Has all of these carried out in order, each with its flags (`NLM_F_*`). Only what failed is answered.
    pub fn ask(&self, requests: impl Iterator<Item = (u16, RouteNetlinkMessage)>) -> io::Result<Vec<Refused>> {
        let mut batch = Vec::new();
        for (place, (flags, request)) in requests.enumerate() {
            let mut header = NetlinkHeader::default();
            header.flags = NLM_F_REQUEST | flags;
            header.sequence_number = u32::try_from(place).unwrap_or(u32::MAX);
            let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(request));
            message.finalize();
            let from = batch.len();
            batch.resize(from + message.buffer_len(), 0);
            if let Some(room) = batch.get_mut(from..) {
                message.serialize(room);
            }
        }
        if !batch.is_empty() {
            self.socket.send(&batch, 0)?;
        }
        self.answers()
    }

    /// The errors. All of them are there: the kernel wrote them before `send` returned.
    fn answers(&self) -> io::Result<Vec<Refused>> {
        let mut refused = Vec::new();
        loop {
            let bytes = match self.socket.recv_from_full() {
                Ok((bytes, _)) => bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(refused),
                Err(error) => return Err(error),
            };
            let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&bytes).map_err(io::Error::other)?;
            if let NetlinkPayload::Error(error) = answer.payload {
                let place = usize::try_from(answer.header.sequence_number).unwrap_or(usize::MAX);
                refused.push((place, error.to_io()));
            }
        }
    }
}

/// Lets `monitor` hear nothing of the addresses that the socket with this port number adds or renews: thousands of
/// messages a second that say nothing new are dropped in the kernel and wake nobody.
pub fn deaf_to(monitor: &Socket, port: u32) -> io::Result<()> {
    const LOAD_HALF: u16 = (libc::BPF_LD | libc::BPF_H | libc::BPF_ABS) as u16;
    const LOAD_WORD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    // Offsets into `struct nlmsghdr`. Netlink speaks the machine's byte order, filters load the network's.
    let (kind, sender) = (4, 12);
    socket2::SockRef::from(monitor).attach_filter(&[
        SockFilter::new(LOAD_HALF, 0, 0, kind),
        SockFilter::new(IF_EQUAL, 0, 3, u32::from(libc::RTM_NEWADDR.to_be())),
        SockFilter::new(LOAD_WORD, 0, 0, sender),
        SockFilter::new(IF_EQUAL, 0, 1, port.to_be()),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ])
}
