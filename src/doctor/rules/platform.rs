//! What the machine itself is: a hypervisor's guest, a cloud's, a desktop's virtual machine. Their switches have
//! filters that the kernel does not see, and each has its own names for the settings.

use crate::doctor::facts::Facts;
use crate::doctor::{Finding, Severity};
use crate::model::network::Driver;
use crate::model::stack::Stack;

struct Platform {
    name: &'static str,
    /// Whether the firmware's vendor, product and asset tag are this platform's.
    is: fn(&str, &str, &str) -> bool,
    severity: Severity,
    why: &'static str,
    mend: &'static str,
}

/// What Azure's machines have as their chassis' asset tag; vendor and product are Hyper-V's.
const AZURE: &str = "7783-7084-3265-9085-8269-3286-77";

const PLATFORMS: &[Platform] = &[
    Platform {
        name: "a VMware virtual machine",
        is: |vendor, _, _| vendor.contains("VMware"),
        severity: Severity::Warning,
        why: "the port group drops frames of link-layer addresses that it did not give out, so macvlan containers reach only the host's shim",
        mend: "in the port group's (or vSwitch's) security policy set all three to Accept: Promiscuous mode, MAC address changes, Forged transmits; or use ipvlan",
    },
    Platform {
        name: "a VirtualBox virtual machine",
        is: |vendor, product, _| vendor.contains("innotek") || product.contains("VirtualBox"),
        severity: Severity::Warning,
        why: "the adapter delivers only frames for its own address",
        mend: "VBoxManage modifyvm NAME --nic-promisc1 allow-all; or use ipvlan",
    },
    Platform {
        name: "a Hyper-V virtual machine",
        is: |vendor, product, tag| {
            vendor.contains("Microsoft") && product.contains("Virtual Machine") && tag != AZURE
        },
        severity: Severity::Warning,
        why: "the virtual switch drops frames of addresses that are not the adapter's",
        mend: "Set-VMNetworkAdapter -VMName NAME -MacAddressSpoofing On; or use ipvlan",
    },
    Platform {
        name: "a KVM or Proxmox virtual machine",
        is: |vendor, product, _| {
            vendor.contains("QEMU") || product.contains("Standard PC") || product.contains("KVM")
        },
        severity: Severity::Info,
        why: "a Linux bridge lets other addresses pass, unless the interface's MAC filter or firewall is on",
        mend: "if containers are not reached from the LAN: turn the MAC filter of the virtual card off (libvirt: no clean-traffic filter; Proxmox: firewall=0 on the card)",
    },
    Platform {
        name: "a Xen virtual machine",
        is: |vendor, product, _| vendor.contains("Xen") && !product.contains("EC2"),
        severity: Severity::Info,
        why: "the virtual switch lets other addresses pass, unless the card is locked to its own",
        mend: "if containers are not reached from the LAN: xe vif-param-set uuid=UUID locking-mode=unlocked",
    },
    Platform {
        name: "a Parallels or Apple virtual machine",
        is: |vendor, product, _| {
            vendor.contains("Parallels") || product.contains("Apple Virtualization")
        },
        severity: Severity::Warning,
        why: "shared networks translate addresses, and bridged ones on Wi-Fi drop addresses other than the machine's own",
        mend: "use a bridged card on a cable, or ipvlan",
    },
    Platform {
        name: "a cloud machine",
        is: |vendor, product, tag| {
            if tag == AZURE || tag == "OracleCloud.com" {
                return true;
            }
            [
                "Amazon EC2",
                "Google",
                "DigitalOcean",
                "Hetzner",
                "EC2",
                "OpenStack",
                "Alibaba",
                "Scaleway",
            ]
            .iter()
            .any(|name| vendor.contains(name) || product.contains(name))
        },
        severity: Severity::Error,
        why: "a cloud's network delivers only addresses that it gave out itself, so neither macvlan nor ipvlan l2 containers are reached",
        mend: "use ipvlan l3 with routes in the cloud's own tables, an overlay, or published ports",
    },
];

/// Asks what the machine is, where something sits on its cards.
pub fn examine(facts: &Facts, stack: Option<&Stack>, findings: &mut Vec<Finding>) {
    let on_lan = |driver: &Driver| matches!(driver, Driver::Macvlan(_));
    let concerned = stack.is_none_or(|stack| {
        stack.networks.values().any(|network| {
            let simulated = network
                .parent
                .as_ref()
                .is_some_and(|parent| stack.lans.values().any(|lan| lan.parent == *parent.link()));
            on_lan(&network.driver) && !simulated
        })
    });
    let kernel = facts.machine.kernel.to_ascii_lowercase();
    if kernel.contains("microsoft") {
        findings.push(
            Finding::new(
                "wsl",
                if concerned {
                    Severity::Error
                } else {
                    Severity::Info
                },
                "machine",
                format!("this is WSL (kernel {})", facts.machine.kernel),
                "its card is behind address translation: there is no LAN to sit on",
            )
            .mend("use `lans:` (a simulated wire), or mirrored networking with published ports"),
        );
        return;
    }
    let desktop = facts
        .engine
        .as_ref()
        .is_some_and(|engine| engine.operating_system.contains("Docker Desktop"));
    if desktop {
        findings.push(
            Finding::new(
                "docker-desktop",
                if concerned {
                    Severity::Error
                } else {
                    Severity::Warning
                },
                "engine",
                "the engine is Docker Desktop's, inside a virtual machine",
                "parents would be cards of that machine, and nothing of it is on the LAN",
            )
            .mend("use an engine on a Linux machine for networks on the LAN"),
        );
    }
    let (vendor, product) = (
        facts.machine.vendor.as_deref(),
        facts.machine.product.as_deref(),
    );
    let (vendor, product) = (vendor.unwrap_or_default(), product.unwrap_or_default());
    let tag = facts.machine.asset_tag.as_deref().unwrap_or_default();
    if let Some(platform) = PLATFORMS
        .iter()
        .find(|platform| (platform.is)(vendor, product, tag))
        .filter(|_| concerned)
    {
        let severity = if stack.is_some() {
            platform.severity
        } else {
            platform.severity.min(Severity::Warning)
        };
        findings.push(
            Finding::new(
                "hypervisor",
                severity,
                "machine",
                format!("this is {} ({vendor} {product})", platform.name),
                platform.why,
            )
            .mend(platform.mend),
        );
    }
}
