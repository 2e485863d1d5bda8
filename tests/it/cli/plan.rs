//! Plans without an engine, and what is refused before one is asked.

use expect_test::expect;

use super::{check, run, whole};

#[test]
fn flags_that_contradict_each_other_are_refused() {
    for arguments in [
        &["up", "--build", "--no-build"][..],
        &["up", "--force-recreate", "--no-recreate"],
        &["up", "--always-recreate-deps", "--no-recreate"],
        &["up", "-V", "--no-recreate"],
        &["up", "-d", "--abort-on-container-exit"],
        &["up", "--wait", "--attach", "web"],
        &["up", "--attach", "web", "--attach-dependencies"],
        &[
            "up",
            "--abort-on-container-exit",
            "--abort-on-container-failure",
        ],
        &["up", "--wait-timeout", "3"],
        &["run", "-p", "80", "-P", "web"],
        &["-H", "unix:///x", "--context", "y", "ps"],
        &["up", "--nosuch"],
        &["nosuchcommand"],
        &["up", "--scale", "web"],
        &["exec", "web"],
        &["wait"],
        &["--engine", "No/Name", "ps"],
    ] {
        let text = whole(arguments);
        assert!(text.starts_with("exit 1\nerror: "), "{arguments:?}: {text}");
    }
}

#[test]
fn an_engine_that_does_not_answer_is_told_with_its_place() {
    check(
        &["ps"],
        expect![[r#"
            exit 1
            error: cannot connect to the Docker daemon at unix:///nonexistent/docker.sock: No such file or directory
            hint: start it (`systemctl start docker`, or `stack engine start` for a private one), or say where it is with `-H` or DOCKER_HOST
        "#]],
    );
}

#[test]
fn a_service_that_nobody_knows_is_refused_before_the_engine_is_asked() {
    check(
        &["up", "-d", "--scale", "nosuch=2"],
        expect![[r#"
        exit 1
        error: no such service: nosuch
    "#]],
    );
}

#[test]
fn a_bad_project_name_is_refused() {
    check(
        &["-p", "Bad.Name", "ps"],
        expect![[r#"
        exit 1
        error: invalid project name "Bad.Name": must consist only of lowercase alphanumeric characters, hyphens, and underscores as well as start with a letter or number
    "#]],
    );
}

#[test]
fn a_plan_of_very_many_containers_leaves_reach_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = "services: {web: {image: x, deploy: {replicas: 101}}}\n";
    std::fs::write(folder.path().join("stack.yaml"), file).unwrap();
    let (code, output, error) = run(folder.path(), &["-p", "lab", "plan", "--offline"]);
    assert_eq!(code, 2);
    assert!(!output.contains("reach:"), "{output}");
    assert_eq!(
        error,
        " reach is left out for 101 containers: `stack reach --from SERVICE` tells of one\n"
    );
}

#[test]
fn a_plan_for_an_empty_machine_needs_no_engine() {
    check(
        &["plan", "--offline"],
        expect![[r#"
            exit 2
            lab: 6 steps
              1  + build   image stack-lab      it is not there (stack.yaml:4:3)
              2  + create  network lab_back     it is not there (stack.yaml:18:3)
              3  + create  container lab-db-1   it is not there (stack.yaml:4:3)   after 1, 2
              4  > start   container lab-db-1   it is not there (stack.yaml:4:3)   after 3
              5  + create  container lab-web-1  it is not there (stack.yaml:7:3)   after 1, 2
              6  > start   container lab-web-1  it is not there (stack.yaml:7:3)   after 4 (healthy), 5
            reach: 20 cells open, all of them new; `stack reach` shows them
            `stack up` does it.
        "#]],
    );
}

#[test]
fn a_plan_can_be_of_one_service() {
    check(
        &["plan", "--offline", "db"],
        expect![[r#"
            exit 2
            lab: 4 steps
              1  + pull    image stack-lab     it is not there (stack.yaml:4:3)
              2  + create  network lab_back    it is not there (stack.yaml:18:3)
              3  + create  container lab-db-1  it is not there (stack.yaml:4:3)   after 1, 2
              4  > start   container lab-db-1  it is not there (stack.yaml:4:3)   after 3
            reach: 2 cells open, all of them new; `stack reach` shows them
            `stack up` does it.
        "#]],
    );
}

#[test]
fn of_a_scale_that_is_given_twice_the_last_counts() {
    let folder = tempfile::tempdir().unwrap();
    let file = "name: lab\nservices: {web: {image: x, network_mode: none}}\n";
    std::fs::write(folder.path().join("stack.yaml"), file).unwrap();
    let twice = ["plan", "--offline", "--scale", "web=3", "--scale", "web=2"];
    let once = ["plan", "--offline", "--scale", "web=2"];
    assert_eq!(run(folder.path(), &twice), run(folder.path(), &once));
}

#[test]
fn what_cannot_be_several_is_not_scaled() {
    let folder = tempfile::tempdir().unwrap();
    let file = "name: lab
services:
  one: {image: x, networks: {back: {ipv4_address: 10.9.0.7, mac_address: '02:00:00:00:00:01'}}}
  two: {image: x, container_name: second}
  three: {image: x, ports: ['8080:80'], deploy: {replicas: 1}}
networks:
  back: {ipam: {config: [{subnet: 10.9.0.0/24}]}}
";
    std::fs::write(folder.path().join("stack.yaml"), file).unwrap();
    let scale = [
        "up", "-d", "--scale", "one=2", "--scale", "two=2", "--scale", "three=2",
    ];
    let (code, output, error) = run(folder.path(), &scale);
    expect![[r#"
        exit 1
        error[address-for-replicas]: service `one` has 2 containers and one fixed address, 10.9.0.7
         --> stack.yaml:3:51
          |
        3 |   one: {image: x, networks: {back: {ipv4_address: 10.9.0.7, mac_address: '02:00:00:00:00:01'}}}
          |                                                   ^^^^^^^^ only the first container can have it
         ::: --scale:2:16
          |
        2 |   one: {scale: 2, deploy: {replicas: 2}}
          |                - 2 containers
        hint: remove the address, or run one container of the service

        error[address-for-replicas]: service `one` has 2 containers and one fixed MAC address
         --> stack.yaml:3:74
          |
        3 |   one: {image: x, networks: {back: {ipv4_address: 10.9.0.7, mac_address: '02:00:00:00:00:01'}}}
          |                                                                          ^^^^^^^^^^^^^^^^^^^ only one container can have it
         ::: --scale:2:16
          |
        2 |   one: {scale: 2, deploy: {replicas: 2}}
          |                - 2 containers
        hint: remove the address, or run one container of the service

        error[contradiction]: services.two: can't set container_name and scale as container name must be unique
         --> stack.yaml:4:35
          |
        4 |   two: {image: x, container_name: second}
          |                                   ^^^^^^ one name…
         ::: --scale:3:16
          |
        3 |   two: {scale: 2, deploy: {replicas: 2}}
          |                - …for several containers
        hint: remove container_name: every container then gets a name of its own

        error[port-for-replicas]: service `three` has 2 containers, and one port (8080) of the host is published for all of them
         --> stack.yaml:5:29
          |
        5 |   three: {image: x, ports: ['8080:80'], deploy: {replicas: 1}}
          |                             ^^^^^^^^^ port is already allocated
         ::: --scale:4:18
          |
        4 |   three: {scale: 2, deploy: {replicas: 2}}
          |                  - 2 containers
        hint: publish a range of 2 ports, or leave the host's port out

        4 errors; nothing was changed
    "#]].assert_eq(&format!("exit {code}\n{output}{error}"));
    let (code, _, error) = run(folder.path(), &["scale", "four=2"]);
    assert_eq!(
        (code, error.as_str()),
        (1, "error[no-such-service]: no such service: four\n\n")
    );
    // One of each is no mistake: then the engine is asked, and there is none.
    let (_, _, error) = run(
        folder.path(),
        &["up", "-d", "--scale", "one=1", "--scale", "three=1"],
    );
    assert!(error.starts_with("error: cannot connect to"), "{error}");
}

#[test]
fn a_project_name_of_which_nothing_is_left_gets_an_example() {
    let whole = whole(&["-p", "é", "config"]);
    assert!(whole.contains("hint: such as \"lab\""), "{whole}");
}

#[test]
fn an_empty_machine_has_the_right_and_the_links_that_a_file_needs() {
    let folder = tempfile::tempdir().unwrap();
    let text = "
services:
  a: {image: x, networks: [lan]}
  b: {image: x, networks: [wire]}
networks:
  lan: {driver: macvlan, parent: home, shim: true, ipam: {config: [{subnet: 10.50.0.0/24, gateway: 10.50.0.1}]}}
  wire: {driver: macvlan, parent: eth7, ipam: {config: [{subnet: 10.51.0.0/24}]}}
lans:
  home: {parent: lab0, subnet: 10.50.0.0/24, gateway: 10.50.0.1, hosts: {laptop: 10.50.0.9}}
";
    std::fs::write(folder.path().join("stack.yaml"), text).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_stack"))
        .args(["-p", "t", "plan", "--offline", "--no-reach"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    let plan = String::from_utf8_lossy(&output.stdout);
    expect![[r#"
        t: 10 steps
          1  + pull    image x                 it is not there (stack.yaml:3:3)
          2  + create  lan home                it is not there (stack.yaml:9:3)
          3  + create  network t_lan           it is not there (stack.yaml:6:3)  after 2
          4  + create  network t_wire          it is not there (stack.yaml:7:3)
          5  + create  container t-a-1         it is not there (stack.yaml:3:3)  after 1, 3
          6  > start   container t-a-1         it is not there (stack.yaml:3:3)  after 5
          7  + create  container t-b-1         it is not there (stack.yaml:4:3)  after 1, 4
          8  > start   container t-b-1         it is not there (stack.yaml:4:3)  after 7
          9  + create  shim shim-t-lan         it is not there (stack.yaml:6:3)  after 2, 3
         10  + create  route shim-t-lan/t-a-1  it is not there                   after 6, 9
        `stack up` does it.
    "#]]
    .assert_eq(&plan);
}

#[test]
fn a_plan_for_programs_tells_mistakes_to_programs() {
    let folder = tempfile::tempdir().unwrap();
    let text = "name: lab\nservices:\n  web: {image: x, prots: []}\n";
    std::fs::write(folder.path().join("stack.yaml"), text).unwrap();
    let arguments = ["plan", "--offline", "--format", "json"];
    let (code, output, error) = run(folder.path(), &arguments);
    let told: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert_eq!((code, error.as_str()), (1, ""));
    assert_eq!(told["diagnostics"][0]["code"], "unknown-key");
}
