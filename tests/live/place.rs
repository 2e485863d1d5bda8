//! Somebody who asks over the network: the host, a machine on a wire, a container. The question is asked by this
//! process from inside the network namespace, so no program has to be there.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};

use crate::bed::ran;
use crate::runner::Failure;

/// A network namespace and what to call it.
pub struct Place {
    name: String,
    namespace: PathBuf,
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The body of the page, without the white space at its end.
    Page(String),
    /// The other end said no: it is reached, but nobody listens.
    Refused,
    /// Nothing came back, or the kernel said that there is no way.
    Silence,
}

impl Place {
    /// The namespace as a file.
    pub fn new(name: &str, namespace: PathBuf) -> Place {
        Place {
            name: name.to_owned(),
            namespace,
        }
    }

    /// What to call it in a message.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Asks for a page, as in `web("10.0.0.5:80", "/")`. Each step has two seconds.
    pub fn web(&self, to: &str, path: &str) -> Result<Answer, Failure> {
        let to: SocketAddr = to
            .parse()
            .map_err(|_| format!("`{to}` is no ADDRESS:PORT"))?;
        let path = path.to_owned();
        self.inside(move || ask(to, &path))
    }

    /// Whether an echo request is answered within a second; asked up to three times, since a failed ARP question blocks
    /// the next ones for a moment.
    pub fn pings(&self, to: &str) -> Result<bool, Failure> {
        let to: IpAddr = to.parse()?;
        for _ in 0..3 {
            let answer = self.run(["busybox", "ping", "-c", "1", "-W", "1", &to.to_string()])?;
            if answer.code == Some(0) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Runs a program of this machine in the namespace.
    pub fn run<'a>(
        &self,
        words: impl IntoIterator<Item = &'a str>,
    ) -> Result<crate::bed::Ran, Failure> {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", self.namespace.display()))
            .args(["--", "timeout", "--signal=KILL", "60"])
            .args(words);
        ran(&mut command)
    }

    /// Does something in the namespace, on a thread that ends afterwards: a thread that has changed its namespace must
    /// not be used for anything else.
    pub fn inside<T: Send + 'static>(
        &self,
        act: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let namespace =
            File::open(&self.namespace).map_err(|error| format!("{}: {error}", self.name))?;
        std::thread::spawn(move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).map_err(|error| error.to_string())?;
            Ok(act())
        })
        .join()
        .map_err(|_| "the thread that asked panicked")?
        .map_err(|reason: String| format!("cannot enter {}: {reason}", self.name).into())
    }
}

fn ask(to: SocketAddr, path: &str) -> Answer {
    let limit = Duration::from_secs(2);
    let mut stream = match TcpStream::connect_timeout(&to, limit) {
        Ok(stream) => stream,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Answer::Refused,
        Err(_) => return Answer::Silence,
    };
    let question = format!("GET {path} HTTP/1.0\r\nHost: {to}\r\n\r\n");
    let mut text = Vec::new();
    let asked = stream
        .set_read_timeout(Some(limit))
        .and_then(|()| stream.write_all(question.as_bytes()))
        .and_then(|()| stream.read_to_end(&mut text));
    match asked {
        Ok(_) => {
            let text = String::from_utf8_lossy(&text);
            let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
            Answer::Page(body.trim_end().to_owned())
        }
        Err(_) => Answer::Silence,
    }
}
