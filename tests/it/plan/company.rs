//! What the containers of others have to do with a plan.

use stack::model::network::Network;
use stack::model::service::Connection;
use stack::plan::check::check;
use stack::plan::observed::{ContainerState, Observed};

use super::{network, stack, want, world_of};
use crate::stacks::{on, service};

fn told(stack: &stack::model::stack::Stack, observed: &Observed) -> Vec<(&'static str, String)> {
    check(stack, &want(stack), observed)
        .into_iter()
        .filter(|one| one.code.starts_with("container-") || one.code == "network-in-use")
        .map(|one| (one.code, one.place.join(".")))
        .collect()
}

#[test]
fn a_container_whose_network_is_shared_must_run() {
    let mut web = service("web");
    web.connection = Connection::Container("box".into());
    let stack = stack(vec![web], Vec::new());
    let other = super::stack(vec![on(service("other"), &["back"])], vec![network("back")]);
    let mut observed = world_of(&other);
    observed.engine.version = "20.10.24".into();
    let place = "services.web.network_mode".to_owned();
    assert_eq!(
        told(&stack, &observed),
        [("container-missing", place.clone())]
    );
    observed.containers[0].name = "box".into();
    observed.containers[0].project = None;
    assert_eq!(told(&stack, &observed), []);
    observed.containers[0].state = ContainerState::Exited;
    assert_eq!(told(&stack, &observed), [("container-stopped", place)]);
}

#[test]
fn a_network_that_others_are_on_is_not_made_anew() {
    let before = stack(vec![on(service("web"), &["back"])], vec![network("back")]);
    let after = stack(
        vec![on(service("web"), &["back"])],
        vec![Network {
            internal: true,
            ..network("back")
        }],
    );
    let mut observed = world_of(&before);
    observed.engine.version = "20.10.24".into();
    assert_eq!(told(&after, &observed), []);
    let mut guest = observed.containers[0].clone();
    guest.name = "guest".into();
    guest.project = None;
    observed.containers.push(guest);
    assert_eq!(
        told(&after, &observed),
        [("network-in-use", "networks.back".to_owned())]
    );
}
