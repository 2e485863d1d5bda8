//! Names that lead elsewhere.

use std::sync::Arc;

use expect_test::expect;

use stack::model::service::{Connection, Link};
use stack::reach::predict::predict;
use stack::reach::question::{Ask, Question, Target, Viewpoint};

use crate::reach::build::{bridge, check, new, on, said, seen, stack};

#[test]
fn a_name_that_leads_elsewhere_is_told() {
    let mut one = on("one", &["back"]);
    let Connection::Networks(networks) = &mut one.connection else {
        unreachable!("made with networks")
    };
    networks[0].aliases = vec!["db".into()];
    let mut app = on("app", &["front", "back"]);
    app.expose.clear();
    let stack = stack(
        vec![app, one, on("db", &["front"])],
        vec![
            bridge("back", "10.20.0.0/24"),
            bridge("front", "10.10.0.0/24"),
        ],
        vec![],
    );
    check(
        &stack,
        new(),
        &["app db name", "app one name", "one app tcp/80"],
        expect![[r#"
            app db name                      wrong-target NAME_AMBIGUOUS N5
            app one name                     ok
            one app tcp/80                   depends NO_LISTENER L1
        "#]],
    );
}

/// What `from` is told when it asks for a name that should lead to `meant`.
fn told(stack: &stack::model::stack::Stack, from: &str, name: &str, meant: &str) -> String {
    let scene = seen(stack, new());
    said(&predict(
        &scene,
        &Question {
            from: Viewpoint::Container(from.into()),
            to: Target::Name(name.into()),
            ask: Ask::Name,
            meant: meant.into(),
        },
    ))
}

#[test]
fn a_replica_that_asks_for_its_hostname_finds_itself() {
    let mut twins = on("twins", &["back"]);
    twins.scale = 2;
    Arc::make_mut(&mut twins.config).hostname = Some("h".into());
    let stack = stack(vec![twins], vec![bridge("back", "10.20.0.0/24")], vec![]);
    assert_eq!(told(&stack, "t-twins-1", "h", "t-twins-1"), "ok");
    assert_eq!(
        told(&stack, "t-twins-1", "h", "t-twins-2"),
        "wrong-target NAME_AMBIGUOUS N5"
    );
    assert_eq!(told(&stack, "t-twins-1", "twins", "t-twins-2"), "ok");
}

#[test]
fn a_link_to_replicas_leads_to_the_last() {
    let mut app = on("app", &["back"]);
    app.links.push(Link {
        service: "twins".parse().unwrap(),
        alias: "friend".into(),
    });
    let mut twins = on("twins", &["back"]);
    twins.scale = 2;
    let stack = stack(
        vec![app, twins],
        vec![bridge("back", "10.20.0.0/24")],
        vec![],
    );
    assert_eq!(told(&stack, "t-app-1", "friend", "t-twins-2"), "ok");
    assert_eq!(
        told(&stack, "t-app-1", "friend", "t-twins-1"),
        "wrong-target NAME_AMBIGUOUS N5"
    );
}
