//! What is done to the tree, one piece of work each: several requests that belong together, sent without waiting for
//! one another's answers where that is possible.

use super::access::{Access, DIGEST, UNTIL_THEN};
use super::tree::{self, CANDIDATE, Holder, Record, TITLE, Tree, Young};
use futures::future::{join, join_all};
use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;
use vipward_core::lease::LeaseKey;
use vipward_core::time::Duration;
use zookeeper_client::{Acl, Acls, AddWatchMode, Client, CreateMode, CreateOptions, Error, PersistentWatcher, Stat};

/// Why a piece of work was not done, and the node that it is about.
#[derive(Debug)]
pub struct NodeError {
    pub path: String,
    pub why: Why,
}

#[derive(Debug)]
pub enum Why {
    Service(Error),
    /// Somebody else's data where ours should be. It stays untouched.
    NotOurs,
}

impl NodeError {
    pub fn not_ours(path: String) -> Self {
        Self { path, why: Why::NotOurs }
    }

    /// The connection broke: nothing is wrong with the tree. If the session is over, the client says so by itself.
    pub fn passing(&self) -> bool {
        matches!(
            self.why,
            Why::Service(
                Error::ConnectionLoss
                    | Error::Timeout
                    | Error::SessionExpired
                    | Error::SessionMoved
                    | Error::ClientClosed
                    | Error::Custom(_)
            )
        )
    }

    /// The node is not there.
    pub fn gone(&self) -> bool {
        matches!(self.why, Why::Service(Error::NoNode))
    }

    /// Somebody else was faster: to be read again.
    pub fn lost_race(&self) -> bool {
        matches!(self.why, Why::Service(Error::NodeExists | Error::BadVersion))
    }
}

/// For people: what is wrong there, and what they can do.
impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path)?;
        match &self.why {
            Why::NotOurs => {
                f.write_str("what stands there was not written by vipward, and stays until somebody deletes it")
            }
            Why::Service(Error::NoAuth) => f.write_str(
                "its access rights don't let this director in: does every director have the same `auth_file`, and, while a \
                 password is changed, the earlier line below the new one?",
            ),
            Why::Service(Error::InvalidAcl) => f.write_str("the service does not know the user of `auth_file`"),
            Why::Service(Error::NoNode) => f.write_str("it, or the node above it, was deleted"),
            Why::Service(Error::NoChildrenForEphemerals) => f.write_str("the node above it is ephemeral"),
            Why::Service(Error::Unimplemented) => f.write_str("the servers are older than ZooKeeper 3.6"),
            Why::Service(error) => write!(f, "{error}"),
        }
    }
}

fn at(path: &str) -> impl FnOnce(Error) -> NodeError {
    |error| NodeError { path: path.to_owned(), why: Why::Service(error) }
}

/// The nodes of one session, and who may use them.
#[derive(Clone)]
pub struct Nodes {
    pub client: Rc<Client>,
    pub tree: Rc<Tree>,
    pub access: Rc<Access>,
    pub session: i64,
}

/// One lease as it stands in the tree.
#[derive(Debug)]
pub struct Read {
    /// The record and its version; `None` if there is no node yet.
    pub record: Option<(Record, i32)>,
    /// The holder and its node.
    pub holder: Option<(Holder, Stat)>,
}

/// One candidate's node.
#[derive(Debug)]
pub struct Node {
    pub path: String,
    /// The number that ZooKeeper gave it; `None`: not one of ours.
    pub sequence: Option<i64>,
    pub data: Vec<u8>,
    pub stat: Stat,
}

impl Nodes {
    /// To others not even to read: who knows a session's number can end it.
    fn options(&self, mode: CreateMode) -> CreateOptions<'_> {
        mode.with_acls(Acls::new(self.access.rights()))
    }

    /// Makes the folders if they are missing, and looks whether the root is ours: empty or with our title. Who makes the
    /// folder of leases says before that the tree is new; `holds`: for how long this director would hold one.
    pub async fn prepare(&self, holds: Duration) -> Result<(), NodeError> {
        for folder in self.tree.folders() {
            let title = if folder == self.tree.root() { TITLE } else { &[] };
            // Looked at first: who may not create may still use what an administrator has created.
            if self.client.check_stat(&folder).await.map_err(at(&folder))?.is_none() {
                if folder == self.tree.owners() {
                    let young = tree::write(&Young { holds_ms: millis(holds) });
                    self.make(&self.tree.young(), &young, CreateMode::Persistent).await?;
                }
                self.make(&folder, title, CreateMode::Persistent).await?;
            }
        }
        let root = self.tree.root();
        let (data, _) = self.client.get_data(root).await.map_err(at(root))?;
        if data.is_empty() || data == TITLE { Ok(()) } else { Err(NodeError::not_ours(root.to_owned())) }
    }

    /// For how long nobody may take a lease, should the tree be new.
    pub async fn young(&self) -> Result<Option<Duration>, NodeError> {
        let path = self.tree.young();
        match self.client.get_data(&path).await {
            // What somebody else wrote there says at least that.
            Ok((data, _)) => Ok(Some(Duration::from_millis(tree::read::<Young>(&data).map_or(0, |it| it.holds_ms)))),
            Err(Error::NoNode) => Ok(None),
            Err(error) => Err(at(&path)(error)),
        }
    }

    /// How many servers the ensemble has by its own configuration, which every server shows; 0: this one runs alone.
    /// `None`: it does not say.
    pub async fn servers(&self) -> Option<usize> {
        let (data, _) = self.client.get_config().await.ok()?;
        let text = String::from_utf8_lossy(&data);
        Some(text.lines().filter(|line| line.starts_with("server.")).count())
    }

    /// Looks with which of its lines this director is let in: those of the file as it is now, or those of `before`, which
    /// the file had when it was accepted. Gives the tree the rights that the file says.
    pub async fn settle_access(&mut self, before: Option<Rc<Access>>) -> Result<(), NodeError> {
        let rights = self.rights_of_tree().await?;
        if !self.access.opens(&rights)
            && let Some(before) = before
        {
            tracing::error!("{}", self.not_let_in(&self.access.file()));
            self.access = before;
        }
        if self.access.bypassed(&rights) {
            let root = self.tree.root();
            tracing::warn!("{root} was made without `auth_file`: everybody who reaches the servers can change it");
        }
        if self.access.instead_of(&rights).is_some() { self.rewrite_rights().await } else { Ok(()) }
    }

    /// Reads `auth_file` anew. What it says counts if the tree lets that in; then the tree gets its rights.
    pub async fn renew_access(&self) -> Result<Option<Rc<Access>>, NodeError> {
        let now = match self.access.again() {
            Ok(now) if now == *self.access => return Ok(None),
            Ok(now) => now,
            Err(reason) => {
                tracing::error!("{reason}: {UNTIL_THEN}");
                return Ok(None);
            }
        };
        if !now.opens(&self.rights_of_tree().await?) {
            tracing::error!("{}", self.not_let_in(&now.file()));
            return Ok(None);
        }
        for line in now.lines() {
            self.client.auth(DIGEST, line.as_bytes()).await.map_err(at(self.tree.root()))?;
        }
        tracing::info!("{}: read anew, and the tree lets it in", now.file());
        let nodes = Self { access: Rc::new(now), ..self.clone() };
        nodes.rewrite_rights().await?;
        Ok(Some(nodes.access))
    }

    fn not_let_in(&self, file: &str) -> String {
        format!(
            "{file}: {} does not let in whom it names now: {UNTIL_THEN}; write the new line above the old one on all \
             directors first",
            self.tree.root()
        )
    }

    /// Of what is the last to get other ones.
    async fn rights_of_tree(&self) -> Result<Vec<Acl>, NodeError> {
        let path = self.tree.owners();
        self.client.get_acl(&path).await.map(|(rights, _)| rights).map_err(at(&path))
    }

    /// Gives every node of the tree the rights that it should have now.
    async fn rewrite_rights(&self) -> Result<(), NodeError> {
        let last = self.tree.owners();
        let mut level = vec![self.tree.root().to_owned()];
        let mut all = Vec::new();
        while !level.is_empty() {
            let children = join_all(level.iter().map(|path| self.client.list_children(path))).await;
            let below = level.iter().zip(children).flat_map(|(path, children)| {
                children.unwrap_or_default().into_iter().map(move |child| format!("{path}/{child}"))
            });
            let below: Vec<String> = below.collect();
            all.append(&mut level);
            level = below;
        }
        // Whoever is interrupted begins anew, since the last one still has the old ones.
        all.retain(|path| *path != last);
        let rewritten = join_all(all.iter().map(|path| self.rewrite_right(path))).await;
        let mut count = 0;
        for (path, done) in all.iter().zip(rewritten) {
            match done {
                Ok(rewritten) => count += usize::from(rewritten),
                Err(Error::NoAuth) => tracing::warn!("{path}: its access rights don't let this director change them"),
                Err(error) => return Err(at(path)(error)),
            }
        }
        count += usize::from(self.rewrite_right(&last).await.map_err(at(&last))?);
        if count > 0 {
            tracing::info!("{}: the access rights of {count} nodes follow {}", self.tree.root(), self.access.file());
        }
        Ok(())
    }

    /// True if it has others now.
    async fn rewrite_right(&self, path: &str) -> Result<bool, Error> {
        let (rights, stat) = match self.client.get_acl(path).await {
            Ok(found) => found,
            Err(Error::NoNode) => return Ok(false),
            Err(error) => return Err(error),
        };
        let Some(instead) = self.access.instead_of(&rights) else { return Ok(false) };
        match self.client.set_acl(path, instead, Some(stat.aversion)).await {
            Ok(_) => Ok(true),
            // It ended, or somebody else did the same.
            Err(Error::NoNode | Error::BadVersion) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// When the tree was made, which tells it from every other one: the transaction, and the time. `None`: it is not there,
    /// and this server knows all that its leader does.
    pub async fn made(&self) -> Result<Option<(i64, i64)>, Error> {
        let path = self.tree.owners();
        self.client.sync(&path).await?;
        Ok(self.client.check_stat(&path).await?.map(|stat| (stat.czxid, stat.ctime)))
    }

    /// Watches the whole tree.
    pub async fn watch(&self) -> Result<PersistentWatcher, NodeError> {
        let root = self.tree.root();
        self.client.watch(root, AddWatchMode::PersistentRecursive).await.map_err(at(root))
    }

    /// Makes our sign of life if it is missing.
    pub async fn begin_life(&self) -> Result<(), NodeError> {
        let path = self.tree.life(self.session);
        self.make(&path, &[], CreateMode::Ephemeral).await
    }

    /// A sign of life.
    pub async fn beat(&self) -> Result<(), NodeError> {
        let path = self.tree.life(self.session);
        self.client.set_data(&path, &[], None).await.map(drop).map_err(at(&path))
    }

    /// One that is there already is as good.
    async fn make(&self, path: &str, data: &[u8], mode: CreateMode) -> Result<(), NodeError> {
        match self.client.create(path, data, &self.options(mode)).await {
            Ok(_) | Err(Error::NodeExists) => Ok(()),
            Err(error) => Err(at(path)(error)),
        }
    }

    /// Reads a lease.
    pub async fn lease(&self, key: &LeaseKey) -> Result<Read, NodeError> {
        self.read(self.tree.owner(key), self.tree.holder(key)).await
    }

    async fn read(&self, owner: String, holder: String) -> Result<Read, NodeError> {
        let (record, node) = join(self.client.get_data(&owner), self.client.get_data(&holder)).await;
        let record = match record {
            Ok((data, stat)) => {
                Some((tree::read(&data).ok_or_else(|| NodeError::not_ours(owner.clone()))?, stat.version))
            }
            Err(Error::NoNode) => None,
            Err(error) => return Err(at(&owner)(error)),
        };
        let holder = match node {
            Ok((data, stat)) => match tree::read::<Holder>(&data) {
                Some(there) if there.session == stat.ephemeral_owner => Some((there, stat)),
                Some(_) | None => return Err(NodeError::not_ours(holder)),
            },
            Err(Error::NoNode) => None,
            Err(error) => return Err(at(&holder)(error)),
        };
        Ok(Read { record, holder })
    }

    /// Makes the node of a lease that was never taken.
    pub async fn make_lease(&self, key: &LeaseKey) -> Result<(), NodeError> {
        self.make(&self.tree.owner(key), &tree::write(&Record::Free), CreateMode::Persistent).await
    }

    /// Takes a lease whose record has this version, and whose holder's node, if there is one, has that one: all of it or
    /// nothing.
    pub async fn take(&self, key: &LeaseKey, version: i32, before: Option<i32>, us: &Holder) -> Result<(), NodeError> {
        let (owner, holder) = (self.tree.owner(key), self.tree.holder(key));
        let mut all = self.client.new_multi_writer();
        let mut add = || {
            all.add_set_data(&owner, &tree::write(&Record::Held(us.clone())), Some(version))?;
            if let Some(before) = before {
                all.add_delete(&holder, Some(before))?;
            }
            all.add_create(&holder, &tree::write(us), &self.options(CreateMode::Ephemeral))
        };
        add().map_err(at(&holder))?;
        all.commit().await.map(drop).map_err(|error| at(&holder)(error.into()))
    }

    /// Gives a lease back: both nodes or none.
    pub async fn release(&self, key: &LeaseKey, version: i32, node: Option<i32>) -> Result<(), NodeError> {
        self.free(&self.tree.owner(key), &self.tree.holder(key), version, node).await
    }

    async fn free(&self, owner: &str, holder: &str, version: i32, node: Option<i32>) -> Result<(), NodeError> {
        let mut both = self.client.new_multi_writer();
        let mut add = || {
            both.add_set_data(owner, &tree::write(&Record::Free), Some(version))?;
            node.map_or(Ok(()), |node| both.add_delete(holder, Some(node)))
        };
        add().map_err(at(holder))?;
        both.commit().await.map(drop).map_err(|error| at(holder)(error.into()))
    }

    /// Gives back what predecessors at `place` held and this session has not taken over. `wanted`: names in the tree of
    /// leases that are left as they are, they will be.
    pub async fn sweep(&self, place: &str, wanted: &BTreeSet<String>) -> Result<(), NodeError> {
        let folder = self.tree.owners();
        let names = self.client.list_children(&folder).await.map_err(at(&folder))?;
        let unwanted = names.iter().filter(|name| !wanted.contains(*name));
        let sweeps = unwanted.map(|name| self.sweep_one(place, format!("{folder}/{name}")));
        // What can't be read or written is somebody else's, or was changed meanwhile.
        join_all(sweeps).await.into_iter().find(|swept| swept.as_ref().is_err_and(NodeError::passing)).unwrap_or(Ok(()))
    }

    async fn sweep_one(&self, place: &str, owner: String) -> Result<(), NodeError> {
        let holder = format!("{owner}/holder");
        let Read { record, holder: node } = self.read(owner.clone(), holder.clone()).await?;
        let Some((Record::Held(last), version)) = record else { return Ok(()) };
        let another = node.as_ref().is_some_and(|(there, _)| there.session != last.session);
        if last.place.as_deref() != Some(place) || last.session == self.session || another {
            return Ok(());
        }
        self.free(&owner, &holder, version, node.map(|(_, stat)| stat.version)).await?;
        tracing::info!("{owner}: given back for an earlier process of {}", last.director);
        Ok(())
    }

    /// Writes a record that says otherwise than the holder's node.
    pub async fn set_record(&self, key: &LeaseKey, version: i32, record: &Record) -> Result<(), NodeError> {
        let owner = self.tree.owner(key);
        self.client.set_data(&owner, &tree::write(record), Some(version)).await.map(drop).map_err(at(&owner))
    }

    /// Reads the candidates for a lease.
    pub async fn candidates(&self, key: &LeaseKey) -> Result<Vec<Node>, NodeError> {
        let folder = self.tree.candidates(key);
        let names = match self.client.list_children(&folder).await {
            Ok(names) => names,
            Err(Error::NoNode) => Vec::new(),
            Err(error) => return Err(at(&folder)(error)),
        };
        self.read_all(&folder, &names).await
    }

    /// Reads those that take part in spreading.
    pub async fn members(&self) -> Result<Vec<Node>, NodeError> {
        let folder = self.tree.members();
        let names = self.client.list_children(&folder).await.map_err(at(&folder))?;
        self.read_all(&folder, &names).await
    }

    async fn read_all(&self, folder: &str, names: &[String]) -> Result<Vec<Node>, NodeError> {
        let reads = names.iter().map(|name| async move {
            let path = format!("{folder}/{name}");
            let sequence = name.strip_prefix(CANDIDATE).and_then(|digits| digits.parse().ok());
            match self.client.get_data(&path).await {
                Ok((data, stat)) => Ok(Some(Node { path, sequence, data, stat })),
                Err(Error::NoNode) => Ok(None), // gone meanwhile, which will be heard of
                Err(error) => Err(at(&path)(error)),
            }
        });
        Ok(join_all(reads).await.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    /// Makes a candidate's node, and the folder before it if this is the first.
    pub async fn enter(&self, key: &LeaseKey, claim: &[u8]) -> Result<(), NodeError> {
        let folder = self.tree.candidates(key);
        let path = format!("{folder}/{CANDIDATE}");
        let options = self.options(CreateMode::EphemeralSequential);
        match self.client.create(&path, claim, &options).await {
            Ok(_) => Ok(()),
            Err(Error::NoNode) => {
                self.make(&folder, &[], CreateMode::Persistent).await?;
                self.client.create(&path, claim, &options).await.map(drop).map_err(at(&path))
            }
            Err(error) => Err(at(&path)(error)),
        }
    }

    /// Makes our member's node, or writes it anew.
    pub async fn join(&self, member: &[u8]) -> Result<(), NodeError> {
        let path = self.tree.member(self.session);
        match self.client.set_data(&path, member, None).await {
            Ok(_) => Ok(()),
            Err(Error::NoNode) => self.make(&path, member, CreateMode::Ephemeral).await,
            Err(error) => Err(at(&path)(error)),
        }
    }

    /// Writes a node of ours anew.
    pub async fn rewrite(&self, path: &str, data: &[u8], version: i32) -> Result<(), NodeError> {
        self.client.set_data(path, data, Some(version)).await.map(drop).map_err(at(path))
    }

    /// Deletes a node of ours; one that is gone is as good.
    pub async fn delete(&self, path: &str) -> Result<(), NodeError> {
        match self.client.delete(path, None).await {
            Ok(()) | Err(Error::NoNode) => Ok(()),
            Err(error) => Err(at(path)(error)),
        }
    }
}

/// Whole milliseconds, not fewer.
pub fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).saturating_add(1)
}
