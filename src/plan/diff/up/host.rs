//! Steps of `up` for what lives on the host: lans, links, flags, shims, routes and doors.

use std::sync::Arc;

use crate::plan::diff::container::Fate;
use crate::plan::diff::host::differs;
use crate::plan::diff::order;
use crate::plan::diff::up::removal::container_of;
use crate::plan::diff::up::{Marks, Rewired, Writer};
use crate::plan::spec::{Kind, ResourceId, Spec};
use crate::plan::step::{Reason, State, StepIndex};

impl Writer<'_> {
    /// Lans, links and promiscuous flags.
    pub(super) fn ground(&mut self) {
        for (id, spec) in &self.desired.specs {
            match spec.as_ref() {
                Spec::Lan(_) | Spec::Link(_) | Spec::Promiscuity(_) => self.host_resource(id, spec),
                Spec::Network(_)
                | Spec::Shim(_)
                | Spec::Route(_)
                | Spec::Volume(_)
                | Spec::Image(_) => {}
                Spec::Container(_) | Spec::Existing(_) | Spec::Endpoint(_) | Spec::Door(_) => {}
            }
        }
    }

    /// Shims, routes and doors.
    pub(super) fn host_side(&mut self) {
        for (id, spec) in &self.desired.specs {
            match spec.as_ref() {
                Spec::Shim(_) | Spec::Route(_) | Spec::Door(_) => self.host_resource(id, spec),
                Spec::Network(_)
                | Spec::Lan(_)
                | Spec::Link(_)
                | Spec::Promiscuity(_)
                | Spec::Volume(_) => {}
                Spec::Image(_) | Spec::Container(_) | Spec::Existing(_) | Spec::Endpoint(_) => {}
            }
        }
    }

    pub(super) fn host_resource(&mut self, id: &ResourceId, spec: &Arc<Spec>) {
        if (id.kind == Kind::Route || id.kind == Kind::Door) && self.options.no_start {
            return;
        }
        let step = match self.observed.resources.get(id) {
            None => self.draft.step(
                id,
                State::Absent,
                State::Present(Arc::clone(spec)),
                Reason::Missing,
            ),
            Some(found) => {
                let differs = differs(found, spec);
                let restarted = self.follows_a_restart(spec);
                let ends = self.ends_of(&found.spec);
                let rewired = !ends.is_empty() || !self.joined_by(spec).is_empty();
                let uprooted = self.is_uprooted(id);
                if !differs && found.damage.is_empty() && !restarted && !rewired && !uprooted {
                    return;
                }
                let what = match (differs, found.damage.is_empty(), restarted) {
                    (true, _, _) => vec!["configuration".to_owned()],
                    (false, false, _) => found.damage.clone(),
                    (false, true, true) => vec!["its container starts anew".to_owned()],
                    (false, true, false) if rewired => {
                        vec!["its container is connected anew".to_owned()]
                    }
                    (false, true, false) => vec!["what it stands on is made anew".to_owned()],
                };
                let before = State::Present(Arc::new(found.spec.clone()));
                let after = State::Present(Arc::clone(spec));
                let reason = Reason::Changed(what);
                if ends.is_empty() && !uprooted {
                    self.draft.step(id, before, after, reason)
                } else {
                    // It goes before its container stops or is cut off, and comes when that has started or is
                    // connected, so that, taken back, it finds the container as it was. So with what it stands on.
                    let remove = self.draft.step(id, before, State::Absent, reason.clone());
                    for end in ends {
                        self.draft.after(remove, end);
                    }
                    let create = self.draft.step(id, State::Absent, after, reason);
                    self.draft.after(remove, create);
                    if uprooted {
                        for other in &self.uprooted {
                            order::by_kind(&mut self.draft, *other, (id.kind, remove));
                        }
                        self.uprooted.push((id.kind, remove));
                    }
                    create
                }
            }
        };
        for joined in self.joined_by(spec) {
            self.draft.after(joined, step);
        }
        self.marks.insert(
            id.clone(),
            Marks {
                first: None,
                create: Some(step),
                start: None,
            },
        );
    }

    /// Whether something that is there stands, perhaps by way of others, on a lan or link that goes while another of the
    /// same name comes. The kernel takes along whatever stands on a link.
    pub(super) fn is_uprooted(&self, id: &ResourceId) -> bool {
        if self.observed.host.is_none() || !self.observed.resources.contains_key(id) {
            return false;
        }
        let mut grounds = self.desired.needs.iter().filter(|need| {
            need.who == *id && matches!(need.what.kind, Kind::Lan | Kind::Link | Kind::Shim)
        });
        grounds.any(|need| match need.what.kind {
            Kind::Shim => self.is_uprooted(&need.what),
            _ => self.is_gone(&need.what) || self.is_uprooted(&need.what),
        })
    }

    /// Whether a lan or link that is wanted is not there.
    pub(super) fn is_gone(&self, ground: &ResourceId) -> bool {
        let found = self.observed.resources.get(ground);
        found.is_none_or(|found| found.link.is_none())
    }

    /// The steps that take away what a route or door leads to: they stop or park its container, or cut its endpoint.
    fn ends_of(&self, spec: &Spec) -> Vec<StepIndex> {
        let stop = container_of(spec).and_then(|name| self.stop_of(name));
        let cuts = self.rewired_of(spec).map(|rewired| rewired.cuts.clone());
        stop.into_iter().chain(cuts.unwrap_or_default()).collect()
    }

    /// The steps that connect the container of a route or door to the network that it is for.
    fn joined_by(&self, spec: &Spec) -> Vec<StepIndex> {
        let makes = self.rewired_of(spec).map(|rewired| rewired.makes.clone());
        makes.unwrap_or_default()
    }

    fn rewired_of(&self, spec: &Spec) -> Option<&Rewired> {
        let (container, network) = match spec {
            Spec::Route(route) => (&route.container, &route.network),
            Spec::Door(door) => (&door.container, &door.network),
            Spec::Lan(_) | Spec::Link(_) | Spec::Promiscuity(_) | Spec::Network(_) => return None,
            Spec::Shim(_) | Spec::Volume(_) | Spec::Image(_) => return None,
            Spec::Container(_) | Spec::Existing(_) | Spec::Endpoint(_) => return None,
        };
        self.rewired.get(&(container.clone(), network.clone()))
    }

    /// Whether a route or door belongs to a container that gets another process, and perhaps another address.
    pub(super) fn follows_a_restart(&self, spec: &Spec) -> bool {
        let Some(container) = container_of(spec) else {
            return false;
        };
        self.fates
            .get(&ResourceId::new(Kind::Container, container))
            .is_some_and(Fate::is_restarted)
    }
}
