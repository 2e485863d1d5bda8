//! How long reading takes and how much memory, by the number of services: flat (none depends on another) and layered
//! (each depends on the three before it); and files that are hostile on purpose. `cargo bench --bench read`.
//!
//! Each measurement is a process of its own (this program, with the case as its argument), so that peaks of memory do
//! not mix.

use std::fmt::Write;
use std::process::Command;
use std::time::Instant;

use stack::file::files::Memory;
use stack::file::request::Request;

fn services(count: usize, is_layered: bool) -> String {
    let mut out = String::from("services:\n");
    for index in 0..count {
        let _ = write!(
            out,
            "  s{index}:\n    image: nginx:1.27\n    command: [run, --id, \"{index}\"]\n    environment: {{ID: {index}, MODE: \"${{MODE:-x}}\"}}\n    labels: {{tier: t{}}}\n    ports: [\"{}:80\"]\n    networks: [n{}]\n    volumes: [\"./data:/data:ro\"]\n    healthcheck: {{test: [CMD, \"true\"], interval: 10s}}\n",
            index % 7,
            10_000 + index,
            index % 50
        );
        if is_layered && index > 0 {
            let before: Vec<String> = (index.saturating_sub(3)..index)
                .map(|other| format!("s{other}"))
                .collect();
            let _ = writeln!(out, "    depends_on: [{}]", before.join(", "));
        }
    }
    out.push_str("networks:\n");
    for index in 0..50 {
        let _ = writeln!(out, "  n{index}: {{}}");
    }
    out
}

fn text(case: &str) -> String {
    let (kind, count) = case.split_once('-').unwrap_or((case, "0"));
    let count: usize = count.parse().unwrap_or(0);
    match kind {
        "flat" => services(count, false),
        "layered" => services(count, true),
        "laughs" => {
            let mut out = String::from("x-0: &a0 [x,x,x,x,x,x,x,x,x]\n");
            for level in 1..40 {
                let _ = writeln!(
                    out,
                    "x-{level}: &a{level} [{}]",
                    vec![format!("*a{}", level - 1); 9].join(",")
                );
            }
            out
        }
        "brackets" => "[".repeat(10_000_000),
        "dashes" => "- ".repeat(5_000_000),
        _ => (0..100_000).fold(String::new(), |mut out, index| {
            let _ = writeln!(out, "key{index}: {index}");
            out
        }),
    }
}

fn peak_kilobytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}

/// Seconds that this thread was on a processor (`/proc/PID/schedstat`, first field): what does not depend on how busy
/// the machine is.
fn processor_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds: f64 = text
        .split(' ')
        .next()
        .and_then(|field| field.parse().ok())
        .unwrap_or(0.0);
    nanoseconds / 1e9
}

fn measure(case: &str) {
    let text = text(case);
    let size = text.len();
    let memory = Memory::of([("/bench/stack.yaml", text.as_str())]);
    let (start, before) = (Instant::now(), processor_seconds());
    let reading = stack::file::read(&Request::new("/bench"), &memory);
    let (took, worked) = (start.elapsed(), processor_seconds() - before);
    let outcome = match &reading.stack {
        Some(stack) => format!("{} services", stack.services.len()),
        None => format!("{} diagnostics", reading.diagnostics.len()),
    };
    println!(
        "| {case} | {:.1} MB | {outcome} | {worked:.3} s | {:.3} s | {} MB |",
        size as f64 / 1e6,
        took.as_secs_f64(),
        peak_kilobytes() / 1024
    );
}

fn main() {
    let cases = [
        "flat-100",
        "flat-1000",
        "flat-10000",
        "layered-100",
        "layered-1000",
        "layered-10000",
        "laughs",
        "brackets",
        "dashes",
        "keys",
    ];
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(case) = arguments
        .iter()
        .find(|argument| cases.contains(&argument.as_str()))
    {
        return measure(case);
    }
    println!(
        "| case | file | outcome | processor | clock | peak memory |\n|---|---|---|---|---|---|"
    );
    let Ok(program) = std::env::current_exe() else {
        return;
    };
    for case in cases {
        let outcome = Command::new(&program).arg(case).status();
        if !outcome.is_ok_and(|status| status.success()) {
            println!("| {case} | | failed | | | |");
        }
    }
}
