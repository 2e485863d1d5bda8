//! Images, built and pulled.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

use stack::model::hash;
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
        Test {
            name: "engine::image::digests_come_from_the_registry",
            run: Run::Host(digests),
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

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

fn digest(text: &str) -> String {
    format!("sha256:{}", hash::short_hex(text.as_bytes(), 64))
}

/// Answers one question as a registry that has one image. The engine tries TLS first, and gets no answer to that.
fn answer(stream: &TcpStream, manifest: &str, config: &str) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().unwrap_or(Ok(String::new()))?;
    if !first.contains(" /v2/") {
        return Ok(());
    }
    while lines
        .next()
        .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
    {}
    let (kind, body) = if first.contains("/manifests/") {
        (MANIFEST, manifest)
    } else if first.contains("/blobs/") {
        ("application/octet-stream", config)
    } else {
        ("application/json", "{}")
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nDocker-Content-Digest: {}\r\nConnection: close\r\n\r\n",
        body.len(),
        digest(body)
    );
    let body = if first.starts_with("HEAD") { "" } else { body };
    (&*stream).write_all(format!("{head}{body}").as_bytes())
}

fn digests(bed: &Bed) -> Result<Outcome, Failure> {
    let config = r#"{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]}}"#;
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{{"mediaType":"application/vnd.docker.container.image.v1+json","size":{},"digest":"{}"}},"layers":[]}}"#,
        config.len(),
        digest(config)
    );
    let pinned = digest(&manifest);
    let listener = bed.here().inside(|| TcpListener::bind("127.0.0.1:0"))??;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // What the engine breaks off is its own affair; it will say so.
            let _ = answer(&stream, &manifest, config);
        }
    });
    let folder = tempfile::tempdir()?;
    let file = format!(
        "name: lab\nservices:\n  one: {{image: '127.0.0.1:{port}/lab:1'}}\n  two: {{image: '127.0.0.1:{port}/lab@{pinned}'}}\n  three: {{build: .}}\n"
    );
    fs::write(folder.path().join("stack.yaml"), file)?;
    let lock = bed
        .stack(folder.path(), "config --lock-image-digests")?
        .ok()?;
    same(
        "the override file",
        lock.as_str(),
        &format!(
            "services:\n  one:\n    image: 127.0.0.1:{port}/lab:1@{pinned}\n  two:\n    image: 127.0.0.1:{port}/lab@{pinned}\n"
        ),
    )?;
    let images = bed
        .stack(folder.path(), "config --resolve-image-digests --images")?
        .ok()?;
    holds(
        &format!("the images of the document are pinned: {images}"),
        images.contains(&format!("127.0.0.1:{port}/lab:1@{pinned}\n"))
            && images.contains("lab-three\n"),
    )?;
    fs::write(
        folder.path().join("stack.yaml"),
        "name: lab\nservices: {one: {image: '127.0.0.1:9/none:1'}}\n",
    )?;
    let said = bed
        .stack(folder.path(), "config --resolve-image-digests")?
        .fails_with(1)?;
    holds(
        &format!("a registry that nobody answers for is told with the remedy: {said}"),
        said.contains("cannot pin image `127.0.0.1:9/none:1` to a digest")
            && said.contains("image: 127.0.0.1:9/none:1@sha256:"),
    )?;
    Ok(Outcome::Passed)
}
