//! Shims of networks.

use std::net::IpAddr;

use crate::diagnostic::Diagnostic;
use crate::file::bind::Binder;
use crate::file::bind::field::{items, parse, text};
use crate::file::tree::Node;
use crate::model::network::{Driver, HostAddress, Shim, ShimRoutes};

impl Binder<'_> {
    /// The shim of a network, where it has one.
    pub fn shim(&mut self, key: &str, node: &Node, driver: &Driver) -> Option<Shim> {
        let shim = node
            .get("shim")
            .filter(|shim| shim.as_bool() != Some(false))?;
        if !driver.on_parent() {
            self.only_on_parent(key, "shim", shim.span, driver);
            return None;
        }
        let path = |name: &'static str| ["networks", key, "shim", name];
        let told = &mut *self.told;
        let name = shim.get("name").and_then(|name| {
            parse(
                name,
                "bad-link-name",
                "a link name has at most 15 bytes, no `/`, no `%`, no white space and no control characters",
                &path("name"),
                told,
            )
        });
        let mut addresses: Vec<IpAddr> = Vec::new();
        for item in items(shim, "address")
            .iter()
            .filter(|item| item.as_text() != Some("auto"))
        {
            let hint = "write `auto`, or an address without a prefix length";
            addresses.extend(parse::<IpAddr>(
                item,
                "bad-address",
                hint,
                &path("address"),
                told,
            ));
        }
        let mac_address = shim
            .get("mac_address")
            .filter(|mac| mac.as_text() != Some("auto"))
            .and_then(|mac| {
                parse(
                    mac,
                    "bad-mac",
                    "write `auto`, or six pairs of hexadecimal digits",
                    &path("mac_address"),
                    told,
                )
            });
        let routes = items(shim, "routes");
        let routes = match routes {
            [] if shim.get("routes").is_none() => ShimRoutes::Auto,
            [one] if one.as_text() == Some("auto") => ShimRoutes::Auto,
            [one] if one.as_text() == Some("range") => ShimRoutes::Range,
            list => ShimRoutes::List(
                list.iter()
                    .filter_map(|item| {
                        let hint = "write `auto`, `range` or a list of prefixes";
                        parse(item, "bad-prefix", hint, &path("routes"), told)
                    })
                    .collect(),
            ),
        };
        let host_address = match text(shim, "host_address").as_deref() {
            Some("reachable") => HostAddress::Reachable,
            _ => HostAddress::AsIs,
        };
        Some(Shim {
            name,
            addresses,
            mac_address,
            routes,
            host_address,
        })
    }

    /// Without a parent the engine makes a link of its own up, which leads nowhere and has no siblings.
    pub fn shim_without_parent(&mut self, key: &str, node: &Node) {
        let message =
            format!("network `{key}`: a shim needs the parent that it shares, and none is given");
        let mut diagnostic = Diagnostic::error("no-parent", message).hint(
            "name a link of the host (parent: eth0) or a lan of this file, or remove the shim",
        );
        if let Some(shim) = node.as_mapping().and_then(|network| network.entry("shim")) {
            diagnostic = diagnostic.at(shim.key_span);
        }
        let option = node
            .get("driver_opts")
            .and_then(|options| options.get("parent"));
        if let Some(parent) = node.get("parent").or(option) {
            diagnostic = diagnostic.also(parent.span, "the parent is empty");
        }
        self.tell(diagnostic, &["networks", key, "shim"]);
    }
}
