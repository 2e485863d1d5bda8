//! A temporary responder: sockets in a target's namespace that answer while the probes run, on declared ports where the
//! service does not listen. With it "nobody listens" and "something is in the way" are told apart. It answers every
//! connection and datagram with one line and is gone with the value.

use std::io::{self, IoSlice, IoSliceMut, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt,
    sockopt,
};

use crate::model::port::Protocol;
use crate::world::netns::Namespace;

const LINE: &[u8] = b"stack responder\n";

/// How often the sockets are looked at.
const TICK: Duration = Duration::from_millis(5);

/// Sockets that answer.
#[derive(Debug)]
pub struct Responder {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

enum Socket {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

impl Responder {
    /// Opens the ports in the namespace; one that is taken is left to whoever has it.
    pub async fn start(
        namespace: &Namespace,
        ports: Vec<(u16, Protocol)>,
    ) -> io::Result<Responder> {
        let sockets = namespace
            .enter(move || {
                let mut sockets = Vec::new();
                for (port, protocol) in ports {
                    match open(port, protocol) {
                        Ok(Some(socket)) => sockets.push(socket),
                        Ok(None) => {}
                        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(sockets)
            })
            .await?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        // A socket belongs to the namespace it was made in, so the thread need not be there.
        let thread = std::thread::Builder::new()
            .name("responder".to_owned())
            .spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    sockets.iter().for_each(serve);
                    std::thread::sleep(TICK);
                }
            })?;
        Ok(Responder {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has closed its sockets as well.
            let _ = thread.join();
        }
    }
}

/// On all addresses of both families; a namespace without IPv6 has only the other.
fn open(port: u16, protocol: Protocol) -> io::Result<Option<Socket>> {
    let six = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let four = SocketAddr::from((std::net::Ipv4Addr::UNSPECIFIED, port));
    let without = |error: &io::Error| {
        matches!(
            error.raw_os_error(),
            Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL)
        )
    };
    Ok(match protocol {
        Protocol::Tcp => {
            let listener = match TcpListener::bind(six) {
                Err(error) if without(&error) => TcpListener::bind(four)?,
                other => other?,
            };
            listener.set_nonblocking(true)?;
            Some(Socket::Tcp(listener))
        }
        Protocol::Udp => {
            let socket = match UdpSocket::bind(six) {
                Err(error) if without(&error) => UdpSocket::bind(four)?,
                other => other?,
            };
            socket.set_nonblocking(true)?;
            match socket.local_addr()? {
                SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?,
                SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?,
            }
            Some(Socket::Udp(socket))
        }
        Protocol::Sctp => None,
    })
}

fn serve(socket: &Socket) {
    match socket {
        Socket::Tcp(listener) => {
            while let Ok((mut stream, _)) = listener.accept() {
                // Whoever asked may be gone already.
                let _ = stream.write_all(LINE);
            }
        }
        Socket::Udp(socket) => while answer(socket).is_ok() {},
    }
}

/// Takes one datagram and answers from the very address that was asked. A socket that is bound to all addresses would
/// answer from that of the link on which the answer leaves, which the client of a machine with several takes for
/// somebody else's.
fn answer(socket: &UdpSocket) -> nix::Result<()> {
    let descriptor = socket.as_raw_fd();
    let mut buffer = [0u8; 512];
    let mut parts = [IoSliceMut::new(&mut buffer)];
    let mut space = nix::cmsg_space!(libc::in6_pktinfo, libc::in_pktinfo);
    let got =
        recvmsg::<SockaddrStorage>(descriptor, &mut parts, Some(&mut space), MsgFlags::empty())?;
    let mut four = None;
    let mut six = None;
    for message in got.cmsgs()? {
        match message {
            // The way back is the routes' affair, so no link is named.
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                four = Some(libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: info.ipi_addr,
                    ..info
                });
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                six = Some(libc::in6_pktinfo {
                    ipi6_ifindex: 0,
                    ..info
                });
            }
            _ => {}
        }
    }
    let control: Vec<ControlMessage> = four
        .iter()
        .map(ControlMessage::Ipv4PacketInfo)
        .chain(six.iter().map(ControlMessage::Ipv6PacketInfo))
        .collect();
    // Whoever asked may be gone already.
    let _ = sendmsg(
        descriptor,
        &[IoSlice::new(LINE)],
        &control,
        MsgFlags::empty(),
        got.address.as_ref(),
    );
    Ok(())
}
