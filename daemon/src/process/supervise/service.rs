//! The service manager, by systemd's protocol (sd_notify(3)). Without `NOTIFY_SOCKET` nobody listens.

use nix::sys::socket::{MsgFlags, UnixAddr, sendto};
use sd_notify::NotifyState;
use std::ffi::OsStr;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use vipward_core::supervisor::ServiceState;

/// Tells it one thing.
pub fn notify(news: ServiceState) {
    let Some(address) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let told = match news {
        ServiceState::Ready => {
            let main = NotifyState::MainPid(std::process::id());
            tell(&address, &[NotifyState::Ready, main, NotifyState::Status("worker runs")])
        }
        ServiceState::Reloading => match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&address, &[NotifyState::Reloading, now, NotifyState::Status("reading the configuration")]),
            Err(error) => Err(error),
        },
        ServiceState::Stopping => tell(&address, &[NotifyState::Stopping, NotifyState::Status("stopping")]),
        ServiceState::Alive => tell(&address, &[NotifyState::Watchdog]),
        ServiceState::Down { restart_in } => {
            let status = format!("worker died; the next one starts in {:.1} s", restart_in.as_secs_f64());
            tell(&address, &[NotifyState::Status(&status)])
        }
    };
    if let Err(error) = told {
        tracing::debug!("can't tell the service manager: {error}");
    }
}

/// One message, or an error at once. `sd_notify::notify` would wait for a service manager that does not read.
fn tell(address: &OsStr, news: &[NotifyState<'_>]) -> io::Result<()> {
    let message: String = news.iter().map(|news| format!("{news}\n")).collect();
    let address = match address.as_bytes() {
        [b'@', name @ ..] => UnixAddr::new_abstract(name)?,
        _ => UnixAddr::new(Path::new(address))?,
    };
    let socket = UnixDatagram::unbound()?;
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    sendto(socket.as_raw_fd(), message.as_bytes(), &address, flags)?;
    Ok(())
}
