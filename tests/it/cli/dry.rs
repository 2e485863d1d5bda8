//! Dry runs of what has no plan: they tell what would be done, and nothing is done.

use std::process::Command;

#[test]
fn a_dry_run_leaves_private_engines_alone() {
    let folder = tempfile::tempdir().unwrap();
    let engine = folder.path().join("engines/precious");
    std::fs::create_dir_all(&engine).unwrap();
    let dry = |words: &[&str]| {
        let done = Command::new(env!("CARGO_BIN_EXE_stack"))
            .arg("--dry-run")
            .args(words)
            .env("STACK_ENGINES", folder.path().join("engines"))
            .output()
            .unwrap();
        (done.status.code(), String::from_utf8(done.stderr).unwrap())
    };
    let told = |line: &str| (Some(0), format!("DRY-RUN MODE -  Engine {line}\n"));
    assert_eq!(
        dry(&["engine", "stop", "precious", "nothere"]).1,
        "DRY-RUN MODE -  Engine precious Removed, with all that is on it\n\
         DRY-RUN MODE -  Engine nothere No resource found to remove\n"
    );
    assert_eq!(dry(&["engine", "start", "new"]), told("new Started"));
    assert_eq!(
        dry(&["engine", "exec", "precious", "rm", "-r", "/"]),
        told("precious Exec rm -r /")
    );
    assert!(engine.exists());
    assert!(!folder.path().join("engines/new").exists());
}
