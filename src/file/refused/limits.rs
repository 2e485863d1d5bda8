//! Limits: memory, processors, processes, setrlimit.

use crate::diagnostic::Diagnostic;
use crate::file::document::joined;
use crate::file::refused::words::LIMITS;
use crate::file::refused::{Judge, entries, instead, number, text};
use crate::file::tree::{Entry, Node, Value};

/// The least memory that the engine lets a container have.
const LEAST: i64 = 6 << 20;

impl Judge<'_> {
    pub fn limits(&mut self, name: &str, service: &Node) {
        self.memory(name, service);
        self.swap(name, service);
        self.processors(name, service);
        for entry in entries(service, "ulimits") {
            self.ulimit(name, entry);
        }
        if let Some((node, size)) = number(service, "shm_size").filter(|(_, size)| *size < 0) {
            let why = format!("SHM size can not be less than 0, and this is {size}");
            let hint = "write a size such as 64m";
            self.refuse(
                node,
                &["services", name, "shm_size"],
                "out-of-range",
                &why,
                hint,
            );
        }
        if let Some((node, most)) = number(service, "pids_limit").filter(|(_, most)| *most < -1) {
            let hint = "write -1 for no limit, or how many processes there may be";
            let why = format!("{most} is taken for no limit");
            self.doubt(
                node,
                &["services", name, "pids_limit"],
                "out-of-range",
                &why,
                hint,
            );
        }
    }

    fn memory(&mut self, name: &str, service: &Node) {
        let resources = service
            .get("deploy")
            .and_then(|deploy| deploy.get("resources"));
        let below = |group: &str| {
            resources
                .and_then(|all| all.get(group))
                .and_then(|group| number(group, "memory"))
        };
        let limit = number(service, "mem_limit")
            .map(|(node, size)| (node, size, &["mem_limit"][..]))
            .or_else(|| {
                below("limits").map(|(node, size)| {
                    (node, size, &["deploy", "resources", "limits", "memory"][..])
                })
            });
        let kept = number(service, "mem_reservation")
            .map(|(node, size)| (node, size, &["mem_reservation"][..]))
            .or_else(|| {
                below("reservations").map(|(node, size)| {
                    (
                        node,
                        size,
                        &["deploy", "resources", "reservations", "memory"][..],
                    )
                })
            });
        for (what, one) in [("limit", limit), ("reservation", kept)] {
            if let Some((node, size, rest)) = one
                && size != 0
                && size < LEAST
            {
                let path = [&["services", name][..], rest].concat();
                let why = format!(
                    "Minimum memory {what} allowed is 6MB, and this is {}",
                    bytes(size)
                );
                let hint = if size > 0 && size < 4096 {
                    "give it a unit: 512m is half a gigabyte"
                } else {
                    "write 6m or more; without the key there is no limit"
                };
                self.refuse(node, &path, "out-of-range", &why, hint);
            }
        }
        if let (Some((upper, limit, _)), Some((node, kept, rest))) = (limit, kept)
            && limit >= LEAST
            && kept > limit
        {
            let path = joined(&[&["services", name][..], rest].concat());
            let message = format!("{path}: the memory limit is less than the reservation");
            let diagnostic = Diagnostic::error("contradiction", message)
                .label(node.span, "kept free")
                .also(upper.span, "the limit")
                .hint("reserve less, or raise the limit");
            self.told.push(diagnostic.path(path));
        }
    }

    fn swap(&mut self, name: &str, service: &Node) {
        let limit = number(service, "mem_limit").or_else(|| {
            let limits = service.get("deploy")?.get("resources")?.get("limits")?;
            number(limits, "memory")
        });
        let limit = limit.filter(|(_, size)| *size > 0);
        let path = ["services", name, "memswap_limit"];
        if let Some((node, swap)) = number(service, "memswap_limit").filter(|(_, swap)| *swap > 0) {
            match limit {
                None => {
                    let why = "You should always set the Memory limit when using Memoryswap limit";
                    let hint = "add mem_limit: memswap_limit is memory and swap together";
                    self.refuse(node, &path, "missing-key", why, hint);
                }
                Some((upper, memory)) if swap < memory => {
                    let path = joined(&path);
                    let message = format!(
                        "{path}: Minimum memoryswap limit should be larger than memory limit: {} is less than {}",
                        bytes(swap),
                        bytes(memory)
                    );
                    let diagnostic = Diagnostic::error("contradiction", message)
                        .label(node.span, "memory and swap together")
                        .also(upper.span, "memory alone")
                        .hint("write the sum of both; the same as mem_limit is no swap, -1 is swap without limit");
                    self.told.push(diagnostic.path(path));
                }
                Some(_) => {}
            }
        }
        if let Some((node, how)) = number(service, "mem_swappiness")
            && !(-1..=100).contains(&how)
        {
            let why = format!("Invalid value: {how}, valid memory swappiness range is 0-100");
            let path = ["services", name, "mem_swappiness"];
            self.refuse(
                node,
                &path,
                "out-of-range",
                &why,
                "write a number from 0 to 100",
            );
        }
    }

    fn processors(&mut self, name: &str, service: &Node) {
        let path = |key: &'static str| ["services", name, key];
        if let Some((node, set)) = text(service, "cpuset")
            && !is_set(set)
        {
            let why = format!("Invalid value {set} for cpuset cpus: invalid format");
            let hint = "write numbers and ranges without blanks, such as \"0-3\" or \"0,2\"";
            self.refuse(node, &path("cpuset"), "unknown-value", &why, hint);
        }
        let period = number(service, "cpu_period").filter(|(_, period)| *period != 0);
        if let Some((node, period)) = period
            && !(1_000..=1_000_000).contains(&period)
        {
            let why = format!(
                "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000), and this is {period}"
            );
            let hint = "write microseconds, such as 100000";
            self.refuse(node, &path("cpu_period"), "out-of-range", &why, hint);
        }
        let quota = number(service, "cpu_quota").filter(|(_, quota)| *quota != 0);
        if let Some((node, quota)) = quota
            && (1..1_000).contains(&quota)
        {
            let why =
                format!("CPU cfs quota can not be less than 1ms (i.e. 1000), and this is {quota}");
            let hint = "write microseconds in each period, such as 50000";
            self.refuse(node, &path("cpu_quota"), "out-of-range", &why, hint);
        }
        if let Some((node, shares)) =
            number(service, "cpu_shares").filter(|(_, shares)| *shares < 0)
        {
            let why = format!("invalid CPU shares ({shares}): value must be a positive integer");
            let hint = "write a weight; 1024 is that of all others";
            self.refuse(node, &path("cpu_shares"), "out-of-range", &why, hint);
        }
        let cpus = service.get("cpus").and_then(|node| {
            let number = match node.value {
                Value::Integer(number) => number as f64,
                Value::Float(number) => number,
                _ => return None,
            };
            (number != 0.0).then_some((node, number))
        });
        let Some((node, cpus)) = cpus else { return };
        if cpus < 0.01 {
            let why = format!("Range of CPUs is from 0.01, and this is {cpus}");
            let hint = "write how many processors it may use, such as 0.5";
            self.refuse(node, &path("cpus"), "out-of-range", &why, hint);
        }
        // Engines take what is not positive for not given.
        for (key, other) in [("cpu_period", period), ("cpu_quota", quota)] {
            if let Some((other, _)) = other.filter(|(_, number)| *number > 0) {
                let message = format!(
                    "services.{name}: Conflicting options: cpus and {key} cannot both be set"
                );
                let diagnostic = Diagnostic::error("excludes", message)
                    .label(node.span, "this is a period and a quota")
                    .also(other.span, "and so is this")
                    .hint("keep `cpus`");
                self.told
                    .push(diagnostic.path(format!("services.{name}.cpus")));
            }
        }
    }

    fn ulimit(&mut self, name: &str, entry: &Entry) {
        let path = ["services", name, "ulimits", &entry.key];
        let lower = entry.key.to_ascii_lowercase();
        if !LIMITS.contains(&&*lower) {
            let node = Node::new(Value::Null, entry.key_span);
            let why = format!(
                "wrong rlimit value: `{}` is no limit of setrlimit",
                entry.key
            );
            self.refuse(
                &node,
                &path,
                "unknown-value",
                &why,
                &instead(&lower, &LIMITS),
            );
        }
        let (Some((soft, low)), Some((hard, high))) =
            (number(&entry.node, "soft"), number(&entry.node, "hard"))
        else {
            return;
        };
        let unlimited = |limit: i64| if limit < 0 { i64::MAX } else { limit };
        if unlimited(low) > unlimited(high) {
            let path = joined(&path);
            let message = format!("{path}: the soft limit is above the hard one");
            let diagnostic = Diagnostic::error("contradiction", message)
                .label(soft.span, "in force")
                .also(hard.span, "how far it may be raised")
                .hint("lower the soft limit, or raise the hard one");
            self.told.push(diagnostic.path(path));
        }
    }
}

/// Numbers and ranges of them: `0-3,8`.
fn is_set(text: &str) -> bool {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse::<u32>().ok()).flatten()
    };
    text.split(',').all(|part| match part.split_once('-') {
        Some((first, last)) => {
            matches!((number(first), number(last)), (Some(first), Some(last)) if first <= last)
        }
        None => number(part).is_some(),
    })
}

fn bytes(size: i64) -> String {
    match size {
        1 => "1 byte".to_owned(),
        size if size > 0 && size % (1 << 20) == 0 => format!("{}m", size >> 20),
        size if size > 0 && size % (1 << 10) == 0 => format!("{}k", size >> 10),
        size => format!("{size} bytes"),
    }
}
