//! The wire to an engine on another machine by way of `ssh`, as the docker client has it: `docker system dial-stdio` there
//! carries one connection to that machine's engine, and its input and output are ours. One `ssh` for each connection that
//! is kept, none for a call. What `ssh` has to say (a key that is refused, a host that is not known) goes to the user.

use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// `[user@]host[:port]`, in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    user: Option<String>,
    host: String,
    port: Option<u16>,
}

impl Destination {
    /// The parts of an address; none where it has no host or no port of that number.
    pub fn parse(address: &str) -> Option<Destination> {
        let (user, rest) = match address.rsplit_once('@') {
            Some(("", _)) => return None,
            Some((user, rest)) => (Some(user.to_owned()), rest),
            None => (None, address),
        };
        let (host, port) = host_and_port(rest)?;
        Some(Destination { user, host, port })
    }

    fn command(&self) -> Command {
        let mut command = Command::new("ssh");
        command.args(["-T", "-o", "ConnectTimeout=30"]);
        if let Some(user) = &self.user {
            command.args(["-l", user]);
        }
        if let Some(port) = self.port {
            command.args(["-p", &port.to_string()]);
        }
        command.args(["--", &self.host, "docker", "system", "dial-stdio"]);
        command
    }
}

/// An IPv6 address with a port stands in brackets.
fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            match after {
                "" => (host, None),
                after => (host, Some(after.strip_prefix(':')?)),
            }
        }
        None => match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = match port {
        Some(port) => Some(port.parse().ok()?),
        None => None,
    };
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

/// Makes connections to one destination.
#[derive(Debug, Clone)]
pub struct Connector(pub Destination);

impl tower_service::Service<hyper::Uri> for Connector {
    type Response = TokioIo<Line>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<TokioIo<Line>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: hyper::Uri) -> Self::Future {
        ready(Line::open(&self.0).map(TokioIo::new)).boxed()
    }
}

/// One connection. Dropped, its `ssh` ends.
#[derive(Debug)]
pub struct Line {
    _ssh: Child,
    // None once we have said all: `ssh` sees the end only when its input is closed.
    input: Option<ChildStdin>,
    output: ChildStdout,
}

impl Line {
    fn open(destination: &Destination) -> io::Result<Line> {
        let mut ssh = destination
            .command()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("cannot run `ssh`: {error}")))?;
        match (ssh.stdin.take(), ssh.stdout.take()) {
            (Some(input), Some(output)) => Ok(Line {
                _ssh: ssh,
                input: Some(input),
                output,
            }),
            (_, _) => Err(io::Error::other("`ssh` has no input or output")),
        }
    }
}

impl Connection for Line {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.output).poll_read(context, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.input {
            Some(input) => Pin::new(input).poll_write(context, bytes),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.input {
            Some(input) => Pin::new(input).poll_flush(context),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(input) = &mut self.input {
            std::task::ready!(Pin::new(input).poll_flush(context))?;
        }
        self.input = None;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::Destination;

    fn words(address: &str) -> Option<String> {
        let command = Destination::parse(address)?.command();
        let words = command.as_std().get_args();
        let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
        Some(words.join(" "))
    }

    #[test]
    fn an_address_becomes_arguments() {
        for (address, before) in [
            ("box", "-- box"),
            ("me@box", "-l me -- box"),
            ("me@box:2222", "-l me -p 2222 -- box"),
            ("[fe80::1]:22", "-p 22 -- fe80::1"),
            // A host is never taken for an option.
            ("-oProxyCommand=x", "-- -oProxyCommand=x"),
        ] {
            let whole = format!("-T -o ConnectTimeout=30 {before} docker system dial-stdio");
            assert_eq!(words(address), Some(whole));
        }
        for wrong in ["", "@box", "me@", "box:x", "box:99999", "[::1", "[::1]22"] {
            assert_eq!(words(wrong), None, "{wrong}");
        }
    }
}
