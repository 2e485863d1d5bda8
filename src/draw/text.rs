//! A scene as text: what `brctl show` is for bridges, for everything. One block for each network or parent; below it
//! who is on it, with both ends of each link. Columns line up within a block. Nothing depends on colour.

use std::fmt::Write;

use crate::draw::scene::{
    Bridge, Card, Joint, Lan, Network, Other, Pool, Scene, Shim, Source, Station, Wire,
};
use crate::model::lan::SwitchPromiscuous;

/// The scene as text, with a final line break.
pub fn text(scene: &Scene) -> String {
    let mut blocks = vec![headline(scene)];
    blocks.extend(scene.bridges.iter().map(bridge));
    blocks.extend(scene.wires.iter().map(wire));
    blocks.extend(scene.others.iter().map(other));
    let places = [
        (
            "host: the host's own links, addresses and ports",
            &scene.on_host,
        ),
        ("none: only lo", &scene.on_none),
        ("container: the namespace of another one", &scene.elsewhere),
    ];
    for (title, stations) in places {
        if !stations.is_empty() {
            blocks.push(place(title, stations));
        }
    }
    if !scene.missing.is_empty() {
        let mut block = "wanted by the file and not there\n".to_owned();
        for what in &scene.missing {
            let _ = writeln!(block, "  {what}");
        }
        blocks.push(block);
    }
    blocks.join("\n")
}

fn headline(scene: &Scene) -> String {
    let source = match scene.source {
        Source::File => "as the file says; what the engine chooses is not known yet",
        Source::Live => "as it is",
        Source::Engine => "as the engine tells it; the host's links could not be read",
    };
    let mut text = format!("{}: {source}\n", scene.project);
    if scene.is_empty() {
        text.push_str("  nothing\n");
    }
    text
}

fn bridge(bridge: &Bridge) -> String {
    let mut block = title(&bridge.network);
    if let Some(link) = &bridge.link {
        let _ = writeln!(block, "  bridge {}", card(link));
    }
    let rows = bridge.joints.iter().map(row).collect();
    block.push_str(&table(rows));
    block
}

fn wire(wire: &Wire) -> String {
    let mut block = format!("parent {}", card(&wire.parent));
    if let Some((base, id)) = &wire.vlan {
        let _ = write!(block, "  VLAN {id} on {base}");
    }
    block.push('\n');
    if let Some(lan) = &wire.lan {
        block.push_str(&lan_lines(lan));
    }
    for shim in &wire.shims {
        block.push_str(&shim_lines(shim));
    }
    for network in &wire.networks {
        for line in title(network).lines() {
            let _ = writeln!(block, "  {line}");
        }
        let joints = wire.joints.iter();
        let rows = joints
            .filter(|joint| joint.network == network.name)
            .map(|joint| Row {
                // All sit on the parent that the block is about.
                outer: String::new(),
                ..row(joint)
            })
            .collect();
        for line in table(rows).lines() {
            let _ = writeln!(block, "  {line}");
        }
    }
    block
}

fn other(other: &Other) -> String {
    let mut block = title(&other.network);
    block.push_str(&table(other.joints.iter().map(row).collect()));
    block
}

/// `network lab_lan  macvlan bridge  attachable`, its pools and its options.
fn title(network: &Network) -> String {
    let mut text = format!("network {}  {}", network.name, network.driver);
    for word in &network.traits {
        let _ = write!(text, "  {word}");
    }
    text.push('\n');
    for pool in &network.pools {
        if let Some(line) = pool_line(pool) {
            let _ = writeln!(text, "  {line}");
        }
    }
    for (name, value) in &network.options {
        let _ = writeln!(text, "  option {name}={value}");
    }
    text
}

fn pool_line(pool: &Pool) -> Option<String> {
    let mut parts = Vec::new();
    parts.extend(pool.subnet.map(|subnet| format!("subnet {subnet}")));
    parts.extend(pool.range.map(|range| format!("range {range}")));
    parts.extend(pool.gateway.map(|gateway| format!("gateway {gateway}")));
    let reserved = pool.reserved.iter();
    parts.extend(reserved.map(|(name, address)| format!("reserved {address} ({name})")));
    (!parts.is_empty()).then(|| parts.join("  "))
}

/// Name, addresses, MAC address and what is odd about it.
fn card(card: &Card) -> String {
    let mut text = card.name.clone();
    for address in &card.addresses {
        let _ = write!(text, "  {address}");
    }
    if let Some(mac) = card.mac {
        let _ = write!(text, "  {mac}");
    }
    for word in &card.remarks {
        let _ = write!(text, "  ({word})");
    }
    text
}

fn lan_lines(lan: &Lan) -> String {
    let behaves = match lan.switch.promiscuous {
        SwitchPromiscuous::Accept => "",
        SwitchPromiscuous::Reject => "  drops frames to addresses it did not give",
    };
    let reflects = if lan.switch.reflect {
        "  reflects frames"
    } else {
        ""
    };
    let mut text = format!("  lan {}: switch{behaves}{reflects}\n", lan.name);
    let mut rows = Vec::new();
    if !lan.router.is_empty() {
        let addresses: Vec<String> = lan.router.iter().map(ToString::to_string).collect();
        let nat = if lan.nat { "translates (nat)" } else { "" };
        rows.push(["router".to_owned(), addresses.join(" "), nat.to_owned()]);
    }
    for machine in &lan.machines {
        let addresses: Vec<String> = machine.addresses.iter().map(ToString::to_string).collect();
        let vlan = machine.vlan.map(|id| format!("VLAN {id}"));
        rows.push([
            format!("machine {}", machine.name),
            addresses.join(" "),
            vlan.unwrap_or_default(),
        ]);
    }
    text.push_str(&aligned(&rows, "    "));
    text
}

fn shim_lines(shim: &Shim) -> String {
    let mut text = format!("  shim {}  {}\n", card(&shim.card), shim.kind);
    for route in &shim.routes {
        let _ = writeln!(text, "    route {route}");
    }
    for container in &shim.follows {
        let _ = writeln!(text, "    route to {container}, when its address is known");
    }
    text
}

/// A line about a joint, in columns.
struct Row {
    /// The host's end, with the line to the other one.
    outer: String,
    inner: String,
    name: String,
    addresses: String,
    mac: String,
    rest: String,
    sharers: Vec<String>,
}

fn row(joint: &Joint) -> Row {
    let addresses: Vec<String> = joint.addresses.iter().map(ToString::to_string).collect();
    let mut rest = Vec::new();
    if !joint.aliases.is_empty() {
        rest.push(format!("as {}", joint.aliases.join(", ")));
    }
    rest.extend(joint.station.remarks.iter().map(|word| format!("({word})")));
    Row {
        outer: joint
            .outer
            .as_ref()
            .map(|name| format!("{name} ──"))
            .unwrap_or_default(),
        inner: joint.inner.clone().unwrap_or_default(),
        name: joint.station.name.clone(),
        addresses: addresses.join(" "),
        mac: joint.mac.map(|mac| mac.to_string()).unwrap_or_default(),
        rest: rest.join("  "),
        sharers: joint.station.sharers.iter().map(sharer).collect(),
    }
}

fn sharer(station: &Station) -> String {
    let mut text = format!("shared by {}", station.name);
    for word in &station.remarks {
        let _ = write!(text, "  ({word})");
    }
    text
}

fn table(rows: Vec<Row>) -> String {
    let cells: Vec<[String; 6]> = rows
        .iter()
        .map(|row| {
            [
                row.outer.clone(),
                row.inner.clone(),
                row.name.clone(),
                row.addresses.clone(),
                row.mac.clone(),
                row.rest.clone(),
            ]
        })
        .collect();
    let lines = aligned(&cells, "");
    let mut text = String::new();
    let last = rows.len().saturating_sub(1);
    for (at, (row, line)) in rows.iter().zip(lines.lines()).enumerate() {
        let (branch, trunk) = if at == last {
            ("└─", "  ")
        } else {
            ("├─", "│ ")
        };
        let _ = writeln!(text, "  {branch} {line}");
        for sharer in &row.sharers {
            let _ = writeln!(text, "  {trunk}   {sharer}");
        }
    }
    text
}

/// Cells in columns two blanks apart; a column that is empty in all rows is left out.
fn aligned<const N: usize>(rows: &[[String; N]], indent: &str) -> String {
    let widths: Vec<usize> = (0..N)
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = indent.to_owned();
        for (cell, width) in row.iter().zip(&widths).filter(|(_, width)| **width > 0) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn place(title: &str, stations: &[Station]) -> String {
    let mut block = format!("{title}\n");
    let last = stations.len().saturating_sub(1);
    for (at, station) in stations.iter().enumerate() {
        let (branch, trunk) = if at == last {
            ("└─", "  ")
        } else {
            ("├─", "│ ")
        };
        let _ = write!(block, "  {branch} {}", station.name);
        for word in &station.remarks {
            let _ = write!(block, "  ({word})");
        }
        block.push('\n');
        for other in &station.sharers {
            let _ = writeln!(block, "  {trunk}   {}", sharer(other));
        }
    }
    block
}
