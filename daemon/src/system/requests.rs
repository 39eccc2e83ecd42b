//! Requests to the kernel over netlink, many in one call, which carries all of it out before it returns.
//!
//! Asking and waiting for each would take thousands of turns of a machine's loop.

use netlink_packet_core::{
    NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable,
};
use netlink_sys::{Socket, SocketAddr};
use std::io;
use std::marker::PhantomData;

/// Room for an answer to each message of a batch, should all of them fail.
const RECEIVE_BUFFER: usize = 1 << 20;

/// A socket for requests of one kind.
pub struct Requests<M> {
    socket: Socket,
    port: u32,
    kind: PhantomData<M>,
}

/// What became of one message of a batch, by its place.
pub type Refused = (usize, io::Error);

impl<M: NetlinkSerializable + NetlinkDeserializable + Into<NetlinkPayload<M>>> Requests<M> {
    /// `protocol`: `NETLINK_*`.
    pub fn open(protocol: isize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        let port = socket.bind_auto()?.port_number();
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_non_blocking(true)?;
        socket.set_rx_buf_sz(RECEIVE_BUFFER)?;
        Ok(Self { socket, port, kind: PhantomData })
    }

    /// What the kernel puts into its news of what this socket did.
    pub fn port(&self) -> u32 {
        self.port
    }

    /// Has all of these carried out in order, each with its flags (`NLM_F_*`). Only what failed is answered.
    pub fn ask(&self, requests: impl Iterator<Item = (u16, M)>) -> io::Result<Vec<Refused>> {
        let mut batch = Vec::new();
        for (place, (flags, request)) in requests.enumerate() {
            let mut header = NetlinkHeader::default();
            header.flags = NLM_F_REQUEST | flags;
            header.sequence_number = u32::try_from(place).unwrap_or(u32::MAX);
            let mut message = NetlinkMessage::new(header, request.into());
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
            let answer = NetlinkMessage::<M>::deserialize(&bytes).map_err(io::Error::other)?;
            if let NetlinkPayload::Error(error) = answer.payload {
                let place = usize::try_from(answer.header.sequence_number).unwrap_or(usize::MAX);
                refused.push((place, error.to_io()));
            }
        }
    }
}
