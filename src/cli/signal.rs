//! Wishes of the user to stop: Ctrl+C and SIGTERM, which mean the same.

use futures_util::Stream;
use futures_util::stream;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::exit::Failure;

/// Each item is one wish. Wishes that came before the call are not among them.
pub fn wishes_to_stop() -> Result<impl Stream<Item = ()> + Unpin + Send, Failure> {
    let interrupts = signal(SignalKind::interrupt())?;
    let terminations = signal(SignalKind::terminate())?;
    Ok(stream::select(each(interrupts), each(terminations)))
}

fn each(signal: Signal) -> impl Stream<Item = ()> + Unpin + Send {
    Box::pin(stream::unfold(signal, |mut signal| async move {
        signal.recv().await.map(|()| ((), signal))
    }))
}
