//! The service manager, by systemd's protocol (sd_notify(3)). Without `NOTIFY_SOCKET` nobody listens.

use sd_notify::NotifyState;
use vipward_core::supervisor::Service;

/// Tells it one thing.
pub fn notify(news: Service) {
    let told = match news {
        Service::Ready => {
            let main = NotifyState::MainPid(std::process::id());
            sd_notify::notify(&[NotifyState::Ready, main, NotifyState::Status("worker runs")])
        }
        Service::Reloading => match NotifyState::monotonic_usec_now() {
            Ok(now) => {
                sd_notify::notify(&[NotifyState::Reloading, now, NotifyState::Status("reading the configuration")])
            }
            Err(error) => Err(error),
        },
        Service::Stopping => sd_notify::notify(&[NotifyState::Stopping, NotifyState::Status("stopping")]),
        Service::Alive => sd_notify::notify(&[NotifyState::Watchdog]),
        Service::Down { restart_in } => {
            let status = format!("worker died; the next one starts in {:.1} s", restart_in.as_secs_f64());
            sd_notify::notify(&[NotifyState::Status(&status)])
        }
    };
    if let Err(error) = told {
        tracing::debug!("can't tell the service manager: {error}");
    }
}
