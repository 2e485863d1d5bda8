//! The ready queue: which step may run now, and which of those first. It knows positions, lanes and milestones and
//! nothing of what a step does; no async, no clock. Among those that may run, the one with the greatest cost behind
//! it (the longest chain of work that waits for it) comes first.
//!
//! Every step ends in exactly one of three ways: finished, failed, or skipped because of another. All operations
//! together cost O((V + E) log V).

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};

/// One step as the queue sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task {
    /// An estimate in any unit, the same for all.
    pub cost: u64,
    /// Steps of different lanes are asked for separately; from 0, densely.
    pub lane: usize,
}

/// `to` may run when `from` has reached `milestone`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need<M> {
    pub from: usize,
    pub to: usize,
    pub milestone: M,
    /// Whether `to` may run although `from` never reached it.
    pub optional: bool,
}

/// Why the queue could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// The steps of one circle, each needing the next, the first again at the end.
    #[error("steps wait for each other in a circle: {}", path(.0))]
    Cycle(Vec<usize>),
    /// A need names a step that does not exist.
    #[error("a step {0} is waited for or waits, and there is none")]
    Unknown(usize),
}

fn path(steps: &[usize]) -> String {
    let words: Vec<String> = steps.iter().map(usize::to_string).collect();
    words.join(" -> ")
}

/// What became of those that waited for a milestone that will never be reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missed {
    /// They will never run.
    pub skipped: Vec<usize>,
    /// They needed it optionally and go on without it.
    pub without: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// So many needs are open.
    Waits(usize),
    Ready,
    Taken,
    Ended,
}

#[derive(Debug, Clone)]
struct Out<M> {
    to: usize,
    milestone: M,
    optional: bool,
    open: bool,
}

/// The queue.
#[derive(Debug, Clone)]
pub struct Queue<M> {
    places: Vec<Place>,
    lanes: Vec<usize>,
    /// The longest chain of costs that begins with the step.
    behind: Vec<u64>,
    outs: Vec<Vec<Out<M>>>,
    ready: Vec<BinaryHeap<(u64, Reverse<usize>)>>,
    /// Steps that are neither finished, failed nor skipped.
    open: usize,
}

impl<M: Copy + Ord> Queue<M> {
    /// A queue of these steps. Needs that are said twice count twice and are met together.
    pub fn new(tasks: &[Task], needs: &[Need<M>]) -> Result<Queue<M>, QueueError> {
        let mut outs: Vec<Vec<Out<M>>> = tasks.iter().map(|_| Vec::new()).collect();
        let mut waits = vec![0_usize; tasks.len()];
        for need in needs {
            let into = waits.get_mut(need.to).ok_or(QueueError::Unknown(need.to))?;
            let out = outs
                .get_mut(need.from)
                .ok_or(QueueError::Unknown(need.from))?;
            *into += 1;
            out.push(Out {
                to: need.to,
                milestone: need.milestone,
                optional: need.optional,
                open: true,
            });
        }
        let order = order(&outs, &waits)?;
        let mut behind = vec![0_u64; tasks.len()];
        for &step in order.iter().rev() {
            let longest = outs[step].iter().map(|out| behind[out.to]).max();
            behind[step] = tasks[step].cost.saturating_add(longest.unwrap_or(0));
        }
        let lanes: Vec<usize> = tasks.iter().map(|task| task.lane).collect();
        let mut queue = Queue {
            places: waits.into_iter().map(Place::Waits).collect(),
            ready: vec![BinaryHeap::new(); lanes.iter().max().map_or(0, |last| last + 1)],
            lanes,
            behind,
            outs,
            open: tasks.len(),
        };
        for step in 0..tasks.len() {
            queue.admit(step, 0);
        }
        Ok(queue)
    }

    /// Takes the most urgent step of a lane that may run now. It is the caller's until it is finished or failed.
    pub fn ready(&mut self, lane: usize) -> Option<usize> {
        let (_, Reverse(step)) = self.ready.get_mut(lane)?.pop()?;
        self.places[step] = Place::Taken;
        Some(step)
    }

    /// The step has reached the milestone: those that waited for just that may run.
    pub fn finish(&mut self, step: usize, milestone: M) {
        self.end(step);
        for target in self.close(step, |m| m == milestone) {
            self.admit(target.to, 1);
        }
    }

    /// The step will never reach the milestone. Whoever needs it is skipped, with all that needs those in turn.
    pub fn miss(&mut self, step: usize, milestone: M) -> Missed {
        let closed = self.close(step, |m| m == milestone);
        self.give_up(closed)
    }

    /// The step failed and will never reach any milestone.
    pub fn fail(&mut self, step: usize) -> Missed {
        self.end(step);
        let closed = self.close(step, |_| true);
        self.give_up(closed)
    }

    /// The milestones of a step that somebody still waits for, each once, in order.
    pub fn wanted(&self, step: usize) -> Vec<M> {
        let mut wanted: Vec<M> = self.outs[step]
            .iter()
            .filter(|out| out.open && matches!(self.places[out.to], Place::Waits(_)))
            .map(|out| out.milestone)
            .collect();
        wanted.sort_unstable();
        wanted.dedup();
        wanted
    }

    /// Who waits for this milestone of this step.
    pub fn waiting(&self, step: usize, milestone: M) -> Vec<usize> {
        self.outs[step]
            .iter()
            .filter(|out| out.open && out.milestone == milestone)
            .map(|out| out.to)
            .collect()
    }

    /// Whether some step of any lane may run now.
    pub fn has_ready(&self) -> bool {
        self.ready.iter().any(|heap| !heap.is_empty())
    }

    /// Whether every step has ended.
    pub fn is_finished(&self) -> bool {
        self.open == 0
    }

    /// The cost of the longest chain that begins with the step.
    pub fn behind(&self, step: usize) -> u64 {
        self.behind[step]
    }

    fn end(&mut self, step: usize) {
        if self.places[step] != Place::Ended {
            self.places[step] = Place::Ended;
            self.open -= 1;
        }
    }

    fn close(&mut self, step: usize, wanted: impl Fn(M) -> bool) -> Vec<Out<M>> {
        let mut closed = Vec::new();
        for out in &mut self.outs[step] {
            if out.open && wanted(out.milestone) {
                out.open = false;
                closed.push(out.clone());
            }
        }
        closed
    }

    fn admit(&mut self, step: usize, met: usize) {
        if let Place::Waits(open) = self.places[step] {
            let left = open - met;
            if left == 0 {
                self.places[step] = Place::Ready;
                self.ready[self.lanes[step]].push((self.behind[step], Reverse(step)));
            } else {
                self.places[step] = Place::Waits(left);
            }
        }
    }

    fn give_up(&mut self, closed: Vec<Out<M>>) -> Missed {
        let mut missed = Missed::default();
        let mut rest: VecDeque<Out<M>> = closed.into();
        while let Some(out) = rest.pop_front() {
            if !matches!(self.places[out.to], Place::Waits(_)) {
                continue;
            }
            if out.optional {
                missed.without.push(out.to);
                self.admit(out.to, 1);
            } else {
                self.end(out.to);
                missed.skipped.push(out.to);
                rest.extend(self.close(out.to, |_| true));
            }
        }
        // One that could have gone on without this may be skipped for another need of the same failure.
        let skipped: BTreeSet<usize> = missed.skipped.iter().copied().collect();
        let without: BTreeSet<usize> = missed.without.iter().copied().collect();
        missed.without = without.difference(&skipped).copied().collect();
        missed
    }
}

/// The steps in an order in which each comes after all that it needs, or the circle that makes that impossible.
fn order<M>(outs: &[Vec<Out<M>>], waits: &[usize]) -> Result<Vec<usize>, QueueError> {
    let mut waits = waits.to_vec();
    let mut order: Vec<usize> = (0..outs.len()).filter(|&step| waits[step] == 0).collect();
    let mut next = 0;
    while let Some(&step) = order.get(next) {
        next += 1;
        for out in &outs[step] {
            waits[out.to] -= 1;
            if waits[out.to] == 0 {
                order.push(out.to);
            }
        }
    }
    if order.len() == outs.len() {
        return Ok(order);
    }
    Err(QueueError::Cycle(circle(outs, &waits)))
}

/// A circle among the steps that still wait: walking backwards from any of them must come to a step twice.
fn circle<M>(outs: &[Vec<Out<M>>], waits: &[usize]) -> Vec<usize> {
    let mut needs: Vec<Option<usize>> = vec![None; outs.len()];
    for (from, list) in outs.iter().enumerate() {
        for out in list {
            if waits[from] > 0 && waits[out.to] > 0 {
                needs[out.to] = Some(from);
            }
        }
    }
    let mut walk = Vec::new();
    let mut at = waits.iter().position(|&open| open > 0);
    while let Some(step) = at {
        if let Some(start) = walk.iter().position(|&seen| seen == step) {
            walk.drain(..start);
            walk.push(step);
            walk.reverse();
            return walk;
        }
        walk.push(step);
        at = needs[step];
    }
    walk
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, proptest};

    use super::{Missed, Need, Queue, QueueError, Task};

    fn tasks(costs: &[u64]) -> Vec<Task> {
        costs.iter().map(|&cost| Task { cost, lane: 0 }).collect()
    }

    fn need(from: usize, to: usize) -> Need<u8> {
        Need {
            from,
            to,
            milestone: 0,
            optional: false,
        }
    }

    #[test]
    fn the_longest_chain_of_work_comes_first() {
        let mut queue = Queue::new(&tasks(&[1, 1, 9, 5]), &[need(0, 2)]).unwrap();
        assert_eq!(queue.behind(0), 10);
        assert_eq!(queue.ready(0), Some(0));
        assert_eq!(queue.ready(0), Some(3));
        assert_eq!(queue.ready(0), Some(1));
        assert_eq!(queue.ready(0), None);
        queue.finish(0, 0);
        assert_eq!(queue.ready(0), Some(2));
    }

    #[test]
    fn equal_ones_come_in_the_order_of_the_plan() {
        let mut queue = Queue::<u8>::new(&tasks(&[1, 1, 1]), &[]).unwrap();
        let order: Vec<_> = std::iter::from_fn(|| queue.ready(0)).collect();
        assert_eq!(order, [0, 1, 2]);
    }

    #[test]
    fn a_lane_does_not_hold_up_another() {
        let long = Task { cost: 99, lane: 1 };
        let short = Task { cost: 1, lane: 0 };
        let mut queue = Queue::<u8>::new(&[long, long, short], &[]).unwrap();
        assert_eq!(queue.ready(0), Some(2));
        assert_eq!(queue.ready(0), None);
        assert_eq!(queue.ready(1), Some(0));
    }

    #[test]
    fn a_later_milestone_does_not_free_an_earlier_waiter() {
        let healthy = Need {
            milestone: 1,
            ..need(0, 1)
        };
        let mut queue = Queue::new(&tasks(&[1, 1]), &[healthy]).unwrap();
        assert_eq!(queue.ready(0), Some(0));
        assert_eq!(queue.wanted(0), [1]);
        queue.finish(0, 0);
        assert_eq!(queue.ready(0), None);
        queue.finish(0, 1);
        assert_eq!(queue.ready(0), Some(1));
    }

    #[test]
    fn dependents_of_a_failure_are_skipped_and_optional_ones_go_on() {
        let optional = Need {
            optional: true,
            ..need(0, 3)
        };
        let mut queue = Queue::new(
            &tasks(&[1; 5]),
            &[need(0, 1), need(1, 2), optional, need(3, 4)],
        )
        .unwrap();
        assert_eq!(queue.ready(0), Some(0));
        assert_eq!(
            queue.fail(0),
            Missed {
                skipped: vec![1, 2],
                without: vec![3]
            }
        );
        assert_eq!(queue.ready(0), Some(3));
        queue.finish(3, 0);
        assert_eq!(queue.ready(0), Some(4));
        queue.finish(4, 0);
        assert!(queue.is_finished());
    }

    #[test]
    fn a_circle_is_told_as_a_path() {
        let needs = [need(0, 1), need(1, 2), need(2, 3), need(3, 1)];
        let error = Queue::new(&tasks(&[1; 4]), &needs).unwrap_err();
        assert_eq!(
            error.to_string(),
            "steps wait for each other in a circle: 1 -> 2 -> 3 -> 1"
        );
        assert_eq!(
            Queue::new(&tasks(&[1]), &[need(0, 7)]).unwrap_err(),
            QueueError::Unknown(7)
        );
    }

    type Graph = (Vec<Task>, Vec<Need<u8>>);

    fn graphs() -> impl Strategy<Value = Graph> {
        (2_usize..40).prop_flat_map(|size| {
            let task = (0_u64..50, 0_usize..3).prop_map(|(cost, lane)| Task { cost, lane });
            let edge = (0..size, 0..size, 0_u8..3, any::<bool>());
            (
                proptest::collection::vec(task, size),
                proptest::collection::vec(edge, 0..size * 3),
                Just(()),
            )
                .prop_map(|(tasks, edges, ())| {
                    let needs = edges
                        .into_iter()
                        .filter(|(a, b, _, _)| a != b)
                        .map(|(a, b, milestone, optional)| Need {
                            from: a.min(b),
                            to: a.max(b),
                            milestone,
                            optional,
                        })
                        .collect();
                    (tasks, needs)
                })
        })
    }

    proptest! {
        #[test]
        fn everything_runs_once_and_after_what_it_needs((tasks, needs) in graphs()) {
            let mut queue = Queue::new(&tasks, &needs).unwrap();
            let mut done = BTreeSet::new();
            while let Some(step) = (0..3).find_map(|lane| queue.ready(lane)) {
                for need in needs.iter().filter(|need| need.to == step) {
                    prop_assert!(done.contains(&need.from));
                }
                prop_assert!(done.insert(step));
                for milestone in 0..3 {
                    queue.finish(step, milestone);
                }
            }
            prop_assert_eq!(done.len(), tasks.len());
            prop_assert!(queue.is_finished());
        }

        #[test]
        fn after_a_failure_each_step_is_run_or_skipped((tasks, needs) in graphs(), bad in any::<proptest::sample::Index>()) {
            let bad = bad.index(tasks.len());
            let mut queue = Queue::new(&tasks, &needs).unwrap();
            let mut ran = BTreeSet::new();
            let mut skipped = BTreeSet::new();
            while let Some(step) = (0..3).find_map(|lane| queue.ready(lane)) {
                prop_assert!(ran.insert(step));
                if step == bad {
                    for each in queue.fail(step).skipped {
                        prop_assert!(skipped.insert(each));
                    }
                } else {
                    (0..3).for_each(|milestone| queue.finish(step, milestone));
                }
            }
            prop_assert!(ran.is_disjoint(&skipped));
            prop_assert_eq!(ran.len() + skipped.len(), tasks.len());
            prop_assert!(queue.is_finished());
            for step in &skipped {
                let cause = needs.iter().any(|need| {
                    need.to == *step && !need.optional && (need.from == bad || skipped.contains(&need.from))
                });
                prop_assert!(cause);
            }
        }
    }
}
