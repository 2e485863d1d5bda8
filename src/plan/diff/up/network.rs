//! Steps of `up` for networks and volumes.

use std::sync::Arc;

use crate::plan::diff::up::{Marks, Writer};
use crate::plan::spec::{ResourceId, Spec};
use crate::plan::step::{Reason, State};

impl Writer<'_> {
    /// Networks and volumes: what is missing is made, a network that differs is made anew.
    pub(super) fn networks(&mut self) {
        for (id, spec) in &self.desired.specs {
            match spec.as_ref() {
                Spec::Network(network) => self.network(id, spec, &network.name),
                Spec::Volume(volume) => {
                    if !self
                        .observed
                        .volumes
                        .iter()
                        .any(|found| found.name == volume.name)
                    {
                        let after = State::Present(Arc::clone(spec));
                        let step = self.draft.step(id, State::Absent, after, Reason::Missing);
                        self.marks.insert(
                            id.clone(),
                            Marks {
                                first: None,
                                create: Some(step),
                                start: None,
                            },
                        );
                    }
                }
                Spec::Lan(_)
                | Spec::Link(_)
                | Spec::Promiscuity(_)
                | Spec::Shim(_)
                | Spec::Route(_) => {}
                Spec::Image(_)
                | Spec::Container(_)
                | Spec::Existing(_)
                | Spec::Endpoint(_)
                | Spec::Door(_) => {}
            }
        }
    }

    pub(super) fn network(&mut self, id: &ResourceId, spec: &Arc<Spec>, name: &str) {
        let found = self
            .observed
            .networks
            .iter()
            .find(|network| network.spec.name == name);
        let mut marks = Marks::default();
        let reason = match (found, self.replaced.get(name)) {
            (Some(found), Some(what)) => {
                let reason = Reason::Changed(what.clone());
                let before = State::Present(Arc::new(Spec::Network(found.spec.clone())));
                let remove = self.draft.step(id, before, State::Absent, reason.clone());
                marks.first = Some(remove);
                self.removed_networks.push((remove, name.to_owned()));
                reason
            }
            (Some(_), None) => return,
            (None, _) => Reason::Missing,
        };
        let create = self
            .draft
            .step(id, State::Absent, State::Present(Arc::clone(spec)), reason);
        if let Some(remove) = marks.first {
            self.draft.after(remove, create);
        }
        marks.create = Some(create);
        self.marks.insert(id.clone(), marks);
    }
}
