//! vipward-core decides. It holds the election of virtual routers (VRRP), the health of real servers, the desired
//! IPVS table and the configuration language. There is no socket here, no system clock, no random number and no
//! environment: `vipward-sim` and `vipward` (the daemon) bring those through the traits in [`seam`], and the one loop
//! in [`driver`] joins them with the two machines, [`vrrp::Election`] and [`balancer::Balancer`].

pub mod balancer;
pub mod check;
pub mod command;
pub mod config;
pub mod coordination;
pub mod datagram;
pub mod decision;
pub mod door;
pub mod driver;
pub mod estate;
pub mod health;
pub mod interface;
pub mod ipvs;
pub mod lease;
pub mod limit;
pub mod machine;
pub mod mail;
pub mod quantity;
pub mod record;
pub mod route;
pub mod seam;
pub mod settings;
pub mod status;
pub mod supervisor;
pub mod text;
pub mod time;
pub mod vrrp;
