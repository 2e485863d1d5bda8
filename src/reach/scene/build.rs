//! Puts a scene together: the host first, then segments, machines, containers, shims, routes, published ports. Specs
//! come from the planner, addresses from the observation where there are any, the rest as the engine would do it.

use crate::model::stack::Stack;
use crate::plan::desired::{Desired, Wishes, desired};
use crate::plan::observed::Observed;
use crate::reach::facts::Facts;
use crate::reach::scene::draft::{Draft, Moment};
use crate::reach::scene::{Scene, container, exit, host, network};

/// The scene of a stack. `observed` may be empty: then the file alone speaks.
pub fn scene(
    stack: &Stack,
    wishes: &Wishes,
    observed: &Observed,
    facts: Facts,
    moment: Moment,
) -> Scene {
    let desired = desired(stack, wishes, observed);
    scene_of(stack, &desired, observed, facts, moment)
}

/// The scene of these specs.
pub fn scene_of(
    stack: &Stack,
    desired: &Desired,
    observed: &Observed,
    facts: Facts,
    moment: Moment,
) -> Scene {
    let mut draft = Draft::new(stack, observed, desired, facts, moment);
    host::start(&mut draft);
    network::add(&mut draft);
    host::add_lans(&mut draft);
    let containers = container::add(&mut draft);
    host::add_shims(&mut draft);
    exit::add_ways_out(&mut draft, &containers);
    host::add_way_out(&mut draft);
    network::add_other(&mut draft);
    draft.finish()
}
