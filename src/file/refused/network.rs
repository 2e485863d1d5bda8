//! Networks: names of the engine's own, options of its drivers, subnets that no station can have.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::file::refused::{Judge, entries, instead, items, text};
use crate::file::tree::Node;
use crate::file::value;

/// The drivers that engines have themselves.
const DRIVERS: [&str; 8] = [
    "bridge", "macvlan", "ipvlan", "overlay", "host", "none", "null", "default",
];

impl Judge<'_> {
    pub fn network(&mut self, key: &str, network: &Node) {
        if network.get("external").and_then(Node::as_bool) == Some(true) {
            return;
        }
        let driver = text(network, "driver").map_or("bridge", |(_, driver)| driver);
        self.network_name(key, network, driver);
        if let Some((node, driver)) = text(network, "driver")
            && !DRIVERS.contains(&driver)
            && let Some(near) = value::nearest(driver, DRIVERS.into_iter())
        {
            let why = format!(
                "the engine has no driver `{driver}` of its own, and needs a plugin of this name"
            );
            let hint = format!("did you mean `{near}`?");
            self.doubt(
                node,
                &["networks", key, "driver"],
                "unknown-value",
                &why,
                &hint,
            );
        }
        if DRIVERS.contains(&driver) {
            for entry in entries(network, "driver_opts") {
                let path = ["networks", key, "driver_opts", &entry.key];
                self.option(&entry.key, &entry.node, driver, &path);
            }
        }
        let Some(ipam) = network.get("ipam") else {
            return;
        };
        if let Some((node, driver)) = text(ipam, "driver")
            && driver != "default"
        {
            let why = format!(
                "the engine has no address management `{driver}` of its own, and needs a plugin of this name"
            );
            let hint = match value::nearest(driver, ["default"].into_iter()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "remove it for the engine's own".to_owned(),
            };
            self.doubt(
                node,
                &["networks", key, "ipam", "driver"],
                "unknown-value",
                &why,
                &hint,
            );
        }
        for (index, pool) in items(ipam, "config").iter().enumerate() {
            if let Some((node, subnet)) = text(pool, "subnet") {
                let index = index.to_string();
                self.subnet(
                    node,
                    subnet,
                    &["networks", key, "ipam", "config", &index, "subnet"],
                );
            }
        }
    }

    fn network_name(&mut self, key: &str, network: &Node, driver: &str) {
        let Some((node, name)) = text(network, "name") else {
            return;
        };
        let path = ["networks", key, "name"];
        let own = match (driver, name) {
            ("host" | "none" | "null", _) => false,
            // The default bridge, which is the engine's and not made.
            ("bridge" | "default", "bridge") => false,
            (_, name) => matches!(name, "bridge" | "host" | "none" | "default"),
        };
        if own {
            let why = format!(
                "operation is not permitted on predefined {name} network: the engine has it already"
            );
            let hint = match name {
                "host" | "none" => {
                    format!("choose another name, or use the engine's own: driver: {name}")
                }
                _ => "choose another name".to_owned(),
            };
            self.refuse(node, &path, "bad-name", &why, &hint);
        } else if name.trim().is_empty() {
            let why = "invalid name: name is empty";
            self.refuse(
                node,
                &path,
                "bad-name",
                why,
                "write a name, or remove the key",
            );
        }
    }

    fn option(&mut self, option: &str, node: &Node, driver: &str, path: &[&str]) {
        let written = node.scalar_text().unwrap_or_default();
        let failed = format!("failed to parse {option} value: {written}");
        let on_bridge = matches!(driver, "bridge" | "default");
        match option {
            "com.docker.network.driver.mtu" => match written.parse::<i64>() {
                Ok(0 | 68..=65535) => {}
                Ok(size) if size > 0 => {
                    let why = format!(
                        "the kernel has no bridge with an MTU of {size}, and newer engines refuse it"
                    );
                    let hint = "write a number from 68 to 65535";
                    self.doubt(node, path, "out-of-range", &why, hint);
                }
                _ => {
                    let hint = "write a whole number of bytes in quotes, such as \"1450\"";
                    self.refuse(node, path, "unknown-value", &failed, hint);
                }
            },
            "com.docker.network.bridge.enable_icc"
            | "com.docker.network.bridge.enable_ip_masquerade"
            | "com.docker.network.bridge.inhibit_ipv4"
            | "com.docker.network.bridge.default_bridge"
                if on_bridge && !is_go_boolean(&written) =>
            {
                self.refuse(
                    node,
                    path,
                    "unknown-value",
                    &failed,
                    "write \"true\" or \"false\"",
                );
            }
            "com.docker.network.bridge.host_binding_ipv4" | "com.docker.network.host_ipv4"
                if on_bridge && written.parse::<IpAddr>().is_err() =>
            {
                let hint = "write an address of the host, without a prefix length";
                self.refuse(node, path, "bad-address", &failed, hint);
            }
            "com.docker.network.bridge.gateway_mode_ipv4"
            | "com.docker.network.bridge.gateway_mode_ipv6"
                if on_bridge =>
            {
                const MODES: [&str; 4] = ["nat", "nat-unprotected", "routed", "isolated"];
                if !MODES.contains(&&*written) {
                    let why = format!(
                        "unknown gateway mode {written}: newer engines refuse it, older ones ignore the key"
                    );
                    self.doubt(
                        node,
                        path,
                        "unknown-value",
                        &why,
                        &instead(&written, &MODES),
                    );
                }
            }
            _ => {}
        }
    }

    fn subnet(&mut self, node: &Node, written: &str, path: &[&str]) {
        let Ok(subnet) = written.parse::<IpNet>() else {
            return;
        };
        let first = subnet.network();
        let hint = "choose a private one, such as 10.77.0.0/24 or fd77::/64";
        if first.is_loopback() && subnet.prefix_len() > 0 {
            let why = format!(
                "{written} is the host's and every container's own loopback: nobody is reached by such an address"
            );
            self.doubt(node, path, "reserved-address", &why, hint);
        } else if first.is_multicast() {
            let why = format!(
                "multicast subnet {written}: such addresses are those of groups, and no station has one"
            );
            match subnet {
                IpNet::V6(_) => self.refuse(node, path, "reserved-address", &why, hint),
                IpNet::V4(_) => self.doubt(node, path, "reserved-address", &why, hint),
            }
        } else if first.is_unspecified() && subnet.prefix_len() > 0 {
            let why = format!(
                "{written} is \"this network\" (RFC 1122), and the kernel does not route it"
            );
            self.doubt(node, path, "reserved-address", &why, hint);
        }
    }
}

fn is_go_boolean(text: &str) -> bool {
    matches!(
        text,
        "1" | "t" | "T" | "TRUE" | "true" | "True" | "0" | "f" | "F" | "FALSE" | "false" | "False"
    )
}
