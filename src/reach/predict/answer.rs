//! The answer's way back. Firewalls let it pass (connection tracking); routes and links are asked again.

use std::net::IpAddr;

use crate::reach::predict::Path;
use crate::reach::predict::packet::{Arrival, MOST_HOPS};
use crate::reach::predict::segment::deliver;
use crate::reach::rules::host::{self, NoRoute};
use crate::reach::scene::{Endpoint, HOST, NodeId, NodeKind, Scene, is_placeholder, shown};
use crate::reach::verdict::{Code, Failure, Hop, Obstacle, Stage, Verdict};

/// The answer's way: routes and links decide, changes are undone where they were made.
pub fn back(
    scene: &Scene,
    start: NodeId,
    arrival: &Arrival,
    path: &mut Path,
) -> Result<(), Obstacle> {
    let mut at = arrival.node;
    let mut source = arrival.destination;
    let mut destination = arrival.source;
    if at == start && arrival.rewrites.is_empty() {
        return Ok(());
    }
    let mut rewrites = arrival.rewrites.clone();
    let mut unheard = Path::default();
    for _ in 0..MOST_HOPS {
        while let Some(last) = rewrites.last() {
            if last.at == at && last.after == (destination, source) {
                source = last.before.1;
                destination = last.before.0;
                rewrites.pop();
            } else {
                break;
            }
        }
        if scene.is_local(at, destination) {
            if at != start {
                break;
            }
            if !rewrites.is_empty() {
                return Err(around_the_host(scene, arrival, destination));
            }
            path.hops.push(Hop::Answered {
                at: scene.nodes[arrival.node].name.clone(),
                to: destination,
            });
            return Ok(());
        }
        let Some(route) = scene.route(at, destination) else {
            return Err(lost(scene, at, destination, None));
        };
        let next = route.via.unwrap_or(destination);
        let from = Endpoint {
            node: at,
            link: route.link,
        };
        match deliver(scene, from, next, destination, &mut unheard) {
            Ok(to) => at = to.node,
            Err(obstacle) => return Err(lost(scene, at, destination, Some(obstacle))),
        }
        if scene.nodes[at].kind == NodeKind::Outside {
            return Ok(());
        }
    }
    Err(lost(scene, at, destination, None))
}

/// The answer takes a shorter way than the question and misses the host that translated it: the client gets it from an
/// address that it never asked, and throws it away.
fn around_the_host(scene: &Scene, arrival: &Arrival, to: IpAddr) -> Obstacle {
    let node = &scene.nodes[arrival.node].name;
    Obstacle::fail(
        &host::AROUND,
        Stage::Return,
        Code::NoReturnRoute,
        Failure::Timeout,
        format!("the answer of `{node}` to {}", shown(to)),
    )
    .remedy(format!(
        "ask `{node}` at its own address on the network that both have, or take it off that network"
    ))
}

/// The answer does not come back: the client hears nothing.
fn lost(scene: &Scene, at: NodeId, to: IpAddr, why: Option<Obstacle>) -> Obstacle {
    let node = &scene.nodes[at].name;
    let Some(mut obstacle) = why else {
        let mut obstacle = host::no_route(node, NoRoute::NoDefault);
        obstacle.stage = Stage::Return;
        obstacle.code = Code::NoReturnRoute;
        obstacle.verdict = Verdict::Fail(Failure::Timeout);
        obstacle.at = format!("the answer of `{node}` to {}", shown(to));
        obstacle.remedy = format!("give `{node}` a route to {}", shown(to));
        return obstacle;
    };
    let by_shim = at == HOST && obstacle.code == Code::ParentFilter;
    obstacle.code = match (by_shim, obstacle.stage) {
        (true, _) if scene.shims.is_empty() => Code::ParentFilter,
        (true, _) => Code::ShimNoRoute,
        (false, Stage::Link) if obstacle.code == Code::NobodyThere => Code::NoReturnRoute,
        (false, _) => obstacle.code,
    };
    if let Verdict::Fail(_) = obstacle.verdict {
        obstacle.verdict = Verdict::Fail(Failure::Timeout);
        obstacle.also = None;
    }
    obstacle.stage = Stage::Return;
    obstacle.at = format!("the answer of `{node}` to {}: {}", shown(to), obstacle.at);
    if by_shim && !scene.shims.is_empty() && !is_placeholder(to) {
        obstacle.remedy = format!("let a route of the shim (`routes:`) cover {to}");
    }
    obstacle
}
