//! One question to an engine over its unix socket, without its client: HTTP/1.0, so the answer ends with the
//! connection and is never chunked. Only for starting and stopping private engines.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// `GET path`; each read may take as long as `patience`.
pub fn get(socket: &Path, path: &str, patience: Duration) -> Result<Answer> {
    ask(socket, "GET", path, patience)
}

/// `DELETE path`; each read may take as long as `patience`.
pub fn delete(socket: &Path, path: &str, patience: Duration) -> Result<Answer> {
    ask(socket, "DELETE", path, patience)
}

fn ask(socket: &Path, method: &str, path: &str, patience: Duration) -> Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: engine\r\n\r\n")?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text)?;
    parse(&text).ok_or_else(|| Error::new(ErrorKind::InvalidData, "the answer is not HTTP"))
}

fn parse(text: &[u8]) -> Option<Answer> {
    let end = text.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (head, body) = text.split_at(end);
    let status = std::str::from_utf8(head)
        .ok()?
        .split(' ')
        .nth(1)?
        .parse()
        .ok()?;
    Some(Answer {
        status,
        body: body.get(4..).unwrap_or_default().to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn an_answer_has_a_status_and_a_body() {
        let answer = parse(b"HTTP/1.0 200 OK\r\nApi-Version: 1.41\r\n\r\nOK").unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (200, &b"OK"[..]));
        assert!(parse(b"no").is_none());
    }
}
