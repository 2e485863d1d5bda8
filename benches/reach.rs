//! How long it takes to predict who reaches whom, by the number of services, on one processor and on all of them; the
//! file is read and the scene built before. `cargo bench --bench reach`.
//!
//! The stack: services on four networks in turn, each fourth on two of them, half of them with a published port.

use std::fmt::Write;
use std::time::{Duration, Instant};

use stack::file::files::Memory;
use stack::file::request::Request;
use stack::plan::desired::Wishes;
use stack::plan::observed::Observed;
use stack::reach::facts::Facts;
use stack::reach::predict;
use stack::reach::predict::cells::questions;
use stack::reach::scene::Scene;
use stack::reach::scene::build::scene;
use stack::reach::scene::draft::Moment;

fn text(services: usize) -> String {
    let mut out = String::from("name: bench\nservices:\n");
    for index in 0..services {
        let own = index % 4;
        let second = match index % 4 {
            0 => format!(", n{}", (own + 1) % 4),
            _ => String::new(),
        };
        let ports = match index % 2 {
            0 => format!(", ports: ['{}:80']", 10_000 + index),
            _ => String::new(),
        };
        let _ = writeln!(
            out,
            "  s{index}: {{image: x, expose: ['80', '53/udp'], networks: [n{own}{second}]{ports}}}"
        );
    }
    out.push_str("networks: {n0: {}, n1: {}, n2: {internal: true}, n3: {}}\n");
    out
}

fn scene_of(services: usize) -> Scene {
    let text = text(services);
    let memory = Memory::of([("/bench/stack.yaml", text.as_str())]);
    let reading = stack::file::read(&Request::new("/bench"), &memory);
    let stack = reading.stack.expect("the file is right");
    scene(
        &stack,
        &Wishes::default(),
        &Observed::default(),
        Facts::default(),
        Moment::Wanted,
    )
}

/// The median of some runs.
fn median(run: impl Fn()) -> Duration {
    let mut all: Vec<Duration> = (0..11)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    all.sort();
    all.get(all.len() / 2).copied().unwrap_or_default()
}

fn main() {
    println!("| services | cells | on one processor | on all | a cell |");
    println!("|---|---|---|---|---|");
    for services in [10, 25, 50, 100] {
        let scene = scene_of(services);
        let cells = questions(&scene).len();
        let one = median(|| {
            for question in &questions(&scene) {
                std::hint::black_box(predict::predict(&scene, question));
            }
        });
        let all = median(|| {
            std::hint::black_box(predict::all(&scene));
        });
        println!(
            "| {services} | {cells} | {:.1} ms | {:.1} ms | {:.1} µs |",
            one.as_secs_f64() * 1e3,
            all.as_secs_f64() * 1e3,
            one.as_secs_f64() * 1e6 / cells as f64
        );
    }
}
