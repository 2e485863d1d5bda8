//! A scene for Graphviz (the DOT language): a box a network, an ellipse a container, an edge a joint, labelled with
//! its address; the hosts of a lan hang on their wire.

use std::fmt::Write;

use crate::draw::scene::Scene;
use crate::draw::web::{Shape, web};

/// The scene as a DOT graph, with a final line break.
pub fn dot(scene: &Scene) -> String {
    let web = web(scene);
    let mut out = format!(
        "graph {} {{\n  rankdir=LR;\n  node [fontname=\"monospace\", fontsize=10];\n  \
         edge [fontname=\"monospace\", fontsize=9];\n",
        quoted(std::slice::from_ref(&scene.project))
    );
    for (at, node) in web.nodes.iter().enumerate() {
        let shape = match node.shape {
            Shape::Ground => "box",
            Shape::Container => "ellipse",
            Shape::Machine => "house",
        };
        let _ = writeln!(
            out,
            "  n{at} [shape={shape}, label={}];",
            quoted(&node.lines)
        );
    }
    for edge in &web.edges {
        let _ = writeln!(
            out,
            "  n{} -- n{} [label={}];",
            edge.from,
            edge.to,
            quoted(&edge.lines)
        );
    }
    out.push_str("}\n");
    out
}

/// Lines as one quoted label.
fn quoted(lines: &[String]) -> String {
    let lines: Vec<String> = lines
        .iter()
        .map(|line| line.replace('\\', "\\\\").replace('"', "\\\""))
        .collect();
    format!("\"{}\"", lines.join("\\n"))
}
