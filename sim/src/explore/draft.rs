//! A random cluster.

use super::dice::Dice;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A cluster as it was drawn.
#[derive(Clone, Debug)]
pub struct Draft {
    /// A front and a back segment, and the daemon carries connections; else one segment, IPVS and direct routing.
    pub split: bool,
    pub routers: Vec<Router>,
    pub directors: Vec<Director>,
    pub services: Vec<VirtualServer>,
    pub clients: Vec<Client>,
    /// `[vip] lifetime`.
    pub lifetime: bool,
    /// `ha_suspend`, in every virtual server.
    pub suspend: bool,
    /// A quorum service, and who may have an address by it.
    pub coordination: Option<Coordination>,
}

/// Leases of a quorum service.
#[derive(Clone, Debug)]
pub struct Coordination {
    /// Seconds.
    pub session: u64,
    /// Milliseconds.
    pub tick: u64,
    /// Of the service's clock, in parts per million.
    pub drift: i32,
    /// VRIDs of the virtual routers that know no VRRP; the others are fenced.
    pub elected: Vec<u8>,
    /// The elected ones are spread, at most so many a director.
    pub spread: Option<u32>,
}

/// A virtual router of the cluster.
#[derive(Clone, Debug)]
pub struct Router {
    pub vrid: u8,
    pub version: u8,
    /// Centiseconds.
    pub interval: u16,
    /// Last bytes of its addresses.
    pub vips: Vec<u8>,
    pub unicast: bool,
    pub password: bool,
    /// `virtual_routes` and `virtual_rules`: a route and a rule.
    pub routes: bool,
}

impl Router {
    /// Where its route leads: `prefix/length`.
    pub fn route(&self) -> String {
        format!("203.0.{}.0/24", self.vrid)
    }
}

#[derive(Clone, Debug)]
pub struct Director {
    /// 1 for `lb1`.
    pub number: usize,
    /// Parts per million.
    pub drift: i32,
    /// By VRID: its part in each virtual router.
    pub members: BTreeMap<u8, Member>,
    /// The weight of a tracked script.
    pub script: Option<Weight>,
    /// The weight of a tracked file.
    pub file: Option<Weight>,
    /// The weight of a tracked process, and how many seconds it must have ended before that counts.
    pub process: Option<(Weight, u32)>,
    /// The weight of its interface on the back segment, where there is one and it is tracked.
    pub back: Option<Weight>,
}

/// Of something tracked; none: while it is down, the virtual router is in FAULT.
pub type Weight = Option<i16>;

#[derive(Clone, Debug)]
pub struct Member {
    pub priority: u8,
    /// In the file for reloads.
    pub reloaded: u8,
    pub nopreempt: bool,
    /// Seconds.
    pub preempt_delay: u32,
    pub master: bool,
}

/// A virtual server on a virtual router's first address.
#[derive(Clone, Debug)]
pub struct VirtualServer {
    pub vip: u8,
    /// It is a group of this address and the next one.
    pub group: bool,
    pub delay_loop: u32,
    pub quorum: u32,
    pub sorry: bool,
    pub servers: Vec<Server>,
}

#[derive(Clone, Debug)]
pub struct Server {
    /// 1 for `web1`.
    pub number: usize,
    pub weight: u32,
    pub http: bool,
    pub alpha: bool,
    pub inhibit: bool,
    pub connect_timeout: u32,
    pub retry: u32,
    pub delay_before_retry: u32,
    /// The file for reloads lacks it.
    pub dropped: bool,
}

#[derive(Clone, Debug)]
pub struct Client {
    pub vip: u8,
    pub every_ms: u64,
    /// So many connections it keeps open besides.
    pub keeps: u64,
}

/// How much a sweep draws: the same proportions for all seeds.
impl Draft {
    pub fn draw(dice: &mut Dice, settings: &mut Dice) -> Self {
        let mut draft = Self::draw_plain(dice, settings);
        draft.directors.iter_mut().for_each(|director| director.track(draft.split, settings));
        draft.suspend = settings.one_in(6);
        draft.widen(settings);
        draft
    }

    /// More clients and kept connections, groups, routes.
    fn widen(&mut self, dice: &mut Dice) {
        for router in &mut self.routers {
            router.routes = dice.one_in(5);
        }
        for service in &mut self.services {
            let both = self.routers.iter().any(|router| router.vips == [service.vip, service.vip + 1]);
            service.group = both && dice.one_in(2);
        }
        let vips: Vec<u64> = self.routers.iter().flat_map(|router| &router.vips).map(|vip| u64::from(*vip)).collect();
        for _ in 0..dice.among(&[0, 0, 0, 1, 2]) {
            let (vip, every_ms) = (byte(dice.among(&vips)), dice.among(&[1000, 2000, 5000]));
            self.clients.push(Client { vip, every_ms, keeps: 0 });
        }
        for client in &mut self.clients {
            client.keeps = dice.among(&[0, 0, 1, 2]);
        }
    }

    fn draw_plain(dice: &mut Dice, settings: &mut Dice) -> Self {
        let split = dice.one_in(3);
        let routers: Vec<Router> = (0..dice.among(&[1, 1, 1, 2, 2, 3, 4])).map(|at| Router::draw(at, dice)).collect();
        let directors: Vec<usize> = (1..=dice.among(&[2, 2, 2, 3, 3, 4, 5])).collect();
        let mut directors: Vec<Director> = directors.into_iter().map(|number| Director::draw(number, dice)).collect();
        for router in &routers {
            let (equal, nopreempt) = (dice.one_in(4), dice.one_in(4));
            let delay = if dice.one_in(5) { dice.up_to(10) } else { 0 };
            let base = dice.between(1, 254);
            for (at, director) in directors.iter_mut().enumerate() {
                if at >= 2 && dice.one_in(6) {
                    continue;
                }
                let priority = if equal { base } else { dice.between(1, 254) };
                let member = Member {
                    priority: byte(priority),
                    reloaded: byte(dice.between(1, 254)),
                    nopreempt,
                    preempt_delay: u32::try_from(delay).unwrap_or(0),
                    master: false,
                };
                director.members.insert(router.vrid, member);
            }
            // As a user would write it: the best one says MASTER. Elsewhere the reader calls it a mistake.
            let parts = directors.iter_mut().filter_map(|director| director.members.get_mut(&router.vrid));
            if let Some(best) = parts.max_by_key(|member| member.priority)
                && dice.one_in(2)
            {
                best.master = !nopreempt && delay == 0;
            }
        }
        let mut left = dice.up_to(8);
        let mut services = Vec::new();
        let mut number = 0;
        for router in &routers {
            let vip = router.vips.first().copied().unwrap_or(100);
            let count = dice.up_to(4).min(left);
            if count == 0 {
                continue;
            }
            left -= count;
            let servers = (0..count).map(|_| {
                number += 1;
                Server::draw(number, dice)
            });
            services.push(VirtualServer {
                vip,
                group: false,
                servers: servers.collect(),
                delay_loop: small(dice.between(1, 10)),
                quorum: small(dice.among(&[1, 1, 1, 2, 3])),
                sorry: dice.one_in(3),
            });
        }
        let vip = routers.first().and_then(|router| router.vips.first()).copied().unwrap_or(100);
        let vip = services.first().map_or(vip, |service| service.vip);
        let client = dice.one_in(2).then(|| Client { vip, every_ms: dice.among(&[1000, 2000, 5000]), keeps: 0 });
        Self {
            split,
            routers,
            directors,
            services,
            clients: client.into_iter().collect(),
            lifetime: !settings.one_in(8),
            suspend: false,
            coordination: None,
        }
    }

    /// A cluster that is all about leases: no real servers, and adverts of everyday pace, since session timeouts are what
    /// everything waits for.
    pub fn draw_fenced(dice: &mut Dice, settings: &mut Dice) -> Self {
        let mut draft = Self::draw_plain(dice, settings);
        // A lease of the quorum service rests on the kernel's.
        draft.lifetime = true;
        (draft.split, draft.services, draft.clients) = (false, Vec::new(), Vec::new());
        draft.directors.truncate(4);
        draft.routers.truncate(3);
        for router in &mut draft.routers {
            router.interval = if router.version == 2 { 100 } else { dice.among(&[50, 100, 100, 100, 200]) };
        }
        let alike: BTreeMap<u8, Member> = draft.directors.first().map(|it| it.members.clone()).unwrap_or_default();
        for director in &mut draft.directors {
            director.drift = i32::try_from(dice.up_to(1000)).unwrap_or(0) - 500;
            // One `vipward.toml` names the routers of all directors, so that each has all of them.
            for (vrid, member) in &alike {
                let priority = byte(dice.between(1, 254));
                director.members.entry(*vrid).or_insert(Member { priority, ..member.clone() });
            }
            director.members.retain(|vrid, _| draft.routers.iter().any(|router| router.vrid == *vrid));
            director.members.values_mut().for_each(|member| member.master = false);
        }
        let session = dice.among(&[8, 8, 10, 10, 12, 15]);
        let elected = draft.routers.iter().map(|router| router.vrid).filter(|_| dice.one_in(3)).collect();
        draft.coordination = Some(Coordination {
            session,
            tick: dice.among(&[500, 1000, 2000, 500 * session]),
            drift: i32::try_from(dice.up_to(1000)).unwrap_or(0) - 500,
            // The last one alive must have room for all.
            spread: dice.one_in(3).then(|| small(dice.between(3, 6))),
            elected,
        });
        draft
    }
}

impl Router {
    fn draw(at: u64, dice: &mut Dice) -> Self {
        let version = if dice.one_in(2) { 2 } else { 3 };
        // Short intervals make a seed cost a hundred times as much as one of a second, so they are rare, not absent.
        let interval = match version {
            2 => dice.among(&[100, 100, 100, 200, 300, 1000]),
            _ => dice
                .among(&[1, 2, 5, 10, 10, 20, 25, 50, 50, 50, 100, 100, 100, 100, 100, 100, 130, 200, 300, 500, 1000]),
        };
        let first = byte(100 + 10 * at);
        Self {
            vrid: byte(51 + at),
            version,
            interval: u16::try_from(interval).unwrap_or(100),
            vips: if dice.one_in(4) { vec![first, first + 1] } else { vec![first] },
            unicast: dice.one_in(4),
            password: version == 2 && dice.one_in(4),
            routes: false,
        }
    }
}

/// What a tracker adds to a priority, or takes from it.
const WEIGHTS: [i16; 5] = [-120, -40, -10, 10, 60];

impl Director {
    fn draw(number: usize, dice: &mut Dice) -> Self {
        let drift = if dice.one_in(3) { 0 } else { i32::try_from(dice.up_to(1000)).unwrap_or(0) - 500 };
        let script = dice.one_in(4).then(|| Some(dice.among(&WEIGHTS)));
        Self { number, drift, members: BTreeMap::new(), script, file: None, process: None, back: None }
    }

    /// Trackers without a weight, and the interface on the back segment.
    fn track(&mut self, split: bool, dice: &mut Dice) {
        if self.script.is_some() && dice.one_in(2) {
            self.script = Some(None);
        }
        self.back = (split && dice.one_in(2)).then(|| (!dice.one_in(2)).then(|| dice.among(&WEIGHTS)));
        let weight = |dice: &mut Dice| (!dice.one_in(3)).then(|| dice.among(&WEIGHTS));
        self.file = dice.one_in(5).then(|| (!dice.one_in(3)).then(|| dice.among(&[-1, 1, 1, 2])));
        self.process = dice.one_in(5).then(|| (weight(dice), small(dice.among(&[0, 0, 1, 3]))));
    }

    /// The name of its configuration.
    pub fn file(&self, reloaded: bool) -> PathBuf {
        PathBuf::from(format!("lb{}{}.conf", self.number, if reloaded { "-reloaded" } else { "" }))
    }
}

impl Server {
    fn draw(number: usize, dice: &mut Dice) -> Self {
        Self {
            number,
            weight: small(dice.among(&[1, 1, 1, 2, 3])),
            http: dice.one_in(2),
            alpha: dice.one_in(6),
            inhibit: dice.one_in(6),
            connect_timeout: small(dice.between(1, 5)),
            retry: small(dice.up_to(3)),
            delay_before_retry: small(dice.between(1, 3)),
            dropped: dice.one_in(4),
        }
    }
}

fn byte(number: u64) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
