//! Whether somebody on the wire has an address that a plan is about to give to a container or a shim. Asked before anything is
//! changed, once for each wire, all its addresses together.

use futures_util::future::join_all;

use crate::cli::exit::{Exit, Failure};
use crate::cli::render::talk;
use crate::plan::claim::{Claim, Wire, claims, is_own};
use crate::plan::observed::Observed;
use crate::plan::spec::{Kind, ResourceId};
use crate::plan::step::Plan;
use crate::world::WorldError;
use crate::world::host::probe::Answers;
use crate::world::live::Live;

/// Asks for all of a plan's addresses. Ends the command where one is taken; that nobody could be asked is a warning.
pub async fn ask(
    live: &Live,
    plan: &Plan,
    observed: &Observed,
    place: &(dyn Fn(&ResourceId) -> Option<String> + Sync),
) -> Result<(), Failure> {
    let claims = claims(plan, observed);
    let Some(host) = observed.host.as_ref().filter(|_| !claims.is_empty()) else {
        return Ok(());
    };
    if !host.may_administer {
        talk(
            "warning: nobody was asked whether the fixed addresses of macvlan and ipvlan networks and of shims are free: that needs \
             CAP_NET_ADMIN",
        );
        return Ok(());
    }
    let mut wires: Vec<(Wire, Vec<&Claim>)> = Vec::new();
    for claim in &claims {
        match wires.iter_mut().find(|(wire, _)| *wire == claim.wire) {
            Some((_, others)) => others.push(claim),
            None => wires.push((claim.wire.clone(), vec![claim])),
        }
    }
    let answers = join_all(
        wires
            .iter()
            .map(|(wire, claims)| answers(live, wire, claims)),
    );
    let mut taken = 0;
    for ((wire, claims), answers) in wires.iter().zip(answers.await) {
        match answers {
            Ok(answers) => taken += tell(wire, claims, &answers, observed, place),
            Err(error) => talk(&format!("warning: {error}")),
        }
    }
    if taken == 0 {
        return Ok(());
    }
    talk("nothing was changed");
    Err(Failure::Told(Exit::Refused))
}

async fn answers(live: &Live, wire: &Wire, claims: &[&Claim]) -> Result<Answers, WorldError> {
    let addresses: Vec<_> = claims.iter().map(|claim| claim.address).collect();
    match live.host().await {
        Ok(host) => host.probe(wire, &addresses, host.patience()).await,
        Err(_) => Ok(Answers::default()),
    }
}

/// Tells whose addresses are taken, and how many are.
fn tell(
    wire: &Wire,
    claims: &[&Claim],
    answers: &Answers,
    observed: &Observed,
    place: &(dyn Fn(&ResourceId) -> Option<String> + Sync),
) -> usize {
    if let Some(why) = &answers.children_not_asked {
        talk(&format!(
            "warning: containers of others on `{}` could not be asked for their addresses: {why}",
            wire.link
        ));
    }
    let mut taken = 0;
    for holder in &answers.holders {
        if is_own(observed, holder.address, holder.mac, wire.asker) {
            continue;
        }
        for claim in claims
            .iter()
            .filter(|claim| claim.address == holder.address)
        {
            taken += 1;
            talk(&format!(
                "error[address-taken]: {}: {} is used by {} on the wire of `{}` (network `{}`)",
                claim.id, holder.address, holder.mac, wire.link, claim.network
            ));
            if let Some(place) = place(&claim.id) {
                talk(&format!("  --> {place}"));
            }
            let whom = match claim.id.kind {
                Kind::Shim => "shim",
                _ => "container",
            };
            talk(&format!(
                "hint: give the {whom} an address that nobody has, outside of what a DHCP server hands out, or take \
                 that machine off the wire"
            ));
        }
    }
    taken
}
