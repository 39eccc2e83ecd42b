//! Real servers: what they do when nobody asks.

use super::World;
use crate::scenario::NodeId;
use crate::trace::What;

impl World {
    pub(super) fn set_listening(&mut self, id: NodeId, listening: bool) {
        if let Some(server) = self.server_mut(id) {
            server.closings += u64::from(server.listening && !listening);
            server.listening = listening;
            self.shake();
        }
    }

    pub(super) fn flap_servers(&mut self) {
        for id in self.ids() {
            loop {
                let now = self.now;
                let Some(server) = self.server_mut(id) else { break };
                let listening = !server.listening;
                let Some(flap) = &mut server.flap else { break };
                if flap.next > now {
                    break;
                }
                if flap.left == 0 {
                    server.flap = None;
                    break;
                }
                flap.left -= 1;
                flap.next = flap.next + flap.every;
                self.set_listening(id, listening);
                self.note(Some(id), if listening { What::ServerUp } else { What::ServerDown });
            }
        }
    }
}
