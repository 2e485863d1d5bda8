//! What the containers of others have to do with a plan.

use indexmap::IndexMap;

use stack::model::network::Network;
use stack::model::service::Connection;
use stack::model::volume::Volume;
use stack::plan::check::{check, orphan};
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

#[test]
fn a_network_that_a_one_off_or_an_orphan_is_on_is_not_made_anew() {
    let of = |name: &str, internal: bool| {
        let back = Network {
            internal,
            ..network("back")
        };
        stack(vec![on(service(name), &["back"])], vec![back])
    };
    let mut observed = world_of(&of("old", false));
    observed.engine.version = "20.10.24".into();
    let after = of("new", true);
    let mut findings = Vec::new();
    orphan::check(&after, &want(&after), &observed, &mut findings);
    let messages: Vec<_> = findings.iter().map(|one| one.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "network `back` has to be made anew (changed: internal), and container `lab-old-1` is on it, of a service \
             that the file no longer has"
        ]
    );
    assert_eq!(told(&after, &observed), []);
    observed.containers[0].one_off = true;
    assert_eq!(
        told(&after, &observed),
        [("network-in-use", "networks.back".to_owned())]
    );
}

#[test]
fn a_network_that_a_service_that_was_not_named_is_on_is_not_made_anew() {
    let of = |internal: bool| {
        let back = Network {
            internal,
            ..network("back")
        };
        let services = vec![on(service("web"), &["back"]), on(service("db"), &["back"])];
        stack(services, vec![back])
    };
    let mut observed = world_of(&of(false));
    observed.engine.version = "20.10.24".into();
    let mut after = of(true);
    assert_eq!(told(&after, &observed), []);
    after.services.shift_remove("db");
    after.inactive.push("db".parse().unwrap());
    let findings = check(&after, &want(&after), &observed);
    let told: Vec<_> = findings
        .iter()
        .map(|one| (one.message.as_str(), one.hint.as_deref().unwrap_or("")))
        .collect();
    assert_eq!(
        told,
        [(
            "network `back` has to be made anew (changed: internal), and these containers on it stay as they are: \
             lab-db-1",
            "bring up all that is on it together: stack up"
        )]
    );
}

#[test]
fn a_volume_that_was_made_with_other_settings_is_told() {
    let mut stack = stack(vec![service("web")], Vec::new());
    let volume = |driver_opts: &[(&str, &str)]| {
        let options = driver_opts.iter();
        Volume {
            key: "data".parse().unwrap(),
            name: "lab_data".to_owned(),
            external: false,
            driver: None,
            driver_opts: options
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            labels: IndexMap::new(),
        }
    };
    stack.volumes.insert("data".parse().unwrap(), volume(&[]));
    let mut observed = world_of(&stack);
    let told = |stack: &stack::model::stack::Stack, observed: &Observed| -> Vec<String> {
        check(stack, &want(stack), observed)
            .into_iter()
            .map(|one| format!("{} {} {}", one.code, one.fatal, one.place.join(".")))
            .collect()
    };
    assert_eq!(told(&stack, &observed), Vec::<String>::new());
    stack
        .volumes
        .insert("data".parse().unwrap(), volume(&[("type", "tmpfs")]));
    assert_eq!(
        told(&stack, &observed),
        ["volume-differs false volumes.data"]
    );
    // One that others made is as it is.
    observed.volumes[0].hash = None;
    assert_eq!(told(&stack, &observed), Vec::<String>::new());
}
