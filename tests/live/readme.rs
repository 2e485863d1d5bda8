//! The commands of the README, taken from it and run as they are written there, on a private host. `sudo` is a stand-in
//! there, since the tests are root already.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::bed::{Bed, ran, stack_program};
use crate::runner::{Failure, Outcome, Run, Test, holds, repository, same};
use crate::wire::Wire;

/// All tests of this module.
pub fn tests() -> Vec<Test> {
    vec![
        Test {
            name: "readme::the_lan_commands_work_as_written",
            run: Run::Host(lan),
        },
        Test {
            name: "readme::an_example_on_an_engine_of_its_own_works_as_written",
            run: Run::OwnHost(own_engine),
        },
    ]
}

/// The block below a mark.
fn block(mark: &str) -> Result<String, Failure> {
    let text = std::fs::read_to_string(repository().join("README.md"))?;
    let rest = text
        .split_once(&format!("<!-- {mark} -->\n```"))
        .ok_or_else(|| format!("the README has no block `{mark}`"))?
        .1;
    let inside = rest.split_once('\n').ok_or("the block is empty")?.1;
    Ok(inside.split("```").next().unwrap_or_default().to_owned())
}

/// Runs commands one after the other in one shell, in a folder, and gives each with its exit code.
fn run(
    bed: &Bed,
    folder: &Path,
    commands: &str,
) -> Result<(Vec<(String, String)>, String), Failure> {
    let programs = tempfile::tempdir()?;
    std::os::unix::fs::symlink(stack_program(), programs.path().join("stack"))?;
    let sudo = programs.path().join("sudo");
    std::fs::write(&sudo, "#!/bin/sh\nexec env \"$@\"\n")?;
    std::fs::set_permissions(&sudo, std::fs::Permissions::from_mode(0o755))?;
    let codes = programs.path().join("codes");
    let mut script = format!(
        "PATH={}:$PATH\nexport PATH\ncd {}\n",
        programs.path().display(),
        folder.display()
    );
    for command in commands.lines() {
        // A server that was just started needs a moment until it listens.
        if command.contains("curl") {
            script += "sleep 1\n";
        }
        script += &format!("{command}\necho $? >>{}\n", codes.display());
    }
    let said = ran(bed
        .command("sh")
        .args(["-c", &script])
        .env("STACK_ENGINES", programs.path().join("engines")))?;
    holds(
        "the last private engine takes their folder along",
        !programs.path().join("engines").exists(),
    )?;
    let codes = std::fs::read_to_string(&codes)?;
    let results = commands
        .lines()
        .map(str::to_owned)
        .zip(codes.lines().map(str::to_owned));
    Ok((results.collect(), format!("{}{}", said.stdout, said.stderr)))
}

/// Every command succeeds; `stack plan` says that there are changes.
fn succeed(results: &[(String, String)], said: &str) -> Result<(), Failure> {
    let wrong: Vec<&(String, String)> = results
        .iter()
        .filter(|(command, code)| {
            code != if command.ends_with("stack plan") {
                "2"
            } else {
                "0"
            }
        })
        .collect();
    holds(
        &format!("every command succeeds: {wrong:?}\n{said}"),
        wrong.is_empty(),
    )
}

fn lan(bed: &Bed) -> Result<Outcome, Failure> {
    let wire = Wire::new(bed, "eth0", &[("laptop", "192.168.1.50/24")])?;
    bed.run("ip address add 192.168.1.10/24 dev eth0")?;
    bed.docker("tag stack-lab:latest nginx:latest")?;
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("stack.yaml"), block("file: stack.yaml")?)?;
    let commands = block("live: readme::the_lan_commands_work_as_written")?;
    let result = run(bed, folder.path(), &commands);
    bed.docker("rmi nginx:latest")?;
    drop(wire);
    let (results, said) = result?;
    succeed(&results, &said)?;
    holds(
        &format!("the page is seen: {said}"),
        said.contains("hello from the stack lab image"),
    )?;
    Ok(Outcome::Passed)
}

fn own_engine(bed: &mut Bed) -> Result<Outcome, Failure> {
    let bed = &*bed;
    let before = bed.host()?;
    let commands = block("live: readme::an_example_on_an_engine_of_its_own_works_as_written")?;
    let (results, said) = run(bed, &repository(), &commands)?;
    succeed(&results, &said)?;
    holds(
        &format!("the page is seen: {said}"),
        said.contains("hello from the stack lab image"),
    )?;
    holds(
        &format!("laptop is seen: {said}"),
        said.contains("192.168.81.50/24"),
    )?;
    let left = before.difference(&bed.host()?);
    same("what is left", left.as_str(), "")?;
    Ok(Outcome::Passed)
}
