//! [`Host`] on Linux. Each of the two machines has one; what one lacks is the other's.

pub mod scripts;

use crate::dataplane::Dataplane;
use crate::host::scripts::Scripts;
use crate::net::netlink::Addresses;
use crate::system::log;
use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::rc::Rc;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use vipward_core::command::Command;
use vipward_core::command::ScriptOutcome;
use vipward_core::decision::Decision;
use vipward_core::event::Event;
use vipward_core::interface::{AddressKey, InterfaceAddress, ObservedAddress};
use vipward_core::ipvs::{Op, Table};
use vipward_core::seam::{Host, Refusal};
use vipward_core::time::{Duration, Instant};

/// The kernel tables that a machine changes.
pub enum Tables {
    /// The Election's.
    Addresses(Addresses),
    /// The Balancer's.
    Ipvs(Dataplane),
}

/// One machine's host.
pub struct LinuxHost {
    /// What the kernel and the operator have to tell.
    inbox: RefCell<UnboundedReceiver<Event>>,
    tables: Tables,
    scripts: Rc<Scripts>,
    /// Hears when the machine has handled its first configuration.
    loaded: Cell<Option<oneshot::Sender<()>>>,
    loading: Cell<bool>,
    /// What the machine hears next, before anything else.
    first: Cell<Option<Event>>,
}

impl LinuxHost {
    pub fn new(
        inbox: UnboundedReceiver<Event>,
        tables: Tables,
        scripts: Rc<Scripts>,
        loaded: oneshot::Sender<()>,
    ) -> Self {
        let loaded = Cell::new(Some(loaded));
        Self { inbox: RefCell::new(inbox), tables, scripts, loaded, loading: Cell::new(false), first: Cell::new(None) }
    }

    /// What of an event concerns the host itself.
    fn note(&self, event: Event) -> Event {
        if let Event::ConfigLoaded { config, .. } = &event {
            self.loading.set(true);
            self.scripts.set_security(config.global.script_security);
            if let Tables::Addresses(addresses) = &self.tables {
                addresses.set_lifetime(config.vip.lifetime());
            }
        }
        event
    }

    /// Tells the machine something before all that waits.
    pub fn tell_first(&self, event: Event) {
        self.first.set(Some(event));
    }

    /// Whoever asks for the next event has handled the one before.
    fn handled(&self) {
        if self.loading.take()
            && let Some(loaded) = self.loaded.take()
        {
            let _ = loaded.send(());
        }
    }

    fn addresses(&self) -> Result<&Addresses, Refusal> {
        match &self.tables {
            Tables::Addresses(addresses) => Ok(addresses),
            Tables::Ipvs(_) => Err("addresses are the election's".to_owned()),
        }
    }

    fn dataplane(&self) -> Result<&Dataplane, Refusal> {
        match &self.tables {
            Tables::Ipvs(dataplane) => Ok(dataplane),
            Tables::Addresses(_) => Err("the IPVS table is the balancer's".to_owned()),
        }
    }
}

impl Host for LinuxHost {
    async fn event(&self) -> Event {
        self.handled();
        match poll_fn(|context| self.inbox.borrow_mut().poll_recv(context)).await {
            Some(event) => self.note(event),
            // Nobody is left who could tell anything.
            None => pending().await,
        }
    }

    fn waiting_event(&self) -> Option<Event> {
        self.handled();
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        let event = self.inbox.borrow_mut().try_recv().ok()?;
        Some(self.note(event))
    }

    async fn add_address(&self, address: &InterfaceAddress) -> Result<(), Refusal> {
        self.addresses()?.add(address)
    }

    async fn renew_addresses(&self, addresses: &[InterfaceAddress]) -> Result<(), Refusal> {
        self.addresses()?.renew(addresses)
    }

    async fn remove_address(&self, address: &AddressKey) -> Result<(), Refusal> {
        self.addresses()?.remove(address)
    }

    async fn read_addresses(&self) -> Result<Vec<ObservedAddress>, Refusal> {
        self.addresses()?.read().await
    }

    async fn ipvs(&self, op: &Op) -> Result<(), Refusal> {
        self.dataplane()?.apply(op).await
    }

    async fn read_ipvs(&self) -> Result<Table, Refusal> {
        self.dataplane()?.read().await
    }

    fn run_script(&self, command: &Command, timeout: Duration) -> impl Future<Output = ScriptOutcome> + 'static {
        self.scripts.run(command, timeout)
    }

    fn notify(&self, queue: &str, command: &Command) {
        self.scripts.notify(queue, command);
    }

    fn record(&self, _: Instant, decision: &Decision) {
        log::decision(decision);
    }
}
