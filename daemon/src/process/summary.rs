//! What a director is about to do, in a few lines.

use std::path::Path;
use vipward_core::config::{Config, Transport, VirtualRouterConfig, VirtualServer};

/// Blocks of one kind, and addresses of one block, that are named one by one.
const AT_MOST: usize = 10;

/// A line for the whole, and one for each virtual router and virtual server.
pub fn of(file: &Path, config: &Config) -> Vec<String> {
    let mut lines = vec![format!(
        "vipward {} runs {}: virtual routers: {}, virtual servers: {}, tracked scripts: {}",
        env!("CARGO_PKG_VERSION"),
        file.display(),
        config.routers.len(),
        config.services.len(),
        config.scripts.len()
    )];
    shorten(&mut lines, config.routers.iter().map(router));
    shorten(&mut lines, config.services.iter().map(service));
    lines
}

fn shorten(lines: &mut Vec<String>, blocks: impl ExactSizeIterator<Item = String>) {
    let more = blocks.len().saturating_sub(AT_MOST);
    lines.extend(blocks.take(AT_MOST));
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
}

fn router(router: &VirtualRouterConfig) -> String {
    let addresses =
        router.addresses.iter().chain(&router.excluded).map(|at| format!("{}/{}", at.address, at.prefix_len));
    let addresses: Vec<String> = addresses.collect();
    let transport = match &router.transport {
        Transport::Multicast { group } => format!("multicast {group}"),
        Transport::Unicast { peers } => format!("unicast to {}", shown(peers)),
    };
    format!(
        "{}: virtual_router_id {} on {}, VRRP version {}, priority {}, advert_int {}, {transport}, {}",
        router.name,
        router.vrid,
        router.interfaces.heard_on,
        router.version,
        router.priority,
        router.adverts.interval,
        shown(&addresses)
    )
}

fn shown<T: ToString>(list: &[T]) -> String {
    let mut words: Vec<String> = list.iter().take(AT_MOST).map(ToString::to_string).collect();
    if list.len() > AT_MOST {
        words.push(format!("and {} more", list.len() - AT_MOST));
    }
    words.join(" ")
}

fn service(service: &VirtualServer) -> String {
    let sorry = service.sorry_server.as_ref().map(|sorry| format!(", sorry_server {}", sorry.address));
    format!(
        "{}: {}, real servers: {}{}",
        service.entries,
        service.scheduler,
        service.real_servers.len(),
        sorry.unwrap_or_default()
    )
}
