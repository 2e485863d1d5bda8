//! What would be refused, as far as that can be known without making it: the kernel is tried in namespaces of no name that
//! go at once, and names of namespaces are looked up.

use crate::model::name::ProjectName;
use crate::plan::machine::Support;
use crate::plan::spec::{ResourceId, ShimKind, Spec};
use crate::world::host::error::broken;
use crate::world::host::lan::place;
use crate::world::host::{Host, machine};
use crate::world::{ErrorKind, WorldError};

impl Host {
    /// What would be refused of resources that are to be made. What every kernel with an engine has (bridges, pairs,
    /// macvlan) is not tried.
    pub async fn foresee(
        &self,
        project: &ProjectName,
        wanted: &[&Spec],
    ) -> Result<Vec<(ResourceId, WorldError)>, WorldError> {
        let mut refused = Vec::new();
        let mut needs: Vec<(ResourceId, &str)> = Vec::new();
        for spec in wanted {
            let id = spec.id();
            match spec {
                Spec::Lan(lan) => {
                    for error in place::taken(self, project, &id, lan).await? {
                        refused.push((id.clone(), error));
                    }
                    if !lan.vlans.is_empty() {
                        needs.push((id, FILTER));
                    }
                }
                Spec::Link(_) => needs.push((id, "vlan")),
                Spec::Shim(shim) => match shim.kind {
                    ShimKind::Ipvlan(..) => needs.push((id, "ipvlan")),
                    ShimKind::Macvlan(_) => {}
                },
                Spec::Network(network) if network.driver == "ipvlan" => needs.push((id, "ipvlan")),
                Spec::Network(_) | Spec::Promiscuity(_) | Spec::Route(_) | Spec::Volume(_) => {}
                Spec::Image(_) | Spec::Container(_) | Spec::Existing(_) => {}
                Spec::Endpoint(_) | Spec::Door(_) => {}
            }
        }
        if needs.is_empty() {
            return Ok(refused);
        }
        let tried = |error: std::io::Error| broken("cannot try what this kernel makes", &error);
        let mut kinds = machine::kinds().await.map_err(tried)?;
        if needs.iter().any(|(_, kind)| *kind == FILTER) {
            let support = machine::filters_vlans().await.map_err(tried)?;
            kinds.extend(support.map(|support| (FILTER.to_owned(), support)));
        }
        for (id, kind) in needs {
            if let Some(Support::No(said)) = kinds.get(kind) {
                let act = format!("{id}: this kernel makes no {kind}");
                let error = WorldError::new(ErrorKind::Unsupported, act, said);
                let module = match kind {
                    "vlan" => "8021q",
                    FILTER => "bridge",
                    other => other,
                };
                refused.push((
                    id,
                    error.hint(format!(
                        "modprobe {module}; if there is no such module, another kernel"
                    )),
                ));
            }
        }
        Ok(refused)
    }
}

/// A switch that knows VLANs.
const FILTER: &str = "bridge with VLAN filtering";
