//! The engine networks that the stack needs, and the promiscuous flags that go with them.

use std::collections::BTreeMap;

use crate::model::network::{Driver, IpvlanFlag, Network, Promiscuity};
use crate::model::stack::Stack;
use crate::plan::desired::lan::ground;
use crate::plan::desired::shim::ChosenShim;
use crate::plan::desired::{At, Desired, Until};
use crate::plan::observed::Observed;
use crate::plan::spec::{NetworkSpec, PoolSpec, PromiscuitySpec, Spec};

/// Adds every network that is ours to make.
pub fn add(stack: &Stack, observed: &Observed, shims: &[ChosenShim], desired: &mut Desired) {
    for network in stack.networks.values().filter(|network| network.is_made()) {
        let id = desired.add(Spec::Network(spec(network, shims)));
        let Some(parent) = &network.parent else {
            continue;
        };
        if let Some(ground) = ground(stack, parent) {
            desired.need(&id, At::Create, &ground, Until::Created);
        }
        if wants_promiscuity(network, observed) {
            let flag = desired.add(Spec::Promiscuity(PromiscuitySpec {
                link: parent.link().clone(),
            }));
            if let Some(ground) = crate::plan::desired::lan::ground(stack, parent) {
                desired.need(&flag, At::Create, &ground, Until::Created);
            }
            desired.need(&id, At::Create, &flag, Until::Created);
        }
    }
}

/// `auto` is yes where the parent is real hardware as the kernel sees it (no kind of its own), that is a card or a
/// virtual machine's card, and no radio: there a filter beyond the kernel's sight may drop unknown addresses, and the
/// flag is what users are told to set. Virtual links need nothing: the kernel counts for itself.
fn wants_promiscuity(network: &Network, observed: &Observed) -> bool {
    match network.promiscuous {
        Promiscuity::Leave => false,
        Promiscuity::On => true,
        Promiscuity::Auto => {
            let link = network.parent.as_ref().zip(observed.host.as_ref());
            let link = link.and_then(|(parent, host)| host.link(parent.link().as_str()));
            matches!(network.driver, Driver::Macvlan(_))
                && link.is_some_and(|link| link.kind.is_empty() && !link.wireless && !link.loopback)
        }
    }
}

fn spec(network: &Network, shims: &[ChosenShim]) -> NetworkSpec {
    let mut options: BTreeMap<String, String> = network.options.clone().into_iter().collect();
    if let Some(parent) = &network.parent {
        options.insert("parent".to_owned(), parent.link().to_string());
    }
    match &network.driver {
        Driver::Macvlan(mode) => {
            options.insert("macvlan_mode".to_owned(), mode.word().to_owned());
        }
        Driver::Ipvlan(mode, flag) => {
            options.insert("ipvlan_mode".to_owned(), mode.word().to_owned());
            if *flag != IpvlanFlag::Bridge {
                options.insert("ipvlan_flag".to_owned(), flag.word().to_owned());
            }
        }
        Driver::Bridge | Driver::DefaultBridge | Driver::Host | Driver::None => {}
        Driver::Overlay | Driver::Plugin(_) => {}
    }
    NetworkSpec {
        name: network.name.clone(),
        key: network.key.clone(),
        driver: network.driver.engine_name().to_owned(),
        options,
        ipam_driver: network.ipam.driver.clone(),
        ipam_options: network.ipam.options.clone().into_iter().collect(),
        pools: pools(network, shims),
        internal: network.internal,
        attachable: network.attachable,
        enable_ipv4: network.enable_ipv4,
        enable_ipv6: network.enable_ipv6.unwrap_or(false),
        labels: network.labels.clone().into_iter().collect(),
    }
}

/// The pools without host bits (newer engines refuse them), with our shims' addresses reserved: the engine can then
/// never hand one out.
fn pools(network: &Network, shims: &[ChosenShim]) -> Vec<PoolSpec> {
    network
        .ipam
        .pools
        .iter()
        .map(|pool| {
            let mut aux: BTreeMap<String, std::net::IpAddr> =
                pool.aux_addresses.clone().into_iter().collect();
            for shim in shims
                .iter()
                .filter(|shim| shim.networks.contains(&network.name))
            {
                for address in &shim.addresses {
                    let inside = pool.subnet.is_some_and(|subnet| subnet.contains(address));
                    if inside && !aux.values().any(|reserved| reserved == address) {
                        aux.insert(format!("stack-{}", shim.name), *address);
                    }
                }
            }
            PoolSpec {
                subnet: pool.subnet.map(|subnet| subnet.trunc()),
                ip_range: pool.ip_range.map(|range| range.trunc()),
                gateway: pool.gateway,
                aux_addresses: aux,
            }
        })
        .collect()
}
