//! The command line as a program: help, flags that exclude each other, `config` and plans, without an engine. Whole
//! texts; `UPDATE_EXPECT=1` writes them anew.

mod check;
mod config;
mod dry;
mod help;
mod plan;

use std::path::Path;
use std::process::Command;

use expect_test::Expect;

const STACK: &str = "
name: lab
services:
  db:
    image: stack-lab
    networks: {back: {aliases: [data]}}
  web:
    image: stack-lab
    build: .
    depends_on: {db: {condition: service_healthy}}
    ports: ['8080:80']
    networks: [back]
  tool:
    image: stack-lab
    profiles: [extra]
    network_mode: 'service:web'
networks:
  back: {}
  unused: {}
volumes:
  data: {}
";

/// What a run of the program came to: exit code, standard output, standard error.
fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_stack"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        // Nobody listens there: these tests need no engine, and must not find one.
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| {
        String::from_utf8_lossy(bytes).replace(&folder.display().to_string(), "HERE")
    };
    (
        done.status.code().unwrap_or(-1),
        text(&done.stdout),
        text(&done.stderr),
    )
}

/// All of it as one text.
fn whole(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("stack.yaml"), STACK).unwrap();
    let (code, output, error) = run(folder.path(), arguments);
    format!("exit {code}\n{output}{error}")
}

fn check(arguments: &[&str], expected: Expect) {
    expected.assert_eq(&whole(arguments));
}
