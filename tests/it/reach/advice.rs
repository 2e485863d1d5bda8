//! What `why` advises is true: the change is made, the question is asked again, and the way is open (or shut). And what
//! `plan` says of ways that open and close.

use std::collections::BTreeMap;

use expect_test::expect;

use stack::model::stack::Stack;
use stack::plan::desired::{Wishes, desired};
use stack::plan::observed::Observed;
use stack::reach::advice::advice;
use stack::reach::advice::case::Case;
use stack::reach::delta::delta;
use stack::reach::facts::Facts;
use stack::reach::predict;
use stack::reach::question::Ask;
use stack::reach::scene::Scene;
use stack::reach::scene::build::scene_of;
use stack::reach::scene::draft::Moment;
use stack::reach::verdict::Verdict;
use stack::reach::words;

use crate::reach::build::{new, on, read, seen, stack};

const SHOP: &str = "
services:
  web: {image: lab, expose: ['80'], networks: [front], ports: ['127.0.0.1:8000:80']}
  db: {image: lab, expose: ['5432'], networks: [back]}
  cam: {image: lab, expose: ['80'], networks: [lan]}
  tv: {image: lab, expose: ['80'], networks: [lan]}
lans:
  home: {parent: lab0, subnet: 10.50.0.0/24, gateway: 10.50.0.1, address: 10.50.0.2, hosts: {laptop: 10.50.0.9}}
networks:
  front: {}
  back: {internal: true}
  lan: {driver: macvlan, mode: private, parent: home, ipam: {config: [{subnet: 10.50.0.0/24, ip_range: 10.50.0.64/27, gateway: 10.50.0.1}]}}
";

fn told(stack: &Stack, from: &str, to: &str, ask: Ask) -> String {
    let (wishes, observed, facts) = (Wishes::default(), Observed::default(), new());
    let case = Case {
        stack,
        wishes: &wishes,
        observed: &observed,
        facts: &facts,
        from,
        to,
        ask,
    };
    advice(&case).map_or("nothing\n".to_owned(), |advice| advice.text())
}

#[test]
fn the_least_change_is_told_with_how_it_is_written() {
    let stack = read(SHOP);
    let mut text = String::new();
    for (from, to, ask) in [
        ("web", "db", Ask::Tcp(5432)),
        ("host", "cam", Ask::Icmp),
        ("cam", "tv", Ask::Tcp(80)),
        ("home.laptop", "10.50.0.2", Ask::Tcp(8000)),
        ("home.laptop", "db", Ask::Tcp(5432)),
        ("host", "web", Ask::Tcp(80)),
    ] {
        text.push_str(&format!(
            "{from} to {to} {ask}\n{}",
            told(&stack, from, to, ask)
        ));
    }
    expect![[r#"
        web to db tcp/5432
        what would open it: put service `web` on network `back` too
            services: {web: {networks: {back: {}}}}
          tried on a copy: 14 cells open and none close in all
        host to cam icmp
        what would open it: give network `lan` a shim, and give network `lan` the mode `bridge`
            networks: {lan: {shim: true}}
            networks: {lan: {mode: bridge}}
          tried on a copy: 29 cells open and none close in all
        cam to tv tcp/80
        what would open it: give network `lan` the mode `bridge`
            networks: {lan: {mode: bridge}}
          tried on a copy: 6 cells open and none close in all
        home.laptop to 10.50.0.2 tcp/8000
        what would open it: publish tcp port 80 of service `web` without an address, which is at all of the host's
          tried on a copy: 4 cells open and none close in all
        home.laptop to db tcp/5432
        what would open it: publish tcp port 5432 of service `db` as port 5432 of the host, and ask the host, and remove `internal: true` from network `back`
            services: {db: {ports: ["5432:5432/tcp"]}}
            networks: {back: {internal: false}}
          tried on a copy: 8 cells open and none close in all
        host to web tcp/80
        nothing
    "#]].assert_eq(&text);
}

/// Whether somebody gets through with each of the viewpoints; a port that the advice publishes is asked at the host.
fn works(scene: &Scene, from: &str, to: &str, ask: Ask) -> bool {
    let mut askers: BTreeMap<String, bool> = BTreeMap::new();
    for question in words::ask(scene, from, to, ask).unwrap_or_default() {
        let verdict = predict::predict(scene, &question).verdict;
        *askers.entry(question.from.to_string()).or_default() |= verdict == Verdict::Ok;
    }
    !askers.is_empty() && askers.values().all(|works| *works)
}

#[test]
fn a_network_in_common_takes_nothing_away() {
    let keys = ["front", "back", "side"];
    let networks = || {
        keys.iter()
            .enumerate()
            .map(|(number, key)| {
                crate::reach::build::bridge(key, &format!("10.{}.0.0/24", number + 10))
            })
            .collect::<Vec<_>>()
    };
    // All ways to put three services on three networks, and then one of them on one more.
    let sets: Vec<Vec<&str>> = (1..8_usize)
        .map(|bits| {
            (0..3)
                .filter(|bit| bits >> bit & 1 == 1)
                .map(|bit| keys[bit])
                .collect()
        })
        .collect();
    let mut checked = 0;
    for one in &sets {
        for two in &sets {
            let before = seen(
                &stack(vec![on("one", one), on("two", two)], networks(), vec![]),
                new(),
            );
            for key in two.iter().filter(|key| !one.contains(key)) {
                let mut more = one.clone();
                more.push(key);
                let after = seen(
                    &stack(vec![on("one", &more), on("two", two)], networks(), vec![]),
                    new(),
                );
                for (from, to) in [("one", "two"), ("two", "one")] {
                    for ask in [Ask::Icmp, Ask::Tcp(80), Ask::Name] {
                        let (before, after) =
                            (works(&before, from, to, ask), works(&after, from, to, ask));
                        assert!(
                            after || !before,
                            "{one:?} and {two:?}, with {key}: {from} {to} {ask}"
                        );
                        checked += 1;
                    }
                }
            }
        }
    }
    assert!(checked > 200, "{checked}");
}

fn of(stack: &Stack, moment: Moment) -> Scene {
    let observed = Observed::default();
    let specs = desired(stack, &Wishes::default(), &observed);
    scene_of(stack, &specs, &observed, Facts::default(), moment)
}

#[test]
fn a_change_is_told_by_what_it_opens_and_closes() {
    let before = read(
        "
services:
  web: {image: lab, expose: ['80'], networks: [front], ports: ['8000:80'], scale: 2}
  db: {image: lab, expose: ['5432'], networks: [back]}
  old: {image: lab, expose: ['80'], networks: [front]}
networks: {front: {}, back: {}}
"
        .replace("ports: ['8000:80'], ", "")
        .as_str(),
    );
    let after = read(
        "
services:
  web: {image: lab, expose: ['80'], networks: [front, back], scale: 2}
  db: {image: lab, expose: ['5432'], networks: [back]}
networks: {front: {}, back: {}}
",
    );
    let delta = delta(&of(&before, Moment::Wanted), &of(&after, Moment::Wanted));
    expect![[r#"
        reach: 34 open, 27 close
          + web  to web   the name web.t_back, icmp, tcp/80
          + web  to db    the name db, its own name, the name db.t_back, tcp/5432, icmp
          + db   to web   the name web, its own name, the name web.t_back, tcp/80, icmp
          + host to web   icmp, tcp/80
          - web  to old   the name old, its own name, the name old.t_front, tcp/80, icmp
          - old  to web   the name web, its own name, the name web.t_front, tcp/80, icmp
          - old  to host  icmp
          - host to old   icmp, tcp/80
    "#]]
    .assert_eq(&delta.text());
    assert_eq!(
        delta.value()["opened"].as_array().unwrap().len(),
        delta.opened.len()
    );
}
