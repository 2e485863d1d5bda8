//! The doctor's rules over facts that were recorded on machines that we do not have here.

use stack::doctor::examine;
use stack::doctor::facts::Facts;
use stack::doctor::{Finding, Severity};
use stack::model::stack::Stack;
use stack::plan::machine::{Backend, FilterChain, FilterRule, Machine, Support, Verdict};
use stack::plan::observed::{EngineFacts, FoundNetwork, HostFacts, LinkFact};
use stack::plan::spec::{NetworkSpec, PoolSpec};

use crate::reach::build::read;

fn machine(vendor: &str, product: &str) -> Machine {
    Machine {
        kernel: "6.1.0-18-amd64".into(),
        vendor: Some(vendor.into()),
        product: Some(product.into()),
        ..Machine::default()
    }
}

fn engine() -> EngineFacts {
    EngineFacts {
        version: "28.5.2".into(),
        api: (1, 51),
        ..EngineFacts::default()
    }
}

fn codes(facts: &Facts) -> Vec<String> {
    let findings = examine(facts, None);
    findings
        .iter()
        .map(|finding| {
            format!(
                "{:?} {} {}",
                finding.severity, finding.code, finding.subject
            )
        })
        .collect()
}

#[test]
fn what_nobody_could_look_at_is_told() {
    let facts = Facts {
        engine: Some(engine()),
        unseen: vec!["the packet filter".to_owned()],
        ..Facts::default()
    };
    let told = codes(&facts);
    assert!(
        told.iter().any(|told| told.contains("not-looked-at")),
        "{told:?}"
    );
}

#[test]
fn no_engine_is_the_first_thing_told() {
    let facts = Facts {
        engine_error: Some("connection refused".into()),
        ..Facts::default()
    };
    assert_eq!(codes(&facts), ["Error engine-unreachable engine"]);
}

#[test]
fn a_hypervisor_is_known_by_its_firmware() {
    for (vendor, product, known) in [
        ("VMware, Inc.", "VMware7,1", true),
        ("innotek GmbH", "VirtualBox", true),
        ("Microsoft Corporation", "Virtual Machine", true),
        ("Amazon EC2", "t3.micro", true),
        ("Xen", "HVM domU", true),
        ("Parallels International GmbH.", "Parallels ARM", true),
        ("LENOVO", "20Y1S01", false),
    ] {
        let facts = Facts {
            engine: Some(engine()),
            machine: machine(vendor, product),
            ..Facts::default()
        };
        assert_eq!(
            codes(&facts).iter().any(|code| code.contains("hypervisor")),
            known,
            "{vendor}"
        );
    }
}

#[test]
fn what_is_wrong_with_a_parent_is_told_with_its_name() {
    let link = LinkFact {
        name: "wlan0".into(),
        wireless: true,
        ..LinkFact::default()
    };
    let port = LinkFact {
        name: "eth1".into(),
        up: true,
        carrier: true,
        master: Some("br0".into()),
        ..LinkFact::default()
    };
    let host = HostFacts {
        links: vec![link, port],
        may_administer: true,
        ..HostFacts::default()
    };
    let facts = Facts {
        engine: Some(engine()),
        host: Some(host),
        machine: machine("LENOVO", "20Y1S01"),
        ..Facts::default()
    };
    assert_eq!(
        codes(&facts),
        [
            "Error parent-down link wlan0",
            "Error parent-wireless link wlan0",
            "Error parent-is-port link eth1",
            "Info engine engine",
            "Info filters-unread host",
        ]
    );
}

#[test]
fn managers_firewalls_and_settings_are_told() {
    let mut machine = machine("LENOVO", "20Y1S01");
    machine.processes = ["NetworkManager", "systemd-network", "firewalld"]
        .map(str::to_owned)
        .into();
    machine.sysctls = [("net.ipv4.ip_forward", "0")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    machine.kinds = [(
        "ipvlan".to_owned(),
        Support::No("Operation not supported".into()),
    )]
    .into();
    machine.ufw_enabled = true;
    let facts = Facts {
        engine: Some(engine()),
        machine,
        ..Facts::default()
    };
    assert_eq!(
        codes(&facts),
        [
            "Warning kernel-kind kernel",
            "Warning forwarding-off kernel",
            "Warning networkmanager host",
            "Warning networkd host",
            "Warning firewalld host",
            "Warning ufw host",
            "Info engine engine",
        ]
    );
}

fn found<'a>(findings: &'a [Finding], code: &str) -> &'a Finding {
    let found = findings.iter().find(|finding| finding.code == code);
    found.unwrap_or_else(|| panic!("no {code} in {findings:#?}"))
}

#[test]
fn settings_of_hypervisors_and_clouds_are_exact() {
    for (vendor, product, tag, words) in [
        (
            "VMware, Inc.",
            "VMware7,1",
            None,
            "Promiscuous mode, MAC address changes, Forged transmits",
        ),
        (
            "innotek GmbH",
            "VirtualBox",
            None,
            "VBoxManage modifyvm NAME --nic-promisc1 allow-all",
        ),
        (
            "Microsoft Corporation",
            "Virtual Machine",
            None,
            "Set-VMNetworkAdapter -VMName NAME -MacAddressSpoofing On",
        ),
        (
            "Microsoft Corporation",
            "Virtual Machine",
            Some("7783-7084-3265-9085-8269-3286-77"),
            "ipvlan l3 with routes in the cloud's own tables",
        ),
        (
            "Google",
            "Google Compute Engine",
            None,
            "ipvlan l3 with routes in the cloud's own tables",
        ),
    ] {
        let mut machine = machine(vendor, product);
        machine.asset_tag = tag.map(str::to_owned);
        let facts = Facts {
            engine: Some(engine()),
            machine,
            ..Facts::default()
        };
        let findings = examine(&facts, None);
        let mend = found(&findings, "hypervisor").mend.clone().unwrap();
        assert!(mend.contains(words), "{vendor}: {mend}");
    }
}

#[test]
fn engines_that_are_not_on_the_lan_are_told() {
    let mut desktop = engine();
    desktop.operating_system = "Docker Desktop".into();
    let mut remote = engine();
    remote.elsewhere = Some("the engine is reached over the network at nas:22".into());
    let mut rootless = engine();
    rootless.rootless = true;
    for (engine, code) in [
        (desktop, "docker-desktop"),
        (remote, "engine-elsewhere"),
        (rootless, "engine-rootless"),
    ] {
        let facts = Facts {
            engine: Some(engine),
            ..Facts::default()
        };
        let findings = examine(&facts, None);
        assert!(found(&findings, code).severity >= Severity::Warning);
    }
    let facts = Facts {
        engine: Some(engine()),
        machine: Machine {
            kernel: "5.15.153.1-microsoft-standard-WSL2".into(),
            ..Machine::default()
        },
        ..Facts::default()
    };
    found(&examine(&facts, None), "wsl");
}

fn network(name: &str, subnet: &str) -> FoundNetwork {
    FoundNetwork {
        engine_id: format!("{name:0<64}"),
        spec: NetworkSpec {
            name: name.into(),
            key: "lan".parse().unwrap(),
            driver: "bridge".into(),
            options: [].into(),
            ipam_driver: None,
            ipam_options: [].into(),
            pools: vec![PoolSpec {
                subnet: Some(subnet.parse().unwrap()),
                ip_range: None,
                gateway: None,
                aux_addresses: [].into(),
            }],
            internal: false,
            attachable: false,
            enable_ipv4: None,
            enable_ipv6: false,
            labels: [].into(),
        },
        scope: "local".into(),
        project: Some("shop".into()),
        key: None,
        hash: None,
        compose_hash: None,
    }
}

#[test]
fn pools_that_run_out_are_told_with_their_holders() {
    let mut engine = engine();
    engine.address_pools = vec![("10.200.0.0/21".parse().unwrap(), 24)];
    let mut facts = Facts {
        engine: Some(engine),
        networks: vec![
            network("one", "10.200.0.0/24"),
            network("two", "10.200.2.0/23"),
        ],
        ..Facts::default()
    };
    let findings = examine(&facts, None);
    let low = found(&findings, "pools-low");
    assert_eq!(low.severity, Severity::Warning);
    assert!(low.seen.starts_with(
        "5 subnets are left of those that the engine takes by itself; held by: one of shop (10.200.0.0/24), two of shop (10.200.2.0/23)"
    ));
    facts.networks.push(network("all", "10.200.0.0/16"));
    let findings = examine(&facts, None);
    assert_eq!(found(&findings, "pools-low").severity, Severity::Error);
    facts.networks.clear();
    let findings = examine(&facts, None);
    assert!(!findings.iter().any(|finding| finding.code == "pools-low"));
}

#[test]
fn bridges_without_the_engines_rules_are_told() {
    let link = LinkFact {
        name: "docker0".into(),
        kind: "bridge".into(),
        ..LinkFact::default()
    };
    let mut facts = Facts {
        engine: Some(engine()),
        networks: vec![network("bridge", "172.17.0.0/16")],
        host: Some(HostFacts {
            links: vec![link],
            may_administer: true,
            ..HostFacts::default()
        }),
        ..Facts::default()
    };
    // Not read: nothing is said about them.
    let findings = examine(&facts, None);
    found(&findings, "filters-unread");
    facts.machine.filters = Some(Vec::new());
    found(&examine(&facts, None), "engine-rules-gone");
    // `iptables -F` leaves the chains and takes what is in them.
    let chain = |name: &str, hook: Option<&str>, rules: Vec<FilterRule>| FilterChain {
        backend: Backend::Nftables,
        family: "ip".into(),
        table: "filter".into(),
        chain: name.into(),
        hook: hook.map(str::to_owned),
        priority: 0,
        policy_drops: false,
        rules,
    };
    let jump = |to: &str| FilterRule {
        always: true,
        verdict: Verdict::Jump(to.into()),
        packets: None,
    };
    let mut told = |forward: Vec<FilterRule>| {
        let filters = vec![
            chain("DOCKER-USER", None, Vec::new()),
            chain("FORWARD", Some("forward"), forward),
        ];
        facts.machine.filters = Some(filters);
        let findings = examine(&facts, None);
        findings.iter().any(|one| one.code == "engine-rules-gone")
    };
    assert!(told(Vec::new()));
    assert!(!told(vec![jump("DOCKER-USER")]));
}

#[test]
fn a_macvlan_network_of_a_swarm_and_leases_on_ipvlan_are_told() {
    let mut swarm = network("floor", "10.7.0.0/24");
    swarm.spec.driver = "macvlan".into();
    let mut facts = Facts {
        engine: Some(engine()),
        networks: vec![swarm],
        ..Facts::default()
    };
    let seen = |facts: &Facts, stack: Option<&Stack>, code: &str| {
        let findings = examine(facts, stack);
        findings.iter().any(|finding| finding.code == code)
    };
    assert!(!seen(&facts, None, "swarm-parent"));
    facts.networks[0].scope = "swarm".into();
    assert!(seen(&facts, None, "swarm-parent"));
    let stack = |driver: &str, ipam: &str| {
        read(&format!(
            "
services: {{a: {{image: x, networks: [floor]}}}}
networks: {{floor: {{driver: {driver}, parent: eth0, ipam: {{{ipam} config: [{{subnet: 10.7.0.0/24}}]}}}}}}
"
        ))
    };
    let other = stack("ipvlan", "");
    assert!(!seen(&facts, Some(&other), "swarm-parent"), "another one");
    assert!(!seen(&facts, Some(&other), "ipvlan-dhcp"));
    let leased = stack("ipvlan", "driver: 'null',");
    assert!(seen(&facts, Some(&leased), "ipvlan-dhcp"));
    let own_macs = stack("macvlan", "driver: 'null',");
    assert!(!seen(&facts, Some(&own_macs), "ipvlan-dhcp"));
}

/// The unit is gone, the record is not.
#[test]
fn what_an_update_wiped_is_told_and_made_anew() {
    let stack = read(
        "services: {a: {image: x, networks: [floor]}}
networks: {floor: {driver: macvlan, parent: eth0, shim: true, ipam: {config: [{subnet: 10.7.0.0/24}]}}}
",
    );
    let mut facts = Facts {
        engine: Some(engine()),
        ..Facts::default()
    };
    let told = |facts: &Facts| {
        let findings = examine(facts, Some(&stack));
        let mut all = findings.into_iter();
        all.find(|finding| finding.code == "gone-with-a-reboot")
            .and_then(|finding| finding.mend)
    };
    assert!(told(&facts).is_some_and(|mend| mend.starts_with("stack agent --install")));
    facts.machine.agent_installed = true;
    assert_eq!(told(&facts), None);
}

fn sources(folder: &std::path::Path, all: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            all.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_test_that_the_table_of_faults_names_is_there() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = std::fs::read_to_string(root.join("src/doctor/faults.md")).unwrap();
    let mut all = String::new();
    sources(&root.join("src"), &mut all);
    sources(&root.join("tests"), &mut all);
    let mut numbers = std::collections::BTreeSet::new();
    for row in table.lines().filter(|line| line.starts_with("| F")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [number, _, told, kept, mended, tests] = cells.as_slice() else {
            panic!("six cells: {row}");
        };
        assert!(numbers.insert(number.to_string()), "{number} stands twice");
        for mark in [told, kept, mended] {
            assert!(matches!(*mark, "yes" | "-"), "{row}");
        }
        let named: Vec<&str> = tests
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|word| word.matches('_').count() > 1 && !word.contains(' '))
            .collect();
        let done = [told, kept, mended].iter().any(|mark| **mark == "yes");
        assert!(!done || !named.is_empty(), "no test shows it: {row}");
        assert!(!tests.is_empty(), "neither a test nor a reason: {row}");
        for name in named {
            let here = all.contains(&format!("fn {name}(")) || all.contains(&format!("::{name}\""));
            assert!(here, "{number} names `{name}`, which is no test");
        }
    }
    assert_eq!(numbers.len(), 62);
}
