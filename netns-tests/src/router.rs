//! Configurations of one virtual router, for the tests that vary little else. vipward and keepalived both read them.

use std::fmt::Write as _;

/// What such a file says; the defaults are those of most tests.
#[derive(Clone, Debug)]
pub struct Router {
    pub name: &'static str,
    pub priority: u8,
    pub version: u8,
    /// `advert_int`, as written.
    pub advert_int: &'static str,
    /// More lines of the `vrrp_instance`.
    pub more: &'static str,
    /// More blocks of the file.
    pub blocks: String,
}

impl Router {
    /// Priority 150: the one that becomes MASTER.
    pub fn master() -> Self {
        Self { name: "lb1", priority: 150, version: 2, advert_int: "1", more: "", blocks: String::new() }
    }

    /// Priority 100.
    pub fn backup() -> Self {
        Self { name: "lb2", priority: 100, ..Self::master() }
    }

    /// The file's text.
    pub fn text(&self) -> String {
        let Self { name, priority, version, advert_int, more, blocks } = self;
        let mut text = format!("global_defs {{\n    router_id {name}\n    vrrp_version {version}\n}}\n");
        let _ = write!(
            text,
            "vrrp_instance VI_1 {{\n    state BACKUP\n    interface eth0\n    virtual_router_id 51\n    \
             priority {priority}\n    advert_int {advert_int}\n    {more}\n    \
             virtual_ipaddress {{\n        192.0.2.100/24\n    }}\n}}\n{blocks}"
        );
        text
    }
}

/// A `virtual_server` on the VIP over the two web servers of the back segment, checked every second.
pub fn virtual_server() -> String {
    let real_server = |host: u8| {
        format!(
            "    real_server 198.51.100.{host} 80 {{\n        HTTP_GET {{\n            url {{\n                \
             path /\n                status_code 200\n            }}\n            connect_timeout 1\n            \
             retry 1\n            delay_before_retry 1\n        }}\n    }}\n"
        )
    };
    format!(
        "virtual_server 192.0.2.100 80 {{\n    delay_loop 1\n    lb_algo rr\n    lb_kind NAT\n    protocol TCP\n{}{}}}\n",
        real_server(21),
        real_server(22)
    )
}
