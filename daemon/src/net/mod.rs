//! Linux networking for the Election: protocol 112, gratuitous ARP and neighbour advertisements, links and addresses over rtnetlink.

pub mod adverts;
pub mod announce;
pub mod arp;
pub mod connect;
pub mod datagrams;
pub mod echo;
pub mod ipv4;
pub mod links;
pub mod ndisc;
pub mod netlink;
pub mod network;
pub mod secondaries;
pub mod tls;
