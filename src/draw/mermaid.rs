//! A scene as a Mermaid flowchart, which GitHub and GitLab draw inside of Markdown.

use std::fmt::Write;

use crate::draw::scene::Scene;
use crate::draw::web::{Shape, web};

/// The scene as a flowchart, with a final line break.
pub fn mermaid(scene: &Scene) -> String {
    let web = web(scene);
    let mut out = "flowchart LR\n".to_owned();
    for (at, node) in web.nodes.iter().enumerate() {
        let text = quoted(&node.lines);
        let _ = match node.shape {
            Shape::Ground => writeln!(out, "  n{at}[{text}]"),
            Shape::Container => writeln!(out, "  n{at}({text})"),
            Shape::Machine => writeln!(out, "  n{at}[/{text}\\]"),
        };
    }
    for edge in &web.edges {
        let label = match edge.lines.is_empty() {
            true => String::new(),
            false => format!("|{}|", quoted(&edge.lines)),
        };
        let _ = writeln!(out, "  n{} ---{label} n{}", edge.from, edge.to);
    }
    out
}

/// Lines as one quoted label. A quote is written as an entity, and so is `#`, which begins one.
fn quoted(lines: &[String]) -> String {
    let lines: Vec<String> = lines
        .iter()
        .map(|line| {
            line.replace('#', "#35;")
                .replace('"', "#quot;")
                .replace('<', "#lt;")
        })
        .collect();
    format!("\"{}\"", lines.join("<br/>"))
}
