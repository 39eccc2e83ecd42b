//! `FILE_CHECK` (keepalived.conf(5)): a number in a tracked file is added to a real server's weight, or takes it out.

use crate::check::Failure;
use crate::config::FileCheck;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What tracked files hold, as far as it has been told.
pub type Numbers = BTreeMap<Arc<str>, i64>;

/// The FILE_CHECKs of one real server, each with the number that its file holds, once that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files(Vec<(FileCheck, Option<i64>)>);

impl Files {
    pub fn new(checks: &[FileCheck], numbers: &Numbers) -> Self {
        Self(checks.iter().map(|check| (check.clone(), numbers.get(&check.file).copied())).collect())
    }

    /// The file holds this number from now on.
    pub fn read(&mut self, file: &str, number: i64) {
        for (check, known) in &mut self.0 {
            if *check.file == *file {
                *known = Some(number);
            }
        }
    }

    /// Why the real server is down; none: as far as its files go, it is not. What is not known says nothing.
    pub fn failure(&self) -> Option<Failure> {
        let failing = |(check, number): &(FileCheck, Option<i64>)| {
            let number = (*number)?;
            check.weight.weigh(number).is_none().then(|| Failure::File { file: check.file.clone(), number })
        };
        self.0.iter().find_map(failing)
    }

    /// The first file whose number adds to the weight, or takes from it.
    pub fn counted(&self) -> Option<(Arc<str>, i64)> {
        let each = self.0.iter().filter_map(|(check, number)| Some((check, (*number)?)));
        let mut counted = each.filter(|(check, number)| check.weight.weigh(*number).is_some_and(|adds| adds != 0));
        counted.next().map(|(check, number)| (check.file.clone(), number))
    }

    /// What is added to the weight.
    pub fn adds(&self) -> i64 {
        let adds = self.0.iter().filter_map(|(check, number)| check.weight.weigh((*number)?));
        adds.fold(0, i64::saturating_add)
    }
}
