//! Large stacks are answered at once.

use stack::reach::predict;

use crate::reach::build::{bridge, new, on, seen, stack};

#[test]
fn every_question_of_a_stack_of_fifty_services_is_answered() {
    let services = (0..50).map(|number| {
        let networks: &[&str] = if number % 2 == 0 {
            &["front"]
        } else {
            &["front", "back"]
        };
        on(&format!("s{number}"), networks)
    });
    let stack = stack(
        services.collect(),
        vec![
            bridge("front", "10.10.0.0/16"),
            bridge("back", "10.20.0.0/16"),
        ],
        vec![],
    );
    let scene = seen(&stack, new());
    let begin = std::time::Instant::now();
    let cells = predict::all(&scene);
    println!("{} cells in {:?}", cells.len(), begin.elapsed());
    // 50 viewpoints ask 49 others by two names, one name's port, and each of one or two addresses twice; the host asks
    // as much of 50.
    assert!(cells.len() > 15_000, "{}", cells.len());
    let fine = cells
        .iter()
        .filter(|cell| cell.prediction.verdict.word() == "ok")
        .count();
    assert!(fine * 10 > cells.len() * 6, "{fine} of {}", cells.len());
    // So many are found in parts side by side; each part is in its place.
    let questions = predict::cells::questions(&scene);
    assert_eq!(cells.len(), questions.len());
    for (cell, question) in cells.iter().zip(&questions) {
        assert_eq!(cell.question, *question);
        assert_eq!(cell.prediction, predict::predict(&scene, question));
    }
}
