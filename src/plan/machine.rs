//! What the machine is beside its network: the doctor's facts, observed once when it is asked.

use std::collections::{BTreeMap, BTreeSet};

/// The machine beside its network.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Machine {
    /// `uname -r`.
    pub kernel: String,
    /// What the firmware says: vendor and product (`/sys/class/dmi/id`).
    pub vendor: Option<String>,
    pub product: Option<String>,
    /// Which kinds of links the kernel can make, found by trying in a namespace that is thrown away.
    pub kinds: BTreeMap<String, Support>,
    /// Kernel settings by their dotted names, as text.
    pub sysctls: BTreeMap<String, String>,
    /// The command names of running processes of which the rules speak (`NetworkManager`, `firewalld`, `dhcpcd`, …).
    pub processes: BTreeSet<String>,
    /// `ENABLED=yes` in ufw's settings.
    pub ufw_enabled: bool,
    /// Links that NetworkManager is told to leave alone, as its settings write them.
    pub unmanaged: Vec<String>,
    /// Base chains of nf_tables that drop by policy: family, table, chain, hook.
    pub dropping_chains: Vec<DroppingChain>,
}

/// Whether the kernel makes a kind of link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Support {
    Yes,
    /// It refused, in the kernel's words.
    No(String),
}

/// A base chain whose policy is to drop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppingChain {
    pub family: String,
    pub table: String,
    pub chain: String,
    /// `input`, `forward`, `output`.
    pub hook: String,
}

impl Machine {
    /// A kernel setting as a number.
    pub fn sysctl(&self, name: &str) -> Option<i64> {
        self.sysctls.get(name)?.trim().parse().ok()
    }

    /// Whether a process of this command name runs.
    pub fn runs(&self, command: &str) -> bool {
        // The kernel keeps 15 bytes of a command's name (TASK_COMM_LEN).
        let kept: String = command.chars().take(15).collect();
        self.processes.contains(&kept)
    }
}
