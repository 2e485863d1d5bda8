//! Images, built and pulled.

use std::fs;

use stack::model::service::{Build, PullPolicy};
use stack::plan::spec::{ImageSource, ImageSpec, Spec};
use stack::world::ErrorKind;

use crate::bed::Bed;
use crate::engine::rig::{Rig, refused};
use crate::runner::{Failure, Outcome, Run, Test, holds, same};

/// All tests of this module.
pub fn tests() -> Vec<Test> {
    vec![
        Test {
            name: "engine::image::a_folder_is_built_with_its_arguments_and_names",
            run: Run::Host(built),
        },
        Test {
            name: "engine::image::a_build_or_pull_that_fails_says_why",
            run: Run::Host(failures),
        },
    ]
}

fn image(source: ImageSource) -> Spec {
    Spec::Image(ImageSpec {
        reference: "eng-built".to_owned(),
        services: vec!["web".parse().expect("a service name")],
        source,
        platform: None,
    })
}

fn build(folder: &tempfile::TempDir, dockerfile: &str) -> Build {
    Build {
        context: folder.path().display().to_string(),
        dockerfile_inline: Some(dockerfile.to_owned()),
        network: Some("none".to_owned()),
        ..Build::default()
    }
}

fn built(bed: &Bed) -> Result<Outcome, Failure> {
    let rig = Rig::new(bed)?;
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("page"), "a page\n")?;
    fs::write(folder.path().join("secret"), "never sent")?;
    fs::write(folder.path().join(".dockerignore"), "secret\n")?;
    let dockerfile = "FROM stack-lab\nARG WHO=nobody\nCOPY . /in\nRUN echo built for $WHO > /in/who; cat /etc/hosts > /in/hosts\n";
    let build = Build {
        args: [("WHO".to_owned(), Some("me".to_owned()))].into(),
        tags: vec!["eng-built:two".to_owned()],
        extra_hosts: vec![
            ("one".to_owned(), "10.1.1.1".to_owned()),
            ("two".to_owned(), "10.1.1.2".to_owned()),
        ],
        ..build(&folder, dockerfile)
    };
    rig.make(&image(ImageSource::Build(Box::new(build))))?;
    holds(
        "its steps are told",
        rig.told().iter().any(|line| line.starts_with("Step 3/")),
    )?;
    holds(
        "it is observed",
        rig.observe()?.images.contains_key("eng-built"),
    )?;
    let seen = bed.shell(
        "docker run --rm --network none eng-built:two sh -c 'ls /in; cat /in/page /in/who; grep -c 10.1.1 /in/hosts'",
    )?;
    same(
        "inside",
        seen.as_str(),
        "hosts\npage\nwho\na page\nbuilt for me\n2\n",
    )?;
    bed.docker("rmi eng-built:two")?;
    rig.unmake(&image(ImageSource::Pull(PullPolicy::Missing)))?;
    Ok(Outcome::Passed)
}

fn failures(bed: &Bed) -> Result<Outcome, Failure> {
    let rig = Rig::new(bed)?;
    let folder = tempfile::tempdir()?;
    let fails = |dockerfile: &str| {
        rig.make(&image(ImageSource::Build(Box::new(build(
            &folder, dockerfile,
        )))))
    };
    let error = fails("FROM stack-lab\nRUN echo before; false\n").expect_err("a command fails");
    holds(
        "the build's last lines are told",
        error
            .hint
            .as_ref()
            .is_some_and(|hint| hint.contains("before")),
    )?;
    refused(Err(error), "returned a non-zero code: 1")?;
    refused(
        fails("FROM stack-lab\nRUN --mount=type=cache,target=/x true\n"),
        "requires BuildKit",
    )?;
    let pulled = |reference: &str, policy| {
        let spec = ImageSpec {
            reference: reference.to_owned(),
            services: Vec::new(),
            source: ImageSource::Pull(policy),
            platform: None,
        };
        rig.make(&Spec::Image(spec))
    };
    pulled("stack-lab", PullPolicy::Missing)?;
    let unreachable =
        pulled("127.0.0.1:1/a/b:1", PullPolicy::Always).expect_err("nobody listens there");
    same("the kind", unreachable.kind, ErrorKind::Unreachable)?;
    refused(
        pulled("eng-nosuch", PullPolicy::Never),
        "the engine does not have it, and it is not to be pulled",
    )?;
    // A failed build leaves the layers that it got to; the engine shows them as images without a name.
    bed.shell("docker image ls -q --filter dangling=true --filter since=stack-lab | xargs -r docker rmi -f >/dev/null")?;
    Ok(Outcome::Passed)
}
