//! Other machines: a parent link of the private host whose other end is a switch with machines at it, each in a
//! namespace of its own. It is what a network card and a LAN are to a real host, and independent of `stack`'s own
//! `lans`, so that these can be compared with it. Gone when the value is dropped.

use crate::bed::Bed;
use crate::place::Place;
use crate::runner::Failure;

/// A parent link, a switch and machines.
pub struct Wire<'a> {
    bed: &'a Bed,
    parent: String,
    machines: Vec<String>,
}

impl<'a> Wire<'a> {
    /// Makes the link `parent` on the host, up and without an address, and a machine for each name and address
    /// (`("laptop", "192.168.77.50/24")`).
    pub fn new(bed: &'a Bed, parent: &str, machines: &[(&str, &str)]) -> Result<Wire<'a>, Failure> {
        let mut wire = Wire {
            bed,
            parent: parent.to_owned(),
            machines: Vec::new(),
        };
        let switch = wire.switch();
        wire.namespace(&switch)?;
        wire.ip(&format!(
            "-n {switch} link add switch type bridge mcast_snooping 0"
        ))?;
        wire.ip(&format!("-n {switch} link set switch up"))?;
        wire.ip(&format!(
            "link add {parent} type veth peer name host netns {switch}"
        ))?;
        wire.ip(&format!("link set {parent} up"))?;
        wire.ip(&format!("-n {switch} link set host master switch up"))?;
        for (name, address) in machines {
            wire.namespace(name)?;
            wire.ip(&format!(
                "-n {switch} link add {name} type veth peer name eth0 netns {name}"
            ))?;
            wire.ip(&format!("-n {switch} link set {name} master switch up"))?;
            wire.ip(&format!("-n {name} link set eth0 up"))?;
            wire.ip(&format!("-n {name} address add {address} dev eth0"))?;
        }
        Ok(wire)
    }

    /// One of the machines, as the one who asks.
    pub fn machine(&self, name: &str) -> Place {
        self.bed.machine(name)
    }

    fn switch(&self) -> String {
        format!("wire-{}", self.parent)
    }

    fn namespace(&mut self, name: &str) -> Result<(), Failure> {
        self.ip(&format!("netns add {name}"))?;
        self.machines.push(name.to_owned());
        self.ip(&format!("-n {name} link set lo up"))
    }

    fn ip(&self, words: &str) -> Result<(), Failure> {
        self.bed.run(&format!("ip {words}"))?;
        Ok(())
    }
}

impl Drop for Wire<'_> {
    fn drop(&mut self) {
        // The link goes first and at once; a namespace that is deleted takes its links along only some time later.
        let _ = self.ip(&format!("link del {}", self.parent));
        for machine in &self.machines {
            let _ = self.ip(&format!("netns del {machine}"));
        }
    }
}
