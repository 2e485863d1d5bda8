//! What containers say: their logs, past and to come.

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptions;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use crate::world::WorldError;
use crate::world::engine::Engine;
use crate::world::engine::error::refused;

/// Which of its streams a container said something on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    Output,
    Error,
}

/// A piece of output; it may be a part of a line or several lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub on: Said,
    pub bytes: Bytes,
}

/// Which part of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogWish {
    pub follow: bool,
    pub timestamps: bool,
    /// Seconds since 1970; 0 is the beginning.
    pub since: i64,
    /// Seconds since 1970; 0 is no end.
    pub until: i64,
    /// A number of lines from the end, or `all`.
    pub tail: String,
}

impl Engine {
    /// The log of one container. It ends with the container where it is followed.
    pub fn logs(
        &self,
        container: &str,
        wish: &LogWish,
    ) -> impl Stream<Item = Result<Piece, WorldError>> + Send + use<> {
        let options = LogsOptions {
            follow: wish.follow,
            stdout: true,
            stderr: true,
            since: i32::try_from(wish.since).unwrap_or(i32::MAX),
            until: i32::try_from(wish.until).unwrap_or(i32::MAX),
            timestamps: wish.timestamps,
            tail: wish.tail.clone(),
        };
        let act = format!("cannot read the log of container `{container}`");
        self.patient()
            .logs(container, Some(options))
            .map(move |item| match item {
                Ok(output) => Ok(piece(output)),
                Err(error) => Err(refused(act.clone(), error)),
            })
    }
}

/// A piece in our own words. A terminal has one stream only.
pub(in crate::world::engine) fn piece(output: LogOutput) -> Piece {
    let on = match &output {
        LogOutput::StdErr { .. } => Said::Error,
        LogOutput::StdOut { .. } | LogOutput::StdIn { .. } | LogOutput::Console { .. } => {
            Said::Output
        }
    };
    Piece {
        on,
        bytes: output.into_bytes(),
    }
}
