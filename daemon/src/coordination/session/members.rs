//! Candidates of a lease (`elect`), and directors that take part in spreading.

use super::super::nodes::Node;
use super::super::tree;
use super::{Live, Part};
use vipward_core::lease::{Candidate, Claim, LeaseEvent, LeaseKey, Member};

impl Live<'_> {
    /// Our claim among the others, once and as it is now; then all of them, if they are not those told last.
    pub(super) fn candidates(&mut self, key: &LeaseKey, found: Vec<Node>) {
        let Some(claimed) = self.asked.claims.get(key) else { return };
        let part = Part::Candidates(key.clone());
        let (nodes, of) = (self.nodes.clone(), key.clone());
        let mut ours = found.iter().filter(|node| node.stat.ephemeral_owner == self.nodes.session);
        let first = ours.next();
        // A second one is there when the answer to a first try was lost.
        let surplus = if claimed.claim.is_some() { ours.next() } else { first };
        if let Some(node) = surplus {
            let path = node.path.clone();
            return self.write(part, async move { nodes.delete(&path).await });
        }
        let Some(claim) = &claimed.claim else {
            self.asked.claims.remove(key);
            return;
        };
        let data = tree::write(claim);
        match first {
            None => return self.write(part, async move { nodes.enter(&of, &data).await }),
            Some(node) if node.data != data => {
                let (path, version) = (node.path.clone(), node.stat.version);
                return self.write(part, async move { nodes.rewrite(&path, &data, version).await });
            }
            Some(_) => {}
        }
        let (mut candidates, mut others) = (Vec::new(), Vec::new());
        for node in found {
            match (node.sequence, tree::read::<Claim>(&node.data)) {
                (Some(sequence), Some(claim)) if node.stat.ephemeral_owner != 0 => {
                    candidates.push(Candidate { claim, sequence });
                }
                _ => others.push(node.path),
            }
        }
        self.name(others);
        candidates.sort_by_key(|candidate| candidate.sequence);
        if let Some(claimed) = self.asked.claims.get_mut(key)
            && claimed.told.as_ref() != Some(&candidates)
        {
            claimed.told = Some(candidates.clone());
            self.around.tell(LeaseEvent::Candidates { key: key.clone(), candidates });
        }
    }

    pub(super) fn members(&mut self, found: Vec<Node>) {
        let Some(member) = &self.asked.member else { return };
        let data = tree::write(member);
        let ours = found.iter().any(|node| node.stat.ephemeral_owner == self.nodes.session && node.data == data);
        if !ours {
            let nodes = self.nodes.clone();
            return self.write(Part::Members, async move { nodes.join(&data).await });
        }
        let (mut members, mut others) = (Vec::new(), Vec::new());
        for node in found {
            match tree::read::<Member>(&node.data) {
                Some(member) if node.stat.ephemeral_owner != 0 => members.push(member),
                Some(_) | None => others.push(node.path),
            }
        }
        self.name(others);
        self.around.tell(LeaseEvent::Members(members));
    }

    /// Says once of each node that somebody else made that it does not count.
    fn name(&mut self, others: Vec<String>) {
        for path in others {
            if self.named.insert(path.clone()) {
                tracing::warn!("{path} was not written by vipward: it does not count, and is left alone");
            }
        }
    }
}
