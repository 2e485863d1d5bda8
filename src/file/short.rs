//! Short spellings of long forms: `8080:80`, `./data:/data:ro`, `/dev/x:/dev/y`. A short text becomes the mapping that
//! the long form would be, with every part's place where the text shows it.

use std::net::IpAddr;

use crate::diagnostic::Diagnostic;
use crate::file::tree::{Node, Value};
use crate::file::value;
use crate::file::written::Written;

fn node_of(written: &Written, part: &str) -> Node {
    Node::text(part, written.part(part))
}

fn set(node: &mut Node, key: &str, value: Node) {
    if let Some(mapping) = node.as_mapping_mut() {
        mapping.set(key, value);
    }
}

/// The long forms of a published port: several where container ports are a range.
pub fn ports(written: &Written) -> Result<Vec<Node>, Box<Diagnostic>> {
    const NUMBERS: &str = "ports are whole numbers from 0 to 65535, or a range such as 8000-8010";
    const FORM: &str = "a port is [IP:][HOST[-END]:]CONTAINER[-END][/PROTOCOL]";
    let wrong = |part: &str, message: String, hint: &str| {
        let diagnostic = Diagnostic::error("bad-port", message);
        Err(Box::new(diagnostic.at(written.part(part)).hint(hint)))
    };
    let (body, protocol) = match written.text.split_once('/') {
        Some((body, protocol)) => (body, protocol),
        None => (written.text, "tcp"),
    };
    let protocol_name = protocol.to_ascii_lowercase();
    if !matches!(protocol_name.as_str(), "tcp" | "udp" | "sctp") {
        let message = format!("invalid proto: {protocol}");
        return wrong(protocol, message, "the protocol is tcp, udp or sctp");
    }
    let (front, container) = match body.rsplit_once(':') {
        Some((front, container)) => (Some(front), container),
        None => (None, body),
    };
    let (address, host) = match front {
        Some(front) => match front.rsplit_once(':') {
            Some((address, host)) => (address, host),
            None => ("", front),
        },
        None => ("", ""),
    };
    if container.is_empty() {
        return wrong(
            written.text,
            format!("no port specified: {}<empty>", written.text),
            FORM,
        );
    }
    let bare = address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(address);
    if !bare.is_empty() && bare.parse::<IpAddr>().is_err() {
        return wrong(address, format!("invalid IP address: {address}"), FORM);
    }
    let Some((first, last)) = range(container) else {
        return wrong(
            container,
            format!("invalid containerPort: {container}"),
            NUMBERS,
        );
    };
    if first == 0 {
        let message = format!("invalid containerPort: {container}: there is no port 0");
        let hint = "ports of a container are whole numbers from 1 to 65535";
        return wrong(container, message, hint);
    }
    let host_range = if host.is_empty() {
        None
    } else {
        match range(host) {
            Some(range) => Some(range),
            None => {
                return wrong(host, format!("invalid hostPort: {host}"), NUMBERS);
            }
        }
    };
    if let Some((host_first, host_last)) = host_range
        && last - first != host_last - host_first
        && first != last
    {
        return wrong(
            written.text,
            format!(
                "invalid ranges specified for container and host Ports: {container} and {host}"
            ),
            "give both ranges the same length",
        );
    }
    let mut all: Vec<(String, Node)> = Vec::new();
    for target in first..=last {
        let mut node = Node::mapping(written.span);
        set(&mut node, "mode", Node::text("ingress", written.span));
        if !bare.is_empty() {
            set(
                &mut node,
                "host_ip",
                Node::text(bare, written.part(address)),
            );
        }
        set(
            &mut node,
            "target",
            Node::new(Value::Integer(i64::from(target)), written.part(container)),
        );
        if let Some((host_first, host_last)) = host_range {
            let published = if first == last && host_first != host_last {
                format!("{host_first}-{host_last}")
            } else {
                (host_first + (target - first)).to_string()
            };
            set(
                &mut node,
                "published",
                Node::text(published, written.part(host)),
            );
        }
        set(
            &mut node,
            "protocol",
            Node::text(protocol_name.clone(), written.part(protocol)),
        );
        all.push((format!("{target}/{protocol_name}"), node));
    }
    // Compose sorts the ports of one range as texts, and lists are compared in order.
    all.sort_by(|one, two| one.0.cmp(&two.0));
    Ok(all.into_iter().map(|(_, node)| node).collect())
}

/// Two ports of a text such as `80` or `8000-8010`, the second not below the first.
pub fn range(text: &str) -> Option<(u16, u16)> {
    let number = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| text.parse::<u16>().ok())
            .flatten()
    };
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(text)?, number(text)?),
    };
    (first <= last).then_some((first, last))
}

/// The long form of a mount.
pub fn mount(written: &Written) -> Result<Node, Box<Diagnostic>> {
    let text = written.text;
    let wrong = |message: &str| {
        Diagnostic::error("bad-mount", format!("invalid spec: {text}: {message}"))
            .at(written.span)
            .hint("a mount is [SOURCE:]TARGET[:OPTIONS]")
    };
    let mut node = Node::mapping(written.span);
    let parts = sections(text);
    if parts.iter().any(|part| part.is_empty()) {
        return Err(Box::new(wrong("empty section between colons")));
    }
    let (source, target, options) = match parts.as_slice() {
        [target] => (None, *target, None),
        [source, target] => (Some(*source), *target, None),
        [source, target, options] => (Some(*source), *target, Some(*options)),
        _ => return Err(Box::new(wrong("too many colons"))),
    };
    let is_bind = source.is_some_and(is_path);
    set(
        &mut node,
        "type",
        Node::text(if is_bind { "bind" } else { "volume" }, written.span),
    );
    if let Some(source) = source {
        set(&mut node, "source", node_of(written, source));
    }
    set(
        &mut node,
        "target",
        Node::text(clean(target), written.part(target)),
    );
    let mut bind = Node::mapping(written.span);
    let mut volume = Node::mapping(written.span);
    for option in options
        .unwrap_or("")
        .split(',')
        .filter(|option| !option.is_empty())
    {
        let place = written.part(option);
        match option {
            "ro" => set(&mut node, "read_only", Node::new(Value::Bool(true), place)),
            "nocopy" => set(&mut volume, "nocopy", Node::new(Value::Bool(true), place)),
            "z" | "Z" => set(&mut bind, "selinux", node_of(written, option)),
            "rprivate" | "private" | "rshared" | "shared" | "rslave" | "slave" => {
                set(&mut bind, "propagation", node_of(written, option));
            }
            // Compose takes `rw` and whatever it does not know without a word.
            _ => {}
        }
    }
    if is_bind {
        set(
            &mut bind,
            "create_host_path",
            Node::new(Value::Bool(true), written.span),
        );
        set(&mut node, "bind", bind);
    } else {
        if bind.as_mapping().is_some_and(|mapping| !mapping.is_empty()) {
            set(&mut node, "bind", bind);
        }
        if text.len() > 2 {
            set(&mut node, "volume", volume);
        }
    }
    Ok(node)
}

/// Options of a mount that mean something; those of the last row are for old engines on macOS.
const OPTIONS: [&str; 14] = [
    "ro",
    "rw",
    "z",
    "Z",
    "nocopy",
    "rprivate",
    "private",
    "rshared",
    "shared",
    "rslave",
    "slave",
    "cached",
    "delegated",
    "consistent",
];

/// Told of options of a mount that mean nothing: Compose drops them without a word, and the engine would refuse them.
pub fn strange_options<'a>(written: &'a Written) -> impl Iterator<Item = Diagnostic> + use<'a> {
    let parts = sections(written.text);
    let options = parts.get(2).copied().filter(|_| parts.len() == 3);
    let words = options.into_iter().flat_map(|options| options.split(','));
    let strange = words.filter(|word| !word.is_empty() && !OPTIONS.contains(word));
    strange.map(|word| {
        let hint = match value::nearest(word, OPTIONS.into_iter()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                "options are ro, rw, z, Z, nocopy and how mounts spread, such as rshared".to_owned()
            }
        };
        let message = format!("invalid mode: {word}: the mount is made without it");
        Diagnostic::warning("unknown-value", message)
            .at(written.part(word))
            .hint(hint)
    })
}

/// The parts between colons; those of a Windows drive and those inside `${…}` do not count.
fn sections(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut braces) = (0, 0usize);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' if text.as_bytes().get(at.wrapping_sub(1)) == Some(&b'$') => braces += 1,
            b'}' if braces > 0 => braces -= 1,
            b':' if braces == 0 => {
                let part = text.get(start..at).unwrap_or("");
                if part.len() == 1 && part.starts_with(|c: char| c.is_ascii_alphabetic()) {
                    continue;
                }
                parts.push(part);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(start..).unwrap_or(""));
    parts
}

fn is_path(source: &str) -> bool {
    let mut chars = source.chars();
    match chars.next() {
        Some('.' | '/' | '~') => true,
        Some('\\') => source.starts_with("\\\\"),
        Some(c) => c.is_ascii_alphabetic() && chars.next() == Some(':'),
        None => false,
    }
}

/// A path inside a container without `.`, `..`, double and trailing slashes.
pub fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            _ => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

/// The long form of a device.
pub fn device(written: &Written) -> Result<Node, Box<Diagnostic>> {
    let parts: Vec<&str> = written.text.split(':').collect();
    let (source, target, permissions) = match parts.as_slice() {
        [source] => (*source, *source, "rwm"),
        [source, target] => (*source, *target, "rwm"),
        [source, target, permissions] => (*source, *target, *permissions),
        _ => {
            return Err(Box::new(
                Diagnostic::error(
                    "bad-device",
                    format!(
                        "confusing device mapping, please use long syntax: {}",
                        written.text
                    ),
                )
                .at(written.span),
            ));
        }
    };
    let target = if target.is_empty() { source } else { target };
    let mut node = Node::mapping(written.span);
    set(&mut node, "source", node_of(written, source));
    set(&mut node, "target", node_of(written, target));
    set(&mut node, "permissions", node_of(written, permissions));
    Ok(node)
}

#[cfg(test)]
mod tests {
    use super::{clean, mount, ports};
    use crate::file::tree::Node;
    use crate::file::written::Written;
    use crate::source::Sources;

    fn shown(node: &Node) -> String {
        match node.as_mapping() {
            Some(mapping) => {
                let all: Vec<String> = mapping
                    .iter()
                    .map(|e| format!("{}={}", e.key, shown(&e.node)))
                    .collect();
                format!("({})", all.join(" "))
            }
            None => node.scalar_text().unwrap_or_default(),
        }
    }

    fn with<T>(text: &str, act: impl Fn(&Written) -> T) -> T {
        let mut sources = Sources::default();
        let source = sources.add("t".to_owned(), None, text.into(), None);
        let span = crate::source::Span {
            source,
            start: 0,
            end: text.len() as u32,
        };
        act(&Written::of(text, span, &sources))
    }

    fn port(text: &str) -> String {
        with(text, |written| match ports(written) {
            Ok(all) => all.iter().map(shown).collect::<Vec<_>>().join(" "),
            Err(wrong) => {
                let span = wrong
                    .primary
                    .as_ref()
                    .map(|label| (label.span.start, label.span.end));
                format!("{} {span:?}", wrong.message)
            }
        })
    }

    #[test]
    fn ports_have_all_their_forms() {
        expect_test::expect!["(mode=ingress target=80 protocol=tcp)"].assert_eq(&port("80"));
        expect_test::expect!["(mode=ingress host_ip=::1 target=80 published=8080 protocol=udp)"]
            .assert_eq(&port("[::1]:8080:80/UDP"));
        expect_test::expect!["(mode=ingress host_ip=127.0.0.1 target=80 protocol=tcp)"]
            .assert_eq(&port("127.0.0.1::80"));
        expect_test::expect!["(mode=ingress target=10 published=110 protocol=tcp) (mode=ingress target=9 published=109 protocol=tcp)"]
            .assert_eq(&port("109-110:9-10"));
        expect_test::expect!["(mode=ingress target=80 published=8000-9000 protocol=tcp)"]
            .assert_eq(&port("8000-9000:80"));
        expect_test::expect!["invalid hostPort: 99999 Some((0, 5))"].assert_eq(&port("99999:80"));
        expect_test::expect!["invalid containerPort: x Some((5, 6))"].assert_eq(&port("8080:x"));
        expect_test::expect!["invalid IP address: 1.2.3.300 Some((0, 9))"]
            .assert_eq(&port("1.2.3.300:1:2"));
        expect_test::expect![
            "invalid ranges specified for container and host Ports: 1-3 and 10-11 Some((0, 9))"
        ]
        .assert_eq(&port("10-11:1-3"));
        expect_test::expect!["invalid proto: x Some((3, 4))"].assert_eq(&port("80/x"));
    }

    #[test]
    fn mounts_have_all_their_forms() {
        let one = |text: &str| {
            with(text, |written| match mount(written) {
                Ok(node) => shown(&node),
                Err(wrong) => wrong.message,
            })
        };
        expect_test::expect!["(type=volume target=/data volume=())"].assert_eq(&one("/data"));
        expect_test::expect!["(type=volume source=db target=/var/lib volume=(nocopy=true))"]
            .assert_eq(&one("db:/var//lib/:nocopy"));
        expect_test::expect![
            "(type=bind source=./a target=/b read_only=true bind=(selinux=z create_host_path=true))"
        ]
        .assert_eq(&one("./a:/b:ro,z"));
        expect_test::expect!["(type=bind source=C:\\x target=/x bind=(create_host_path=true))"]
            .assert_eq(&one("C:\\x:/x"));
        expect_test::expect!["invalid spec: /foo:/foo:ro:foo: too many colons"]
            .assert_eq(&one("/foo:/foo:ro:foo"));
        expect_test::expect!["invalid spec: :/text_file.txt: empty section between colons"]
            .assert_eq(&one(":/text_file.txt"));
    }

    #[test]
    fn paths_are_cleaned() {
        for (path, cleaned) in [
            ("/a/../b//c/.", "/b/c"),
            ("/..", "/"),
            ("a/..", "."),
            ("../a", "../a"),
        ] {
            assert_eq!(clean(path), cleaned);
        }
    }
}
