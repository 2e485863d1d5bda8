//! A scene as SVG, in a layout of its own: a box a network or parent with its links on the left, a card a container on
//! the right, a wire a joint. A container with several joints has one card and as many wires.
//!
//! Containers stand in one column in the order of their first joint, so wires of one network stay together. The page
//! under the picture is its own and follows the reader's colour scheme with the text, so neither is ever dark on dark.
//! Sizes are estimated from the number of characters, since nothing here can measure a font.

use std::fmt::Write;

use crate::draw::scene::{Card, Joint, Network, Scene, Station};

/// Width of a character of the font at its size, rounded up: DejaVu Sans Mono has 0.602 em.
const ADVANCE: f64 = 7.3;
const LINE: f64 = 17.0;
const PAD: f64 = 10.0;
const GAP: f64 = 18.0;
/// Room for wires between the columns.
const CHANNEL: f64 = 150.0;
const MARGIN: f64 = 20.0;

/// A box with lines of text.
struct Block {
    class: &'static str,
    lines: Vec<Line>,
    /// Where wires leave: the networks it carries, by the engine's name.
    carries: Vec<String>,
    y: f64,
}

struct Line {
    text: String,
    strong: bool,
}

/// A container's card.
struct Tenant {
    class: &'static str,
    name: String,
    lines: Vec<Line>,
    joints: Vec<Wire>,
    y: f64,
}

/// A wire from a container to a network, with what is written on it.
struct Wire {
    network: String,
    /// The line of the card at which it ends.
    line: usize,
    outer: String,
}

/// The scene as a whole SVG document, with a final line break.
pub fn svg(scene: &Scene) -> String {
    let mut left = grounds(scene);
    let mut right = stations(scene);
    let left_width = width(left.iter().flat_map(|block| &block.lines));
    let right_width = width(right.iter().flat_map(|one| &one.lines));
    let top = MARGIN + LINE * 1.8;
    let left_height = stack(
        left.iter_mut()
            .map(|block| (block.lines.len(), &mut block.y)),
        top,
    );
    let right_height = stack(
        right.iter_mut().map(|one| (one.lines.len(), &mut one.y)),
        top,
    );
    let x = MARGIN + left_width + CHANNEL;
    let total_width = x + right_width + MARGIN;
    let total_height = left_height.max(right_height) + MARGIN;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {total_width:.0} {total_height:.0}\" \
         width=\"{total_width:.0}\" height=\"{total_height:.0}\" xml:space=\"preserve\" role=\"img\" aria-label=\"networks of {}\">",
        escaped(&scene.project)
    );
    out.push_str(STYLE);
    out.push_str("<rect class=\"page\" width=\"100%\" height=\"100%\"/>\n");
    let _ = writeln!(
        out,
        "<text x=\"{MARGIN}\" y=\"{:.1}\" class=\"strong title\">{}</text>",
        MARGIN + LINE,
        escaped(&scene.project)
    );
    wires(&mut out, &left, &right, MARGIN + left_width, x);
    for block in &left {
        draw(
            &mut out,
            block.class,
            &block.lines,
            MARGIN,
            block.y,
            left_width,
        );
    }
    for one in &right {
        draw(&mut out, one.class, &one.lines, x, one.y, right_width);
    }
    out.push_str("</svg>\n");
    out
}

const STYLE: &str = "<style>\n\
    text { font: 12px 'DejaVu Sans Mono', Menlo, Consolas, monospace; fill: #24292f; white-space: pre }\n\
    .strong { font-weight: 700 }\n\
    .title { font-size: 15px }\n\
    .small { font-size: 10px; fill: #6e7781 }\n\
    rect { fill: #f6f8fa; stroke-width: 1.5; rx: 6 }\n\
    .page { fill: #ffffff; rx: 0 }\n\
    path { fill: none; stroke-width: 1.5 }\n\
    .bridge { stroke: #2f81f7 } .wire { stroke: #d29922 } .other { stroke: #a371f7 }\n\
    .host { stroke: #8b949e } .container { stroke: #3fb950 }\n\
    @media (prefers-color-scheme: dark) {\n\
    text { fill: #e6edf3 } .small { fill: #9198a1 } rect { fill: #161b22 } .page { fill: #0d1117 } }\n\
    </style>\n";

/// Puts blocks below each other; the end of the last one.
fn stack<'a>(blocks: impl Iterator<Item = (usize, &'a mut f64)>, top: f64) -> f64 {
    let mut y = top;
    for (lines, place) in blocks {
        *place = y;
        y += height(lines) + GAP;
    }
    y - GAP
}

fn height(lines: usize) -> f64 {
    lines as f64 * LINE + PAD * 2.0 - 4.0
}

fn width<'a>(lines: impl Iterator<Item = &'a Line>) -> f64 {
    let longest = lines
        .map(|line| line.text.chars().count())
        .max()
        .unwrap_or(0);
    longest as f64 * ADVANCE + PAD * 2.0
}

fn strong(text: impl Into<String>) -> Line {
    Line {
        text: text.into(),
        strong: true,
    }
}

fn plain(text: impl Into<String>) -> Line {
    Line {
        text: text.into(),
        strong: false,
    }
}

fn grounds(scene: &Scene) -> Vec<Block> {
    let mut blocks = Vec::new();
    for bridge in &scene.bridges {
        let mut lines = network(&bridge.network);
        lines.extend(bridge.link.iter().map(|link| plain(card(link))));
        blocks.push(block("bridge", lines, [bridge.network.name.clone()]));
    }
    for wire in &scene.wires {
        let mut lines = vec![strong(format!("parent {}", card(&wire.parent)))];
        if let Some((base, id)) = &wire.vlan {
            lines.push(plain(format!("VLAN {id} on {base}")));
        }
        if let Some(lan) = &wire.lan {
            lines.push(plain(format!("lan {}", lan.name)));
            let router = lan
                .router
                .iter()
                .map(|one| plain(format!("  router {one}")));
            lines.extend(router);
            for machine in &lan.machines {
                let addresses: Vec<String> =
                    machine.addresses.iter().map(ToString::to_string).collect();
                lines.push(plain(format!(
                    "  machine {} {}",
                    machine.name,
                    addresses.join(" ")
                )));
            }
        }
        for shim in &wire.shims {
            lines.push(plain(format!("shim {}", card(&shim.card))));
            let routes = shim.routes.iter();
            lines.extend(routes.map(|route| plain(format!("  route {route}"))));
        }
        for one in &wire.networks {
            lines.extend(network(one));
        }
        let carries: Vec<String> = wire.networks.iter().map(|one| one.name.clone()).collect();
        blocks.push(block("wire", lines, carries));
    }
    for other in &scene.others {
        let lines = network(&other.network);
        blocks.push(block("other", lines, [other.network.name.clone()]));
    }
    blocks
}

fn block(
    class: &'static str,
    lines: Vec<Line>,
    carries: impl IntoIterator<Item = String>,
) -> Block {
    Block {
        class,
        lines,
        carries: carries.into_iter().collect(),
        y: 0.0,
    }
}

fn network(network: &Network) -> Vec<Line> {
    let mut lines = vec![strong(format!("{}  {}", network.name, network.driver))];
    for word in &network.traits {
        lines.push(plain(*word));
    }
    for pool in &network.pools {
        let mut parts = Vec::new();
        parts.extend(pool.subnet.map(|subnet| subnet.to_string()));
        parts.extend(pool.gateway.map(|gateway| format!("gateway {gateway}")));
        if !parts.is_empty() {
            lines.push(plain(parts.join("  ")));
        }
    }
    lines
}

fn card(card: &Card) -> String {
    let mut text = card.name.clone();
    for address in &card.addresses {
        let _ = write!(text, "  {address}");
    }
    for word in &card.remarks {
        let _ = write!(text, " ({word})");
    }
    text
}

fn stations(scene: &Scene) -> Vec<Tenant> {
    let mut boxes: Vec<Tenant> = Vec::new();
    for joint in scene.joints() {
        let at = match boxes.iter().position(|one| one.name == joint.station.name) {
            Some(at) => at,
            None => {
                boxes.push(station("container", &joint.station, None));
                boxes.len() - 1
            }
        };
        let one = &mut boxes[at];
        // Joints stand between the name and those that share the namespace.
        let line = 1 + one.joints.len();
        one.lines.insert(line, plain(joint_line(joint)));
        one.joints.push(Wire {
            network: joint.network.clone(),
            line,
            outer: joint.outer.clone().unwrap_or_default(),
        });
    }
    for (stations, words) in [
        (&scene.on_host, "the host's own links"),
        (&scene.on_none, "only lo"),
    ] {
        let found = stations.iter();
        boxes.extend(found.map(|one| station("host", one, Some(words))));
    }
    boxes.extend(scene.elsewhere.iter().map(|one| station("host", one, None)));
    boxes
}

fn station(class: &'static str, station: &Station, words: Option<&str>) -> Tenant {
    let mut name = station.name.clone();
    for word in &station.remarks {
        let _ = write!(name, " ({word})");
    }
    let mut lines = vec![strong(name)];
    lines.extend(words.map(plain));
    for other in &station.sharers {
        lines.push(plain(format!("shared by {}", other.name)));
    }
    Tenant {
        class,
        name: station.name.clone(),
        lines,
        joints: Vec::new(),
        y: 0.0,
    }
}

fn joint_line(joint: &Joint) -> String {
    let mut parts = Vec::new();
    parts.extend(joint.inner.clone());
    parts.extend(joint.addresses.iter().map(ToString::to_string));
    if parts.is_empty() {
        parts.push("address of the engine's choice".to_owned());
    }
    parts.extend(joint.mac.map(|mac| mac.to_string()));
    parts.join("  ")
}

/// One curve for each joint, from the middle of the network's box, spread over its height, to the joint's line.
fn wires(out: &mut String, left: &[Block], right: &[Tenant], from: f64, to: f64) {
    for block in left {
        let ends: Vec<(&Tenant, &Wire)> = right
            .iter()
            .flat_map(|one| one.joints.iter().map(move |wire| (one, wire)))
            .filter(|(_, wire)| block.carries.contains(&wire.network))
            .collect();
        let step = height(block.lines.len()) / (ends.len() + 1) as f64;
        for (at, (one, wire)) in ends.iter().enumerate() {
            let y = block.y + step * (at + 1) as f64;
            let end = one.y + PAD + LINE * (wire.line as f64 + 0.5) - 2.0;
            let middle = (from + to) / 2.0;
            let _ = writeln!(
                out,
                "<path class=\"{}\" d=\"M{from:.1} {y:.1} C{middle:.1} {y:.1} {middle:.1} {end:.1} {to:.1} {end:.1}\"/>",
                block.class
            );
            if !wire.outer.is_empty() {
                let _ = writeln!(
                    out,
                    "<text class=\"small\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                    from + 6.0,
                    y - 3.0,
                    escaped(&wire.outer)
                );
            }
        }
    }
}

fn draw(out: &mut String, class: &str, lines: &[Line], x: f64, y: f64, width: f64) {
    let _ = writeln!(
        out,
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{:.1}\"/>",
        height(lines.len())
    );
    for (at, line) in lines.iter().enumerate() {
        let class = if line.strong { " class=\"strong\"" } else { "" };
        let _ = writeln!(
            out,
            "<text{class} x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            x + PAD,
            y + PAD + LINE * (at as f64 + 0.75) - 2.0,
            escaped(&line.text)
        );
    }
}

/// Text as XML takes it.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}
