//! A reload, and what is told to those who wait for what comes of it.
//!
//! Every order to read the configuration again has a number, and the worker's verdict names the newest one that it answers.
//! Whoever asked before that order was given is answered by it. A worker that dies answers nobody: they hear that.

use super::{Effect, Order, ServiceState, Supervisor, UpgradeFailure};

impl Supervisor {
    /// The operator's wish, by a signal (no client) or by the control socket.
    pub(super) fn reload(&mut self, client: Option<u64>, out: &mut Vec<Effect>) {
        let refused = match &self.worker {
            _ if self.stop_by.is_some() => Some(UpgradeFailure::Stopping),
            // The next one reads it anyway.
            None => Some(UpgradeFailure::NoWorker),
            Some(_) => None,
        };
        if let Some(failure) = refused {
            out.extend(client.map(|client| Effect::Answer { client, answer: Err(failure) }));
            return;
        }
        // The number of the next order, whether it can be given now or after an upgrade.
        self.waiting.extend(client.map(|client| (client, self.reloads.wrapping_add(1))));
        if !self.reload_waits() {
            out.push(Effect::ServiceState(ServiceState::Reloading));
            self.tell_to_reload(out);
        }
    }

    pub(super) fn tell_to_reload(&mut self, out: &mut Vec<Effect>) {
        if let Some(worker) = &self.worker {
            self.reloads = self.reloads.wrapping_add(1);
            out.push(Effect::Tell { worker: worker.id, order: Order::Reload { number: self.reloads } });
        }
    }

    /// The worker's verdict on the order of this number, and on all before it.
    pub(super) fn reloaded(&mut self, number: u32, refused: Option<&str>, out: &mut Vec<Effect>) {
        out.push(Effect::ServiceState(ServiceState::Ready));
        let answered = self.waiting.extract_if(.., |(_, order)| *order <= number);
        out.extend(answered.map(|(client, _)| Effect::Answer {
            client,
            answer: refused.map_or(Ok(()), |why| Err(UpgradeFailure::Refused(why.to_owned()))),
        }));
    }

    /// No verdict will come.
    pub(super) fn no_verdict(&mut self, why: &UpgradeFailure, out: &mut Vec<Effect>) {
        let waiting = self.waiting.drain(..);
        out.extend(waiting.map(|(client, _)| Effect::Answer { client, answer: Err(why.clone()) }));
    }
}
