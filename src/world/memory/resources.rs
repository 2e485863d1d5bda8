//! The host's side of the machine in memory: links by name, and what stands on them. A link that goes takes with it
//! what stands on it, as in the kernel.

use crate::model::hash;
use crate::model::name::{LinkName, ProjectName};
use crate::plan::observed::{FoundResource, LinkFact};
use crate::plan::spec::{Kind, ShimKind, Spec};
use crate::world::memory::machine::{Extent, Machine};
use crate::world::{ErrorKind, WorldError};

impl Machine {
    pub fn add_resource(
        &mut self,
        project: &ProjectName,
        spec: &Spec,
        extent: Extent,
    ) -> Result<(), WorldError> {
        let id = spec.id();
        let refused = |kind: ErrorKind, said: String| {
            Err(WorldError::new(kind, format!("cannot make {id}"), said))
        };
        let Some(host) = &mut self.host else {
            return refused(ErrorKind::Unsupported, "the host is elsewhere".to_owned());
        };
        let link = link_of(spec);
        if let Some(LinkFact { alias, .. }) = link.as_ref().and_then(|own| host.link(&own.name)) {
            if alias.as_deref() != Some(project.as_str()) {
                return refused(ErrorKind::Taken, "there is a link of that name".to_owned());
            }
        }
        if let Some(lower) = link.as_ref().and_then(|link| link.lower.as_ref()) {
            if host.link(lower).is_none() {
                return refused(ErrorKind::Missing, format!("there is no link `{lower}`"));
            }
            let kind = link.as_ref().map_or("", |link| &link.kind);
            let other = host.links.iter().find(|other| {
                other.lower.as_ref() == Some(lower)
                    && matches!(
                        (kind, other.kind.as_str()),
                        ("macvlan", "ipvlan") | ("ipvlan", "macvlan")
                    )
            });
            if let Some(other) = other {
                let said = format!("`{lower}` carries the {} link `{}`", other.kind, other.name);
                return refused(ErrorKind::InUse, said);
            }
        }
        match spec {
            Spec::Promiscuity(spec) => {
                let wanted = spec.link.as_str();
                match host.links.iter_mut().find(|link| link.name == wanted) {
                    Some(link) => link.promiscuous_flag = true,
                    None => {
                        return refused(ErrorKind::Missing, format!("there is no link `{wanted}`"));
                    }
                }
            }
            Spec::Route(route) => {
                if host.link(route.shim.as_str()).is_none() {
                    return refused(
                        ErrorKind::Missing,
                        format!("there is no link `{}`", route.shim),
                    );
                }
                self.must_run(&route.container)?;
            }
            Spec::Door(door) => self.must_run(&door.container)?,
            Spec::Lan(_)
            | Spec::Link(_)
            | Spec::Shim(_)
            | Spec::Network(_)
            | Spec::Volume(_)
            | Spec::Image(_)
            | Spec::Container(_)
            | Spec::Existing(_)
            | Spec::Endpoint(_) => {}
        }
        if let (Some(mut link), Some(host)) = (link.clone(), self.host.as_mut()) {
            link.alias = Some(project.to_string());
            let known = host.links.iter().position(|other| other.name == link.name);
            match known.and_then(|at| host.links.get_mut(at)) {
                Some(there) => {
                    *there = LinkFact {
                        index: there.index,
                        promiscuous_flag: there.promiscuous_flag,
                        ..link
                    }
                }
                None => {
                    let last = host.links.iter().map(|link| link.index).max();
                    link.index = last.unwrap_or(0) + 1;
                    host.links.push(link);
                }
            }
        }
        let damage = match extent {
            Extent::Whole => Vec::new(),
            Extent::Half => vec!["it is not complete".to_owned()],
        };
        let found = FoundResource {
            spec: spec.clone(),
            hash: hash::of(spec),
            damage,
            link: link.and_then(|link| link.name.parse::<LinkName>().ok()),
        };
        self.resources.insert(id, found);
        Ok(())
    }

    /// Removes a resource; one that is not there is removed.
    pub fn remove_resource(&mut self, spec: &Spec, extent: Extent) {
        let id = spec.id();
        let Some(found) = self.resources.get_mut(&id) else {
            return;
        };
        if extent == Extent::Half && matches!(id.kind, Kind::Lan | Kind::Shim) {
            found.damage = vec!["it is half gone".to_owned()];
            return;
        }
        self.resources.remove(&id);
        if let (Spec::Promiscuity(spec), Some(host)) = (spec, self.host.as_mut()) {
            let wanted = spec.link.as_str();
            let links = host.links.iter_mut().filter(|link| link.name == wanted);
            links.for_each(|link| link.promiscuous_flag = false);
        }
        if let Some(link) = link_of(spec) {
            self.remove_link(&link.name);
        }
    }

    fn remove_link(&mut self, name: &str) {
        let Some(host) = self.host.as_mut() else {
            return;
        };
        host.links.retain(|link| link.name != name);
        let above: Vec<String> = host
            .links
            .iter()
            .filter(|link| link.lower.as_deref() == Some(name))
            .map(|link| link.name.clone())
            .collect();
        self.resources.retain(|_, found| {
            let gone = |link: &LinkName| above.iter().any(|name| name == link.as_str());
            !found.link.as_ref().is_some_and(gone)
        });
        for link in above {
            self.remove_link(&link);
        }
    }

    /// A container that ended or was restarted has lost what was in its namespace.
    pub fn forget_doors(&mut self, container: &str) {
        self.resources.retain(|_, found| match &found.spec {
            Spec::Door(door) => door.container != container,
            Spec::Lan(_)
            | Spec::Link(_)
            | Spec::Promiscuity(_)
            | Spec::Network(_)
            | Spec::Shim(_)
            | Spec::Route(_)
            | Spec::Volume(_)
            | Spec::Image(_)
            | Spec::Container(_)
            | Spec::Existing(_)
            | Spec::Endpoint(_) => true,
        });
    }

    fn must_run(&self, name: &str) -> Result<(), WorldError> {
        let container = self.by_name(name);
        if container.is_some_and(|container| container.found.runs()) {
            return Ok(());
        }
        Err(WorldError::new(
            ErrorKind::Missing,
            format!("cannot look into container `{name}`"),
            "it does not run",
        ))
    }
}

/// The link in the host's namespace that a resource is.
fn link_of(spec: &Spec) -> Option<LinkFact> {
    let link = |name: &LinkName, kind: &str, lower: Option<&LinkName>| LinkFact {
        name: name.to_string(),
        kind: kind.to_owned(),
        lower: lower.map(ToString::to_string),
        up: true,
        carrier: true,
        mtu: 1500,
        ..LinkFact::default()
    };
    match spec {
        Spec::Lan(spec) => Some(link(&spec.lan.parent, "veth", None)),
        Spec::Link(spec) => Some(link(&spec.name, "vlan", Some(&spec.base))),
        Spec::Shim(spec) => {
            let kind = match spec.kind {
                ShimKind::Macvlan(_) => "macvlan",
                ShimKind::Ipvlan(..) => "ipvlan",
            };
            Some(link(&spec.name, kind, Some(&spec.parent)))
        }
        Spec::Promiscuity(_)
        | Spec::Route(_)
        | Spec::Door(_)
        | Spec::Network(_)
        | Spec::Volume(_)
        | Spec::Image(_)
        | Spec::Container(_)
        | Spec::Existing(_)
        | Spec::Endpoint(_) => None,
    }
}
