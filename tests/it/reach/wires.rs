//! Macvlan and ipvlan on a lan, with shims and switches.

use std::fmt::Write;

use expect_test::expect;

use stack::model::lan::Switch;
use stack::model::network::{Driver, IpvlanFlag, IpvlanMode, MacvlanMode};
use stack::model::stack::Stack;
use stack::reach::predict;

use crate::reach::build::{
    bridge, office, old, on, on_parent, published, question, said, seen, stack,
};

const WIRE_QUESTIONS: &[&str] = &[
    "aa @bb icmp",
    "aa bb tcp/80",
    "host @aa icmp",
    "aa 10.50.0.2 icmp",
    "office.peer @aa icmp",
    "aa 10.50.0.9 icmp",
    "host 10.50.0.9 icmp",
    "aa 10.50.0.1 icmp",
    "br @aa tcp/80",
    "aa @br tcp/80",
    "aa 10.50.0.2 tcp/8000",
    "office.peer 10.50.0.2 tcp/8000",
    "office.peer @br tcp/80",
];

fn wired(driver: Driver, shim: bool, switch: Switch) -> Stack {
    stack(
        vec![
            on("aa", &["lan"]),
            on("bb", &["lan"]),
            published(on("br", &["front"]), None, 8000),
        ],
        vec![
            on_parent("lan", driver, shim),
            bridge("front", "10.10.0.0/24"),
        ],
        vec![office(switch)],
    )
}

fn wire_table(cases: &[(&str, Driver, bool, Switch)]) -> String {
    let mut text = String::new();
    for (name, driver, shim, switch) in cases {
        let stack = wired(driver.clone(), *shim, *switch);
        let scene = seen(&stack, old());
        writeln!(text, "{name}").unwrap();
        for line in WIRE_QUESTIONS {
            let prediction = predict::predict(&scene, &question(&scene, line));
            writeln!(text, "  {line:<32} {}", said(&prediction)).unwrap();
        }
    }
    text
}

#[test]
fn macvlan_as_measured() {
    let plain = Switch::default();
    let reflecting = Switch {
        reflect: true,
        ..plain
    };
    let strict = Switch {
        promiscuous: stack::model::lan::SwitchPromiscuous::Reject,
        ..plain
    };
    let mode = Driver::Macvlan;
    let cases = [
        ("bridge", mode(MacvlanMode::Bridge), false, plain),
        ("bridge, shim", mode(MacvlanMode::Bridge), true, plain),
        ("private", mode(MacvlanMode::Private), false, plain),
        ("vepa", mode(MacvlanMode::Vepa), false, plain),
        (
            "vepa, reflecting",
            mode(MacvlanMode::Vepa),
            false,
            reflecting,
        ),
        (
            "private, reflecting",
            mode(MacvlanMode::Private),
            false,
            reflecting,
        ),
        (
            "bridge, strict switch",
            mode(MacvlanMode::Bridge),
            true,
            strict,
        ),
    ];
    expect![[r#"
        bridge
          aa @bb icmp                      ok
          aa bb tcp/80                     ok
          host @aa icmp                    host-unreachable PARENT_FILTER M1
          aa 10.50.0.2 icmp                host-unreachable PARENT_FILTER M1
          office.peer @aa icmp             ok
          aa 10.50.0.9 icmp                ok
          host 10.50.0.9 icmp              ok
          aa 10.50.0.1 icmp                ok
          br @aa tcp/80                    host-unreachable PARENT_FILTER M17
          aa @br tcp/80                    no-route NO_DEFAULT_ROUTE R2
          aa 10.50.0.2 tcp/8000            host-unreachable PARENT_FILTER M1
          office.peer 10.50.0.2 tcp/8000   ok
          office.peer @br tcp/80           no-route NO_DEFAULT_ROUTE R2
        bridge, shim
          aa @bb icmp                      ok
          aa bb tcp/80                     ok
          host @aa icmp                    ok
          aa 10.50.0.2 icmp                ok
          office.peer @aa icmp             ok
          aa 10.50.0.9 icmp                ok
          host 10.50.0.9 icmp              ok
          aa 10.50.0.1 icmp                ok
          br @aa tcp/80                    ok
          aa @br tcp/80                    no-route NO_DEFAULT_ROUTE R2
          aa 10.50.0.2 tcp/8000            ok
          office.peer 10.50.0.2 tcp/8000   ok
          office.peer @br tcp/80           no-route NO_DEFAULT_ROUTE R2
        private
          aa @bb icmp                      host-unreachable MACVLAN_PRIVATE M4
          aa bb tcp/80                     host-unreachable MACVLAN_PRIVATE M4
          host @aa icmp                    host-unreachable PARENT_FILTER M1
          aa 10.50.0.2 icmp                host-unreachable PARENT_FILTER M1
          office.peer @aa icmp             ok
          aa 10.50.0.9 icmp                ok
          host 10.50.0.9 icmp              ok
          aa 10.50.0.1 icmp                ok
          br @aa tcp/80                    host-unreachable PARENT_FILTER M17
          aa @br tcp/80                    no-route NO_DEFAULT_ROUTE R2
          aa 10.50.0.2 tcp/8000            host-unreachable PARENT_FILTER M1
          office.peer 10.50.0.2 tcp/8000   ok
          office.peer @br tcp/80           no-route NO_DEFAULT_ROUTE R2
        vepa
          aa @bb icmp                      host-unreachable VEPA_NO_REFLECT M5
          aa bb tcp/80                     host-unreachable VEPA_NO_REFLECT M5
          host @aa icmp                    host-unreachable PARENT_FILTER M1
          aa 10.50.0.2 icmp                host-unreachable PARENT_FILTER M1
          office.peer @aa icmp             ok
          aa 10.50.0.9 icmp                ok
          host 10.50.0.9 icmp              ok
          aa 10.50.0.1 icmp                ok
          br @aa tcp/80                    host-unreachable PARENT_FILTER M17
          aa @br tcp/80                    no-route NO_DEFAULT_ROUTE R2
          aa 10.50.0.2 tcp/8000            host-unreachable PARENT_FILTER M1
          office.peer 10.50.0.2 tcp/8000   ok
          office.peer @br tcp/80           no-route NO_DEFAULT_ROUTE R2
        vepa, reflecting
          aa @bb icmp                      ok
          aa bb tcp/80                     ok
          host @aa icmp                    ok
          aa 10.50.0.2 icmp                ok
          office.peer @aa icmp             ok
          aa 10.50.0.9 icmp                ok
          host 10.50.0.9 icmp              ok
          aa 10.50.0.1 icmp                ok
          br @aa tcp/80                    ok
          aa @br tcp/80                    no-route NO_DEFAULT_ROUTE R2
          aa 10.50.0.2 tcp/8000            ok
          office.peer 10.50.0.2 tcp/8000   ok
          office.peer @br tcp/80           no-route NO_DEFAULT_ROUTE R2
        private, reflecting
          aa @bb icmp                      host-unreachable MACVLAN_PRIVATE M4
          aa bb tcp/80                     host-unreachable MACVLAN_PRIVATE M4
          host @aa icmp                    ok
          aa 10.50.0.2 icmp                ok
          office.peer @aa icmp             ok
          aa 10.50.0.9 icmp                ok
          host 10.50.0.9 icmp              ok
          aa 10.50.0.1 icmp                ok
          br @aa tcp/80                    ok
          aa @br tcp/80                    no-route NO_DEFAULT_ROUTE R2
          aa 10.50.0.2 tcp/8000            ok
          office.peer 10.50.0.2 tcp/8000   ok
          office.peer @br tcp/80           no-route NO_DEFAULT_ROUTE R2
        bridge, strict switch
          aa @bb icmp                      ok
          aa bb tcp/80                     ok
          host @aa icmp                    ok
          aa 10.50.0.2 icmp                ok
          office.peer @aa icmp             timeout SWITCH_DROPS_UNKNOWN FH1
          aa 10.50.0.9 icmp                host-unreachable SWITCH_DROPS_UNKNOWN FH1
          host 10.50.0.9 icmp              ok
          aa 10.50.0.1 icmp                host-unreachable SWITCH_DROPS_UNKNOWN FH1
          br @aa tcp/80                    ok
          aa @br tcp/80                    host-unreachable SWITCH_DROPS_UNKNOWN FH1
          aa 10.50.0.2 tcp/8000            ok
          office.peer 10.50.0.2 tcp/8000   ok
          office.peer @br tcp/80           no-route NO_DEFAULT_ROUTE R2
    "#]]
    .assert_eq(&wire_table(&cases));
}

#[test]
fn ipvlan_as_measured() {
    let plain = Switch::default();
    let mode = Driver::Ipvlan;
    let cases = [
        ("l2", mode(IpvlanMode::L2, IpvlanFlag::Bridge), false, plain),
        (
            "l2, shim",
            mode(IpvlanMode::L2, IpvlanFlag::Bridge),
            true,
            plain,
        ),
        (
            "l2 private",
            mode(IpvlanMode::L2, IpvlanFlag::Private),
            false,
            plain,
        ),
        ("l3", mode(IpvlanMode::L3, IpvlanFlag::Bridge), false, plain),
        (
            "l3, shim",
            mode(IpvlanMode::L3, IpvlanFlag::Bridge),
            true,
            plain,
        ),
    ];
    expect![[r#"
        l2
          aa @bb icmp                      ok
          aa bb tcp/80                     ok
          host @aa icmp                    host-unreachable PARENT_FILTER M1
          aa 10.50.0.2 icmp                host-unreachable PARENT_FILTER M1
          office.peer @aa icmp             ok
          aa 10.50.0.9 icmp                ok
          host 10.50.0.9 icmp              ok
          aa 10.50.0.1 icmp                ok
          br @aa tcp/80                    host-unreachable PARENT_FILTER M17
          aa @br tcp/80                    no-route NO_DEFAULT_ROUTE R2
          aa 10.50.0.2 tcp/8000            host-unreachable PARENT_FILTER M1
          office.peer 10.50.0.2 tcp/8000   ok
          office.peer @br tcp/80           no-route NO_DEFAULT_ROUTE R2
        l2, shim
          aa @bb icmp                      ok
          aa bb tcp/80                     ok
          host @aa icmp                    ok
          aa 10.50.0.2 icmp                ok
          office.peer @aa icmp             ok
          aa 10.50.0.9 icmp                ok
          host 10.50.0.9 icmp              ok
          aa 10.50.0.1 icmp                ok
          br @aa tcp/80                    ok
          aa @br tcp/80                    no-route NO_DEFAULT_ROUTE R2
          aa 10.50.0.2 tcp/8000            ok
          office.peer 10.50.0.2 tcp/8000   ok
          office.peer @br tcp/80           no-route NO_DEFAULT_ROUTE R2
        l2 private
          aa @bb icmp                      host-unreachable MACVLAN_PRIVATE M16
          aa bb tcp/80                     host-unreachable MACVLAN_PRIVATE M16
          host @aa icmp                    host-unreachable PARENT_FILTER M1
          aa 10.50.0.2 icmp                host-unreachable PARENT_FILTER M1
          office.peer @aa icmp             ok
          aa 10.50.0.9 icmp                ok
          host 10.50.0.9 icmp              ok
          aa 10.50.0.1 icmp                ok
          br @aa tcp/80                    host-unreachable PARENT_FILTER M17
          aa @br tcp/80                    no-route NO_DEFAULT_ROUTE R2
          aa 10.50.0.2 tcp/8000            host-unreachable PARENT_FILTER M1
          office.peer 10.50.0.2 tcp/8000   ok
          office.peer @br tcp/80           no-route NO_DEFAULT_ROUTE R2
        l3
          aa @bb icmp                      ok
          aa bb tcp/80                     ok
          host @aa icmp                    host-unreachable PARENT_FILTER M1
          aa 10.50.0.2 icmp                timeout PARENT_FILTER M1
          office.peer @aa icmp             host-unreachable IPVLAN_L3_NO_BCAST M10
          aa 10.50.0.9 icmp                timeout IPVLAN_L3_NO_BCAST M10
          host 10.50.0.9 icmp              ok
          aa 10.50.0.1 icmp                timeout IPVLAN_L3_NO_BCAST M10
          br @aa tcp/80                    host-unreachable PARENT_FILTER M17
          aa @br tcp/80                    host-unreachable NOBODY_THERE L2
          aa 10.50.0.2 tcp/8000            timeout PARENT_FILTER M1
          office.peer 10.50.0.2 tcp/8000   ok
          office.peer @br tcp/80           no-route NO_DEFAULT_ROUTE R2
        l3, shim
          aa @bb icmp                      ok
          aa bb tcp/80                     ok
          host @aa icmp                    ok
          aa 10.50.0.2 icmp                ok
          office.peer @aa icmp             host-unreachable IPVLAN_L3_NO_BCAST M10
          aa 10.50.0.9 icmp                timeout IPVLAN_L3_NO_BCAST M10
          host 10.50.0.9 icmp              ok
          aa 10.50.0.1 icmp                timeout IPVLAN_L3_NO_BCAST M10
          br @aa tcp/80                    ok
          aa @br tcp/80                    host-unreachable NOBODY_THERE L2
          aa 10.50.0.2 tcp/8000            ok
          office.peer 10.50.0.2 tcp/8000   ok
          office.peer @br tcp/80           no-route NO_DEFAULT_ROUTE R2
    "#]]
    .assert_eq(&wire_table(&cases));
}

/// From the file alone the host is taken to be in the LAN of a parent that nobody described.
#[test]
fn the_host_is_in_the_lan_of_its_own_link() {
    let mut text = String::new();
    for (name, shim) in [("without a shim", false), ("with a shim", true)] {
        let lan = on_parent("lan", Driver::Macvlan(MacvlanMode::Bridge), shim);
        let stack = stack(vec![on("aa", &["lan"])], vec![lan], vec![]);
        let scene = seen(&stack, old());
        for line in [
            "host @aa tcp/80",
            "host 10.50.0.9 icmp",
            "internet @aa tcp/80",
        ] {
            let prediction = predict::predict(&scene, &question(&scene, line));
            writeln!(text, "{name}: {line:<24} {}", said(&prediction)).unwrap();
        }
    }
    expect![[r#"
        without a shim: host @aa tcp/80          host-unreachable PARENT_FILTER M1
        without a shim: host 10.50.0.9 icmp      depends UNKNOWN_EXTERNAL E1
        without a shim: internet @aa tcp/80      depends UNKNOWN_EXTERNAL E1
        with a shim: host @aa tcp/80          ok
        with a shim: host 10.50.0.9 icmp      depends UNKNOWN_EXTERNAL E1
        with a shim: internet @aa tcp/80      depends UNKNOWN_EXTERNAL E1
    "#]]
    .assert_eq(&text);
}
