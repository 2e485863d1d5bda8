//! Steps of `up` for what lives on the host: lans, links, flags, shims, routes and doors.

use std::sync::Arc;

use crate::model::hash;
use crate::plan::diff::container::Fate;
use crate::plan::diff::up::removal::container_of;
use crate::plan::diff::up::{Marks, Writer};
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
                // A mark in the kernel has room for the beginning of a hash only.
                let differs = !hash::of(spec.as_ref()).starts_with(&found.hash);
                let restarted = self.follows_a_restart(spec);
                if !differs && found.damage.is_empty() && !restarted {
                    return;
                }
                let what = match (differs, found.damage.is_empty()) {
                    (true, _) => vec!["configuration".to_owned()],
                    (false, false) => found.damage.clone(),
                    (false, true) => vec!["its container starts anew".to_owned()],
                };
                let before = State::Present(Arc::new(found.spec.clone()));
                let after = State::Present(Arc::clone(spec));
                let reason = Reason::Changed(what);
                match self.stop_before(&found.spec) {
                    // It goes before its container stops and comes when that has started, so that, taken back, it
                    // finds the container as it was.
                    Some(stop) => {
                        let remove = self.draft.step(id, before, State::Absent, reason.clone());
                        self.draft.after(remove, stop);
                        let create = self.draft.step(id, State::Absent, after, reason);
                        self.draft.after(remove, create);
                        create
                    }
                    None => self.draft.step(id, before, after, reason),
                }
            }
        };
        self.marks.insert(
            id.clone(),
            Marks {
                first: None,
                create: Some(step),
                start: None,
            },
        );
    }

    /// The step that stops or parks the container of a route or door.
    fn stop_before(&self, spec: &Spec) -> Option<StepIndex> {
        container_of(spec).and_then(|name| self.stop_of(name))
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
