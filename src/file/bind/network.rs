//! Networks: driver and mode in their two spellings, parents, pools, shims.

use std::net::IpAddr;

use indexmap::IndexMap;
use ipnet::IpNet;

use crate::diagnostic::Diagnostic;
use crate::file::bind::Binder;
use crate::file::bind::field::{entries, items, pairs, parse, text, yes};
use crate::file::document::joined;
use crate::file::tree::{Entry, Node};
use crate::file::value;
use crate::model::address::{AddressRange, VlanId};
use crate::model::lan::Lan;
use crate::model::name::{LanName, LinkName, NetworkName};
use crate::model::network::{
    Driver, Ipam, IpvlanFlag, IpvlanMode, MacvlanMode, Network, Parent, Pool, Promiscuity,
};
use crate::source::Span;

const PREFIX: &str = "write a prefix such as 192.168.1.0/24 or 2001:db8::/64";
const ADDRESS: &str =
    "write an address such as 192.168.1.10: four numbers from 0 to 255, or an IPv6 address";

/// A setting in one of its two spellings: our key, or an option of the driver.
struct Setting {
    text: String,
    span: Span,
}

impl Binder<'_> {
    /// All networks of the document.
    pub fn networks(&mut self, lans: &IndexMap<LanName, Lan>) -> IndexMap<NetworkName, Network> {
        let mut networks = IndexMap::new();
        for entry in self.entries("networks") {
            if let Some(network) = self.network(entry, lans) {
                networks.insert(network.key.clone(), network);
            }
        }
        networks
    }

    fn network(&mut self, entry: &Entry, lans: &IndexMap<LanName, Lan>) -> Option<Network> {
        let (key, node) = (&*entry.key, &entry.node);
        let mut options = pairs(node.get("driver_opts"));
        let parent = self.setting(key, node, &mut options, "parent", "parent");
        let driver = self.driver(key, node, &mut options, parent.as_ref())?;
        let has_parent = parent.is_some();
        let parent = match parent {
            Some(setting) if driver.on_parent() => self.parent(key, &setting, lans),
            Some(setting) => {
                // A plugin may well have an option of this name.
                if matches!(driver, Driver::Plugin(_)) {
                    options.insert("parent".to_owned(), setting.text);
                } else {
                    self.only_on_parent(key, "parent", setting.span, &driver);
                }
                None
            }
            None => None,
        };
        let shim = self.shim(key, node, &driver);
        if shim.is_some() && !has_parent {
            self.shim_without_parent(key, node);
        }
        let dhcp_pool = node
            .get("dhcp_pool")
            .and_then(|pool| self.range(pool, &["networks", key, "dhcp_pool"]));
        let name = match driver {
            Driver::Host => "host".to_owned(),
            Driver::None => "none".to_owned(),
            _ => text(node, "name").unwrap_or_else(|| key.to_owned()),
        };
        Some(Network {
            key: key.parse().ok()?,
            name,
            external: yes(node, "external"),
            parent,
            options,
            ipam: self.ipam(key, node),
            internal: yes(node, "internal"),
            attachable: yes(node, "attachable"),
            enable_ipv4: node.get("enable_ipv4").and_then(Node::as_bool),
            enable_ipv6: node.get("enable_ipv6").and_then(Node::as_bool),
            labels: pairs(node.get("labels")),
            promiscuous: self.promiscuous(key, node, &driver),
            shim,
            dhcp_pool,
            driver,
        })
    }

    /// A setting by our key or the driver's option; both with different values is an error.
    fn setting(
        &mut self,
        key: &str,
        node: &Node,
        options: &mut IndexMap<String, String>,
        ours: &str,
        option: &str,
    ) -> Option<Setting> {
        let own = node.get(ours);
        let theirs = node
            .get("driver_opts")
            .and_then(|options| options.get(option));
        if theirs.is_some() {
            options.shift_remove(option);
        }
        if let (Some(own), Some(theirs)) = (own, theirs)
            && own.scalar_text() != theirs.scalar_text()
        {
            let message = format!(
                "network `{key}`: `{ours}` and the driver option `{option}` contradict each other"
            );
            let diagnostic = Diagnostic::error("contradiction", message)
                .label(theirs.span, "this option says another")
                .also(own.span, format!("`{ours}` says this"))
                .hint(format!("keep `{ours}`; it is the same setting"));
            self.tell(diagnostic, &["networks", key, "driver_opts", option]);
        }
        let node = own.or(theirs)?;
        Some(Setting {
            text: node.scalar_text().filter(|text| !text.is_empty())?,
            span: node.span,
        })
    }

    fn driver(
        &mut self,
        key: &str,
        node: &Node,
        options: &mut IndexMap<String, String>,
        parent: Option<&Setting>,
    ) -> Option<Driver> {
        let name = text(node, "name").unwrap_or_default();
        let external = yes(node, "external");
        let mode = text(node, "mode");
        let written = text(node, "driver");
        let driver = match written.as_deref() {
            Some(driver) => driver,
            None if external && name == "host" => "host",
            None if external && name == "none" => "none",
            // What someone else made is of the kind that our keys speak of.
            None if external
                && mode
                    .as_deref()
                    .is_some_and(|mode| IpvlanMode::from_word(mode).is_some()) =>
            {
                "ipvlan"
            }
            None if external && (mode.is_some() || parent.is_some()) => "macvlan",
            None => "bridge",
        };
        let path = ["networks", key, "mode"];
        Some(match driver {
            "bridge" | "default" if name == "bridge" => Driver::DefaultBridge,
            "bridge" | "default" => {
                self.no_mode(key, node, "bridge");
                Driver::Bridge
            }
            "host" => Driver::Host,
            "none" | "null" => Driver::None,
            "overlay" => {
                self.no_mode(key, node, "overlay");
                Driver::Overlay
            }
            "macvlan" => {
                let setting = self.setting(key, node, options, "mode", "macvlan_mode");
                let mode = self.word(
                    setting,
                    MacvlanMode::from_word,
                    MacvlanMode::WORDS,
                    "mode of macvlan",
                    &path,
                );
                if let Some(flag) = node.get("flag") {
                    let diagnostic = Diagnostic::error(
                        "key-without-effect",
                        format!("network `{key}`: only ipvlan has flags"),
                    )
                    .at(flag.span)
                    .hint("macvlan says the same with `mode`");
                    self.tell(diagnostic, &["networks", key, "flag"]);
                }
                Driver::Macvlan(mode.unwrap_or_default())
            }
            "ipvlan" => {
                let setting = self.setting(key, node, options, "mode", "ipvlan_mode");
                let mode = self.word(
                    setting,
                    IpvlanMode::from_word,
                    IpvlanMode::WORDS,
                    "mode of ipvlan",
                    &path,
                );
                let setting = self.setting(key, node, options, "flag", "ipvlan_flag");
                let path = ["networks", key, "flag"];
                let flag = self.word(
                    setting,
                    IpvlanFlag::from_word,
                    IpvlanFlag::WORDS,
                    "flag of ipvlan",
                    &path,
                );
                Driver::Ipvlan(mode.unwrap_or_default(), flag.unwrap_or_default())
            }
            other => {
                if let Some(mode) = mode {
                    options.insert("mode".to_owned(), mode);
                }
                Driver::Plugin(other.to_owned())
            }
        })
    }

    fn word<T>(
        &mut self,
        setting: Option<Setting>,
        from_word: fn(&str) -> Option<T>,
        words: &'static [&'static str],
        what: &str,
        path: &[&str],
    ) -> Option<T> {
        let setting = setting?;
        let found = from_word(&setting.text);
        if found.is_none() {
            let all = words.join(", ");
            let hint = match value::nearest(&setting.text, words.iter().copied()) {
                Some(near) => format!("did you mean `{near}`? it can be {all}"),
                None => format!("it can be {all}"),
            };
            let message = format!("`{}` is not a {what}", setting.text);
            self.tell(
                Diagnostic::error("unknown-value", message)
                    .at(setting.span)
                    .hint(hint),
                path,
            );
        }
        found
    }

    fn no_mode(&mut self, key: &str, node: &Node, driver: &str) {
        for name in ["mode", "flag"] {
            if let Some(wrong) = node.get(name) {
                let message =
                    format!("network `{key}`: `{name}` means nothing for the driver `{driver}`");
                let diagnostic = Diagnostic::error("key-without-effect", message)
                    .at(wrong.span)
                    .hint(format!(
                        "remove `{name}`, or choose the driver macvlan or ipvlan"
                    ));
                self.tell(diagnostic, &["networks", key, name]);
            }
        }
    }

    pub(super) fn only_on_parent(&mut self, key: &str, name: &str, span: Span, driver: &Driver) {
        let message = format!(
            "network `{key}`: `{name}` means nothing for the driver `{}`",
            driver.engine_name()
        );
        let diagnostic = Diagnostic::error("key-without-effect", message)
            .at(span)
            .hint(format!(
                "remove `{name}`, or choose the driver macvlan or ipvlan"
            ));
        self.tell(diagnostic, &["networks", key, name]);
    }

    fn parent(
        &mut self,
        key: &str,
        setting: &Setting,
        lans: &IndexMap<LanName, Lan>,
    ) -> Option<Parent> {
        let path = ["networks", key, "parent"];
        let link = |name: &str| {
            lans.get(name)
                .map_or_else(|| name.to_owned(), |lan| lan.parent.as_str().to_owned())
        };
        let (base, id) = match setting.text.rsplit_once('.') {
            Some((base, id)) if !lans.contains_key(setting.text.as_str()) && !id.is_empty() => {
                match (id.bytes().all(|b| b.is_ascii_digit()), id.parse::<u16>()) {
                    (true, id) => (base, Some(id.ok().and_then(|id| VlanId::try_from(id).ok()))),
                    (false, _) => (setting.text.as_str(), None),
                }
            }
            _ => (setting.text.as_str(), None),
        };
        let base = link(base);
        let wrong = |message: String, hint: &str| {
            Diagnostic::error("bad-parent", message)
                .at(setting.span)
                .hint(hint)
        };
        match id {
            None => match base.parse::<LinkName>() {
                Ok(link) => Some(Parent::Link(link)),
                Err(error) => {
                    self.tell(
                        wrong(
                            format!("network `{key}`: {error}"),
                            "name a link of the host, as `ip link` shows it",
                        ),
                        &path,
                    );
                    None
                }
            },
            Some(None) => {
                let message = format!(
                    "network `{key}`: the VLAN id of `{}` must be between 1 and 4094",
                    setting.text
                );
                self.tell(wrong(message, "write LINK.ID, such as eth0.20"), &path);
                None
            }
            Some(Some(id)) => {
                let name = format!("{base}.{id}");
                match (base.parse::<LinkName>(), name.parse::<LinkName>()) {
                    (Ok(base), Ok(name)) => Some(Parent::Vlan { base, id, name }),
                    (Err(error), _) | (_, Err(error)) => {
                        self.tell(
                            wrong(
                                format!("network `{key}`: {error}"),
                                "write LINK.ID, such as eth0.20",
                            ),
                            &path,
                        );
                        None
                    }
                }
            }
        }
    }

    fn ipam(&mut self, key: &str, node: &Node) -> Ipam {
        let Some(ipam) = node.get("ipam") else {
            return Ipam::default();
        };
        let mut pools = Vec::new();
        for (index, pool) in items(ipam, "config").iter().enumerate() {
            let index = index.to_string();
            let path = |name: &'static str| ["networks", key, "ipam", "config", &*index, name];
            let prefix = |binder: &mut Self, name: &'static str| -> Option<IpNet> {
                let path = path(name);
                parse(pool.get(name)?, "bad-prefix", PREFIX, &path, binder.told)
            };
            let subnet = prefix(self, "subnet");
            let ip_range = prefix(self, "ip_range");
            let gateway = pool.get("gateway").and_then(|node| {
                // Some write the gateway with the subnet's length; the engine takes the address alone.
                let path = path("gateway");
                parse(node, "bad-address", ADDRESS, &path, self.told)
            });
            let mut aux_addresses = IndexMap::new();
            for entry in entries(pool, "aux_addresses") {
                let mut path = path("aux_addresses").to_vec();
                path.push(&entry.key);
                if let Some(address) = parse(&entry.node, "bad-address", ADDRESS, &path, self.told)
                {
                    aux_addresses.insert(entry.key.to_string(), address);
                }
            }
            pools.push(Pool {
                subnet,
                ip_range,
                gateway,
                aux_addresses,
            });
        }
        Ipam {
            driver: text(ipam, "driver"),
            options: pairs(ipam.get("options")),
            pools,
        }
    }

    fn promiscuous(&mut self, key: &str, node: &Node, driver: &Driver) -> Promiscuity {
        let Some(value) = node.get("promiscuous") else {
            return Promiscuity::Leave;
        };
        let wish = match (value.as_bool(), value.as_text()) {
            (Some(true), _) | (_, Some("on")) => Promiscuity::On,
            (_, Some("auto")) => Promiscuity::Auto,
            _ => Promiscuity::Leave,
        };
        if wish != Promiscuity::Leave && !driver.on_parent() {
            self.only_on_parent(key, "promiscuous", value.span, driver);
            return Promiscuity::Leave;
        }
        wish
    }

    fn range(&mut self, node: &Node, path: &[&str]) -> Option<AddressRange> {
        let text = node.as_text()?;
        if let Ok(prefix) = text.parse::<IpNet>() {
            return Some(AddressRange::of(prefix));
        }
        let ends = text
            .split_once('-')
            .map(|(one, two)| (one.trim().parse::<IpAddr>(), two.trim().parse::<IpAddr>()));
        match ends {
            Some((Ok(first), Ok(last))) if first.is_ipv4() == last.is_ipv4() && first <= last => {
                Some(AddressRange { first, last })
            }
            _ => {
                let message = format!("{}: `{text}` is not a range of addresses", joined(path));
                let diagnostic = Diagnostic::error("bad-range", message)
                    .at(node.span)
                    .hint("write FIRST-LAST, such as 192.168.1.10-192.168.1.99, or a prefix");
                self.tell(diagnostic, path);
                None
            }
        }
    }
}
