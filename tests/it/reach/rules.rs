//! Every rule has a card, and a stack in which it is the one that speaks.

use std::collections::BTreeSet;
use std::net::IpAddr;

use stack::model::stack::Stack;
use stack::reach::facts::{Backend, Facts};
use stack::reach::predict;
use stack::reach::question::{Ask, Question, Target};
use stack::reach::rules;
use stack::reach::scene::Scene;
use stack::reach::verdict::Verdict;
use stack::reach::words;

use crate::reach::build::{new, old, published, read, seen};

const BRIDGES: &str = "
x-lab: &lab {image: lab, expose: ['80']}
services:
  web: {image: lab, expose: ['80', 53/udp], networks: {front: {ipv4_address: 10.10.0.9}}, ports: ['8000:80', '8053:53/udp'], extra_hosts: ['gw:host-gateway']}
  app: {<<: *lab, hostname: me, networks: [front, back], links: ['db:store'], ports: ['8006:80']}
  twin: {<<: *lab, networks: [front], scale: 2}
  db: {<<: *lab, networks: {back: {ipv4_address: 10.20.0.9}}, ports: ['127.0.0.1:8001:80']}
  one: {<<: *lab, networks: [back], ports: ['10.20.0.1:8002:80']}
  plain: {<<: *lab, network_mode: bridge}
  naked: {<<: *lab, network_mode: none}
  hosted: {<<: *lab, network_mode: host}
  guest: {image: lab, network_mode: 'service:web'}
  in1: {<<: *lab, networks: {inner: {ipv4_address: 10.40.0.9}}, ports: ['8003:80']}
  q1: {<<: *lab, networks: [quiet]}
  q2: {<<: *lab, networks: [quiet], ports: ['8004:80']}
  q3: {<<: *lab, networks: [quiet6]}
  q4: {<<: *lab, networks: {quiet6: {ipv6_address: 'fd00:3::9'}}}
  iso: {<<: *lab, networks: {iso: {ipv4_address: 203.0.113.9}}}
  bare: {<<: *lab, networks: [bare]}
  pub: {<<: *lab, networks: {pub: {ipv4_address: 198.18.0.9}}, ports: ['8010:80']}
  open: {<<: *lab, networks: {open: {ipv4_address: 192.0.2.9}}}
  r1: {<<: *lab, networks: {routed: {ipv4_address: 10.80.0.9}}, ports: ['8009:80']}
  r2: {<<: *lab, networks: {front: {}, routed: {ipv4_address: 10.80.0.10}}, ports: ['8007:80']}
  s1: {<<: *lab, networks: {six: {ipv6_address: 'fd00:1::9'}}}
  s2: {<<: *lab, networks: {sixty: {ipv6_address: 'fd00:2::9'}}}
  only6: {<<: *lab, networks: [only6]}
  two: {<<: *lab, networks: [front, only6]}
  off: {<<: *lab, networks: [six], sysctls: {net.ipv6.conf.all.disable_ipv6: '1'}}
  oa: {<<: *lab, networks: [over]}
  ob: {<<: *lab, networks: [over]}
  oc: {<<: *lab, networks: [shut]}
  od: {<<: *lab, networks: [shut]}
  pa: {<<: *lab, networks: [plug]}
  pb: {<<: *lab, networks: [plug]}
networks:
  front: {ipam: {config: [{subnet: 10.10.0.0/24}]}}
  back: {ipam: {config: [{subnet: 10.20.0.0/24}]}}
  quiet: {ipam: {config: [{subnet: 10.30.0.0/24}]}, driver_opts: {com.docker.network.bridge.enable_icc: 'false'}}
  quiet6: {enable_ipv6: true, ipam: {config: [{subnet: 10.63.0.0/24}, {subnet: 'fd00:3::/64'}]}, driver_opts: {com.docker.network.bridge.enable_icc: 'false'}}
  inner: {internal: true, ipam: {config: [{subnet: 10.40.0.0/24}]}}
  iso: {internal: true, ipam: {config: [{subnet: 203.0.113.0/24}]}, driver_opts: {com.docker.network.bridge.gateway_mode_ipv4: isolated}}
  bare: {ipam: {config: [{subnet: 10.71.0.0/24}]}, driver_opts: {com.docker.network.bridge.inhibit_ipv4: 'true'}}
  pub: {ipam: {config: [{subnet: 198.18.0.0/24}]}}
  open: {ipam: {config: [{subnet: 192.0.2.0/24}]}, driver_opts: {com.docker.network.bridge.gateway_mode_ipv4: nat-unprotected}}
  routed: {ipam: {config: [{subnet: 10.80.0.0/24}]}, driver_opts: {com.docker.network.bridge.gateway_mode_ipv4: routed}}
  six: {enable_ipv6: true, ipam: {config: [{subnet: 10.61.0.0/24}, {subnet: 'fd00:1::/64'}]}}
  sixty: {enable_ipv6: true, ipam: {config: [{subnet: 10.62.0.0/24}, {subnet: 'fd00:2::/64'}]}}
  only6: {enable_ipv4: false, enable_ipv6: true, ipam: {config: [{subnet: 'fd00:9::/64'}]}}
  over: {driver: overlay, attachable: true}
  shut: {driver: overlay}
  plug: {driver: weave}
";

fn wires(driver: &str, lan: &str, network: &str) -> String {
    format!(
        "
x-lab: &lab {{image: lab, expose: ['80']}}
lans:
  office: {{parent: lab0, subnet: 10.50.0.0/24, gateway: 10.50.0.1, address: 10.50.0.2, hosts: {{peer: 10.50.0.9}}{lan}}}
  dry: {{parent: lab1, subnet: 10.53.0.0/24, hosts: {{box: 10.53.0.9}}}}
services:
  aa: {{<<: *lab, networks: {{lan: {{ipv4_address: 10.50.0.70}}}}}}
  bb: {{<<: *lab, networks: [lan], ports: ['8008:80']}}
  br: {{<<: *lab, networks: [front], ports: ['8000:80']}}
  both: {{<<: *lab, networks: [front, lan], ports: ['8011:80']}}
  cc: {{<<: *lab, networks: [sealed]}}
networks:
  lan: {{{driver}, parent: office{network}, ipam: {{config: [{{subnet: 10.50.0.0/24, ip_range: 10.50.0.64/27, gateway: 10.50.0.1}}]}}}}
  sealed: {{driver: macvlan, internal: true, ipam: {{config: [{{subnet: 10.54.0.0/24}}]}}}}
  front: {{ipam: {{config: [{{subnet: 10.10.0.0/24}}]}}}}
"
    )
}

/// A router joins two subnets of the network `lan` and knows nothing of its third and of another network's; beside them
/// are two VLANs.
const SUBNETS: &str = "
x-lab: &lab {image: lab, expose: ['80']}
lans:
  office: {parent: lab4, subnet: [10.84.0.0/24, 10.85.0.0/24], gateway: [10.84.0.1, 10.85.0.1], hosts: {laptop: [10.84.0.50, 10.88.0.50/24]}}
services:
  aa: {<<: *lab, networks: {lan: {ipv4_address: 10.84.0.20}}}
  bb: {<<: *lab, networks: {lan: {ipv4_address: 10.85.0.20}}}
  cc: {<<: *lab, networks: {lan: {ipv4_address: 10.86.0.20}}}
  dd: {<<: *lab, networks: {other: {ipv4_address: 10.87.0.20}}}
  v20: {<<: *lab, networks: {voice: {ipv4_address: 10.88.0.20}}}
  v30: {<<: *lab, networks: {data: {ipv4_address: 10.89.0.20}}}
networks:
  lan: {driver: macvlan, parent: office, ipam: {config: [{subnet: 10.84.0.0/24, gateway: 10.84.0.1}, {subnet: 10.85.0.0/24, gateway: 10.85.0.1}, {subnet: 10.86.0.0/24, gateway: 10.86.0.1}]}}
  other: {driver: macvlan, parent: office, ipam: {config: [{subnet: 10.87.0.0/24, gateway: 10.87.0.1}]}}
  voice: {driver: macvlan, parent: office.20, ipam: {config: [{subnet: 10.88.0.0/24, gateway: 10.88.0.1}]}}
  data: {driver: macvlan, parent: office.30, ipam: {config: [{subnet: 10.89.0.0/24, gateway: 10.89.0.1}]}}
";

fn twins() -> String {
    "
x-lab: &lab {image: lab, expose: ['80']}
services:
  aa: {<<: *lab, networks: [one]}
  bb: {<<: *lab, networks: {two: {ipv4_address: 10.52.0.9}}}
  nn: {<<: *lab, networks: [nogate]}
  pa: {<<: *lab, networks: [pair]}
  pb: {<<: *lab, networks: [pair]}
networks:
  one: {driver: macvlan, parent: eth9, ipam: {config: [{subnet: 10.50.0.0/24}]}}
  two: {driver: macvlan, parent: eth9, ipam: {config: [{subnet: 10.52.0.0/24}]}}
  nogate: {driver: macvlan, parent: eth7, ipam: {config: [{subnet: 10.55.0.0/24}]}}
  pair: {driver: macvlan, parent: eth8, internal: true, ipam: {config: [{subnet: 10.99.0.0/31}]}}
"
    .to_owned()
}

fn with(change: impl Fn(&mut Facts)) -> Facts {
    let mut facts = new();
    change(&mut facts);
    facts
}

/// The cards that a question meets; `=NAME` is asked as it stands.
fn met(scene: &Scene, text: &str) -> BTreeSet<&'static str> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [from, to, ask] = words[..] else {
        panic!("`{text}` is not a question")
    };
    let ask = match ask.split_once('/') {
        Some(("tcp", port)) => Ask::Tcp(port.parse().unwrap()),
        Some(("udp", port)) => Ask::Udp(port.parse().unwrap()),
        _ if ask == "name" => Ask::Name,
        _ => Ask::Icmp,
    };
    let raw = to.strip_prefix('=').map(|name| Target::Name(name.into()));
    let address = to.parse::<IpAddr>().ok().map(Target::Address);
    let questions = match raw.or(address) {
        Some(to) => words::viewpoints(scene, from)
            .unwrap()
            .into_iter()
            .map(|from| Question {
                from,
                to: to.clone(),
                ask,
                meant: String::new(),
            })
            .collect(),
        None => words::ask(scene, from, to, ask).unwrap_or_else(|error| panic!("{text}: {error}")),
    };
    questions
        .iter()
        .flat_map(|question| predict::predict(scene, question).cards)
        .map(|card| card.id)
        .collect()
}

/// What came of the rows so far.
#[derive(Default)]
struct Tally {
    shown: BTreeSet<&'static str>,
    wrong: Vec<String>,
}

fn hold(stack: &Stack, rows: Vec<(&'static str, Facts, &str)>, tally: &mut Tally) {
    for (id, facts, question) in rows {
        let scene = seen(stack, facts);
        let cards = met(&scene, question);
        if cards.contains(id) {
            tally.shown.insert(id);
        } else {
            tally
                .wrong
                .push(format!("{id} does not speak of `{question}`: {cards:?}"));
        }
    }
}

/// Rules of what is refused, or told elsewhere than in an answer: the reader's and the planner's tests have them.
const TOLD_ELSEWHERE: &[&str] = &[
    "N8", "N12", "N14", "B12", "B13", "C1", "P9", "P12", "H2", "H5", "H6", "M14", "M19", "V2b",
];

#[test]
fn every_rule_speaks_where_it_should() {
    let mut tally = Tally::default();
    let stack = read(BRIDGES);
    hold(
        &stack,
        vec![
            ("N1", new(), "plain =web name"),
            ("N2", new(), "web app name"),
            ("N3", new(), "app store name"),
            ("N4", new(), "web =app.t_front name"),
            ("N5", new(), "web twin name"),
            ("N6", new(), "web db name"),
            ("N7", new(), "in1 web name"),
            ("N9", new(), "hosted =web name"),
            ("N10", new(), "naked =web name"),
            ("N13", new(), "web =gw name"),
            ("N15", new(), "app =me name"),
            ("B1", new(), "web app icmp"),
            ("B2", new(), "web 10.20.0.9 tcp/80"),
            ("B2-v6", old(), "s1 fd00:2::9 tcp/80"),
            ("B2-v6", old(), "q3 fd00:3::9 tcp/80"),
            ("B4", new(), "q3 fd00:3::9 tcp/80"),
            ("B3", new(), "in1 10.20.0.9 tcp/80"),
            ("B4", new(), "q1 q2 tcp/80"),
            ("B6", new(), "q1 10.30.0.1 tcp/8004"),
            ("B7", new(), "host web tcp/80"),
            ("B8", new(), "web 10.10.0.1 icmp"),
            ("B9", new(), "web 10.40.0.9 icmp"),
            ("B10", new(), "iso 203.0.113.1 icmp"),
            ("B11", new(), "bare 10.71.0.1 icmp"),
            ("B14", new(), "plain fd00:1::9 icmp"),
            ("G-nat", new(), "internet 198.18.0.9 tcp/80"),
            ("G-old", old(), "internet 198.18.0.9 tcp/80"),
            ("G-unp", new(), "internet 192.0.2.9 tcp/80"),
            ("G-iso", new(), "internet 203.0.113.9 tcp/80"),
            ("G-ctr", new(), "web 10.80.0.9 tcp/80"),
            (
                "G-esc",
                with(|facts| facts.direct_routing = true),
                "internet 198.18.0.9 tcp/80",
            ),
            ("G1", new(), "app internet icmp"),
            ("G2", new(), "two internet icmp"),
            ("G3", new(), "host 127.0.0.1 tcp/8006"),
            ("G5", new(), "db 10.80.0.10 tcp/80"),
            ("P1", new(), "host 127.0.0.1 tcp/8000"),
            (
                "P2",
                with(|facts| facts.userland_proxy = false),
                "host ::1 tcp/8000",
            ),
            ("P4", new(), "host 10.20.0.1 tcp/8001"),
            ("P5", new(), "web 10.10.0.1 tcp/8000"),
            ("P6", new(), "db 10.20.0.1 tcp/8000"),
            ("P6-internal", old(), "in1 10.40.0.1 tcp/8000"),
            ("P7", new(), "web 10.10.0.1 tcp/8002"),
            ("V3", new(), "host ::1 tcp/8000"),
            ("P11", new(), "host 127.0.0.1 tcp/8009"),
            ("P13", old(), "db 10.10.0.1 udp/8053"),
            ("P14", new(), "web 10.10.0.1 tcp/8000"),
            ("P15", new(), "host 127.0.0.1 tcp/8003"),
            ("H1", new(), "hosted web icmp"),
            ("H3", new(), "naked 10.10.0.1 icmp"),
            ("H4", new(), "guest app tcp/80"),
            ("V1", new(), "web fd00:1::9 icmp"),
            ("V2", new(), "only6 10.10.0.9 icmp"),
            ("V4", new(), "off fd00:1::9 icmp"),
            (
                "V5",
                with(|facts| facts.backend = Backend::Nftables),
                "web internet icmp",
            ),
            ("V6", old(), "web 10.80.0.9 tcp/80"),
            ("V7", with(|facts| facts.rootless = true), "host web tcp/80"),
            (
                "V8",
                with(|facts| facts.user_rules = true),
                "web internet icmp",
            ),
            (
                "V9",
                with(|facts| facts.host_input = true),
                "web 10.10.0.1 icmp",
            ),
            ("L1", new(), "web app tcp/99"),
            ("L2", new(), "host 10.10.0.77 icmp"),
            ("E1", new(), "web internet icmp"),
            ("E2", new(), "internet 10.10.0.9 tcp/80"),
            ("O1", new(), "oa ob icmp"),
            ("O2", new(), "oc od icmp"),
            ("O3", new(), "oa internet icmp"),
            ("O4", new(), "oa ob name"),
            ("O5", new(), "oa =tasks.ob name"),
            ("O6", new(), "host ob icmp"),
            ("O7", new(), "pa pb icmp"),
        ],
        &mut tally,
    );
    let mut routed = stack.clone();
    routed.networks["pub"].options.insert(
        "com.docker.network.bridge.gateway_mode_ipv4".into(),
        "routed".into(),
    );
    hold(
        &routed,
        vec![("G-rtd", new(), "internet 198.18.0.9 tcp/80")],
        &mut tally,
    );
    let mut deaf = stack.clone();
    let hosted = published(stack.services["hosted"].clone(), None, 8012);
    deaf.services.insert(hosted.name.clone(), hosted);
    hold(
        &deaf,
        vec![("P8", new(), "host 127.0.0.1 tcp/8012")],
        &mut tally,
    );
    let macvlan = |mode: &str, lan: &str, shim: &str| {
        read(&wires(&format!("driver: macvlan, mode: {mode}"), lan, shim))
    };
    let ipvlan = |mode: &str| read(&wires(&format!("driver: ipvlan, mode: {mode}"), "", ""));
    hold(
        &macvlan("bridge", "", ""),
        vec![
            ("M1", old(), "host aa icmp"),
            ("M3", old(), "aa bb icmp"),
            ("M12", new(), "cc 10.10.0.2 icmp"),
            (
                "M15",
                with(|facts| facts.user_rules = true),
                "office.peer aa icmp",
            ),
            ("P3", old(), "office.peer 10.50.0.2 tcp/8000"),
            ("P10", old(), "host 127.0.0.1 tcp/8008"),
            ("M17", old(), "br 10.50.0.70 tcp/80"),
            ("R1", old(), "dry.box 10.10.0.2 icmp"),
            ("R2", old(), "office.peer 10.10.0.2 tcp/80"),
        ],
        &mut tally,
    );
    hold(
        &macvlan("bridge", "", ", shim: true"),
        vec![
            ("M2", old(), "aa shim-t-lan icmp"),
            ("M2", old(), "host aa icmp"),
            ("M2", old(), "shim-t-lan aa icmp"),
            ("M17", old(), "br 10.50.0.70 tcp/80"),
            ("R3", old(), "office.peer 10.50.0.2 tcp/8011"),
        ],
        &mut tally,
    );
    hold(
        &macvlan("private", "", ""),
        vec![("M4", old(), "aa bb icmp")],
        &mut tally,
    );
    hold(
        &macvlan("vepa", "", ""),
        vec![("M5", old(), "aa bb icmp")],
        &mut tally,
    );
    hold(
        &macvlan("passthru", "", ""),
        vec![("M6", old(), "host aa icmp")],
        &mut tally,
    );
    hold(
        &macvlan("bridge", ", switch: {promiscuous: reject}", ""),
        vec![("FH1", old(), "office.peer aa icmp")],
        &mut tally,
    );
    hold(
        &ipvlan("l3"),
        vec![
            ("M9", old(), "aa bb icmp"),
            ("M10", old(), "office.peer aa icmp"),
            ("M11", old(), "aa internet icmp"),
        ],
        &mut tally,
    );
    hold(
        &ipvlan("l2, flag: private"),
        vec![("M16", old(), "aa bb icmp")],
        &mut tally,
    );
    hold(
        &read(&twins()),
        vec![
            ("M18", new(), "pa pb icmp"),
            ("G4", new(), "nn internet icmp"),
        ],
        &mut tally,
    );
    hold(
        &read(SUBNETS),
        vec![
            ("M8", old(), "aa bb icmp"),
            ("M7", old(), "aa bb icmp"),
            ("M8", old(), "cc 10.84.0.20 icmp"),
            ("M7", old(), "dd 10.84.0.20 icmp"),
            ("M13", old(), "v20 10.89.0.20 icmp"),
            ("M13", old(), "office.laptop v20 icmp"),
        ],
        &mut tally,
    );
    // Built by hand in other tests: the reader takes no links beside `network_mode: bridge`.
    let Tally { mut shown, wrong } = tally;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    shown.extend(["N11", "B5"]);
    let all: BTreeSet<&str> = rules::cards().map(|card| card.id).collect();
    let silent: Vec<&&str> = all
        .iter()
        .filter(|id| !shown.contains(**id) && !TOLD_ELSEWHERE.contains(id))
        .collect();
    assert!(silent.is_empty(), "no stack shows {silent:?}");
}

#[test]
fn gateway_modes_by_the_engines_version() {
    let stack = read(BRIDGES);
    let mut text = String::new();
    for engine in [(20, 10), (26, 1), (27, 3), (28, 5), (29, 0)] {
        let api = if engine.0 < 25 { (1, 41) } else { (1, 48) };
        let scene = seen(&stack, Facts::of_engine(engine, api));
        let mut words = Vec::new();
        for (from, to) in [
            ("internet", "198.18.0.9"),
            ("internet", "192.0.2.9"),
            ("web", "10.80.0.9"),
            ("db", "10.80.0.10"),
            ("in1", "10.20.0.9"),
        ] {
            let ask = words::ask(&scene, from, to, Ask::Tcp(80)).unwrap();
            let prediction = predict::predict(&scene, &ask[0]);
            words.push(match prediction.verdict {
                Verdict::Depends(_) => "lets in".to_owned(),
                verdict => verdict.word().to_owned(),
            });
        }
        text.push_str(&format!(
            "{}.{}: {}\n",
            engine.0,
            engine.1,
            words.join(", ")
        ));
    }
    expect_test::expect![[r#"
        20.10: lets in, timeout, timeout, timeout, timeout
        26.1: lets in, timeout, timeout, timeout, no-route
        27.3: lets in, timeout, ok, timeout, no-route
        28.5: timeout, lets in, ok, timeout, no-route
        29.0: timeout, lets in, ok, ok, no-route
    "#]]
    .assert_eq(&text);
}
