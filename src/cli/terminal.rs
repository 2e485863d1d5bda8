//! Our own terminal handed over to a process in a container: raw mode while it lasts, every key to the process, its
//! size kept equal, and given back however it ends.

use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;

use futures_util::StreamExt;
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::exit::Failure;
use crate::cli::screen;
use crate::world::engine::Engine;
use crate::world::engine::talk::log::Said;
use crate::world::engine::talk::session::{Session, Terminal};

/// Whether standard input and output are both a terminal: only then a process gets one.
pub fn is_ours() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// Raw mode; the old one comes back when it is dropped.
struct Raw {
    before: Termios,
}

impl Raw {
    fn enter() -> Result<Raw, Failure> {
        let wrong = |error| Failure::said(format!("cannot set the terminal: {error}"));
        let before = tcgetattr(std::io::stdin().as_fd()).map_err(wrong)?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(std::io::stdin().as_fd(), SetArg::TCSADRAIN, &raw).map_err(wrong)?;
        Ok(Raw { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // The terminal may be gone; then there is nothing to give back.
        let _ = tcsetattr(std::io::stdin().as_fd(), SetArg::TCSADRAIN, &self.before);
    }
}

/// Carries input and output until the process says nothing more. `terminal` is the process's own, where it has one.
pub async fn converse(
    engine: &Engine,
    session: Session,
    terminal: Option<Terminal>,
    with_input: bool,
) -> Result<(), Failure> {
    let _raw = match &terminal {
        Some(_) if with_input => Some(Raw::enter()?),
        Some(_) | None => None,
    };
    let Session {
        mut output,
        mut input,
    } = session;
    let feeding = async {
        if with_input {
            let mut keys = tokio::io::stdin();
            let mut buffer = vec![0; 16 * 1024];
            loop {
                match keys.read(&mut buffer).await {
                    Ok(0) | Err(_) => break,
                    Ok(length) => {
                        let sent = input
                            .write_all(buffer.get(..length).unwrap_or_default())
                            .await;
                        if sent.is_err() || input.flush().await.is_err() {
                            break;
                        }
                    }
                }
            }
            // The end of our input is the end of its input; it may have gone already.
            let _ = input.shutdown().await;
        }
        std::future::pending::<()>().await
    };
    let resizing = async {
        if let Some(terminal) = &terminal {
            let mut changes = signal(SignalKind::window_change())?;
            loop {
                let (width, height) = screen::size();
                // Before the process has its terminal the engine refuses; the next change tells it again.
                let _ = engine.resize(terminal, width, height).await;
                if changes.recv().await.is_none() {
                    break;
                }
            }
        }
        std::future::pending::<Result<(), Failure>>().await
    };
    let hearing = async {
        while let Some(piece) = output.next().await {
            let piece = piece?;
            match piece.on {
                Said::Output => {
                    let mut stream = std::io::stdout().lock();
                    stream.write_all(&piece.bytes)?;
                    stream.flush()?;
                }
                Said::Error => std::io::stderr().lock().write_all(&piece.bytes)?,
            }
        }
        Ok::<(), Failure>(())
    };
    tokio::select! {
        done = hearing => done,
        done = resizing => done,
        () = feeding => Ok(()),
    }
}
