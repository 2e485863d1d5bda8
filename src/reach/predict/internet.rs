//! What comes from the internet: it is known how far the host lets it in, and not whether anything brings it there.

use std::net::IpAddr;

use crate::reach::predict::{Path, trace};
use crate::reach::question::{Question, Target};
use crate::reach::rules::host;
use crate::reach::scene::{HOST, NodeId, Scene, is_placeholder};
use crate::reach::verdict::Obstacle;

/// Follows what somebody out there sends, until the host has let it through or not.
pub fn comes_in(
    scene: &Scene,
    outside: NodeId,
    question: &Question,
    path: &mut Path,
) -> Result<(), Obstacle> {
    let address = match &question.to {
        Target::Address(address) => *address,
        Target::Name(name) => return Err(host::unknown_outside(name)),
        Target::Internet => return Err(host::outside("whether the world outside answers")),
    };
    if !scene.is_local(HOST, address) && is_private(address) {
        return Err(host::private(&question.meant, address));
    }
    // Whatever address the host has out there, a router hands it what is for one of the host's own.
    let family = match address {
        IpAddr::V4(_) => trace::Family::V4,
        IpAddr::V6(_) => trace::Family::V6,
    };
    let source = Some(trace::beyond(scene, family));
    trace::there_and_back(scene, outside, source, address, question, path)?;
    Err(host::let_in(question.ask))
}

/// Addresses that no router of the internet has a route to.
fn is_private(address: IpAddr) -> bool {
    if is_placeholder(address) {
        return true;
    }
    match address {
        IpAddr::V4(address) => address.is_private() || address.is_link_local(),
        IpAddr::V6(address) => address.is_unique_local() || address.is_unicast_link_local(),
    }
}
