//! Small stacks at random: services on networks of every mode that this machine's kernel has, with ports, links,
//! aliases, other services' namespaces, both address families. One seed always gives one file. What is made is always
//! valid; whether it is useful is nobody's concern.

use std::fmt::Write as _;

/// A generator of numbers (SplitMix64, public domain, by Sebastiano Vigna).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(1).max(1);
        usize::try_from(self.roll() % end).unwrap_or(0)
    }

    /// True so many times in a hundred.
    fn percent(&mut self, share: usize) -> bool {
        self.below(100) < share
    }

    fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

struct Net {
    name: String,
    number: usize,
    lan: bool,
    six: bool,
    /// How many containers may still join.
    room: usize,
}

/// What a service lives in.
enum Home {
    Alone(&'static str),
    Follows(String),
    Joins(Vec<usize>),
}

/// The file of a seed, for an engine of this major version.
pub fn stack(seed: u64, major: u32) -> String {
    let mut dice = Dice(seed);
    let mut text = format!("name: rnd{seed}\n");
    let lan = dice.percent(50);
    if lan {
        let switch = dice.one_of(&[
            "",
            ", switch: {reflect: true}",
            ", switch: {promiscuous: reject}",
        ]);
        let _ = writeln!(
            text,
            "lans:\n  office: {{parent: lrnd, subnet: 10.150.0.0/24, gateway: 10.150.0.1, address: 10.150.0.2, hosts: {{laptop: 10.150.0.9}}{switch}}}"
        );
    }
    let nets = networks(&mut dice, lan, &mut text);
    services(&mut dice, nets, major, &mut text);
    text
}

fn networks(dice: &mut Dice, lan: bool, text: &mut String) -> Vec<Net> {
    text.push_str("networks:\n");
    let mut nets = Vec::new();
    let count = 2 + dice.below(3);
    for number in 0..count {
        let name = format!("{}{number}", dice.one_of(&["a", "m", "z"]));
        let on_lan = lan && number == 0;
        let mut net = Net {
            name,
            number,
            lan: on_lan,
            six: false,
            room: 9,
        };
        let line = if on_lan {
            on_a_lan(dice, &mut net)
        } else {
            bridge(dice, &mut net)
        };
        let _ = writeln!(text, "  {}: {{{line}}}", net.name);
        nets.push(net);
    }
    nets
}

fn on_a_lan(dice: &mut Dice, net: &mut Net) -> String {
    let mode = dice.one_of(&["bridge", "bridge", "bridge", "private", "vepa", "passthru"]);
    if mode == "passthru" {
        net.room = 1;
    }
    let shim = if mode == "bridge" && dice.percent(50) {
        ", shim: true"
    } else {
        ""
    };
    let internal = if shim.is_empty() && dice.percent(10) {
        ", internal: true"
    } else {
        ""
    };
    format!(
        "driver: macvlan, mode: {mode}, parent: office{shim}{internal}, ipam: {{config: [{{subnet: 10.150.0.0/24, ip_range: 10.150.0.64/27, gateway: 10.150.0.1}}]}}"
    )
}

fn bridge(dice: &mut Dice, net: &mut Net) -> String {
    let number = net.number;
    let mut options = Vec::new();
    let mut keys = Vec::new();
    let internal = dice.percent(22);
    if internal {
        keys.push("internal: true".to_owned());
    }
    net.six = dice.percent(30);
    let option = |name: &str, value: &str| format!("com.docker.network.bridge.{name}: \"{value}\"");
    if dice.percent(15) {
        options.push(option("enable_icc", "false"));
    }
    if dice.percent(8) {
        options.push(option("enable_ip_masquerade", "false"));
    }
    if dice.percent(8) {
        options.push(option("host_binding_ipv4", "127.0.0.1"));
    }
    if dice.percent(22) {
        let mode = match internal {
            true => dice.one_of(&["nat", "isolated"]),
            false => dice.one_of(&["nat-unprotected", "routed"]),
        };
        options.push(option("gateway_mode_ipv4", mode));
        if net.six && dice.percent(50) {
            options.push(option("gateway_mode_ipv6", mode));
        }
    }
    if !options.is_empty() {
        keys.push(format!("driver_opts: {{{}}}", options.join(", ")));
    }
    let mut pools = vec![format!("{{subnet: 10.18{number}.0.0/24}}")];
    if net.six {
        keys.push("enable_ipv6: true".to_owned());
        pools.push(format!("{{subnet: \"fd00:18{number}::/64\"}}"));
    }
    keys.push(format!("ipam: {{config: [{}]}}", pools.join(", ")));
    keys.join(", ")
}

fn services(dice: &mut Dice, mut nets: Vec<Net>, major: u32, text: &mut String) {
    text.push_str(
        "x-base: &base {image: \"stack-lab:latest\", stop_grace_period: 0s}\nservices:\n",
    );
    let count = 3 + dice.below(4);
    let mut homes: Vec<Home> = Vec::new();
    let mut port = 9000;
    for number in 0..count {
        let home = home(dice, &homes, &mut nets);
        let mut keys = vec!["<<: *base".to_owned()];
        match &home {
            Home::Alone("host") => {
                keys.push("network_mode: host".to_owned());
                keys.push("expose: [\"8090\"]".to_owned());
            }
            Home::Follows(owner) => {
                keys.push(format!("network_mode: \"service:{owner}\""));
                keys.push("command: [\"sleep\", \"3600\"]".to_owned());
            }
            Home::Alone(mode) => {
                keys.push(format!("network_mode: {mode}"));
                own(dice, &mut keys, &mut port, *mode == "bridge", number);
                links(dice, &mut keys, &homes, &home);
            }
            Home::Joins(joined) => {
                let single = own(dice, &mut keys, &mut port, true, number);
                keys.push(joins(dice, &nets, joined, number, single, major));
                links(dice, &mut keys, &homes, &home);
                // An older engine publishes to the IPv6 address that the kernel does not have; nobody wants that.
                let publishes = keys.iter().any(|key| key.starts_with("ports:"));
                let sane = major >= 28 || !publishes;
                if sane && joined.iter().any(|net| nets[*net].six) && dice.percent(8) {
                    keys.push("sysctls: {net.ipv6.conf.all.disable_ipv6: 1}".to_owned());
                }
            }
        }
        let _ = writeln!(text, "  s{number}: {{{}}}", keys.join(", "));
        homes.push(home);
    }
}

fn home(dice: &mut Dice, homes: &[Home], nets: &mut [Net]) -> Home {
    let has_host = homes.iter().any(|home| matches!(home, Home::Alone("host")));
    match dice.below(100) {
        0..=3 => return Home::Alone("none"),
        4..=7 if !has_host => return Home::Alone("host"),
        8..=21 => return Home::Alone("bridge"),
        22..=28 => {
            let owners: Vec<usize> = (0..homes.len())
                .filter(|number| !matches!(homes[*number], Home::Follows(_)))
                .collect();
            if !owners.is_empty() {
                return Home::Follows(format!("s{}", dice.one_of(&owners)));
            }
        }
        _ => {}
    }
    let wanted = 1 + dice.below(3);
    let mut joined = Vec::new();
    for _ in 0..wanted {
        let net = dice.below(nets.len());
        if !joined.contains(&net) && nets[net].room > 0 {
            nets[net].room -= 1;
            joined.push(net);
        }
    }
    if joined.is_empty() {
        return Home::Alone("bridge");
    }
    Home::Joins(joined)
}

/// Ports and names of its own; whether there is one container of it.
fn own(
    dice: &mut Dice,
    keys: &mut Vec<String>,
    port: &mut u16,
    publishes: bool,
    number: usize,
) -> bool {
    let exposed = dice.one_of(&["\"80\"", "\"80\", \"81\"", "\"80\", \"53/udp\""]);
    keys.push(format!("expose: [{exposed}]"));
    let mut published = Vec::new();
    if publishes && dice.percent(55) {
        for _ in 0..=dice.below(2) {
            *port += 1;
            published.push(match dice.below(6) {
                0 => format!("\"127.0.0.1:{port}:80\""),
                1 => format!("\"{port}:53/udp\""),
                2 => format!("\"0.0.0.0:{port}:81\""),
                3 => format!("\"[::]:{port}:80\""),
                _ => format!("\"{port}:80\""),
            });
        }
        keys.push(format!("ports: [{}]", published.join(", ")));
    }
    if dice.percent(12) {
        keys.push(format!("hostname: h{number}"));
    }
    if dice.percent(10) {
        keys.push(format!("container_name: c{number}"));
        return true;
    }
    if published.is_empty() && dice.percent(12) {
        keys.push("scale: 2".to_owned());
        return false;
    }
    true
}

fn joins(
    dice: &mut Dice,
    nets: &[Net],
    joined: &[usize],
    number: usize,
    single: bool,
    major: u32,
) -> String {
    let mut members = Vec::new();
    for net in joined.iter().map(|net| &nets[*net]) {
        let mut settings = Vec::new();
        if dice.percent(30) {
            let alias = dice.one_of(&["shared", "store", "api"]);
            settings.push(format!("aliases: [{alias}]"));
        }
        if single && dice.percent(15) && !net.lan {
            settings.push(format!(
                "ipv4_address: 10.18{}.0.{}",
                net.number,
                100 + number
            ));
        }
        if major >= 28 && dice.percent(15) {
            settings.push(format!("gw_priority: {}", dice.below(3)));
        }
        members.push(format!("{}: {{{}}}", net.name, settings.join(", ")));
    }
    format!("networks: {{{}}}", members.join(", "))
}

/// A link to an earlier service with which it shares a network.
fn links(dice: &mut Dice, keys: &mut Vec<String>, homes: &[Home], own: &Home) {
    if !dice.percent(25) {
        return;
    }
    let shares = |other: &Home| match (own, other) {
        (Home::Alone("bridge"), Home::Alone("bridge")) => true,
        (Home::Joins(own), Home::Joins(other)) => own.iter().any(|net| other.contains(net)),
        _ => false,
    };
    let others: Vec<usize> = (0..homes.len())
        .filter(|number| shares(&homes[*number]))
        .collect();
    if !others.is_empty() {
        keys.push(format!("links: [\"s{}:friend\"]", dice.one_of(&others)));
    }
}
