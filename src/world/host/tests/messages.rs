//! The messages as bytes on the socket: no kernel is asked. Each line is one attribute of the message, so a change
//! of what is asked shows as a change of lines.

use expect_test::{Expect, expect};
use netlink_packet_core::Emitable;

use crate::model::network::{IpvlanFlag, IpvlanMode, MacvlanMode};
use crate::plan::spec::ShimKind;
use crate::world::host::message::{self, PortSettings, Route, Routed};
use crate::world::host::nftables::{Masquerade, masquerade};

/// The fixed header (of this many bytes), then the attributes: kind, then value in hexadecimal digits.
fn check(message: &impl Emitable, header: usize, expected: Expect) {
    let mut bytes = vec![0; message.buffer_len()];
    message.emit(&mut bytes);
    expected.assert_eq(&lines(&bytes, header));
}

fn lines(bytes: &[u8], header: usize) -> String {
    let mut text = format!("{}\n", hex(&bytes[..header]));
    let mut rest = &bytes[header..];
    while rest.len() >= 4 {
        let length = usize::from(u16::from_ne_bytes([rest[0], rest[1]]));
        let kind = u16::from_ne_bytes([rest[2], rest[3]]) & 0x3fff;
        text.push_str(&format!("{kind} {}\n", hex(&rest[4..length])));
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_link_is_born_in_our_group_with_kind_mode_and_mac() {
    let mac = "02:00:00:00:00:70".parse().unwrap();
    let macvlan = ShimKind::Macvlan(MacvlanMode::Bridge);
    let ipvlan = ShimKind::Ipvlan(IpvlanMode::L3s, IpvlanFlag::Vepa);
    check(
        &message::make_child("st01", 7, macvlan, Some(mac)),
        16,
        expect![[r#"
            00000000000000000000000000000000
            3 7374303100
            27 74730000
            18 0c0001006d6163766c616e000c0002000800010004000000
            5 07000000
            1 020000000070
        "#]],
    );
    check(
        &message::make_child("st01", 7, ipvlan, None),
        16,
        expect![[r#"
            00000000000000000000000000000000
            3 7374303100
            27 74730000
            18 0b0001006970766c616e00001400020006000100020000000600020002000000
            5 07000000
        "#]],
    );
    check(
        &message::make_vlan("st01", 7, 20.try_into().unwrap()),
        16,
        expect![[r#"
            00000000000000000000000000000000
            3 7374303100
            27 74730000
            18 09000100766c616e000000000c0002000600010014000000
            5 07000000
        "#]],
    );
}

#[test]
fn a_shims_address_makes_no_route_and_is_not_asked_for_by_the_kernel() {
    let four = "10.50.0.70/32".parse().unwrap();
    let six = "fd50::70/128".parse().unwrap();
    check(
        &message::address(7, four, Routed::Bare),
        8,
        expect![[r#"
            0220000007000000
            2 0a320046
            1 0a320046
            8 80020000
        "#]],
    );
    check(
        &message::address(7, six, Routed::Bare),
        8,
        expect![[r#"
        0a80000007000000
        1 fd500000000000000000000000000070
        8 82020000
    "#]],
    );
    check(
        &message::address(7, "10.50.0.2/24".parse().unwrap(), Routed::Connected),
        8,
        expect![[r#"
            0218000007000000
            2 0a320002
            4 0a3200ff
            1 0a320002
            8 80000000
        "#]],
    );
}

#[test]
fn a_route_has_our_protocol_number_and_its_source() {
    let route = Route {
        destination: "10.50.0.64/27".parse().unwrap(),
        link: 7,
        gateway: None,
        source: Some("10.50.0.70".parse().unwrap()),
    };
    check(
        &message::route(&route),
        12,
        expect![[r#"
        021b0000fe73fd0100000000
        1 0a320040
        4 07000000
        7 0a320046
    "#]],
    );
    let door = Route {
        destination: "10.50.0.2/32".parse().unwrap(),
        link: 2,
        gateway: Some("10.50.0.70".parse().unwrap()),
        source: None,
    };
    check(
        &message::route(&door),
        12,
        expect![[r#"
        02200000fe73000104000000
        1 0a320002
        4 02000000
        5 0a320046
    "#]],
    );
}

#[test]
fn a_port_that_rejects_strangers_neither_learns_nor_floods() {
    let settings = PortSettings {
        hairpin: false,
        learning: false,
        flood: false,
    };
    check(
        &message::port(4, settings),
        16,
        expect![[r#"
        00000000040000000000000000000000
        18 0b00040062726964676500001c000500050004000000000005000800000000000500090000000000
    "#]],
    );
    let station = message::station(4, "02:00:00:00:00:70".parse().unwrap(), None);
    check(
        &station,
        12,
        expect![[r#"
        070000000400000040000400
        2 020000000070
    "#]],
    );
}

#[test]
fn a_table_is_replaced_as_a_whole() {
    let one = Masquerade {
        source: Some("169.254.1.2".parse().unwrap()),
        except: Some(9),
    };
    let batch = masquerade("stack-lab-office", one);
    let mut rest = batch.as_slice();
    let mut kinds = Vec::new();
    while rest.len() >= 16 {
        let length = u32::from_ne_bytes(rest[..4].try_into().unwrap());
        kinds.push(format!("{:x}", u16::from_ne_bytes([rest[4], rest[5]])));
        rest = &rest[usize::try_from(length).unwrap()..];
    }
    // Begin; table made, removed and made; chain; rule; end.
    assert_eq!(kinds, ["10", "a00", "a02", "a00", "a03", "a06", "11"]);
}
