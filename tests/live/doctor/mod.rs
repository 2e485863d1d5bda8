//! `stack doctor` on faults that were planted: each run has network, mount and process namespaces of its own, so that
//! links, packet filters, settings of other programs and even the firmware can be what the test wants; no engine is
//! started. And the wire that is asked before an address is used, with another machine on it.

mod plot;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::bed::{Bed, ran};
use crate::doctor::plot::Plot;
use crate::runner::{Failure, Outcome, Run, Test, holds, same};
use crate::wire::Wire;

/// All tests of this module.
pub fn tests() -> Vec<Test> {
    vec![
        Test {
            name: "doctor::tells_faults_of_links_and_parents",
            run: Run::Machine(links),
        },
        Test {
            name: "doctor::tells_packet_filters_that_drop",
            run: Run::Machine(filters),
        },
        Test {
            name: "doctor::tells_managers_firmware_and_what_they_will_do",
            run: Run::Machine(managers),
        },
        Test {
            name: "doctor::tells_routes_rules_and_neighbours_in_the_way",
            run: Run::Machine(ways),
        },
        Test {
            name: "doctor::asks_for_dhcp_servers_and_leases_nothing",
            run: Run::Machine(dhcp),
        },
        Test {
            name: "doctor::mends_what_is_safe_and_puts_it_back",
            run: Run::Machine(mends),
        },
        Test {
            name: "doctor::an_address_that_a_machine_or_a_sibling_has_is_not_used",
            run: Run::Host(taken),
        },
        Test {
            name: "doctor::tells_that_the_engines_rules_were_flushed",
            run: Run::Host(flushed),
        },
    ]
}

const CARD: &str = "
ip link add card type veth peer name far
ip link set card up; ip link set far up
ip address add 192.168.50.2/24 dev card
";

fn links() -> Result<Outcome, Failure> {
    let plot = match Plot::new()? {
        Ok(plot) => plot,
        Err(skipped) => return Ok(skipped),
    };
    let network = |name: &str, number: u8, more: &str| {
        format!(
            "  {name}:\n    driver: macvlan\n    parent: {name}\n    ipam: {{config: [{{subnet: 10.7.{number}.0/24, ip_range: 10.7.{number}.128/25, gateway: 10.7.{number}.1}}]}}\n{more}"
        )
    };
    let names = [
        "gone", "shut", "dull", "port", "lo", "loud", "small", "card",
    ];
    let mut file = "name: faults\nnetworks:\n".to_owned();
    for (number, name) in (1..).zip(names) {
        let more = match name {
            "card" => "    driver_opts: {com.docker.network.driver.mtu: \"9000\"}\n",
            _ => "",
        };
        file.push_str(&network(name, number, more));
    }
    file.push_str("  six:\n    enable_ipv6: true\n    ipam: {config: [{subnet: \"fd07::/64\"}]}\n");
    fs::write(plot.path().join("stack.yaml"), file)?;
    let empty = plot.finds("", "")?;
    let plant = format!(
        "{CARD}
for name in shut dull port loud small; do ip link add $name type veth peer name $name-far; done
for name in dull port loud small; do ip link set $name up; done
for name in port loud small; do ip link set $name-far up; done
ip link add bridge0 type bridge; ip link set bridge0 up; ip link set port master bridge0
ip link set loud promisc on
ip link set small mtu 1000
echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6
echo 0 > /proc/sys/net/ipv4/ip_forward
"
    );
    plot.plants(
        &empty,
        &plant,
        "$T/stack.yaml",
        &[
            "error parent-missing network gone",
            "error parent-down link shut",
            "warning parent-no-carrier link dull",
            "error parent-is-port link port",
            "error parent-loopback link lo",
            "info parent-promiscuous link loud",
            "warning parent-mtu link small",
            "error mtu-above-parent network card",
            "error ipv6-off kernel",
        ],
    )?;
    holds(
        "that there is no engine is told everywhere here",
        empty.contains("error engine-unreachable engine"),
    )?;
    let plant = format!(
        "{CARD}
ip link add link card name wide type macvlan mode bridge
ip link add link card name narrow type macvlan mode bridge; ip link set narrow mtu 1400
ip link set narrow address $(ip -o link show wide | sed 's/.*ether \\([^ ]*\\).*/\\1/')
ip link set wide up; ip address add 192.168.50.9/24 dev wide
ip link add link card name shim-x type macvlan mode bridge
ip link set shim-x group 29556 alias 'stack project=p kind=shim name=shim-x part= hash=0'
ip link set shim-x up; ip address add 192.168.50.77/24 dev shim-x
echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter
echo 1 > /proc/sys/net/ipv4/conf/all/arp_ignore
echo 0 > /proc/sys/net/ipv4/ip_forward
"
    );
    plot.plants(
        &empty,
        &plant,
        "",
        &[
            "warning shim-wide-prefix link wide",
            "warning mtu-differs link narrow",
            "error duplicate-mac link wide",
            "warning shim-extra-address link shim-x",
            "warning shim-strict link shim-x",
            "info reverse-path-strict kernel",
            "info arp-ignore kernel",
        ],
    )?;
    Ok(Outcome::Passed)
}

fn filters() -> Result<Outcome, Failure> {
    let plot = match Plot::new()? {
        Ok(plot) => plot,
        Err(skipped) => return Ok(skipped),
    };
    let empty = plot.finds("", "")?;
    // As the engine leaves it: its own drop, its user chain with nothing but a return.
    let engines = "
iptables-nft -N DOCKER-USER; iptables-nft -A DOCKER-USER -j RETURN
iptables-nft -A FORWARD -j DOCKER-USER; iptables-nft -P FORWARD DROP
";
    let found = plot.finds(engines, "")?;
    holds(
        &format!("the engine's own drop is its own: {found:#?}"),
        found.contains("info forward-policy-drop host")
            && !found.iter().any(|told| told.contains("docker-user"))
            && !found.iter().any(|told| told.contains("filter-drops")),
    )?;
    let plant = "
nft add table inet wall
nft add chain inet wall forward '{ type filter hook forward priority 10; policy accept; }'
nft add rule inet wall forward ct state established accept
nft add rule inet wall forward counter reject
nft add chain inet wall input '{ type filter hook input priority 10; policy accept; }'
nft add rule inet wall input tcp dport 99 drop
iptables-nft -N DOCKER-USER
iptables-nft -A DOCKER-USER -s 10.0.0.0/8 -j DROP
iptables-nft -A DOCKER-USER -j RETURN
";
    plot.plants(
        &empty,
        plant,
        "",
        &[
            "warning filter-drops host",
            "info filter-rules host",
            "warning docker-user host",
        ],
    )?;
    let older = ran(Command::new("unshare").args(["--net", "iptables-legacy", "-S"]))?;
    if older.code != Some(0) {
        return Ok(Outcome::Skipped(
            "the rest needs iptables-legacy and a kernel that has it".to_owned(),
        ));
    }
    let plant = "
iptables-nft -A INPUT -p tcp --dport 99 -j ACCEPT
iptables-legacy -N DOCKER-USER
iptables-legacy -A DOCKER-USER -s 10.0.0.0/8 -j REJECT
iptables-legacy -A FORWARD -i lo -j DOCKER-USER
ip6tables-legacy -P INPUT DROP
";
    plot.plants(
        &empty,
        plant,
        "",
        &[
            "warning docker-user host",
            "warning two-filters host",
            "warning filter-drops host",
        ],
    )?;
    Ok(Outcome::Passed)
}

/// Settings of other programs: a copy of /etc that is only this place's.
const SETTINGS: &str = "
etc=$(mktemp -d $T/etc.XXXXXX); cp -a /etc/. $etc; mount --bind $etc /etc
mkdir -p $T/bin
runs() { cp /bin/sleep $T/bin/$1; $T/bin/$1 60 & }
";

fn managers() -> Result<Outcome, Failure> {
    let plot = match Plot::new()? {
        Ok(plot) => plot,
        Err(skipped) => return Ok(skipped),
    };
    let empty = plot.finds("", "")?;
    let plant = format!(
        "{SETTINGS}
runs NetworkManager; runs systemd-networkd; runs firewalld; runs dhcpcd; runs avahi-daemon
mkdir -p /etc/systemd/network /etc/ufw
printf '[Match]\\nName=*\\n[Network]\\nDHCP=yes\\n' > /etc/systemd/network/00-all.network
echo ENABLED=yes > /etc/ufw/ufw.conf
mount -t tmpfs none /sys/class; mkdir -p /sys/class/dmi/id
echo 'VMware, Inc.' > /sys/class/dmi/id/sys_vendor; echo VMware7,1 > /sys/class/dmi/id/product_name
sleep 0.1
"
    );
    plot.plants(
        &empty,
        &plant,
        "",
        &[
            "warning networkmanager host",
            "error networkd-takes-link link shim-lan",
            "warning networkd host",
            "warning dhcp-client host",
            "info announced host",
            "warning firewalld host",
            "warning ufw host",
            "warning hypervisor machine",
        ],
    )?;
    // Told to leave us alone, they are no fault.
    let plant = format!(
        "{SETTINGS}
runs NetworkManager; runs systemd-networkd
mkdir -p /etc/systemd/network /etc/systemd/networkd.conf.d /etc/NetworkManager/conf.d
printf '[Match]\\nName=*\\n[Network]\\nDHCP=yes\\n' > /etc/systemd/network/10-all.network
printf '[Match]\\nName=shim-*\\n[Link]\\nUnmanaged=yes\\n' > /etc/systemd/network/05-x.network
printf '[Network]\\nManageForeignRoutes=no\\n' > /etc/systemd/networkd.conf.d/x.conf
printf '[keyfile]\\nunmanaged-devices=type:macvlan\\n' > /etc/NetworkManager/conf.d/x.conf
sleep 0.1
"
    );
    let found = plot.finds(&plant, "")?;
    holds(
        &format!("managers that leave shims alone are not told: {found:#?}"),
        !found
            .iter()
            .any(|told| told.contains("networkmanager") || told.contains("networkd")),
    )?;
    Ok(Outcome::Passed)
}

/// A stack with a shim on the card.
const SHIMMED: &str = "
name: ways
networks:
  lan:
    driver: macvlan
    parent: card
    ipam: {config: [{subnet: 192.168.50.0/24, ip_range: 192.168.50.128/26, gateway: 192.168.50.9}]}
    shim: {name: shim-lan, address: 192.168.50.2, routes: range}
  wide:
    driver: macvlan
    parent: card
    ipam: {config: [{subnet: 192.168.51.0/24}]}
services:
  web: {image: stack-lab, networks: {lan: {ipv4_address: 192.168.50.130}, wide: {}}}
";

fn ways() -> Result<Outcome, Failure> {
    let plot = match Plot::new()? {
        Ok(plot) => plot,
        Err(skipped) => return Ok(skipped),
    };
    let good = SHIMMED
        .replace("address: 192.168.50.2,", "address: 192.168.50.20,")
        .replace("gateway: 192.168.50.9", "gateway: 192.168.50.1")
        .replace(
            "subnet: 192.168.51.0/24",
            "subnet: 192.168.51.0/24, ip_range: 192.168.51.0/25, gateway: 192.168.51.200",
        );
    fs::write(plot.path().join("good.yaml"), good)?;
    fs::write(plot.path().join("stack.yaml"), SHIMMED)?;
    let usual = format!("{CARD}\nip route add default via 192.168.50.1 dev card\n");
    let empty = plot.finds(&usual, "$T/good.yaml")?;
    let plant = format!(
        "{usual}
ip link add tun type veth peer name tun-far; ip link set tun up
ip route add 192.168.50.160/28 dev tun
ip route add 192.168.50.128/26 dev tun table 100
ip rule add to 192.168.50.128/25 lookup 100 priority 50
ip neighbour add 192.168.50.140 lladdr 02:00:00:00:00:8c dev card nud reachable
"
    );
    plot.plants(
        &empty,
        &plant,
        "$T/stack.yaml",
        &[
            "error route-steals-range network lan",
            "error rule-steals-range shim shim-lan",
            "warning neighbour-in-range shim shim-lan",
            "warning shim-shares-address shim shim-lan",
            "warning gateway-differs network lan",
            "info gateway-missing network wide",
            "info range-missing network wide",
        ],
    )?;
    let found = plot.finds(&plant, "")?;
    holds(
        &format!("without a file the rules are told: {found:#?}"),
        found.contains("info policy-rules host"),
    )?;
    Ok(Outcome::Passed)
}

/// What a DHCP server at the card's other end offers.
const SERVER: &str = "start 192.168.50.150
end 192.168.50.150
interface eth0
max_leases 1
offer_time 30
option subnet 255.255.255.0
option router 192.168.50.1
option dns 192.168.50.1
option domain home
option lease 3600
";

/// Starts it and waits until it serves.
const SERVE: &str = "
touch $T/leases
unshare --net sleep 60 & other=$!
until [ \"$(readlink /proc/$other/ns/net)\" != \"$(readlink /proc/self/ns/net)\" ]; do sleep 0.01; done
ip link set far netns $other name eth0
nsenter --net=/proc/$other/ns/net sh -c 'ip link set eth0 up; ip address add 192.168.50.1/24 dev eth0'
nsenter --net=/proc/$other/ns/net busybox udhcpd -f $T/udhcpd.conf > $T/said 2>&1 &
until grep -qi started $T/said; do sleep 0.02; done
";

/// A stack on the card whose file says this of its network, and what is found when the wire is asked.
fn asked(network: &str, plant: &str) -> Result<(Plot, BTreeSet<String>), Failure> {
    let plot = Plot {
        folder: tempfile::tempdir()?,
    };
    fs::write(
        plot.path().join("stack.yaml"),
        format!(
            "name: leases
networks:
  lan: {{driver: macvlan, parent: card, {network}}}
services:
  web: {{image: stack-lab, networks: {{lan: {{ipv4_address: 192.168.50.150}}}}}}
"
        ),
    )?;
    let here = plot.path().display();
    fs::write(
        plot.path().join("udhcpd.conf"),
        format!("{SERVER}lease_file {here}/leases\npidfile {here}/pid\n"),
    )?;
    let found = plot.finds(&format!("{CARD}{plant}"), "--dhcp $T/stack.yaml")?;
    Ok((plot, found))
}

fn dhcp() -> Result<Outcome, Failure> {
    if let Err(skipped) = Plot::new()? {
        return Ok(skipped);
    }
    let server = ran(Command::new("busybox").args(["udhcpd", "--help"]))?;
    if !format!("{}{}", server.stdout, server.stderr).contains("Usage") {
        return Ok(Outcome::Skipped("busybox here has no udhcpd".to_owned()));
    }
    let whole = "ipam: {config: [{subnet: 192.168.50.0/24, gateway: 192.168.50.9}]}";
    let named = "dhcp_pool: 192.168.50.30-192.168.50.40, ipam: {config: [{subnet: 192.168.50.0/24, ip_range: 192.168.50.64/26, gateway: 192.168.50.1}]}";
    // The server looks for others with the address before it offers it, so all three wait at the same time.
    let ask = |network: &'static str, plant: &'static str| {
        std::thread::spawn(move || asked(network, plant).map_err(|error| error.to_string()))
    };
    let (silent, offered, other) = (ask(whole, ""), ask(whole, SERVE), ask(named, SERVE));
    let end = |thread: std::thread::JoinHandle<Result<(Plot, BTreeSet<String>), String>>| {
        thread.join().map_err(|_| "the thread fell".to_owned())?
    };
    let ((_, silent), (plot, offered), (_, other)) = (end(silent)?, end(offered)?, end(other)?);
    for (place, found, wanted) in [
        ("without a server", &silent, "info dhcp-silent link card"),
        ("with a server", &offered, "info dhcp-server link card"),
        ("with a server", &offered, "error dhcp-overlap network lan"),
        (
            "with a server",
            &offered,
            "warning gateway-differs network lan",
        ),
        (
            "with a wrong pool",
            &other,
            "warning dhcp-pool-differs network lan",
        ),
    ] {
        holds(
            &format!("`{wanted}` is told {place}: {found:#?}"),
            found.contains(wanted) && (place == "without a server" || !silent.contains(wanted)),
        )?;
    }
    let log = fs::read_to_string(plot.path().join("said"))?.to_lowercase();
    holds(
        &format!("an offer was made and nothing was leased: {log}"),
        log.contains("offer") && !log.contains("ack"),
    )?;
    Ok(Outcome::Passed)
}

fn mends() -> Result<Outcome, Failure> {
    let plot = match Plot::new()? {
        Ok(plot) => plot,
        Err(skipped) => return Ok(skipped),
    };
    fs::write(
        plot.path().join("stack.yaml"),
        SHIMMED.replace("parent: card", "parent: card0"),
    )?;
    let script = format!(
        "{SETTINGS}
look() {{ ip -o link show card0 | grep -c 'state UP\\|LOWER_UP\\|,UP' || true; cat /proc/sys/net/ipv4/ip_forward; ls -A /etc/NetworkManager/conf.d; }}
ip link add card0 type veth peer name far0
echo 0 > /proc/sys/net/ipv4/ip_forward
mkdir -p /etc/NetworkManager/conf.d
runs NetworkManager; sleep 0.1
$STACK doctor --fix -q > $T/unguarded 2>&1 || true
cat /proc/sys/net/ipv4/ip_forward
$STACK doctor --put-back 2>/dev/null
nft add table ip wall; nft add chain ip wall forward '{{ type filter hook forward priority 0; policy drop; }}'
echo before; look
$STACK doctor --fix $T/stack.yaml > $T/fixed 2>&1 || true
echo during; look
cat $STACK_STATE_DIR/doctor.jsonl > $T/journal
$STACK doctor --fix $T/stack.yaml > $T/again 2>&1 || true
ip link set card0 down
$STACK doctor --put-back > $T/back 2>&1
echo after; look
ls $STACK_STATE_DIR
"
    );
    let ran = plot.run(&script)?;
    let read = |name: &str| fs::read_to_string(plot.path().join(name));
    let all = format!("{}{}\n{}", ran.stdout, ran.stderr, read("fixed")?);
    same(
        "what was before, during and after",
        ran.stdout.as_str(),
        "0\nbefore\n0\n0\nduring\n1\n1\n90-stack.conf\nafter\n0\n0\n",
    )
    .map_err(|failure| format!("{failure}\n{all}"))?;
    let journal = read("journal")?;
    for wanted in ["ip_forward", "link_up", "90-stack.conf"] {
        holds(
            &format!("the journal knows {wanted}: {journal}"),
            journal.contains(wanted),
        )?;
    }
    let back = read("back")?;
    holds(
        &format!("what somebody changed since is left: {back}"),
        back.contains("left, as somebody changed it since: bring the link `card0` up")
            && back.contains("put back: set net.ipv4.ip_forward to 1"),
    )?;
    let again = read("again")?;
    holds(
        &format!("a second time there is nothing left to do: {again}"),
        !again.contains("did: set") && !again.contains("did: bring"),
    )?;
    Ok(Outcome::Passed)
}

fn taken(bed: &Bed) -> Result<Outcome, Failure> {
    let wire = Wire::new(bed, "wire0", &[("laptop", "192.168.78.50/24")])?;
    bed.run("ip -n laptop address add fd78::50/64 dev eth0 nodad")?;
    bed.run("ip netns add sibling")?;
    bed.run("ip link add link wire0 name eth0 netns sibling type macvlan mode bridge")?;
    bed.run("ip -n sibling link set eth0 up")?;
    bed.run("ip -n sibling address add 192.168.78.60/24 dev eth0")?;
    let mac = |place: &str| -> Result<String, Failure> {
        let told = bed.run(&format!("ip -n {place} -o link show eth0"))?;
        let mut words = told.split_whitespace();
        words.find(|word| *word == "link/ether");
        Ok(words.next().unwrap_or_default().to_owned())
    };
    let folder = tempfile::tempdir()?;
    let write = |endpoint: &str| {
        let file = format!(
            "name: claims
networks:
  lan:
    driver: macvlan
    parent: wire0
    enable_ipv6: true
    ipam: {{config: [{{subnet: 192.168.78.0/24, ip_range: 192.168.78.128/25, gateway: 192.168.78.1}}, {{subnet: \"fd78::/64\", gateway: \"fd78::1\"}}]}}
services:
  web:
    image: stack-lab
    stop_grace_period: 0s
    networks: {{lan: {{{endpoint}}}}}
"
        );
        fs::write(folder.path().join("stack.yaml"), file)
    };
    for (endpoint, address, place) in [
        ("ipv4_address: 192.168.78.50", "192.168.78.50", "laptop"),
        ("ipv6_address: \"fd78::50\"", "fd78::50", "laptop"),
        ("ipv4_address: 192.168.78.60", "192.168.78.60", "sibling"),
    ] {
        write(endpoint)?;
        let said = bed.stack(folder.path(), "up -d")?.fails_with(1)?;
        let wanted = format!(
            "{address} is used by {} on the wire of `wire0`",
            mac(place)?
        );
        holds(
            &format!("who has {address} is named: {said}"),
            said.contains(&wanted)
                && said.contains("stack.yaml:")
                && said.contains("nothing was changed"),
        )?;
        same(
            "networks made",
            bed.docker("network ls -q --filter name=claims")?.as_str(),
            "",
        )?;
    }
    // A free one is used; the container's own address is no conflict when it is made anew.
    write("ipv4_address: 192.168.78.70, ipv6_address: \"fd78::70\"")?;
    bed.stack(folder.path(), "up -d")?.ok()?;
    bed.stack(folder.path(), "up -d --force-recreate")?.ok()?;
    bed.stack(folder.path(), "stop")?.ok()?;
    bed.run("ip -n laptop address add 192.168.78.70/24 dev eth0")?;
    let said = bed.stack(folder.path(), "start")?.fails_with(1)?;
    holds(
        &format!("somebody took it while it was stopped: {said}"),
        said.contains("192.168.78.70 is used by"),
    )?;
    bed.stack(folder.path(), "down")?.ok()?;
    bed.run("ip netns del sibling")?;
    drop(wire);
    Ok(Outcome::Passed)
}

/// `iptables -F` leaves the engine's chains, and nothing that leads to them.
fn flushed(bed: &Bed) -> Result<Outcome, Failure> {
    let tells = || -> Result<bool, Failure> {
        let told = bed.stack(&bed.folder(), "doctor --format json")?.stdout;
        let told: serde_json::Value = serde_json::from_str(&told)?;
        let findings = told["findings"].as_array().cloned().unwrap_or_default();
        Ok(findings
            .iter()
            .any(|one| one["code"] == "engine-rules-gone"))
    };
    let before = tells()?;
    let rules = bed.shell("iptables -w -S FORWARD | grep ^-A")?;
    bed.run("iptables -w -F FORWARD")?;
    let after = tells();
    for rule in rules.lines() {
        bed.run(&format!("iptables -w {rule}"))?;
    }
    same(
        "whether it is told, before and after",
        (before, after?),
        (false, true),
    )?;
    same("whether it is told of the restored rules", tells()?, false)?;
    Ok(Outcome::Passed)
}
