//! Names that lead elsewhere.

use expect_test::expect;

use stack::model::service::Connection;

use crate::reach::build::{bridge, check, new, on, stack};

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
