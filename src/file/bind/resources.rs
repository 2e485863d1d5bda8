//! Limits, shares and devices of a container, in Compose's two places: keys of the service and `deploy.resources`.

use indexmap::IndexMap;

use crate::file::bind::Binder;
use crate::file::bind::field::{entries, fraction, items, number, pairs, text, texts};
use crate::file::tree::Node;
use crate::model::container::{Blkio, Device, DeviceRequest, Resources, Ulimit};

impl Binder<'_> {
    /// The limits of a service's containers.
    pub fn resources(&self, node: &Node) -> Resources {
        let deployed = node
            .get("deploy")
            .and_then(|deploy| deploy.get("resources"));
        let limits = deployed.and_then(|resources| resources.get("limits"));
        let reserved = deployed.and_then(|resources| resources.get("reservations"));
        let some = |key: &str| number(node, key).filter(|number| *number != 0);
        let below = |group: Option<&Node>, key: &str| {
            group
                .and_then(|group| number(group, key))
                .filter(|n| *n != 0)
        };
        let cpus =
            fraction(node, "cpus").or_else(|| limits.and_then(|limits| fraction(limits, "cpus")));
        Resources {
            nano_cpus: cpus
                .filter(|cpus| *cpus > 0.0)
                .map(|cpus| (cpus * 1e9).round() as i64),
            cpu_shares: some("cpu_shares"),
            cpu_period: some("cpu_period"),
            cpu_quota: some("cpu_quota"),
            cpu_rt_period: some("cpu_rt_period"),
            cpu_rt_runtime: some("cpu_rt_runtime"),
            cpuset: text(node, "cpuset"),
            cpu_count: some("cpu_count"),
            cpu_percent: fraction(node, "cpu_percent").filter(|percent| *percent > 0.0),
            memory: some("mem_limit").or_else(|| below(limits, "memory")),
            memory_reservation: some("mem_reservation").or_else(|| below(reserved, "memory")),
            memory_swap: some("memswap_limit"),
            memory_swappiness: number(node, "mem_swappiness"),
            oom_kill_disable: node.get("oom_kill_disable").and_then(Node::as_bool),
            oom_score_adj: some("oom_score_adj"),
            pids_limit: some("pids_limit").or_else(|| below(limits, "pids")),
            shm_size: some("shm_size"),
            ulimits: ulimits(node),
            blkio: node.get("blkio_config").map(blkio),
        }
    }

    /// The devices of a service's containers.
    pub fn devices(&self, node: &Node) -> Vec<Device> {
        let device = |node: &Node| {
            let source = text(node, "source")?;
            Some(Device {
                target: text(node, "target").unwrap_or_else(|| source.clone()),
                permissions: text(node, "permissions").unwrap_or_else(|| "rwm".to_owned()),
                source,
            })
        };
        items(node, "devices").iter().filter_map(device).collect()
    }

    /// Requests for devices by capability: `gpus` and `deploy.resources.reservations.devices`.
    pub fn device_requests(&self, node: &Node) -> Vec<DeviceRequest> {
        let reserved = node
            .get("deploy")
            .and_then(|deploy| deploy.get("resources"))
            .and_then(|resources| resources.get("reservations"))
            .map_or(&[][..], |reservations| items(reservations, "devices"));
        let request = |node: &Node, implied: Option<&str>| {
            let mut capabilities = texts(node, "capabilities");
            if let Some(implied) = implied
                && !capabilities.iter().any(|one| one == implied)
            {
                capabilities.push(implied.to_owned());
            }
            DeviceRequest {
                driver: text(node, "driver"),
                count: number(node, "count"),
                device_ids: texts(node, "device_ids"),
                capabilities,
                options: pairs(node.get("options")),
            }
        };
        let gpus = items(node, "gpus")
            .iter()
            .map(|node| request(node, Some("gpu")));
        reserved
            .iter()
            .map(|node| request(node, None))
            .chain(gpus)
            .collect()
    }
}

fn ulimits(node: &Node) -> IndexMap<String, Ulimit> {
    let mut all = IndexMap::new();
    for entry in entries(node, "ulimits") {
        let ulimit = match entry.node.as_integer() {
            Some(both) => Ulimit {
                soft: both,
                hard: both,
            },
            None => Ulimit {
                soft: number(&entry.node, "soft").unwrap_or(0),
                hard: number(&entry.node, "hard").unwrap_or(0),
            },
        };
        all.insert(entry.key.to_string(), ulimit);
    }
    all
}

fn blkio(node: &Node) -> Blkio {
    let path = |item: &Node| text(item, "path").unwrap_or_default();
    let rates = |key: &str| {
        items(node, key)
            .iter()
            .map(|item| (path(item), number(item, "rate").unwrap_or(0)))
            .collect()
    };
    let weight = |number: i64| u16::try_from(number).unwrap_or(0);
    Blkio {
        weight: number(node, "weight").map(weight),
        weight_device: items(node, "weight_device")
            .iter()
            .map(|item| (path(item), number(item, "weight").map_or(0, weight)))
            .collect(),
        device_read_bps: rates("device_read_bps"),
        device_read_iops: rates("device_read_iops"),
        device_write_bps: rates("device_write_bps"),
        device_write_iops: rates("device_write_iops"),
    }
}
