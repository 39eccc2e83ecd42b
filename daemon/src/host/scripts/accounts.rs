//! Users and groups by their names. The name service may ask another machine, and wait for it: so it is asked on threads
//! of their own, when a configuration comes into force, and what it answered is remembered.

use futures::FutureExt;
use futures::future::{LocalBoxFuture, Shared};
use nix::unistd::{Gid, Group, Uid, User};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use vipward_core::command::ScriptUser;

/// A user's and a group's number, or why there are none.
pub type Ids = Result<(Uid, Gid), String>;

/// Asks the name service, however long that takes.
pub type LookUp = fn(&ScriptUser) -> Ids;

type Name = (String, Option<String>);
type Asked = Shared<LocalBoxFuture<'static, Ids>>;

/// What was asked, and what was answered.
pub struct Accounts {
    look_up: LookUp,
    known: RefCell<BTreeMap<Name, Asked>>,
}

impl Accounts {
    pub fn new(look_up: LookUp) -> Self {
        Self { look_up, known: RefCell::default() }
    }

    /// Asks for all of these anew. What is known of them counts until there is a new answer, and if there is none.
    pub fn look_up_all(self: &Rc<Self>, users: Vec<ScriptUser>) {
        let names: BTreeMap<Name, ScriptUser> = users.into_iter().map(|user| (name(&user), user)).collect();
        for (name, user) in names {
            let asked = self.ask(user);
            let knew = self.known.borrow().get(&name).is_some_and(|known| known.peek().is_some_and(Result::is_ok));
            if !knew {
                self.known.borrow_mut().insert(name, asked);
                continue;
            }
            let accounts = self.clone();
            tokio::task::spawn_local(async move {
                if asked.clone().await.is_ok() {
                    accounts.known.borrow_mut().insert(name, asked);
                }
            });
        }
    }

    /// What is known, or what the answer will be. A failure is told, and asked about again the next time.
    pub async fn get(&self, user: &ScriptUser) -> Ids {
        let name = name(user);
        let known = self.known.borrow().get(&name).cloned();
        let asked = match known.filter(|asked| !matches!(asked.peek(), Some(Err(_)))) {
            Some(asked) => asked,
            None => {
                let asked = self.ask(user.clone());
                self.known.borrow_mut().insert(name, asked.clone());
                asked
            }
        };
        asked.await
    }

    fn ask(&self, user: ScriptUser) -> Asked {
        let look_up = self.look_up;
        let answer = tokio::task::spawn_blocking(move || look_up(&user));
        answer.map(|answer| answer.unwrap_or_else(|error| Err(error.to_string()))).boxed_local().shared()
    }
}

fn name(user: &ScriptUser) -> Name {
    (user.user.clone(), user.group.clone())
}

/// getpwnam_r(3) and getgrnam_r(3).
pub fn look_up(user: &ScriptUser) -> Ids {
    let name = &user.user;
    let account = User::from_name(name).map_err(|error| format!("can't look up user {name}: {error}"))?;
    let account = account.ok_or_else(|| format!("there is no user {name}"))?;
    let Some(name) = &user.group else { return Ok((account.uid, account.gid)) };
    let group = Group::from_name(name).map_err(|error| format!("can't look up group {name}: {error}"))?;
    Ok((account.uid, group.ok_or_else(|| format!("there is no group {name}"))?.gid))
}
