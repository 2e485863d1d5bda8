//! A plan being written: steps and edges in any order, then put into one in which they could run one by one.

use std::collections::{BTreeSet, HashMap};

use crate::model::name::ProjectName;
use crate::plan::diff::PlanError;
use crate::plan::graph::Graph;
use crate::plan::spec::ResourceId;
use crate::plan::step::{Edge, Milestone, Plan, Reason, State, Step, StepIndex, Undo};

/// Steps and edges as they come to mind.
#[derive(Debug, Default)]
pub struct Draft {
    steps: Vec<Step>,
    edges: Vec<Edge>,
}

impl Draft {
    /// Adds a step that is taken back by its inverse.
    pub fn step(
        &mut self,
        id: &ResourceId,
        before: State,
        after: State,
        reason: Reason,
    ) -> StepIndex {
        self.push(Step {
            id: id.clone(),
            before,
            after,
            reason,
            undo: Undo::Inverse,
            farewell: false,
        })
    }

    /// Adds a step.
    pub fn push(&mut self, step: Step) -> StepIndex {
        self.steps.push(step);
        StepIndex(self.steps.len() - 1)
    }

    /// The steps so far.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// `to` waits until `from` is done.
    pub fn after(&mut self, from: StepIndex, to: StepIndex) {
        self.edge(from, to, Milestone::Done, false);
    }

    /// `to` waits until `from` has reached a milestone.
    pub fn edge(&mut self, from: StepIndex, to: StepIndex, milestone: Milestone, optional: bool) {
        if from != to {
            self.edges.push(Edge {
                from,
                to,
                milestone,
                optional,
            });
        }
    }

    /// All steps that come before this one, as far as edges say.
    pub fn before(&self, step: StepIndex) -> BTreeSet<StepIndex> {
        let mut earlier: HashMap<StepIndex, Vec<StepIndex>> = HashMap::new();
        for edge in &self.edges {
            earlier.entry(edge.to).or_default().push(edge.from);
        }
        let mut all = BTreeSet::new();
        let mut queue = vec![step];
        while let Some(next) = queue.pop() {
            for from in earlier.get(&next).into_iter().flatten() {
                if all.insert(*from) {
                    queue.push(*from);
                }
            }
        }
        all
    }

    /// The plan: steps in an order in which they could run one by one, farewells last. A main step that waits for a
    /// farewell is refused, since a farewell waits for all main steps.
    pub fn finish(self, project: &ProjectName) -> Result<Plan, PlanError> {
        let Draft { steps, edges } = self;
        let farewells: Vec<bool> = steps.iter().map(|step| step.farewell).collect();
        let pairs = edges.iter().map(|edge| (edge.from.0, edge.to.0));
        let order = Graph::new(steps.len(), pairs).order().map_err(|cycle| {
            let named = cycle
                .iter()
                .filter_map(|node| steps.get(*node))
                .map(|step| step.id.clone());
            let mut path: Vec<ResourceId> = named.collect();
            path.dedup();
            PlanError::Cycle(path)
        })?;
        for edge in &edges {
            if let (Some(from), Some(to)) = (steps.get(edge.from.0), steps.get(edge.to.0))
                && from.farewell
                && !to.farewell
            {
                return Err(PlanError::AfterFarewell {
                    step: to.id.clone(),
                    farewell: from.id.clone(),
                });
            }
        }
        let last = |node: &&usize| farewells.get(**node).copied().unwrap_or(false);
        let order: Vec<usize> = order
            .iter()
            .filter(|node| !last(node))
            .chain(order.iter().filter(|node| last(node)))
            .copied()
            .collect();
        let place: HashMap<usize, usize> = order
            .iter()
            .enumerate()
            .map(|(new, old)| (*old, new))
            .collect();
        let moved = |index: StepIndex| place.get(&index.0).copied().map_or(index, StepIndex);
        let mut edges: Vec<Edge> = edges
            .into_iter()
            .map(|edge| Edge {
                from: moved(edge.from),
                to: moved(edge.to),
                ..edge
            })
            .collect();
        edges.sort_by_key(|edge| (edge.to, edge.from, edge.milestone, edge.optional));
        edges.dedup();
        let mut slots: Vec<Option<Step>> = steps.into_iter().map(Some).collect();
        let steps = order
            .iter()
            .filter_map(|old| slots.get_mut(*old).and_then(Option::take))
            .collect();
        Ok(Plan {
            project: project.clone(),
            steps,
            edges,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Draft;
    use crate::plan::diff::PlanError;
    use crate::plan::spec::{Kind, PromiscuitySpec, ResourceId, Spec};
    use crate::plan::step::{Reason, State, Step, StepIndex, Undo};

    fn flag(draft: &mut Draft, name: &str, farewell: bool) -> StepIndex {
        let spec = Spec::Promiscuity(PromiscuitySpec {
            link: name.parse().unwrap(),
        });
        draft.push(Step {
            id: spec.id(),
            before: State::Absent,
            after: State::Present(Arc::new(spec)),
            reason: Reason::Missing,
            undo: Undo::Inverse,
            farewell,
        })
    }

    #[test]
    fn a_main_step_never_waits_for_a_farewell() {
        let project = "lab".parse().unwrap();
        let mut draft = Draft::default();
        let farewell = flag(&mut draft, "one", true);
        let main = flag(&mut draft, "two", false);
        draft.after(farewell, main);
        assert_eq!(
            draft.finish(&project),
            Err(PlanError::AfterFarewell {
                step: ResourceId::new(Kind::Promiscuity, "two"),
                farewell: ResourceId::new(Kind::Promiscuity, "one"),
            })
        );
        let mut draft = Draft::default();
        let farewell = flag(&mut draft, "one", true);
        let main = flag(&mut draft, "two", false);
        draft.after(main, farewell);
        let plan = draft.finish(&project).unwrap();
        let order: Vec<&str> = plan
            .steps
            .iter()
            .map(|step| step.id.name.as_str())
            .collect();
        assert_eq!(order, ["two", "one"]);
    }
}
