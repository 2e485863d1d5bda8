//! `stack shim show`: a shim with the reason for each of its parts.

use std::fmt::Write as _;
use std::io::Write;

use ipnet::IpNet;

use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::shim::{WhichArgs, as_json, kind, place, shims};
use crate::model::address::same_family;
use crate::plan::spec::ShimKind;
use crate::world::host::shim::survey::Standing;

/// Shows them.
pub async fn run(context: &Context, arguments: &WhichArgs) -> Outcome {
    let (_, host) = place(context).await?;
    let found = shims(context, &host, &arguments.shims)
        .await?
        .all_standing()?;
    let mut output = std::io::stdout().lock();
    if arguments.format == "json" {
        let all: Vec<_> = found.iter().map(as_json).collect();
        let text = serde_json::to_string_pretty(&all).map_err(Failure::said)?;
        writeln!(output, "{text}")?;
        return Ok(Exit::Done);
    }
    let texts: Vec<String> = found.iter().map(text).collect();
    write!(output, "{}", texts.join("\n"))?;
    Ok(Exit::Done)
}

fn text(shim: &Standing) -> String {
    let spec = &shim.spec;
    let mut text = format!(
        "{}: the host's door into {}\n",
        spec.name,
        spec.networks.join(", ")
    );
    let mut line = |key: &str, value: String, why: &str| {
        let _ = writeln!(text, "  {key:<9} {value}");
        if !why.is_empty() {
            let _ = writeln!(text, "            {why}");
        }
    };
    line("project", shim.project.clone(), "");
    line("status", status(shim), "");
    line(
        "on",
        format!("{}, {}", spec.parent, kind(spec.kind)),
        match spec.kind {
            ShimKind::Macvlan(_) => {
                "the kernel keeps parent and children apart, and lets siblings talk: so it is one of them"
            }
            ShimKind::Ipvlan(..) => {
                "kind, mode and flag are those of the networks: the newest ipvlan link sets them for all on the parent"
            }
        },
    );
    match (spec.kind, shim.link.mac) {
        (ShimKind::Macvlan(_), Some(mac)) => line(
            "mac",
            mac.to_string(),
            "derived from project and network, so that switches and neighbours see the same one after a reboot",
        ),
        (ShimKind::Macvlan(_), None) | (ShimKind::Ipvlan(..), _) => {}
    }
    for net in &shim.link.addresses {
        line("address", net.to_string(), &beside(shim, *net));
    }
    for route in &spec.routes {
        line(
            "route",
            format!("{} src {}", route.destination, route.source),
            "",
        );
    }
    for (container, to) in &shim.followed {
        let source = spec
            .addresses
            .iter()
            .find(|address| same_family(**address, to.addr()));
        let source = source.map_or_else(String::new, |source| format!(" src {source}"));
        line(
            "route",
            format!("{to}{source}"),
            &format!("follows the container `{container}`"),
        );
    }
    for address in &spec.addresses {
        let others: Vec<String> = shim
            .parent
            .iter()
            .flat_map(|parent| &parent.addresses)
            .map(IpNet::addr)
            .filter(|other| same_family(*other, *address) && !is_link_local(*other))
            .map(|other| other.to_string())
            .collect();
        let instead = if others.is_empty() {
            String::new()
        } else {
            format!(", not {}", others.join(" or "))
        };
        line(
            "source",
            format!("{address}{instead}"),
            "what containers see of this host when it calls them: name it in access lists (NFS exports, firewalls)",
        );
    }
    for (path, wanted, now) in &shim.settings {
        let now = match now {
            Some(now) if now == wanted => now.clone(),
            Some(now) => format!("{now} (wanted: {wanted})"),
            None => continue,
        };
        line("setting", format!("{path} = {now}"), setting(path));
    }
    text
}

fn status(shim: &Standing) -> String {
    if shim.damage.is_empty() {
        "whole".to_owned()
    } else {
        format!("{} (`stack shim repair` mends it)", shim.damage.join("; "))
    }
}

/// Why an address has its prefix.
fn beside(shim: &Standing, net: IpNet) -> String {
    let parent = shim.parent.iter().flat_map(|parent| &parent.addresses);
    let own = parent
        .filter(|own| own.contains(&net.addr()))
        .map(|own| format!("{}'s own {}", shim.spec.parent, own.trunc()))
        .next();
    match own {
        Some(own) => {
            format!("a host prefix without a route of its own: it never competes with {own}")
        }
        None => "a host prefix without a route of its own".to_owned(),
    }
}

fn is_link_local(address: std::net::IpAddr) -> bool {
    match address {
        std::net::IpAddr::V4(v4) => v4.is_link_local(),
        std::net::IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

fn setting(path: &str) -> &'static str {
    match path.rsplit('/').next().unwrap_or_default() {
        "accept_ra" => "no router's advertisement gives it addresses or a default route",
        "autoconf" | "addr_gen_mode" => "it has no address but those above",
        "arp_announce" => {
            "it asks in its own name only, or neighbours would learn its MAC for the host's address"
        }
        "rp_filter" => "loose: the strict check drops answers that come by another way",
        _ => "",
    }
}
