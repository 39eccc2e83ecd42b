//! Real ZooKeeper servers on nodes of a lab: one alone, or an ensemble.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use vipward_lab::{Node, Process, Signal, wait_for};
use zookeeper_client::{Client, Error};

/// The jar of Debian's package; its manifest names the others.
pub(crate) const JAR: &str = "/usr/share/java/zookeeper.jar";

/// What writes the servers' log to standard error, from a package that the other needs.
const LOG: &str = "/usr/share/java/slf4j-simple.jar";

/// Where servers listen for clients.
pub const PORT: u16 = 2181;

/// The times in a server's `zoo.cfg`.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// `tickTime`: ZooKeeper looks for expired sessions so often, and a follower reports to its leader twice as often.
    pub tick: Duration,
    /// `initLimit` and `syncLimit`, in ticks: a leader that is silent for the second is given up.
    pub init_limit: u32,
    pub sync_limit: u32,
    /// `minSessionTimeout` and `maxSessionTimeout`, in milliseconds, where they are not left at 2 and 20 ticks.
    pub sessions: Option<(u32, u32)>,
}

impl Timing {
    /// For tests that wait for the end of a session.
    pub const QUICK: Self =
        Self { tick: Duration::from_millis(500), init_limit: 20, sync_limit: 4, sessions: Some((1_000, 60_000)) };
    /// The file of docs/zookeeper.md.
    pub const DOCUMENTED: Self = Self { tick: Duration::from_secs(1), init_limit: 10, sync_limit: 3, sessions: None };
    /// The example that Debian installs.
    pub const DEBIAN: Self = Self { tick: Duration::from_secs(2), init_limit: 10, sync_limit: 5, sessions: None };
}

/// How long one of the four letter words may take.
const ANSWER: Duration = Duration::from_secs(2);

/// How many of the last lines that a server said are shown when something went wrong, besides what its threads do.
const STORY: usize = 200;

/// How long an ensemble that has a leader may take to write something.
const COMMITS: Duration = Duration::from_secs(20);

/// How long a server has to say what its threads do.
const THREADS: Duration = Duration::from_secs(2);

/// What a server is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The only one.
    Standalone,
    Leader,
    Follower,
}

/// Whose lines a server's `zoo.cfg` has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Knows {
    All,
    Itself,
    Nobody,
}

/// One server: its machine, its files, and its process while it runs.
pub struct Server {
    node: Node,
    address: IpAddr,
    folder: PathBuf,
    /// The class to start: a server alone does not speak the protocol between servers.
    main: &'static str,
    process: Option<Process>,
}

/// All servers. Dropping it kills them and removes their files.
pub struct Ensemble {
    pub servers: Vec<Server>,
    _folder: tempfile::TempDir,
}

impl Ensemble {
    /// Starts a server on each of these nodes, at the address that it has there; one node is a server alone. Nothing
    /// serves yet, see [`Self::serves`].
    pub fn start(nodes: Vec<(Node, IpAddr)>, timing: Timing) -> io::Result<Self> {
        Self::with(nodes, timing, Knows::All)
    }

    /// Starts servers that don't know of each other, whatever their number: the `server.N` lines are forgotten.
    pub fn strangers(nodes: Vec<(Node, IpAddr)>, timing: Timing) -> io::Result<Self> {
        Self::with(nodes, timing, Knows::Nobody)
    }

    /// Starts servers each of which is an ensemble of its own.
    pub fn apart(nodes: Vec<(Node, IpAddr)>, timing: Timing) -> io::Result<Self> {
        Self::with(nodes, timing, Knows::Itself)
    }

    fn with(nodes: Vec<(Node, IpAddr)>, timing: Timing, knows: Knows) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let knows = if nodes.len() == 1 { Knows::Nobody } else { knows };
        let lines: Vec<String> =
            nodes.iter().zip(1..).map(|((_, at), id)| format!("server.{id}={at}:2888:3888\n")).collect();
        let main = if knows == Knows::Nobody { "ZooKeeperServerMain" } else { "quorum.QuorumPeerMain" };
        let mut servers = Vec::new();
        for ((node, address), id) in nodes.into_iter().zip(1..) {
            let folder = folder.path().join(node.name());
            let peers = match knows {
                Knows::All => lines.concat(),
                Knows::Itself => format!("standaloneEnabled=false\nserver.{id}={address}:2888:3888\n"),
                Knows::Nobody => String::new(),
            };
            write_files(&folder, address, id, timing, &peers)?;
            let mut server = Server { node, address, folder, main, process: None };
            server.start()?;
            servers.push(server);
        }
        Ok(Self { servers, _folder: folder })
    }

    /// Waits until every server serves, which of an ensemble means: has a role.
    pub fn serves(&self, limit: Duration) -> Result<(), String> {
        wait_for(limit, || self.servers.iter().all(|server| server.role().is_some()).then_some(()))
            .ok_or_else(|| format!("ZooKeeper does not serve within {limit:?}:\n{}", self.story()))
    }

    /// Whether it writes anything: a client that nothing has happened to gets a session from one of the servers, within a
    /// generous time. A role of each server is no proof, see docs/zookeeper.md.
    pub fn commits(&self) -> bool {
        wait_for(COMMITS, || {
            self.servers.iter().any(|server| server.client(None, async |_| Ok(())).is_ok()).then_some(())
        })
        .is_some()
    }

    /// What each server is, who is connected to it, the last of what it said, and what its threads do.
    pub fn story(&self) -> String {
        let told = self.servers.iter().map(|server| {
            let (said, connected) = (server.output(), server.ask("cons").unwrap_or_else(|error| error.to_string()));
            let skipped = said.lines().count().saturating_sub(STORY);
            let last: Vec<&str> = said.lines().skip(skipped).collect();
            if let Some(process) = &server.process {
                process.signal(Signal::SIGQUIT);
            }
            std::thread::sleep(THREADS);
            let all = server.output();
            let threads = all.get(said.len()..).unwrap_or_default();
            let (name, role) = (server.node.name(), server.role());
            format!("{name}: {role:?}\n{}\n{}\n{threads}\n", connected.trim(), last.join("\n"))
        });
        told.collect()
    }

    /// `["198.51.100.31:2181", …]`, as the settings want it.
    pub fn hosts(&self) -> String {
        let hosts: Vec<_> = self.servers.iter().map(|server| format!("\"{}:{PORT}\"", server.address)).collect();
        format!("[{}]", hosts.join(", "))
    }

    /// Which of the servers but this one leads now.
    pub fn leader_but(&self, frozen: usize) -> Option<usize> {
        let mut others = self.servers.iter().enumerate().filter(|(at, _)| *at != frozen);
        others.find(|(_, server)| server.role() == Some(Role::Leader)).map(|(at, _)| at)
    }

    /// Which of the servers leads, once one does.
    pub fn leader(&self, limit: Duration) -> Result<usize, String> {
        let leads = |server: &Server| matches!(server.role(), Some(Role::Leader | Role::Standalone));
        wait_for(limit, || self.servers.iter().position(leads)).ok_or_else(|| format!("no leader within {limit:?}"))
    }
}

impl Server {
    /// Starts it, or starts it again over what it wrote.
    pub fn start(&mut self) -> io::Result<()> {
        let mut command = Command::new("java");
        // Small and quick to start: a test has up to three of them beside everything else.
        command.args(["-Xms16m", "-Xmx96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"]);
        // No promise of a test outlives the machine that it runs on, and the directors' proofs of life are writes.
        command.args(["-Dzookeeper.forceSync=no", "-Dzookeeper.jmx.log4j.disable=true"]);
        command.args(["-Dorg.slf4j.simpleLogger.showDateTime=true", "-cp", &format!("{JAR}:{LOG}")]);
        command.arg("-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS");
        command.arg(format!("org.apache.zookeeper.server.{}", self.main)).arg(self.folder.join("zoo.cfg"));
        self.process = Some(self.node.spawn(command)?);
        Ok(())
    }

    /// SIGKILL; what it has written stays.
    pub fn kill(&mut self) {
        drop(self.process.take());
    }

    /// Freezes it, its connections stay open; or lets it go on.
    pub fn freeze(&self, frozen: bool) {
        if let Some(process) = &self.process {
            process.signal(if frozen { Signal::SIGSTOP } else { Signal::SIGCONT });
        }
    }

    /// What it is; `None` while it does not serve.
    pub fn role(&self) -> Option<Role> {
        let answer = self.ask("srvr").ok()?;
        match answer.lines().find_map(|line| line.strip_prefix("Mode: "))? {
            "standalone" => Some(Role::Standalone),
            "leader" => Some(Role::Leader),
            "follower" => Some(Role::Follower),
            _ => None, // an observer: none of ours
        }
    }

    /// The low half of the last transaction's number: how many there were under the present leader.
    pub fn zxid(&self) -> Option<u32> {
        let answer = self.ask("srvr").ok()?;
        let zxid = answer.lines().find_map(|line| line.strip_prefix("Zxid: 0x"))?;
        u64::from_str_radix(zxid, 16).ok().and_then(|zxid| u32::try_from(zxid & 0xffff_ffff).ok())
    }

    /// Its machine.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// `198.51.100.31:2181`.
    pub fn at(&self) -> SocketAddr {
        SocketAddr::new(self.address, PORT)
    }

    /// Its answer to one of the four letter words: `ruok`, `srvr`, `dump`, `cons`.
    pub fn ask(&self, word: &'static str) -> io::Result<String> {
        let at = self.at();
        self.node.run(move || {
            let mut stream = TcpStream::connect_timeout(&at, ANSWER)?;
            stream.set_read_timeout(Some(ANSWER))?;
            stream.write_all(word.as_bytes())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        })
    }

    /// Does something as an administrator, or as somebody who should not, would: with a session of its own, under this
    /// `user:password` if there is one.
    pub fn client<T, F>(
        &self,
        auth: Option<&'static str>,
        body: impl FnOnce(Client) -> F + Send + 'static,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>>,
    {
        let at = self.at().to_string();
        let done = self.node.run(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            Ok(runtime.block_on(async {
                let mut connector = Client::connector();
                if let Some(auth) = auth {
                    connector = connector.with_auth("digest", auth.as_bytes());
                }
                body(connector.connect(&at).await?).await
            }))
        });
        done.unwrap_or_else(|error| Err(Error::UnexpectedError(error.to_string())))
    }

    /// Takes a session over by its number, as its owner does when it connects to another server: from then on requests
    /// over the old connection are refused as moved. The connection ends at once; the session goes on.
    ///
    /// An owner that was connected here sees that at once, and may take the session back before this server has heard
    /// from its leader that the thief may have it: then the thief's connection is closed without an answer, and it
    /// tries again, for as long as `limit`. A refusal is an answer, and final.
    pub fn steal(&self, session: i64, timeout: Duration, limit: Duration) -> io::Result<()> {
        let mut taken_back = 0;
        let ended = wait_for(limit, || match self.steal_once(session, timeout) {
            Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
                taken_back += 1;
                None
            }
            ended => Some(ended),
        });
        ended.unwrap_or_else(|| Err(io::Error::other(format!("taken back {taken_back} times within {limit:?}"))))
    }

    fn steal_once(&self, session: i64, timeout: Duration) -> io::Result<()> {
        let at = self.at();
        self.node.run(move || {
            let mut stream = TcpStream::connect_timeout(&at, ANSWER)?;
            stream.set_read_timeout(Some(ANSWER))?;
            // ConnectRequest: protocol version, last zxid seen, timeout, session, password.
            let mut request = vec![0; 12];
            request.extend(i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX).to_be_bytes());
            request.extend(session.to_be_bytes());
            request.extend(16_i32.to_be_bytes());
            request.extend(password(session));
            let length = i32::try_from(request.len()).unwrap_or(0);
            stream.write_all(&[&length.to_be_bytes()[..], &request].concat())?;
            let mut answer = [0; 20];
            stream.read_exact(&mut answer)?;
            // ConnectResponse: length, protocol version, timeout, session; session 0: refused.
            if answer[12..] == session.to_be_bytes() { Ok(()) } else { Err(io::Error::other("refused")) }
        })
    }

    fn output(&self) -> String {
        self.process.as_ref().map(Process::output).unwrap_or_default()
    }
}

fn write_files(folder: &Path, address: IpAddr, id: u32, timing: Timing, peers: &str) -> io::Result<()> {
    let data = folder.join("data");
    std::fs::create_dir_all(&data)?;
    std::fs::write(data.join("myid"), id.to_string())?;
    let Timing { tick, init_limit, sync_limit, sessions } = timing;
    let sessions = sessions
        .map_or_else(String::new, |(least, most)| format!("minSessionTimeout={least}\nmaxSessionTimeout={most}\n"));
    let text = format!(
        "tickTime={}\ninitLimit={init_limit}\nsyncLimit={sync_limit}\ndataDir={}\nclientPort={PORT}\n\
         clientPortAddress={address}\nadmin.enableServer=false\n{sessions}\
         4lw.commands.whitelist=ruok,srvr,dump,cons\n{peers}",
        tick.as_millis(),
        data.display()
    );
    std::fs::write(folder.join("zoo.cfg"), text)
}

/// The password of a session, which ZooKeeper's servers make of its number by `java.util.Random`: why nobody but directors
/// should see those numbers.
fn password(session: i64) -> [u8; 16] {
    const MASK: u64 = (1 << 48) - 1;
    let mut seed = (session.cast_unsigned() ^ 0xb341_5c00 ^ 0x5_deec_e66d) & MASK;
    let mut password = [0; 16];
    for four in password.chunks_mut(4) {
        seed = seed.wrapping_mul(0x5_deec_e66d).wrapping_add(0xb) & MASK;
        let next = u32::try_from(seed >> 16).unwrap_or_default();
        four.copy_from_slice(&next.to_le_bytes());
    }
    password
}
