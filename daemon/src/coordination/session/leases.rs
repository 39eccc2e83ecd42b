//! What one lease in the tree, and what was asked about it, lead to.

use super::super::asked::Stand;
use super::super::nodes::{Read, millis};
use super::super::tree::{Holder, Record};
use super::{Live, Part};
use vipward_core::lease::surely;
use vipward_core::lease::{DirectorName, LeaseEvent, LeaseKey, Session, Token};
use vipward_core::seam::Clock;

impl Live<'_> {
    pub(super) fn lease(&mut self, key: &LeaseKey, Read { record, holder }: Read) {
        let Some(lease) = self.asked.leases.get(key) else { return };
        let (director, stand) = (lease.director.clone(), lease.stand.clone());
        if let (Some(until), Stand::Asking | Stand::Watching, None) = (self.young_until, &stand, &holder) {
            self.asked.leases.remove(key);
            let wait = until.since(self.around.clock.now());
            return self.around.tell(LeaseEvent::NotYet { key: key.clone(), wait });
        }
        let part = Part::Lease(key.clone());
        let (nodes, of) = (self.nodes.clone(), key.clone());
        let Some((record, version)) = record else {
            return match stand {
                Stand::Watching => self.vacant(key),
                Stand::Asking | Stand::Ours | Stand::Theirs(_) | Stand::Releasing => {
                    self.write(part, async move { nodes.make_lease(&of).await });
                }
            };
        };
        match holder {
            Some((ours, node)) if ours.session == self.nodes.session => {
                let held = Record::Held(ours);
                if stand == Stand::Watching {
                    self.vacant(key);
                } else if stand == Stand::Releasing {
                    self.write(part, async move { nodes.release(&of, version, Some(node.version)).await });
                } else if record != held {
                    self.write(part, async move { nodes.set_record(&of, version, &held).await });
                } else if stand != Stand::Ours {
                    self.stands(key, Stand::Ours);
                    let (session, key, token) = (self.session(), key.clone(), Token(node.czxid));
                    self.around.tell(LeaseEvent::Granted { session, key, token });
                }
            }
            Some((dead, node)) if stand == Stand::Asking && self.was_here(&dead) => {
                let us = self.us(director);
                self.write(part, async move { nodes.take(&of, version, Some(node.version), &us).await });
            }
            Some((theirs, _)) => self.theirs(key, &stand, theirs.director),
            None => self.free(key, director, &stand, record, version),
        }
    }

    /// Nobody's node is there.
    fn free(&mut self, key: &LeaseKey, director: DirectorName, stand: &Stand, record: Record, version: i32) {
        let part = Part::Lease(key.clone());
        let (nodes, of) = (self.nodes.clone(), key.clone());
        let last = match record {
            Record::Held(last) if last.session == self.nodes.session && matches!(stand, Stand::Releasing) => {
                // Somebody deleted the node of ours; the record would keep others waiting.
                return self.write(part, async move { nodes.release(&of, version, None).await });
            }
            Record::Held(last) if last.session != self.nodes.session && !self.was_here(&last) => Some(last),
            Record::Held(_) | Record::Free => None,
        };
        if let (Some(last), Stand::Asking | Stand::Watching | Stand::Theirs(_)) = (last, stand) {
            let over = self.lives.over(Session(last.session), last.holds());
            if over > self.around.clock.now() {
                self.waiting.insert(key.clone(), over);
                return self.theirs(key, stand, last.director);
            }
        }
        match stand {
            Stand::Asking => {
                let us = self.us(director);
                self.write(part, async move { nodes.take(&of, version, None, &us).await });
            }
            Stand::Ours => {
                self.asked.leases.remove(key);
                self.around.tell(LeaseEvent::Gone { session: self.session(), key: key.clone() });
            }
            Stand::Theirs(_) | Stand::Watching => self.vacant(key),
            Stand::Releasing => self.released(key),
        }
    }

    /// Nobody else holds it.
    fn vacant(&mut self, key: &LeaseKey) {
        self.asked.leases.remove(key);
        self.around.tell(LeaseEvent::Vacant { key: key.clone() });
    }

    /// Another director holds it, or may still think so.
    fn theirs(&mut self, key: &LeaseKey, stand: &Stand, by: DirectorName) {
        match stand {
            Stand::Releasing => return self.released(key),
            Stand::Ours => {
                let session = self.session();
                self.around.tell(LeaseEvent::Gone { session, key: key.clone() });
            }
            Stand::Theirs(told) if *told == by => return,
            Stand::Asking | Stand::Watching | Stand::Theirs(_) => {}
        }
        self.stands(key, Stand::Theirs(by.clone()));
        self.around.tell(LeaseEvent::Held { key: key.clone(), by });
    }

    fn released(&mut self, key: &LeaseKey) {
        self.asked.leases.remove(key);
        self.around.tell(LeaseEvent::Released { session: self.session(), key: key.clone() });
    }

    fn stands(&mut self, key: &LeaseKey, stand: Stand) {
        if let Some(lease) = self.asked.leases.get_mut(key) {
            lease.stand = stand;
        }
    }

    /// How we stand in a lease that we take.
    fn us(&self, director: DirectorName) -> Holder {
        let holds = surely::held_for(self.timeout);
        let holds_ms = millis(holds);
        let place = self.around.place.alone(self.around.clock.now()).map(|(place, _)| place);
        Holder { director, session: self.nodes.session, holds_ms, place }
    }

    /// A process of this place, and it is dead: nobody but us can have what it held.
    fn was_here(&self, holder: &Holder) -> bool {
        let place = self.around.place.alone(self.around.clock.now());
        place.is_some_and(|(place, _)| holder.place == Some(place))
    }
}
