//! What `why` advises over the examples: written into the file it is accepted by the reader, and the way is open.

use std::collections::BTreeMap;
use std::path::Path;

use stack::file::files::Disk;
use stack::file::request::{Request, Text};
use stack::model::stack::Stack;
use stack::plan::desired::Wishes;
use stack::plan::observed::Observed;
use stack::reach::advice::advice;
use stack::reach::advice::case::Case;
use stack::reach::predict;
use stack::reach::question::Ask;
use stack::reach::scene::Scene;
use stack::reach::verdict::{Code, Verdict};
use stack::reach::words;

use crate::reach::build::{new, seen};

/// The stack of a file with other texts merged over it, or what the reader says against them.
fn merged(file: &Path, over: &[String]) -> Result<Stack, String> {
    let mut request = Request::new(file.parent().unwrap());
    let texts = over.iter().cloned().map(Text::Inline);
    request.files = std::iter::once(Text::File(file.to_owned()))
        .chain(texts)
        .collect();
    request.project_name = Some("t".into());
    let reading = stack::file::read(&request, &Disk);
    reading
        .stack
        .ok_or_else(|| format!("{:?}", reading.diagnostics))
}

/// Whether each of those who ask gets through, wherever somebody listens.
fn is_open(scene: &Scene, from: &str, to: &str, ask: Ask) -> bool {
    let mut askers: BTreeMap<String, bool> = BTreeMap::new();
    for question in words::ask(scene, from, to, ask).unwrap_or_default() {
        let prediction = predict::predict(scene, &question);
        let open = match prediction.verdict {
            Verdict::Ok => true,
            Verdict::Depends(_) => prediction.code() == Some(Code::NoListener),
            Verdict::Fail(_) => false,
        };
        *askers.entry(question.from.to_string()).or_default() |= open;
    }
    !askers.is_empty() && askers.values().all(|open| *open)
}

#[test]
fn what_is_advised_for_the_examples_is_accepted_and_opens_the_way() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut folders: Vec<_> = std::fs::read_dir(&root)
        .unwrap()
        .map(|entry| entry.unwrap().path().join("stack.yaml"))
        .filter(|file| file.is_file())
        .collect();
    folders.sort();
    let (wishes, observed, facts) = (Wishes::default(), Observed::default(), new());
    let (mut advised, mut written, mut wrong) = (0, 0, Vec::new());
    for file in folders {
        let stack = merged(&file, &[]).unwrap();
        let scene = seen(&stack, facts.clone());
        let names: Vec<String> = stack.services.keys().map(ToString::to_string).collect();
        let askers = names.iter().map(String::as_str).chain(["host"]);
        let machines = scene.machines.keys().map(String::as_str);
        let pairs: Vec<(&str, &str)> = askers
            .chain(machines)
            .flat_map(|from| names.iter().map(move |to| (from, to.as_str())))
            .filter(|(from, to)| from != to)
            .take(24)
            .collect();
        for (from, to) in pairs {
            let ask = Ask::Tcp(80);
            if is_open(&scene, from, to, ask) {
                continue;
            }
            let case = Case {
                stack: &stack,
                wishes: &wishes,
                observed: &observed,
                facts: &facts,
                from,
                to,
                ask,
            };
            let Some(advice) = advice(&case).filter(|advice| advice.opens) else {
                continue;
            };
            advised += 1;
            let fragments: Option<Vec<String>> = advice
                .changes
                .iter()
                .map(|change| change.fragment())
                .collect();
            // What has to be taken out of the file by hand is made on the model alone.
            let changed = match fragments {
                Some(fragments) => {
                    written += 1;
                    merged(&file, &fragments)
                }
                None => advice
                    .changes
                    .iter()
                    .try_fold(stack.clone(), |stack, change| change.applied(&stack))
                    .ok_or("it changes nothing".to_owned()),
            };
            let published = advice.changes.iter().find_map(|change| change.published());
            let (to, ask) = published.map_or((to, ask), |port| ("host", Ask::Tcp(port)));
            let ended = match changed {
                Err(told) => format!("not accepted: {told}"),
                Ok(changed) if is_open(&seen(&changed, facts.clone()), from, to, ask) => continue,
                Ok(_) => "still shut".to_owned(),
            };
            wrong.push(format!(
                "{}: {from} {to}: {ended}\n{}",
                file.display(),
                advice.text()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(advised >= 20 && written >= 10, "{advised} {written}");
}
