//! What is said to do about a mistake.

use expect_test::expect;

use stack::file::files::Memory;
use stack::file::request::Request;

use crate::reader::{read, read_all, tells, told};

#[test]
fn hints_say_what_would_be_right() {
    tells(
        "
services:
  a:
    image: !override 5
    lan: 1
    bad: 2
    mac_address: \"01:00:00:00:00:00\"
    ports: [\"0-65535\"]
    mem_limit: 99999999p
    stop_grace_period: 5
    healthcheck: {interval: 999999w, timeout: \"10\", start_period: 3x}
    volumes: [\"./a:/b:rx\", \"./c:/d:ro,noexec\"]
",
        expect![[r#"
            error[wrong-type]: services.a.image must be a string
             --> stack.yaml:4:22
              |
            4 |     image: !override 5
              |                      ^ this is an integer
            hint: write it in quotes: "5"

            error[unknown-key]: unknown key `lan` in services.a
             --> stack.yaml:5:5
              |
            5 |     lan: 1
              |     ^^^ additional properties 'lan' not allowed
            hint: a key of your own starts with `x-`: `x-lan`

            error[unknown-key]: unknown key `bad` in services.a
             --> stack.yaml:6:5
              |
            6 |     bad: 2
              |     ^^^ additional properties 'bad' not allowed
            hint: a key of your own starts with `x-`: `x-bad`

            error[multicast-mac]: 01:00:00:00:00:00 is a multicast address: the lowest bit of its first byte is set
             --> stack.yaml:7:18
              |
            7 |     mac_address: "01:00:00:00:00:00"
              |                  ^^^^^^^^^^^^^^^^^^^ no link can have it
            hint: 02:00:00:00:00:00 would be a station's own

            error[bad-port]: invalid containerPort: 0-65535: there is no port 0
             --> stack.yaml:8:14
              |
            8 |     ports: ["0-65535"]
              |              ^^^^^^^
            hint: ports of a container are whole numbers from 1 to 65535

            error[bad-size]: services.a.mem_limit: invalid size: '99999999p'
             --> stack.yaml:9:16
              |
            9 |     mem_limit: 99999999p
              |                ^^^^^^^^^
            hint: write a smaller one: sizes end at 8192p (2^63 bytes)

            error[wrong-type]: services.a.stop_grace_period must be a string such as 1m30s
              --> stack.yaml:10:24
               |
            10 |     stop_grace_period: 5
               |                        ^ this is an integer
            hint: say in which unit: 5s or 5ms

            error[bad-duration]: services.a.healthcheck.interval: invalid duration: `999999w`
              --> stack.yaml:11:29
               |
            11 |     healthcheck: {interval: 999999w, timeout: "10", start_period: 3x}
               |                             ^^^^^^^
            hint: write a shorter one: lengths of time end at 292 years (15250w)

            error[bad-duration]: services.a.healthcheck.timeout: invalid duration: `10`
              --> stack.yaml:11:47
               |
            11 |     healthcheck: {interval: 999999w, timeout: "10", start_period: 3x}
               |                                               ^^^^
            hint: say in which unit: 10s or 10ms

            error[bad-duration]: services.a.healthcheck.start_period: invalid duration: `3x`
              --> stack.yaml:11:67
               |
            11 |     healthcheck: {interval: 999999w, timeout: "10", start_period: 3x}
               |                                                                   ^^
            hint: write a number with a unit for each part (ns, us, ms, s, m, h, d, w), such as 1m30s

            warning[unknown-value]: invalid mode: rx: the mount is made without it
              --> stack.yaml:12:23
               |
            12 |     volumes: ["./a:/b:rx", "./c:/d:ro,noexec"]
               |                       ^^
            hint: did you mean `ro`?

            warning[unknown-value]: invalid mode: noexec: the mount is made without it
              --> stack.yaml:12:39
               |
            12 |     volumes: ["./a:/b:rx", "./c:/d:ro,noexec"]
               |                                       ^^^^^^
            hint: options are ro, rw, z, Z, nocopy and how mounts spread, such as rshared

        "#]],
    );
    tells(
        "
services:
  a: {image: x, mac_address: \"01:00:00:00:00:00\", networks: [n], depends_on: [dbb, elsewhere]}
  db: {image: x}
networks: {n: {driver: ipvlan, mode: foo, parent: eth0, ipam: {config: [{subnet: 10.1.0.0/24}]}}}
",
        expect![[r#"
            error[multicast-mac]: 01:00:00:00:00:00 is a multicast address: the lowest bit of its first byte is set
             --> stack.yaml:3:30
              |
            3 |   a: {image: x, mac_address: "01:00:00:00:00:00", networks: [n], depends_on: [dbb, elsewhere]}
              |                              ^^^^^^^^^^^^^^^^^^^ no link can have it
            hint: 02:00:00:00:00:00 would be a station's own

            warning[key-without-effect]: a MAC address means nothing in network `n`: all ipvlan links have that of their parent
             --> stack.yaml:3:30
              |
            3 |   a: {image: x, mac_address: "01:00:00:00:00:00", networks: [n], depends_on: [dbb, elsewhere]}
              |                              ^^^^^^^^^^^^^^^^^^^
            hint: remove it, or use macvlan

            error[unknown-reference]: service "a" depends on undefined service "dbb"
             --> stack.yaml:3:79
              |
            3 |   a: {image: x, mac_address: "01:00:00:00:00:00", networks: [n], depends_on: [dbb, elsewhere]}
              |                                                                               ^^^
            hint: did you mean `db`?

            error[unknown-reference]: service "a" depends on undefined service "elsewhere"
             --> stack.yaml:3:84
              |
            3 |   a: {image: x, mac_address: "01:00:00:00:00:00", networks: [n], depends_on: [dbb, elsewhere]}
              |                                                                                    ^^^^^^^^^
            hint: the other service is `db`

            error[unknown-value]: `foo` is not a mode of ipvlan
             --> stack.yaml:5:38
              |
            5 | networks: {n: {driver: ipvlan, mode: foo, parent: eth0, ipam: {config: [{subnet: 10.1.0.0/24}]}}}
              |                                      ^^^
            hint: it can be l2, l3, l3s

        "#]],
    );
}

#[test]
fn unquoted_signs_are_explained() {
    tells(
        "services: {a: {image: ${X}}}\n",
        expect![[r#"
        error[yaml-syntax]: this is not valid YAML: while parsing a flow mapping, did not find expected ',' or '}'
         --> stack.yaml:1:24
          |
        1 | services: {a: {image: ${X}}}
          |                        ^
        hint: quote a variable between braces or brackets: {image: "${NAME}"}

    "#]],
    );
    tells(
        "services: {a: {image: x, labels: {a: *}}}\n",
        expect![[r#"
        error[yaml-syntax]: this is not valid YAML: while scanning an anchor or alias, did not find expected alphabetic or numeric character
         --> stack.yaml:1:38
          |
        1 | services: {a: {image: x, labels: {a: *}}}
          |                                      ^
        hint: a text that starts with `*` or `&` must be quoted: "*"

    "#]],
    );
}

#[test]
fn a_file_that_takes_all_away_is_shown() {
    let files = [
        ("/lab/stack.yaml", "services: {a: {image: x}}\n"),
        ("/lab/more.yaml", "# nothing\nservices: !reset {}\n"),
    ];
    let reading = read_all(&files, |request| Request {
        files: ["stack.yaml", "more.yaml"]
            .map(|file| stack::file::request::Text::File(file.into()))
            .to_vec(),
        ..request
    });
    expect![[r#"
        error[empty-file]: empty compose file
         --> more.yaml:2:1
          |
        2 | services: !reset {}
          | ^^^^^^^^^^^^^^^^^^^ this takes all services away
        hint: a stack file starts with keys such as `services:`

    "#]]
    .assert_eq(&told(&reading));
}

/// What is told of a file of bytes.
fn of_bytes(bytes: Vec<u8>) -> String {
    let mut files = Memory::default();
    files.files.insert("/lab/stack.yaml".into(), bytes);
    told(&stack::file::read(&Request::new("/lab"), &files))
}

#[test]
fn encodings_are_told_by_their_names() {
    let wide = |order: fn(u16) -> [u8; 2], text: &str| -> Vec<u8> {
        text.encode_utf16().flat_map(order).collect()
    };
    let text = "services: {a: {image: x}}\n";
    assert_eq!(
        of_bytes(wide(u16::to_le_bytes, &format!("\u{feff}{text}"))),
        ""
    );
    expect![[r#"
        error[not-utf8]: this file is not UTF-8 text: it looks like UTF-16 without a byte order mark
         --> stack.yaml:1:1
          |
        1 | services: {a: {image: x}}
          | ^
        hint: save it as UTF-8: iconv -f utf-16be -t utf-8

    "#]]
    .assert_eq(&of_bytes(wide(u16::to_be_bytes, text)));
    expect![[r#"
        error[not-utf8]: this file is not UTF-8 text: it looks like UTF-16 without a byte order mark
         --> stack.yaml:1:1
          |
        1 | services: {a: {image: x}}
          | ^
        hint: save it as UTF-8: iconv -f utf-16le -t utf-8

    "#]]
    .assert_eq(&of_bytes(wide(u16::to_le_bytes, text)));
    let mut broken = wide(u16::to_le_bytes, "\u{feff}ab");
    broken.extend([0x00, 0xd8, b'c', 0]);
    expect![[r#"
        error[not-utf8]: this is not UTF-16 text, as which it starts: half a character
         --> stack.yaml:1:3
          |
        1 | ab�
          |   ^
        hint: save the file as UTF-8

    "#]]
    .assert_eq(&of_bytes(broken));
    expect![[r#"
        error[not-utf8]: this file is not UTF-8 text
         --> stack.yaml:1:4
          |
        1 | a: �
          |    ^
        hint: save it as UTF-8; `iconv -f latin1 -t utf-8` turns the usual older encoding into it

    "#]]
    .assert_eq(&of_bytes(b"a: \xff".to_vec()));
}

#[test]
fn env_files_tell_of_what_follows_a_quote() {
    let files = [
        (
            "/lab/stack.yaml",
            "services: {a: {image: x, env_file: x.env}}\n",
        ),
        ("/lab/x.env", "A=\"x\"y\nB='1' # fine\nC=\"2\"\n"),
    ];
    let reading = read_all(&files, |request| request);
    expect![[r#"
        warning[env-file]: `y` after the closing quote is read as another line, as docker compose does
         --> x.env:1:6
          |
        1 | A="x"y
          |      ^
          = note: read as an env file because of stack.yaml:1:36
        hint: put it inside the quotes, or behind a ` #`

    "#]].assert_eq(&told(&reading));
}

#[test]
fn folders_and_pipes_are_no_files() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    std::fs::write(
        here.join("stack.yaml"),
        "include: [.]\nservices: {a: {image: x, env_file: sub}}\n",
    )
    .unwrap();
    std::fs::create_dir(here.join("sub")).unwrap();
    let reading = stack::file::read(&Request::new(here), &stack::file::files::Disk);
    let text = told(&reading).replace(&here.display().to_string(), "HERE");
    expect![[r#"
        error[cannot-read]: open .: it is a folder
         --> stack.yaml:1:11
          |
        1 | include: [.]
          |           ^
        hint: name a file in it

        error[missing-env-file]: env file HERE/sub is a folder
         --> stack.yaml:2:36
          |
        2 | services: {a: {image: x, env_file: sub}}
          |                                    ^^^
        hint: name a file in it

    "#]]
    .assert_eq(&text);
    // A named pipe with a writer is a file like any other.
    let pipe = here.join("pipe.yaml");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let writer = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::write(pipe, "services: {a: {image: x}}\n")
    });
    let request = Request {
        files: vec![stack::file::request::Text::File(pipe)],
        ..Request::new(here)
    };
    let reading = stack::file::read(&request, &stack::file::files::Disk);
    assert_eq!(told(&reading), "");
    writer.join().unwrap().unwrap();
}

#[test]
fn near_names_are_near() {
    let told = told(&read(
        "services: {a: {image: x, depends_on: [cd]}, db: {image: x}}",
    ));
    assert!(told.contains("the other service is `db`"), "{told}");
}

#[test]
fn keys_and_values_known_from_elsewhere_lead_to_ours() {
    for (file, hint) in [
        (
            "services: {a: {image: x, volumes: [{type: volume, source: ./x, target: /x}]}}\n",
            "a path of this machine is mounted with `type: bind`",
        ),
        (
            "web: {image: x}\n",
            "this looks like a service: put `web:` under `services:`",
        ),
        (
            "services: {a: {image: x, replicas: 2}}\n",
            "`replicas` belongs under `deploy`; `scale` says the same",
        ),
        (
            "services: {a: {image: x, memory: 1g}}\n",
            "a service's memory is `mem_limit`",
        ),
        (
            "services: {a: {image: x, env: [A]}}\n",
            "a service's variables are `environment`",
        ),
        (
            "services:\n  a:\n<<<<<<< HEAD\n    image: x\n=======\n    image: y\n>>>>>>> b\n",
            "keep one of the two sides, and remove the lines with `<<<<<<<`, `=======` and `>>>>>>>`",
        ),
    ] {
        let reading = super::read(file);
        let hints: Vec<_> = reading
            .diagnostics
            .iter()
            .map(|one| one.hint.as_deref())
            .collect();
        assert_eq!(hints, [Some(hint)], "{file}");
    }
}
