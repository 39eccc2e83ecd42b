//! Who of several candidates should hold a lease: the highest priority, of equal ones who was there first. A holder is
//! left in peace by those that don't preempt (`nopreempt`), and by its equals.

use crate::lease::{Candidate, Claim};
use std::collections::BTreeSet;

/// Who has a better claim than the candidate of `ours`, by their numbers; `None` while the service does not list ours.
pub fn better(ours: &Claim, candidates: &[Candidate]) -> Option<BTreeSet<i64>> {
    let own = candidates.iter().filter(|it| it.claim.director == ours.director).map(|it| it.sequence).min()?;
    let better =
        |it: &&Candidate| it.claim.priority > ours.priority || it.claim.priority == ours.priority && it.sequence < own;
    let others = candidates.iter().filter(|it| it.claim.director != ours.director);
    Some(others.filter(better).map(|it| it.sequence).collect())
}

/// To whom the holder with the claim `ours` must give way. `passed_over`: to that one it need not.
pub fn preempted_by<'a>(
    ours: &Claim,
    candidates: &'a [Candidate],
    passed_over: impl Fn(&Candidate) -> bool,
) -> Option<&'a Claim> {
    candidates
        .iter()
        .filter(|it| it.claim.director != ours.director && it.claim.preempt && it.claim.priority > ours.priority)
        .filter(|it| !passed_over(it))
        .min_by_key(|it| (u8::MAX - it.claim.priority, it.sequence))
        .map(|it| &it.claim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(director: &str, priority: u8, preempt: bool) -> Claim {
        Claim { director: director.into(), priority, preempt }
    }

    fn list(claims: &[(Claim, i64)]) -> Vec<Candidate> {
        claims.iter().map(|(claim, sequence)| Candidate { claim: claim.clone(), sequence: *sequence }).collect()
    }

    #[test]
    fn priority_first_and_of_equals_the_earlier() {
        let [a, b, c] = [claim("a", 100, true), claim("b", 100, true), claim("c", 150, false)];
        let pair = list(&[(a.clone(), 7), (b.clone(), 3)]);
        assert_eq!((better(&b, &pair), better(&a, &pair)), (Some([].into()), Some([3].into())));
        let three = list(&[(a.clone(), 1), (b.clone(), 2), (c.clone(), 3)]);
        assert_eq!((better(&c, &three), better(&a, &three)), (Some([].into()), Some([3].into())));
        assert_eq!(better(&c, &pair), None, "the service does not know of it");
    }

    #[test]
    fn a_holder_gives_way_to_the_best_that_preempts() {
        let holder = claim("a", 100, true);
        let nobody = |_: &Candidate| false;
        assert_eq!(preempted_by(&holder, &list(&[(holder.clone(), 1), (claim("b", 100, true), 0)]), nobody), None);
        assert_eq!(preempted_by(&holder, &list(&[(claim("b", 200, false), 0)]), nobody), None, "nopreempt");
        let others = list(&[(claim("b", 200, false), 0), (claim("c", 110, true), 1), (claim("d", 120, true), 2)]);
        assert_eq!(preempted_by(&holder, &others, nobody).map(|it| &*it.director), Some("d"));
        let d = |it: &Candidate| &*it.claim.director == "d";
        assert_eq!(preempted_by(&holder, &others, d).map(|it| &*it.director), Some("c"));
    }
}
