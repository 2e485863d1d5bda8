//! One mistake is told once: what only follows from it is not, nor what may stand in a file that could not be read.

use expect_test::expect;

use stack::file::request::Request;

use super::{read, read_all, tells, told};

fn codes(reading: &stack::file::Reading) -> Vec<&'static str> {
    reading.diagnostics.iter().map(|one| one.code).collect()
}

#[test]
fn what_may_stand_in_a_file_that_cannot_be_read_is_not_missed() {
    let main = "include: [other.yaml]\nservices: {web: {image: x, depends_on: [db], networks: [lan]}, sub: {extends: {service: base}}}\n";
    let missing = read(main);
    assert_eq!(codes(&missing), ["cannot-read"]);
    let files = [("/lab/stack.yaml", main), ("/lab/other.yaml", "a: [\n")];
    let broken = read_all(&files, |request| request);
    assert_eq!(codes(&broken), ["yaml-syntax"]);
    let both = |request: Request| request.file("first.yaml").file("second.yaml");
    let second = "services: {web: {depends_on: [db]}}\n";
    let files = [("/lab/first.yaml", "a: [\n"), ("/lab/second.yaml", second)];
    assert_eq!(codes(&read_all(&files, both)), ["yaml-syntax"]);
    let files = [("/lab/first.yaml", "\n"), ("/lab/second.yaml", second)];
    let whole = read_all(&files, both);
    assert_eq!(codes(&whole), ["no-image", "unknown-reference"]);
}

#[test]
fn what_is_there_and_wrong_is_not_undefined() {
    let file = "services: {a: nginx, e: {image: x, depends_on: [a], networks: [n], volumes: [v:/v]}}\nnetworks: {n: 5}\nvolumes: 7\n";
    let reading = read(file);
    let all = codes(&reading);
    assert_eq!(all, ["wrong-type"; 3], "{}", told(&reading));
}

#[test]
fn one_mistake_has_one_error() {
    for (file, code) in [
        (
            "services: {a: {image: x, ipc: 'service:'}}\n",
            "unknown-value",
        ),
        ("services: {a: {image: x, sysctls: [5]}}\n", "wrong-type"),
        (
            "services: {a: {image: x, container_name: foo}, b: {image: x, container_name: foo}}\n",
            "duplicate-name",
        ),
    ] {
        let reading = read(file);
        assert_eq!(codes(&reading), [code], "{}", told(&reading));
    }
}

#[test]
fn an_env_file_that_several_read_is_told_once() {
    let stack = "services: {a: {image: x, env_file: .env}, b: {image: x, env_file: [.env]}}\n";
    let files = [("/lab/stack.yaml", stack), ("/lab/.env", "A B=1\n")];
    let reading = read_all(&files, |request| request);
    assert_eq!(codes(&reading), ["env-file"], "{}", told(&reading));
}

#[test]
fn services_that_all_wait_for_each_other_are_one_circle() {
    let names: Vec<String> = (0..60).map(|at| format!("s{at}")).collect();
    let mut file = "services:\n".to_owned();
    for name in &names {
        let others: Vec<&str> = names
            .iter()
            .map(String::as_str)
            .filter(|other| other != name)
            .collect();
        file += &format!(
            "  {name}: {{image: x, depends_on: [{}]}}\n",
            others.join(", ")
        );
    }
    file += "  own: {image: x, depends_on: [own]}\n  free: {image: x, depends_on: [own]}\n";
    let reading = read(&file);
    let messages: Vec<&str> = reading
        .diagnostics
        .iter()
        .map(|one| one.message.as_str())
        .collect();
    let wanted = ["s0 -> s1 -> s0", "own -> own"];
    assert_eq!(
        messages,
        wanted.map(|circle| format!("dependency cycle detected: {circle}"))
    );
}

#[test]
fn what_is_too_deep_or_of_another_document_is_called_so() {
    let deep = format!(
        "services: {{a: {{image: \"{}\"}}}}\n",
        "${A:-".repeat(100_000)
    );
    let reading = read(&deep);
    let first = reading.diagnostics.iter().next().unwrap();
    assert_eq!(
        first.message,
        "variables in services.a.image are nested more than 64 deep"
    );
    tells(
        "x-a: &a 1\n---\nx-b: *a\n",
        expect![[r#"
            error[yaml-syntax]: this is not valid YAML: found unknown anchor in this document
             --> stack.yaml:3:6
              |
            3 | x-b: *a
              |      ^^
            hint: an anchor is known only in its own document: define it again after the `---`

        "#]],
    );
}
