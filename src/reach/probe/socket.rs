//! TCP and UDP questions from the namespace that the thread is in.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, UdpSocket};
use tokio::time::timeout;

use crate::reach::compare::{Seen, SeenOutcome};
use crate::reach::probe::{failed, seen};
use crate::reach::verdict::Failure;

/// How long a connection must stay open to count. The engine's proxy takes every connection first, asks the container
/// then, and closes at once when nobody listens there.
const SETTLE: Duration = Duration::from_millis(80);

/// Connects and closes.
pub async fn tcp(address: IpAddr, port: u16, source: Option<IpAddr>, whole: Duration) -> Seen {
    match timeout(whole, connected(address, port, source)).await {
        Err(_) => seen(SeenOutcome::Fail(Failure::Timeout), "no answer".to_owned()),
        Ok(Err(error)) => failed(&error),
        Ok(Ok(seen)) => seen,
    }
}

async fn connected(address: IpAddr, port: u16, source: Option<IpAddr>) -> io::Result<Seen> {
    let socket = match address {
        IpAddr::V4(_) => TcpSocket::new_v4()?,
        IpAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if let Some(source) = source {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    let mut stream = socket.connect(SocketAddr::new(address, port)).await?;
    let mut byte = [0u8; 1];
    let closed = "connected, and closed at once without a word: a proxy in front of nobody";
    Ok(match timeout(SETTLE, stream.read(&mut byte)).await {
        Err(_) | Ok(Ok(1..)) => seen(SeenOutcome::Ok, "connected".to_owned()),
        Ok(Ok(0)) => seen(SeenOutcome::Fail(Failure::Refused), closed.to_owned()),
        Ok(Err(_)) => seen(SeenOutcome::Fail(Failure::Refused), closed.to_owned()),
    })
}

/// Sends one datagram, again each 800 ms. An answer is ok, ICMP says what it says, and silence is unclear: many
/// services answer only what they understand.
pub async fn udp(address: IpAddr, port: u16, source: Option<IpAddr>, whole: Duration) -> Seen {
    match timeout(whole, answered(address, port, source)).await {
        Err(_) => seen(
            SeenOutcome::Silent,
            "silence: dropped on the way, or not understood".to_owned(),
        ),
        Ok(Err(error)) => failed(&error),
        Ok(Ok(())) => seen(SeenOutcome::Ok, "answered".to_owned()),
    }
}

async fn answered(address: IpAddr, port: u16, source: Option<IpAddr>) -> io::Result<()> {
    let socket = bound(address, source).await?;
    socket.connect(SocketAddr::new(address, port)).await?;
    let mut answer = [0u8; 512];
    loop {
        socket.send(b"stack reach\n").await?;
        match timeout(Duration::from_millis(800), socket.recv(&mut answer)).await {
            Err(_) => {}
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => return Err(error),
        }
    }
}

/// A UDP socket of the address's family that hears ICMP errors (`IP_RECVERR`, ip(7)).
pub async fn bound(address: IpAddr, source: Option<IpAddr>) -> io::Result<UdpSocket> {
    let any: IpAddr = match address {
        IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind(SocketAddr::new(source.unwrap_or(any), 0)).await?;
    match address {
        IpAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?,
        IpAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?,
    }
    Ok(socket)
}
