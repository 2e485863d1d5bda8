//! Names as a program in the namespace would ask for them: the hosts file first, then the resolver of its resolv.conf,
//! one question for IPv4 and one for IPv6 (RFC 1035, RFC 3596).

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::reach::compare::{Seen, SeenOutcome};
use crate::reach::probe::socket::bound;
use crate::reach::probe::{failed, seen};
use crate::reach::verdict::Failure;

/// What `/etc/hosts` and `/etc/resolv.conf` say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolver {
    pub servers: Vec<IpAddr>,
    pub hosts: Vec<(String, IpAddr)>,
}

impl Resolver {
    /// Reads the two files below a root, such as `/proc/PID/root`. What is not there says nothing.
    pub fn read(root: &Path) -> Resolver {
        let text = |name: &str| std::fs::read_to_string(root.join(name)).unwrap_or_default();
        let servers = text("etc/resolv.conf")
            .lines()
            .filter_map(|line| line.strip_prefix("nameserver")?.trim().parse().ok())
            .collect();
        let mut hosts = Vec::new();
        for line in text("etc/hosts").lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let Some(address) = words.next().and_then(|word| word.parse().ok()) else {
                continue;
            };
            hosts.extend(words.map(|name| (name.to_owned(), address)));
        }
        Resolver { servers, hosts }
    }
}

/// What names of one namespace lead to, each asked once however many want to know at the same time.
pub struct Names {
    resolver: Resolver,
    asked: RefCell<HashMap<String, Rc<OnceCell<Answered>>>>,
}

/// The addresses of a name, or what was seen instead.
type Answered = Result<Vec<IpAddr>, Seen>;

impl Names {
    /// Nothing is asked yet.
    pub fn new(resolver: Resolver) -> Names {
        Names {
            resolver,
            asked: RefCell::default(),
        }
    }

    /// The addresses of a name, or what was seen instead.
    pub async fn addresses(&self, name: &str, whole: Duration) -> Result<Vec<IpAddr>, Seen> {
        let cell = {
            let mut asked = self.asked.borrow_mut();
            Rc::clone(asked.entry(name.to_owned()).or_default())
        };
        let answered = cell.get_or_init(|| resolve(&self.resolver, name, whole));
        answered.await.clone()
    }

    /// What had no answer is asked anew by whoever wants to know next.
    pub fn forget_failures(&self) {
        let failed = |cell: &Rc<OnceCell<Answered>>| cell.get().is_some_and(Result::is_err);
        self.asked.borrow_mut().retain(|_, cell| !failed(cell));
    }
}

/// The addresses of a name, IPv4 first, or what was seen instead.
async fn resolve(resolver: &Resolver, name: &str, whole: Duration) -> Result<Vec<IpAddr>, Seen> {
    let lines = resolver.hosts.iter().filter(|(line, _)| line == name);
    let lines: Vec<IpAddr> = lines.map(|(_, address)| *address).collect();
    if !lines.is_empty() {
        return Ok(lines);
    }
    // RFC 1035 and resolv.conf(5): without a server it is asked of this machine itself.
    let server = resolver
        .servers
        .first()
        .copied()
        .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let asked = async { tokio::join!(ask(server, name, A), ask(server, name, AAAA)) };
    let (four, six) = timeout(whole, asked).await.map_err(|_| {
        seen(
            SeenOutcome::Fail(Failure::Timeout),
            format!("{server} does not answer"),
        )
    })?;
    let four = four.map_err(|error| failed(&error))?;
    let six = six.map_err(|error| failed(&error))?;
    let mut addresses = four.addresses;
    addresses.extend(six.addresses);
    if !addresses.is_empty() {
        return Ok(addresses);
    }
    let (failure, detail) = match four.code {
        0 => (Failure::Nxdomain, "no address".to_owned()),
        3 => (Failure::Nxdomain, "NXDOMAIN".to_owned()),
        2 => (Failure::Servfail, "SERVFAIL".to_owned()),
        code => (Failure::Servfail, format!("answer code {code}")),
    };
    Err(seen(
        SeenOutcome::Fail(failure),
        format!("{server}: {detail}"),
    ))
}

const A: u16 = 1;
const AAAA: u16 = 28;

struct Answer {
    code: u8,
    addresses: Vec<IpAddr>,
}

async fn ask(server: IpAddr, name: &str, kind: u16) -> io::Result<Answer> {
    let socket = bound(server, None).await?;
    socket.connect(SocketAddr::new(server, 53)).await?;
    let message = question(name, kind)?;
    let mut buffer = [0u8; 1500];
    loop {
        socket.send(&message).await?;
        match timeout(Duration::from_millis(1200), socket.recv(&mut buffer)).await {
            Err(_) => {}
            Ok(Err(error)) => return Err(error),
            Ok(Ok(length)) => {
                let bytes = &buffer[..length];
                if is_cut(bytes, &message) {
                    return ask_by_stream(server, &message).await;
                }
                if let Some(answer) = answer(bytes, &message) {
                    return Ok(answer);
                }
            }
        }
    }
}

/// The same over TCP, where an answer has room for any number of addresses (RFC 7766): a length before each message.
async fn ask_by_stream(server: IpAddr, message: &[u8]) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(SocketAddr::new(server, 53)).await?;
    let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
    stream
        .write_all(&[&length.to_be_bytes(), message].concat())
        .await?;
    let length = usize::from(stream.read_u16().await?);
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    answer(&bytes, message).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// Whether this is the answer to the question and says that it had no room for all of it (TC, RFC 1035 section 4.1.1).
fn is_cut(bytes: &[u8], asked: &[u8]) -> bool {
    bytes.get(..2) == asked.get(..2) && bytes.get(2).is_some_and(|flags| flags & 0x82 == 0x82)
}

fn question(name: &str, kind: u16) -> io::Result<Vec<u8>> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidInput, format!("`{name}` is no name"));
    // Identifier (its port tells the question apart already), recursion desired, one question.
    let mut message = vec![0x73, 0x74, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len()).map_err(|_| wrong())?;
        if length == 0 || length > 63 {
            return Err(wrong());
        }
        message.push(length);
        message.extend_from_slice(label.as_bytes());
    }
    message.push(0);
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&[0, 1]);
    Ok(message)
}

/// The code and the addresses of an answer to this question; none where it is something else or cut off.
fn answer(bytes: &[u8], asked: &[u8]) -> Option<Answer> {
    if bytes.get(..2)? != asked.get(..2)? || bytes.get(2)? & 0x80 == 0 {
        return None;
    }
    let code = bytes.get(3)? & 0x0f;
    let count = usize::from(u16::from_be_bytes([*bytes.get(6)?, *bytes.get(7)?]));
    let mut at = skip_name(bytes, 12)? + 4;
    let mut addresses = Vec::new();
    for _ in 0..count {
        at = skip_name(bytes, at)?;
        let kind = u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]);
        let length = usize::from(u16::from_be_bytes([
            *bytes.get(at + 8)?,
            *bytes.get(at + 9)?,
        ]));
        let data = bytes.get(at + 10..at + 10 + length)?;
        match kind {
            A => addresses.push(IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?))),
            AAAA => addresses.push(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?))),
            _ => {}
        }
        at += 10 + length;
    }
    Some(Answer { code, addresses })
}

/// Where a name ends that begins here; a pointer (RFC 1035 section 4.1.4) ends it.
fn skip_name(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match bytes.get(at)? {
            0 => return Some(at + 1),
            pointer if pointer & 0xc0 == 0xc0 => return Some(at + 2),
            length => at += 1 + usize::from(*length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{A, answer, is_cut, question};

    #[test]
    fn an_answer_is_read_and_a_cut_one_is_none() {
        let asked = question("web", A).unwrap();
        let mut bytes = asked.clone();
        bytes[2] = 0x81;
        bytes[7] = 1;
        bytes.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 2, 88, 0, 4, 10, 0, 0, 2]);
        let read = answer(&bytes, &asked).unwrap();
        assert_eq!(read.code, 0);
        assert_eq!(
            read.addresses,
            ["10.0.0.2".parse::<std::net::IpAddr>().unwrap()]
        );
        for cut in 0..bytes.len() {
            assert!(answer(&bytes[..cut], &asked).is_none());
        }
        assert!(question("a..b", A).is_err());
        assert!(!is_cut(&bytes, &asked));
        bytes[2] |= 0x02;
        assert!(is_cut(&bytes, &asked));
    }
}
