//! The doctor's rules over facts that were recorded on machines that we do not have here.

use stack::doctor::examine;
use stack::doctor::facts::Facts;
use stack::plan::machine::{Machine, Support};
use stack::plan::observed::{EngineFacts, HostFacts, LinkFact};

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
