//! The examples that need a kernel with ipvlan or 802.1Q, in a guest: brought up, looked at from the host, from the
//! containers and from other machines on the wire, brought up again, brought down, and the host compared before and
//! after. The looking is done by a script in the guest, which prints one line an answer; they are judged here.

use crate::guest::Guest;
use crate::host::{Host, QUESTIONS};
use crate::runner::{Failure, Outcome, Run, Test, holds, repository, same};

/// All tests of this module.
pub fn tests() -> Vec<Test> {
    type Proof = fn(&Guest) -> Result<Outcome, Failure>;
    let tests: [(&'static str, Proof); 6] = [
        (
            "guest_examples::ipvlan_l2_host_and_laptop_reach_everyone",
            ipvlan_l2,
        ),
        (
            "guest_examples::ipvlan_l3_needs_a_route_and_has_one",
            ipvlan_l3,
        ),
        (
            "guest_examples::ipvlan_l3s_works_or_is_refused_by_old_engines",
            ipvlan_l3s,
        ),
        (
            "guest_examples::macvlan_vlan_is_seen_on_its_vlan_only",
            macvlan_vlan,
        ),
        (
            "guest_examples::lan_reject_drops_unknown_addresses",
            lan_reject,
        ),
        (
            "guest_examples::tutorial_ipvlan_works_with_its_own_values",
            tutorial_ipvlan,
        ),
    ];
    tests
        .into_iter()
        .map(|(name, test)| Test {
            name,
            run: Run::Guest(test),
        })
        .collect()
}

/// What the scripts speak: `web WHO ADDRESS` and `ping WHO ADDRESS` print one line each. WHO is `host`, a named network
/// namespace, or `container:NAME`. Silence is believed after the third time.
const WORDS: &str = r#"
in_place() {
    case $1 in
        host) shift; "$@" ;;
        container:*) process=$(docker inspect -f '{{.State.Pid}}' "${1#container:}"); shift; nsenter --net=/proc/$process/ns/net "$@" ;;
        *) ip netns exec "$@" ;;
    esac
}
web() {
    for try in 1 2 3; do
        page=$(in_place "$1" curl -s --max-time 4 "http://$2/cgi-bin/who") && break
        page=silence
        sleep 1
    done
    echo "$1 $2: $page"
}
"#;

/// Runs an example in a guest; gives the lines that `proof` printed.
fn lines(guest: &Guest, example: &str, proof: &str) -> Result<Vec<String>, Failure> {
    let script = format!(
        "{WORDS}
cat >/t/questions <<'STACK_QUESTIONS'
{QUESTIONS}
STACK_QUESTIONS
cd /t/{example} || exit 1
sh /t/questions >/t/before
stack up -d || exit 1
echo '>>> proof'
{{
{proof}
}} 2>&1
echo '<<< proof'
stack up -d 2>&1 || exit 1
stack down 2>&1 || exit 1
sleep 2
echo '>>> before'; cat /t/before; echo '<<< before'
echo '>>> after'; sh /t/questions; echo '<<< after'
"
    );
    let folder = repository().join("examples").join(example);
    let said = guest.run(&script, &[&folder])?.ok()?;
    let left = Host::read(part(&said, "before")?)?.difference(&Host::read(part(&said, "after")?)?);
    holds(
        &format!("nothing is left on the guest; left is:\n{left}"),
        left.is_empty(),
    )?;
    holds(
        &format!("the second up has nothing to do:\n{said}"),
        said.contains("nothing to do"),
    )?;
    Ok(part(&said, "proof")?.lines().map(str::to_owned).collect())
}

fn part<'a>(text: &'a str, name: &str) -> Result<&'a str, Failure> {
    text.split_once(&format!(">>> {name}\n"))
        .and_then(|(_, rest)| rest.split_once(&format!("<<< {name}")))
        .map(|(part, _)| part)
        .ok_or_else(|| format!("the script said no `{name}`:\n{text}").into())
}

fn seen(lines: Vec<String>, wanted: &[&str]) -> Result<Outcome, Failure> {
    let seen: Vec<&str> = lines.iter().map(String::as_str).collect();
    same("what was seen", seen, wanted.to_vec())?;
    Ok(Outcome::Passed)
}

fn ipvlan_l2(guest: &Guest) -> Result<Outcome, Failure> {
    let lines = lines(
        guest,
        "ipvlan-l2",
        "web ipvlan-l2-office-laptop 192.168.86.20
         web host 192.168.86.20
         web container:ipvlan-l2-other-1 192.168.86.20
         ip -details link show dev lab6 | grep -c PROMISC
         docker exec ipvlan-l2-site-1 cat /sys/class/net/eth0/address | cmp - /sys/class/net/lab6/address && echo one MAC",
    )?;
    seen(
        lines,
        &[
            "ipvlan-l2-office-laptop 192.168.86.20: site answers [::ffff:192.168.86.50]",
            "host 192.168.86.20: site answers [::ffff:192.168.86.254]",
            "container:ipvlan-l2-other-1 192.168.86.20: site answers [::ffff:192.168.86.128]",
            "0",
            "one MAC",
        ],
    )
}

/// The names of containers without `hostname` are their ids; only the asker's address is looked at.
fn without_names(lines: Vec<String>) -> Vec<String> {
    lines
        .into_iter()
        .map(
            |line| match (line.split_once(": "), line.split_once(" answers ")) {
                (Some((question, _)), Some((_, asker))) => format!("{question}: {asker}"),
                _ => line,
            },
        )
        .collect()
}

fn ipvlan_l3(guest: &Guest) -> Result<Outcome, Failure> {
    let lines = lines(
        guest,
        "ipvlan-l3",
        "web ipvlan-l3-office-laptop 10.87.0.20
         ip -n ipvlan-l3-office-laptop route add 10.87.0.0/24 via 192.168.87.10
         web ipvlan-l3-office-laptop 10.87.0.20
         web container:ipvlan-l3-other-1 10.87.0.20
         in_place host curl -s --max-time 4 http://10.87.0.20/",
    )?;
    seen(
        without_names(lines),
        &[
            "ipvlan-l3-office-laptop 10.87.0.20: silence",
            "ipvlan-l3-office-laptop 10.87.0.20: [::ffff:192.168.87.50]",
            "container:ipvlan-l3-other-1 10.87.0.20: [::ffff:10.87.0.21]",
            "hello from the stack lab image",
        ],
    )
}

fn ipvlan_l3s(guest: &Guest) -> Result<Outcome, Failure> {
    if !guest.is_at_least(23) {
        let folder = repository().join("examples/ipvlan-l3s");
        let script = "cd /t/ipvlan-l3s; stack up -d; echo code $?; ip -o link show type veth; docker network ls -q | wc -l";
        let said = guest.run(script, &[&folder])?;
        let text = format!("{}{}", said.stdout, said.stderr);
        holds(
            &format!("l3s is refused by name; seen: {text}"),
            text.contains("l3s"),
        )?;
        holds(&format!("it fails; seen: {text}"), !text.contains("code 0"))?;
        holds(
            &format!("nothing was made; seen: {text}"),
            text.trim_end().ends_with('3') && !text.contains("veth"),
        )?;
        return Ok(Outcome::Passed);
    }
    let lines = lines(
        guest,
        "ipvlan-l3s",
        "web container:ipvlan-l3s-other-1 10.88.0.20
         in_place host curl -s --max-time 4 http://10.88.0.20/
         ip -details link show type ipvlan | grep -o 'mode l3s' | head -n 1
         ip -n ipvlan-l3s-office-laptop route add 10.88.0.0/24 via 192.168.88.10
         web ipvlan-l3s-office-laptop 10.88.0.20
         iptables -I INPUT -d 10.88.0.20 -j DROP
         web ipvlan-l3s-office-laptop 10.88.0.20
         iptables -D INPUT -d 10.88.0.20 -j DROP",
    )?;
    seen(
        without_names(lines),
        &[
            "container:ipvlan-l3s-other-1 10.88.0.20: [::ffff:10.88.0.21]",
            "hello from the stack lab image",
            "mode l3s",
            "ipvlan-l3s-office-laptop 10.88.0.20: [::ffff:192.168.88.50]",
            // The host's firewall is on the way, as it is not in l3.
            "ipvlan-l3s-office-laptop 10.88.0.20: silence",
        ],
    )
}

fn macvlan_vlan(guest: &Guest) -> Result<Outcome, Failure> {
    let lines = lines(
        guest,
        "macvlan-vlan",
        "ip -details link show lab5.20 | grep -o 'vlan protocol 802.1Q id 20'
         web macvlan-vlan-office-phone 10.20.0.20
         web macvlan-vlan-office-desk 10.20.0.20
         in_place host curl -s --max-time 4 http://10.20.0.20/",
    )?;
    seen(
        without_names(lines),
        &[
            "vlan protocol 802.1Q id 20",
            "macvlan-vlan-office-phone 10.20.0.20: [::ffff:10.20.0.50]",
            "macvlan-vlan-office-desk 10.20.0.20: silence",
            "hello from the stack lab image",
        ],
    )
}

fn lan_reject(guest: &Guest) -> Result<Outcome, Failure> {
    let lines = lines(
        guest,
        "lan-reject",
        "web lan-reject-first-laptop 192.168.92.20
         web container:lan-reject-sibling-1 192.168.92.20
         web lan-reject-second-laptop 192.168.93.20
         sed -i '/^  first:/,/^  second:/s/reject/accept/' stack.yaml
         stack up -d >/t/up 2>&1 || cat /t/up
         web lan-reject-first-laptop 192.168.92.20",
    )?;
    seen(
        without_names(lines),
        &[
            "lan-reject-first-laptop 192.168.92.20: silence",
            "container:lan-reject-sibling-1 192.168.92.20: [::ffff:192.168.92.21]",
            "lan-reject-second-laptop 192.168.93.20: [::ffff:192.168.93.50]",
            "lan-reject-first-laptop 192.168.92.20: [::ffff:192.168.92.50]",
        ],
    )
}

fn tutorial_ipvlan(guest: &Guest) -> Result<Outcome, Failure> {
    let lines = lines(
        guest,
        "tutorial-ipvlan",
        "web host 192.168.1.230:8080
         web tutorial-ipvlan-site-client 192.168.1.230:8080
         ip -oneline -4 address show dev ipvlan1 | grep -o 'inet [0-9./]*'",
    )?;
    seen(
        without_names(lines),
        &[
            "host 192.168.1.230:8080: [::ffff:192.168.1.231]",
            "tutorial-ipvlan-site-client 192.168.1.230:8080: [::ffff:192.168.1.40]",
            "inet 192.168.1.231/32",
        ],
    )
}
