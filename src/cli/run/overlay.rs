//! The flags of `stack run` as one more file over the others: so `-p` and `-v` mean what they mean there.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::cli::context::{Context, Opened};
use crate::cli::exit::Failure;
use crate::cli::run::RunArgs;
use crate::cli::values::Variable;
use crate::file;
use crate::file::active::Dependencies;
use crate::file::request::Text;

/// Reads the stack with the flags over it.
pub(super) fn open_with(
    context: &Context,
    arguments: &RunArgs,
    tty: bool,
) -> Result<Opened, Failure> {
    let services = [arguments.service.clone()];
    let dependencies = if arguments.no_deps {
        Dependencies::Left
    } else {
        Dependencies::Included
    };
    let mut request = context.request(&services, dependencies)?;
    let found = file::read(&request, &context.files);
    if found.stack.is_none() {
        // The flags of a service that is not there would be one.
        return context.opened(&request);
    }
    if request.files.is_empty() {
        request.files = found
            .document
            .files
            .iter()
            .cloned()
            .map(Text::File)
            .collect();
    }
    if !request.files.is_empty() {
        request.files.push(Text::Inline(overlay(arguments, tty)?));
    }
    context.opened(&request)
}

/// The flags as a stack file.
fn overlay(arguments: &RunArgs, tty: bool) -> Result<String, Failure> {
    // A `$` on the command line was meant for nobody but the container.
    let quoted = |text: &str| Value::from(text.replace('$', "$$"));
    let list = |texts: &[String]| Value::Array(texts.iter().map(|text| quoted(text)).collect());
    let mut keys: Vec<(&str, String)> = Vec::new();
    let mut set = |key: &'static str, value: Value| keys.push((key, value.to_string()));
    set("tty", Value::Bool(tty));
    set(
        "stdin_open",
        Value::Bool(arguments.interactive && !arguments.detach),
    );
    set("restart", Value::from("no"));
    if !arguments.command.is_empty() {
        set("command", list(&arguments.command));
    }
    if let Some(text) = &arguments.entrypoint {
        let words = shlex::split(text)
            .ok_or_else(|| Failure::said(format!("--entrypoint: `{text}` has an open quote")))?;
        set("entrypoint", list(&words));
        if arguments.command.is_empty() {
            set("command", Value::Array(Vec::new()));
        }
    }
    let mut environment = Vec::new();
    for path in &arguments.env_from_file {
        environment.extend(variables_of(path)?);
    }
    environment.extend(arguments.env.iter().filter_map(Variable::resolve));
    if !environment.is_empty() {
        let all: Vec<String> = environment
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        set("environment", list(&all));
    }
    for (key, texts) in [
        ("volumes", &arguments.volume),
        ("labels", &arguments.label),
        ("cap_add", &arguments.cap_add),
        ("cap_drop", &arguments.cap_drop),
    ] {
        if !texts.is_empty() {
            set(key, list(texts));
        }
    }
    if let Some(user) = &arguments.user {
        set("user", quoted(user));
    }
    if let Some(folder) = &arguments.workdir {
        set("working_dir", quoted(folder));
    }
    if !arguments.service_ports {
        keys.push(("ports", format!("!override {}", list(&arguments.publish))));
    }
    let mut text = format!(
        "services:\n  {}:\n",
        Value::from(arguments.service.as_str())
    );
    for (key, value) in keys {
        let _ = writeln!(text, "    {key}: {value}");
    }
    Ok(text)
}

/// The lines of a file of variables; comments and empty lines are left out.
fn variables_of(path: &Path) -> Result<Vec<(String, String)>, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::said(format!("cannot read {}: {error}", path.display())))?;
    let mut all = Vec::new();
    for line in text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let variable: Variable = line
            .parse()
            .map_err(|error| Failure::said(format!("{}: {error}", path.display())))?;
        all.extend(variable.resolve());
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::overlay;
    use crate::cli::run::RunArgs;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        run: RunArgs,
    }

    #[test]
    fn the_flags_are_one_more_file() {
        let line = [
            "run",
            "--rm",
            "-e",
            "A=$b",
            "-p",
            "8080:80",
            "-v",
            "/a:/b:ro",
            "--entrypoint",
            "sh -c",
            "web",
            "echo",
            "$HOME",
        ];
        let arguments = Line::parse_from(line).run;
        assert_eq!(
            overlay(&arguments, false).unwrap(),
            r#"services:
  "web":
    tty: false
    stdin_open: true
    restart: "no"
    command: ["echo","$$HOME"]
    entrypoint: ["sh","-c"]
    environment: ["A=$$b"]
    volumes: ["/a:/b:ro"]
    ports: !override ["8080:80"]
"#
        );
    }
}
