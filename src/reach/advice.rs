//! What would open a way that is shut, or shut one that is open: changes of the file are tried on a copy of the stack,
//! the question is asked again, and only what is predicted to do it is told. Of several, the one that touches the fewest
//! other cells.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;

use crate::model::name::{NetworkName, ServiceName};
use crate::model::network::{Driver, IpvlanFlag, IpvlanMode, MacvlanMode};
use crate::model::port::Protocol;
use crate::model::service::Connection;
use crate::model::stack::Stack;
use crate::plan::desired::Wishes;
use crate::plan::observed::Observed;
use crate::reach::change::Change;
use crate::reach::check;
use crate::reach::delta::delta;
use crate::reach::facts::Facts;
use crate::reach::predict::{Cell, predict};
use crate::reach::question::Ask;
use crate::reach::scene::build::scene;
use crate::reach::scene::draft::Moment;
use crate::reach::scene::{HOST, Scene};
use crate::reach::verdict::{Code, Verdict};

/// No more stacks than this are tried.
const MOST_TRIES: usize = 80;

/// A stack of more cells than this is not held against its changed self: only whether the way opens is asked.
const MOST_CELLS: usize = 6_000;

/// What is asked, of which stack.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    pub stack: &'a Stack,
    pub wishes: &'a Wishes,
    pub observed: &'a Observed,
    pub facts: &'a Facts,
    pub from: &'a str,
    pub to: &'a str,
    pub ask: Ask,
}

/// What to change.
#[derive(Debug, Clone, PartialEq)]
pub struct Advice {
    /// In this order; one, seldom two.
    pub changes: Vec<Change>,
    /// Whether it opens the way, or shuts it.
    pub opens: bool,
    /// How many other cells open and close with it; none where that was not counted.
    pub besides: Option<(usize, usize)>,
}

impl<'a> Case<'a> {
    fn scene(&self, stack: &Stack) -> Scene {
        let facts = self.facts.clone();
        scene(stack, self.wishes, self.observed, facts, Moment::Wanted)
    }

    fn cells(&self, scene: &Scene, to: &str, ask: Ask) -> Vec<Cell> {
        let questions = check::ask(scene, self.from, to, ask).unwrap_or_default();
        questions
            .into_iter()
            .map(|question| Cell {
                prediction: predict(scene, &question),
                question,
            })
            .collect()
    }

    /// Whether it works: each of those who ask gets through, at one address at least. A published port is asked where
    /// it is published.
    fn works(&self, scene: &Scene, published: Option<u16>) -> bool {
        let Some(port) = published else {
            return gets_through(&self.cells(scene, self.to, self.ask));
        };
        let ask = match self.ask {
            Ask::Udp(_) => Ask::Udp(port),
            Ask::Tcp(_) | Ask::Icmp | Ask::Name => Ask::Tcp(port),
        };
        gets_through(&self.cells(scene, "host", ask))
    }
}

/// Whether the network brings it there. Whether somebody listens is another question, unless it is the only one.
fn gets_through(cells: &[Cell]) -> bool {
    let listens = |cell: &Cell| {
        matches!(cell.prediction.verdict, Verdict::Depends(_))
            && cell.prediction.code() == Some(Code::NoListener)
    };
    let mut askers: BTreeSet<String> = BTreeSet::new();
    let mut fine: BTreeSet<String> = BTreeSet::new();
    for cell in cells {
        askers.insert(cell.question.from.to_string());
        if cell.prediction.verdict == Verdict::Ok || listens(cell) {
            fine.insert(cell.question.from.to_string());
        }
    }
    !askers.is_empty() && askers == fine
}

/// What would open the way that is shut, or shut the one that is open; none where no change of the file that is known
/// here does it.
pub fn advice(case: &Case) -> Option<Advice> {
    let now = case.scene(case.stack);
    let cells = case.cells(&now, case.to, case.ask);
    let works = cells
        .iter()
        .any(|cell| cell.prediction.verdict == Verdict::Ok);
    let opens = !gets_through(&cells);
    if !opens && !works {
        return expose(case, &now);
    }
    let mut tried = 0;
    let mut ends: Vec<Vec<Change>> = Vec::new();
    let mut next: Vec<(Vec<Change>, Stack)> = Vec::new();
    for change in candidates(case, case.stack, &now, opens) {
        let Some(changed) = attempt(&change, case.stack, &mut tried) else {
            continue;
        };
        if does_it(case, &changed, &[&change], opens) {
            ends.push(vec![change]);
        } else {
            next.push((vec![change], changed));
        }
    }
    if ends.is_empty() && opens {
        for (first, stack) in next {
            let halfway = case.scene(&stack);
            for change in candidates(case, &stack, &halfway, opens) {
                let Some(changed) = attempt(&change, &stack, &mut tried) else {
                    continue;
                };
                let both: Vec<&Change> = first.iter().chain([&change]).collect();
                if does_it(case, &changed, &both, opens) {
                    ends.push(both.into_iter().cloned().collect());
                }
            }
        }
    }
    gentlest(case, &now, ends, opens)
}

/// All that is not known is whether somebody listens: the file can say so.
fn expose(case: &Case, now: &Scene) -> Option<Advice> {
    let service = party(case.stack, now, case.to).service?;
    let change = Change::Expose(service, case.ask.port()?, case.ask.protocol()?);
    let stack = change.applied(case.stack)?;
    let cells = case.cells(&case.scene(&stack), case.to, case.ask);
    let works = cells
        .iter()
        .any(|cell| cell.prediction.verdict == Verdict::Ok);
    works.then(|| Advice {
        changes: vec![change],
        opens: true,
        besides: None,
    })
}

fn attempt(change: &Change, stack: &Stack, tried: &mut usize) -> Option<Stack> {
    if *tried >= MOST_TRIES {
        return None;
    }
    let changed = change.applied(stack)?;
    *tried += 1;
    Some(changed)
}

fn does_it(case: &Case, stack: &Stack, changes: &[&Change], opens: bool) -> bool {
    if is_refused(stack) {
        return false;
    }
    let published = changes.iter().find_map(|change| change.published());
    let scene = case.scene(stack);
    let works = case.works(&scene, published);
    if opens {
        return works;
    }
    // Shut means that nobody gets through, and that the names are still known to `ask`.
    let cells = case.cells(&scene, case.to, case.ask);
    !cells.is_empty()
        && cells
            .iter()
            .all(|cell| matches!(cell.prediction.verdict, Verdict::Fail(_)))
}

/// A shim where none can help is a mistake of the file.
fn is_refused(stack: &Stack) -> bool {
    stack.networks.values().any(|network| {
        let deaf = match network.driver {
            Driver::Macvlan(mode) => match mode {
                MacvlanMode::Private | MacvlanMode::Passthru => true,
                MacvlanMode::Bridge | MacvlanMode::Vepa => false,
            },
            Driver::Ipvlan(_, flag) => flag != IpvlanFlag::Bridge,
            Driver::Bridge | Driver::DefaultBridge | Driver::Host | Driver::None => false,
            Driver::Overlay | Driver::Plugin(_) => false,
        };
        deaf && network.shim.is_some()
    })
}

fn gentlest(case: &Case, now: &Scene, ends: Vec<Vec<Change>>, opens: bool) -> Option<Advice> {
    let countable = crate::reach::predict::cells::questions(now).len() <= MOST_CELLS;
    let mut best: Option<(usize, Advice)> = None;
    for changes in ends {
        let besides = countable.then(|| {
            let mut stack = case.stack.clone();
            for change in &changes {
                stack = change.applied(&stack).unwrap_or(stack);
            }
            let delta = delta(now, &case.scene(&stack));
            (delta.opened.len(), delta.closed.len())
        });
        let harm = besides.map_or(0, |(opened, closed)| opened + closed);
        if best.as_ref().is_none_or(|(least, _)| harm < *least) {
            let advice = Advice {
                changes,
                opens,
                besides,
            };
            best = Some((harm, advice));
        }
    }
    best.map(|(_, advice)| advice)
}

/// Who a word means: the service whose namespace it is, its networks, and whether it is the host.
struct Party {
    service: Option<ServiceName>,
    networks: Vec<NetworkName>,
}

fn party(stack: &Stack, scene: &Scene, word: &str) -> Party {
    let by_address = word.parse::<IpAddr>().ok().and_then(|address| {
        let node = scene.owners(address).iter().find(|node| **node != HOST)?;
        let (_, tenant) = scene.tenants(*node).next()?;
        Some(tenant.service.as_str())
    });
    let tenant = scene
        .containers
        .get(word)
        .map(|tenant| tenant.service.as_str());
    let named = scene
        .containers
        .values()
        .find(|tenant| tenant.names.iter().any(|name| name == word))
        .map(|tenant| tenant.service.as_str());
    let mut service = by_address
        .or(tenant)
        .or(named)
        .unwrap_or(word)
        .parse::<ServiceName>()
        .ok()
        .and_then(|name| stack.services.get(&name));
    // A guest in another's namespace has the other's networks.
    for _ in 0..stack.services.len() {
        match service.map(|service| &service.connection) {
            Some(Connection::Service(owner)) => service = stack.services.get(owner),
            Some(_) | None => break,
        }
    }
    let networks = match service.map(|service| &service.connection) {
        Some(Connection::Networks(networks)) => networks.keys().cloned().collect(),
        Some(_) | None => Vec::new(),
    };
    Party {
        service: service.map(|service| service.name.clone()),
        networks,
    }
}

/// Changes worth a try, the likelier first.
fn candidates(case: &Case, stack: &Stack, scene: &Scene, opens: bool) -> Vec<Change> {
    let from = party(stack, scene, case.from);
    let to = party(stack, scene, case.to);
    let mut changes = if opens {
        let codes: BTreeSet<Code> = case
            .cells(scene, case.to, case.ask)
            .iter()
            .filter_map(|cell| cell.prediction.code())
            .collect();
        let mut changes: Vec<Change> = codes
            .into_iter()
            .flat_map(|code| against(code, case, stack, scene, &from, &to))
            .collect();
        changes.extend(meetings(&from, &to));
        changes
    } else {
        partings(case, stack, scene, &from, &to)
    };
    let mut seen: Vec<Change> = Vec::new();
    changes.retain(|change| {
        let fresh = !seen.contains(change);
        seen.push(change.clone());
        fresh
    });
    changes
}

/// Both on one network.
fn meetings(from: &Party, to: &Party) -> Vec<Change> {
    let mut changes = Vec::new();
    for (joins, other) in [(from, to), (to, from)] {
        if let Some(service) = &joins.service {
            let missing = other
                .networks
                .iter()
                .filter(|key| !joins.networks.contains(key));
            changes.extend(missing.flat_map(|key| {
                // One of the two can be made, by what the service has now.
                [
                    Change::Join(service.clone(), key.clone()),
                    Change::JoinInstead(service.clone(), key.clone()),
                ]
            }));
        }
    }
    changes
}

/// What answers one reason.
fn against(
    code: Code,
    case: &Case,
    stack: &Stack,
    scene: &Scene,
    from: &Party,
    to: &Party,
) -> Vec<Change> {
    let both = || from.networks.iter().chain(&to.networks);
    let every = |make: &dyn Fn(NetworkName) -> Change| -> Vec<Change> {
        both().map(|key| make(key.clone())).collect()
    };
    match code {
        Code::IccOff => every(&Change::LetTalk),
        Code::InternalNoExit => every(&Change::Unseal),
        Code::IsolatedNoHostIp => every(&Change::BackToHost),
        Code::FamilyMissing | Code::PortOnWrongFamily => every(&Change::Ipv6),
        Code::ParentFilter | Code::NoShim => on_parents(stack, both(), &Change::Shim),
        Code::ShimNoRoute | Code::ShimWrongSource => shim_routes(case, stack, scene, both()),
        Code::MacvlanPrivate | Code::VepaNoReflect | Code::PassthruSingle => both()
            .filter_map(|key| match stack.networks.get(key)?.driver {
                Driver::Macvlan(_) => Some(Change::Macvlan(key.clone(), MacvlanMode::Bridge)),
                Driver::Ipvlan(mode, _) => {
                    Some(Change::Ipvlan(key.clone(), mode, IpvlanFlag::Bridge))
                }
                Driver::Bridge | Driver::DefaultBridge | Driver::Host | Driver::None => None,
                Driver::Overlay | Driver::Plugin(_) => None,
            })
            .collect(),
        Code::SwitchDropsUnknown => on_parents(stack, both(), &Change::ToIpvlan),
        Code::IpvlanL3NoBcast => on_parents(stack, both(), &|key| {
            Change::Ipvlan(key, IpvlanMode::L2, IpvlanFlag::Bridge)
        }),
        Code::LoopbackOnly | Code::PublishedElsewhere => ports(case, stack, scene)
            .into_iter()
            .map(|(service, target, protocol)| Change::OnAllAddresses(service, target, protocol))
            .collect(),
        Code::NoDefaultRoute
        | Code::NoReturnRoute
        | Code::DirectRouteBlocked
        | Code::NotPublished
        | Code::ForwardPolicy
        | Code::NobodyThere
        | Code::BridgeIsolation => {
            let mut changes: Vec<Change> = gateways(stack, from);
            changes.extend(gateways(stack, to));
            changes.extend(publish(case, stack, to));
            // On an internal network a published port is not open: it takes both.
            let sealed = |key: &&NetworkName| {
                (stack.networks.get(*key)).is_some_and(|network| network.internal)
            };
            let sealed = to.networks.iter().filter(sealed);
            changes.extend(sealed.cloned().map(Change::Unseal));
            changes
        }
        // A network in common, or nothing that the file could say.
        Code::NameUnknownHere
        | Code::NameOtherNetwork
        | Code::NameAmbiguous
        | Code::NoEmbeddedDns
        | Code::DnsNoForward
        | Code::NetnsNone
        | Code::NoCommonNetwork
        | Code::ModeHasNoPublish
        | Code::GatewayIsOtherNet
        | Code::OverlayNotAttachable
        | Code::SwarmInactive
        | Code::NoListener
        | Code::ListenerLoopback
        | Code::HostFirewall
        | Code::RpFilter
        | Code::DuplicateAddress
        | Code::Mtu
        | Code::ContainerDown
        | Code::UnknownExternal => Vec::new(),
    }
}

fn on_parents<'a>(
    stack: &Stack,
    networks: impl Iterator<Item = &'a NetworkName>,
    make: &dyn Fn(NetworkName) -> Change,
) -> Vec<Change> {
    networks
        .filter(|key| {
            stack
                .networks
                .get(*key)
                .is_some_and(|known| known.driver.on_parent())
        })
        .map(|key| make(key.clone()))
        .collect()
}

fn shim_routes<'a>(
    case: &Case,
    stack: &Stack,
    scene: &Scene,
    networks: impl Iterator<Item = &'a NetworkName>,
) -> Vec<Change> {
    let mut changes = Vec::new();
    for key in networks {
        let has = stack
            .networks
            .get(key)
            .is_some_and(|known| known.shim.is_some());
        for word in [case.from, case.to] {
            let nodes = check::viewpoints(scene, word).unwrap_or_default();
            for (node, _) in nodes.iter().filter_map(|at| scene.viewpoint(at)) {
                if has && node != HOST {
                    let addresses = scene.addresses(node);
                    changes.extend(addresses.map(|to| Change::ShimRoute(key.clone(), to)));
                }
            }
        }
    }
    changes
}

/// The routers of lans, as ways out of the networks on them.
fn gateways(stack: &Stack, party: &Party) -> Vec<Change> {
    let mut changes = Vec::new();
    for key in &party.networks {
        let Some(network) = stack
            .networks
            .get(key)
            .filter(|known| known.driver.on_parent())
        else {
            continue;
        };
        for gateway in stack.lans.values().flat_map(|lan| &lan.gateways) {
            if network.subnets().any(|subnet| subnet.contains(gateway)) {
                changes.push(Change::Gateway(key.clone(), *gateway));
            }
        }
    }
    changes
}

/// A port of the host, where containers have bridge networks: the asked port if it is free there.
fn publish(case: &Case, stack: &Stack, to: &Party) -> Vec<Change> {
    let (Some(service), Some(target), Some(protocol)) =
        (&to.service, case.ask.port(), case.ask.protocol())
    else {
        return Vec::new();
    };
    let taken: BTreeSet<u16> = stack
        .services
        .values()
        .flat_map(|service| &service.ports)
        .filter(|port| port.protocol == protocol)
        .filter_map(|port| port.published.map(|range| range.first))
        .collect();
    let host = [target]
        .into_iter()
        .chain(target.checked_add(8000))
        .chain(20_000..20_100)
        .find(|port| !taken.contains(port));
    host.map(|host| Change::Publish(service.clone(), target, protocol, host))
        .into_iter()
        .collect()
}

/// The published ports that are asked: of the service, or of whoever has the asked port of the host.
fn ports(case: &Case, stack: &Stack, scene: &Scene) -> Vec<(ServiceName, u16, Protocol)> {
    let Some(asked) = case.ask.port() else {
        return Vec::new();
    };
    let at_host = scene
        .publications
        .iter()
        .filter(|publication| publication.host_port == asked);
    at_host
        .filter_map(|publication| {
            let tenant = scene.containers.get(&publication.container)?;
            let name: ServiceName = tenant.service.parse().ok()?;
            let service = stack.services.get(&name)?;
            Some((
                service.name.clone(),
                publication.target,
                publication.protocol,
            ))
        })
        .collect()
}

/// What parts two who reach each other.
fn partings(case: &Case, stack: &Stack, scene: &Scene, from: &Party, to: &Party) -> Vec<Change> {
    let shared = || from.networks.iter().filter(|key| to.networks.contains(key));
    let mut changes: Vec<Change> = Vec::new();
    for (service, target, protocol) in ports(case, stack, scene) {
        changes.push(Change::OnLoopback(service, target, protocol));
    }
    for key in shared() {
        for party in [from, to] {
            changes.extend(
                party
                    .service
                    .clone()
                    .map(|service| Change::Leave(service, key.clone())),
            );
        }
        match stack.networks.get(key).map(|network| &network.driver) {
            Some(Driver::Bridge) => changes.push(Change::WallOff(key.clone())),
            Some(Driver::Macvlan(_)) => {
                changes.push(Change::Macvlan(key.clone(), MacvlanMode::Private));
            }
            Some(Driver::Ipvlan(mode, _)) => {
                changes.push(Change::Ipvlan(key.clone(), *mode, IpvlanFlag::Private));
            }
            Some(Driver::DefaultBridge | Driver::Host | Driver::None) => {}
            Some(Driver::Overlay | Driver::Plugin(_)) | None => {}
        }
    }
    for key in from.networks.iter().chain(&to.networks) {
        if let Some(network) = stack.networks.get(key) {
            if network.shim.is_some() {
                changes.push(Change::NoShim(key.clone()));
            }
            if network.driver == Driver::Bridge && !network.internal {
                changes.push(Change::Seal(key.clone()));
            }
        }
    }
    changes
}

impl Advice {
    /// A sentence for each change, and how it is written.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let lead = if self.opens {
            "what would open it"
        } else {
            "what would close it"
        };
        let sentences: Vec<String> = self.changes.iter().map(Change::to_string).collect();
        let _ = writeln!(text, "{lead}: {}", sentences.join(", and "));
        for fragment in self.changes.iter().filter_map(Change::fragment) {
            let _ = writeln!(text, "    {fragment}");
        }
        if let Some((opened, closed)) = self.besides {
            let _ = writeln!(
                text,
                "  tried on a copy: {} open and {} close in all",
                counted(opened),
                counted(closed)
            );
        }
        text
    }
}

fn counted(cells: usize) -> String {
    match cells {
        0 => "none".to_owned(),
        1 => "1 cell".to_owned(),
        more => format!("{more} cells"),
    }
}
