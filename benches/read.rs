//! How long reading and planning take and how much memory, by the number of services: flat (none depends on another)
//! and layered (each depends on the three before it); and files that are hostile on purpose. `cargo bench --bench read`,
//! or `cargo bench --bench read -- --beside PATH` to have `PATH config -q` (docker compose v2) read the same files, for
//! a minute each at most.
//!
//! Each measurement is a process of its own (this program, with the case as its argument), so that peaks of memory do
//! not mix. The plan is the first `up` on an empty engine.

use std::fmt::Write;
use std::process::Command;
use std::time::Instant;

use stack::file::files::Memory;
use stack::file::request::Request;
use stack::model::stack::Stack;
use stack::plan::desired::{Wishes, desired};
use stack::plan::diff::up::{UpOptions, up};
use stack::plan::observed::Observed;

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

/// How many steps the first `up` takes.
fn plan(stack: &Stack) -> String {
    let nothing = Observed::default();
    let wanted = desired(stack, &Wishes::default(), &nothing);
    match up(stack, &wanted, &nothing, &UpOptions::default()) {
        Ok(plan) => format!("{} steps", plan.steps.len()),
        Err(error) => format!("no plan: {error}"),
    }
}

fn measure(case: &str, beside: Option<&str>) {
    let text = text(case);
    let size = text.len();
    let memory = Memory::of([("/bench/stack.yaml", text.as_str())]);
    let (start, before) = (Instant::now(), processor_seconds());
    let reading = stack::file::read(&Request::new("/bench"), &memory);
    let read = processor_seconds() - before;
    let steps = reading.stack.as_ref().map(plan);
    let (took, worked) = (start.elapsed(), processor_seconds() - before);
    let peak = peak_kilobytes() / 1024;
    let outcome = match &reading.stack {
        Some(stack) => format!("{} services", stack.services.len()),
        None => format!("{} diagnostics", reading.diagnostics.len()),
    };
    let theirs = beside.map_or(String::new(), |program| {
        format!(" {} |", compose(program, &text))
    });
    println!(
        "| {case} | {:.1} MB | {outcome} | {} | {read:.3} s | {:.3} s | {:.3} s | {peak} MB |{theirs}",
        size as f64 / 1e6,
        steps.unwrap_or_default(),
        worked - read,
        took.as_secs_f64(),
    );
}

/// What the other tool takes for the file: the clock, and the processor as the shell's `times` tells it.
fn compose(program: &str, text: &str) -> String {
    let Ok(folder) = tempfile::tempdir() else {
        return "no folder".to_owned();
    };
    let file = folder.path().join("compose.yaml");
    if std::fs::write(&file, text).is_err() {
        return "no file".to_owned();
    }
    let start = Instant::now();
    let script = "timeout --signal=KILL 60 \"$0\" -f \"$1\" config -q 2>/dev/null; echo $?; times";
    let output = Command::new("sh")
        .args(["-c", script, program])
        .arg(&file)
        .output();
    let took = start.elapsed().as_secs_f64();
    let Ok(output) = output else {
        return "not there".to_owned();
    };
    let said = String::from_utf8_lossy(&output.stdout);
    let mut lines = said.lines();
    let code = lines.next().unwrap_or("");
    let processor: f64 = lines
        .nth(1)
        .into_iter()
        .flat_map(|line| line.split(' '))
        .filter_map(|time| {
            let (minutes, seconds) = time.trim_end_matches('s').split_once('m')?;
            Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?)
        })
        .sum();
    match code {
        "0" => format!("{processor:.2} s ({took:.2} s)"),
        "124" => "not in a minute".to_owned(),
        _ => format!("refused after {processor:.2} s ({took:.2} s)"),
    }
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
    let beside = arguments
        .iter()
        .position(|argument| argument == "--beside")
        .and_then(|at| arguments.get(at + 1));
    if let Some(case) = arguments
        .iter()
        .find(|argument| cases.contains(&argument.as_str()))
    {
        return measure(case, beside.map(String::as_str));
    }
    let theirs = beside.map_or("", |_| " docker compose |");
    println!(
        "| case | file | outcome | plan | reading | planning | both, clock | peak memory |{theirs}"
    );
    println!(
        "|---|---|---|---|---|---|---|---|{}",
        if beside.is_some() { "---|" } else { "" }
    );
    let Ok(program) = std::env::current_exe() else {
        return;
    };
    for case in cases {
        let mut command = Command::new(&program);
        command.arg(case);
        if let Some(other) = beside {
            command.args(["--beside", other]);
        }
        if !command.status().is_ok_and(|status| status.success()) {
            println!("| {case} | | failed | | | | | |");
        }
    }
}
