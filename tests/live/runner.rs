//! What a live test is, and the program that runs them one after the other.
//!
//! It prints what cargo's own test runner prints (`test NAME ... ok`, `test result: …`), so that one reader
//! understands both; a skipped test says `skipped: REASON` and is counted as ignored. A host serves many tests: it is
//! compared before and after each one, and one that was left different makes that test fail and is thrown away.

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::bed::{self, Bed, Engine};
use crate::guest::Guest;

/// Why a test failed, in whatever words.
pub type Failure = Box<dyn Error>;

/// How a test ended that did not fail.
pub enum Outcome {
    Passed,
    /// The machine lacks what the test is about; the reason goes to the reader.
    Skipped(String),
}

/// What a test runs on.
#[derive(Clone, Copy)]
pub enum Run {
    /// Nothing but this machine; it must leave no trace by itself.
    Machine(fn() -> Result<Outcome, Failure>),
    /// A private host with an engine, shared with other tests; run once for each engine that was asked for.
    Host(fn(&Bed) -> Result<Outcome, Failure>),
    /// The same, but nobody had the host before or will have it afterwards.
    OwnHost(fn(&mut Bed) -> Result<Outcome, Failure>),
    /// A guest kernel, with the same engine.
    Guest(fn(&Guest) -> Result<Outcome, Failure>),
}

/// A named test.
#[derive(Clone, Copy)]
pub struct Test {
    /// A sentence about behaviour in words joined by `_`, after the name of its module and `::`.
    pub name: &'static str,
    pub run: Run,
}

/// Fails with a readable text when two things differ.
pub fn same<T: PartialEq + std::fmt::Debug>(what: &str, seen: T, wanted: T) -> Result<(), Failure> {
    if seen == wanted {
        return Ok(());
    }
    Err(format!("{what}\n  wanted: {wanted:?}\n  seen:   {seen:?}").into())
}

/// Fails when a statement does not hold.
pub fn holds(what: &str, truth: bool) -> Result<(), Failure> {
    if truth {
        Ok(())
    } else {
        Err(format!("not so: {what}").into())
    }
}

/// Asks until the answer is yes, at most this long; for what comes true a moment later.
pub fn soon(
    what: &str,
    limit: Duration,
    mut question: impl FnMut() -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let start = Instant::now();
    loop {
        if question()? {
            return Ok(());
        }
        if start.elapsed() > limit {
            return Err(format!("not so within {limit:?}: {what}").into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

struct Options {
    filters: Vec<String>,
    list: bool,
    keep: bool,
    only_engine: bool,
    engines: Vec<String>,
}

impl Options {
    fn read() -> Result<Options, String> {
        let mut options = Options {
            filters: Vec::new(),
            list: false,
            keep: false,
            only_engine: false,
            engines: Vec::new(),
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--list" => options.list = true,
                "--keep" => options.keep = true,
                "--only-engine" => options.only_engine = true,
                "--engine" => options.engines.push(
                    words
                        .next()
                        .ok_or("--engine needs `installed`, `newest` or a folder")?,
                ),
                "--filter" => options
                    .filters
                    .push(words.next().ok_or("--filter needs a text")?),
                // Cargo passes these to every runner; they change nothing here.
                "--nocapture" | "--no-capture" | "--show-output" | "-q" | "--quiet" => {}
                _ if word.starts_with("--test-threads") || word.starts_with("--color") => {}
                _ if word.starts_with('-') => {
                    return Err(format!("unknown option `{word}`"));
                }
                _ => options.filters.push(word),
            }
        }
        if options.engines.is_empty() {
            options.engines.push("installed".to_owned());
        }
        Ok(options)
    }
}

/// One line of what will be run: a test, and on which engine if it needs one.
struct Item {
    name: String,
    run: Run,
    engine: Option<usize>,
}

#[derive(Default)]
struct Count {
    passed: usize,
    failed: usize,
    skipped: usize,
}

/// Runs the tests that the command line chooses. Fails when one failed.
pub fn main(tests: Vec<Test>) -> ExitCode {
    let options = match Options::read() {
        Ok(options) => options,
        Err(reason) => {
            eprintln!("{reason}");
            return ExitCode::from(2);
        }
    };
    let engines: Vec<Result<Engine, String>> = options
        .engines
        .iter()
        .map(|name| Engine::find(name))
        .collect();
    let all = items(&tests, &options, &engines);
    let number = all.len();
    let items = chosen(all, &options);
    if options.list {
        for item in &items {
            println!("{}: test", item.name);
        }
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests", items.len());
    let start = Instant::now();
    let mut count = Count::default();
    let mut failures = Vec::new();
    let mut beds: Vec<Option<Bed>> = engines.iter().map(|_| None).collect();
    let unavailable = bed::unavailable();
    if unavailable.is_none() {
        bed::sweep();
    }
    for item in &items {
        print!("test {} ... ", item.name);
        let _ = std::io::stdout().flush();
        let began = Instant::now();
        let result = match (&unavailable, item.run) {
            (Some(reason), Run::Host(_) | Run::OwnHost(_) | Run::Machine(_)) => {
                Ok(Outcome::Skipped(reason.clone()))
            }
            _ => run(item, &engines, &mut beds, options.keep),
        };
        let seconds = began.elapsed().as_secs_f64();
        match result {
            Ok(Outcome::Passed) => {
                count.passed += 1;
                println!("ok ({seconds:.1} s)");
            }
            Ok(Outcome::Skipped(reason)) => {
                count.skipped += 1;
                println!("skipped: {reason}");
            }
            Err(failure) => {
                count.failed += 1;
                println!("FAILED ({seconds:.1} s)");
                failures.push((item.name.clone(), failure.to_string()));
            }
        }
    }
    for bed in beds.into_iter().flatten() {
        if options.keep {
            println!("kept: {}", bed.folder().display());
            bed.keep();
        }
    }
    if !failures.is_empty() {
        println!("\nfailures:");
        for (name, failure) in &failures {
            println!("\n---- {name} ----\n{failure}");
        }
    }
    println!(
        "\ntest result: {}. {} passed; {} failed; {} ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
        if count.failed == 0 { "ok" } else { "FAILED" },
        count.passed,
        count.failed,
        count.skipped,
        number - items.len(),
        start.elapsed().as_secs_f64()
    );
    if count.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn items(tests: &[Test], options: &Options, engines: &[Result<Engine, String>]) -> Vec<Item> {
    let mut items = Vec::new();
    for test in tests {
        match test.run {
            Run::Machine(_) => items.push(Item {
                name: test.name.to_owned(),
                run: test.run,
                engine: None,
            }),
            Run::Host(_) | Run::OwnHost(_) | Run::Guest(_) => {
                for (index, engine) in engines.iter().enumerate() {
                    let label = match engine {
                        Ok(engine) => engine.label(),
                        Err(_) => &options.engines[index],
                    };
                    items.push(Item {
                        name: format!("{} [{label}]", test.name),
                        run: test.run,
                        engine: Some(index),
                    });
                }
            }
        }
    }
    // All tests of one engine together, so that one host is alive at a time.
    items.sort_by_key(|item| item.engine);
    items
}

fn chosen(mut items: Vec<Item>, options: &Options) -> Vec<Item> {
    let filters = &options.filters;
    items.retain(|item| !options.only_engine || matches!(item.run, Run::Host(_) | Run::OwnHost(_)));
    items.retain(|item| {
        filters.is_empty()
            || filters
                .iter()
                .any(|filter| item.name.contains(filter.as_str()))
    });
    items
}

fn run(
    item: &Item,
    engines: &[Result<Engine, String>],
    beds: &mut [Option<Bed>],
    keep: bool,
) -> Result<Outcome, Failure> {
    let engine = match item.engine.map(|index| &engines[index]) {
        Some(Err(reason)) => return Ok(Outcome::Skipped(reason.clone())),
        Some(Ok(engine)) => Some(engine),
        None => None,
    };
    match (item.run, engine, item.engine) {
        (Run::Host(test), Some(engine), Some(index)) => {
            for (other, bed) in beds.iter_mut().enumerate() {
                if other != index && !keep {
                    *bed = None;
                }
            }
            let bed = match beds[index].take() {
                Some(bed) => bed,
                None => Bed::start(engine)?,
            };
            let before = bed.host()?;
            let result = guarded(|| test(&bed));
            let left = before.difference(&bed.host()?);
            if left.is_empty() {
                beds[index] = Some(bed);
                result
            } else if keep {
                let folder = bed.folder();
                bed.keep();
                Err(left_behind(
                    result,
                    &format!("{left}\nkept: {}", folder.display()),
                ))
            } else {
                Err(left_behind(result, &left))
            }
        }
        (Run::OwnHost(test), Some(engine), _) => {
            let mut bed = Bed::start(engine)?;
            let result = guarded(|| test(&mut bed));
            if keep {
                println!("kept: {}", bed.folder().display());
                bed.keep();
            }
            result
        }
        (Run::Machine(test), _, _) => guarded(test),
        (Run::Guest(test), Some(engine), _) => match Guest::find(engine) {
            Ok(guest) => guarded(|| test(&guest)),
            Err(reason) => Ok(Outcome::Skipped(reason)),
        },
        (Run::Host(_) | Run::OwnHost(_) | Run::Guest(_), _, _) => {
            Err("this test was given no engine".into())
        }
    }
}

/// A panic in a test is a failure of that test alone.
fn guarded(test: impl FnOnce() -> Result<Outcome, Failure>) -> Result<Outcome, Failure> {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(test)) {
        Ok(result) => result,
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                .unwrap_or_else(|| "no message".to_owned());
            Err(format!("panicked: {text}").into())
        }
    }
}

fn left_behind(result: Result<Outcome, Failure>, left: &str) -> Failure {
    match result {
        Err(failure) => format!("{failure}\nand the host was left different:\n{left}").into(),
        Ok(_) => format!("the host was left different:\n{left}").into(),
    }
}

/// How far a sweep goes: all of it with `STACK_TESTS=all` (`sh tests/run.sh --all`), else a sample that fits a default run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sweep {
    All,
    Sample,
}

impl Sweep {
    /// What the environment asks for.
    pub fn wanted() -> Sweep {
        match std::env::var("STACK_TESTS") {
            Ok(word) if word == "all" => Sweep::All,
            Ok(_) | Err(_) => Sweep::Sample,
        }
    }

    /// The one value or the other.
    pub fn choose<T>(self, all: T, sample: T) -> T {
        match self {
            Sweep::All => all,
            Sweep::Sample => sample,
        }
    }
}

/// A folder of the repository.
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
