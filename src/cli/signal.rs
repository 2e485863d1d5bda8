//! Wishes of the user to stop: Ctrl+C, SIGTERM and the end of the terminal, which mean the same.

use std::sync::OnceLock;

use futures_util::Stream;
use futures_util::stream;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::exit::Failure;

/// Each item is one wish. Wishes that came before the call are not among them.
pub fn wishes_to_stop() -> Result<impl Stream<Item = ()> + Unpin + Send, Failure> {
    let mut kinds = vec![SignalKind::interrupt(), SignalKind::terminate()];
    // Under `nohup` the end of the terminal is none of our business.
    if !is_hangup_ignored() {
        kinds.push(SignalKind::hangup());
    }
    let signals = kinds
        .into_iter()
        .map(|kind| signal(kind).map(each))
        .collect::<std::io::Result<Vec<_>>>()?;
    Ok(stream::select_all(signals))
}

fn each(signal: Signal) -> impl Stream<Item = ()> + Unpin + Send {
    Box::pin(stream::unfold(signal, |mut signal| async move {
        signal.recv().await.map(|()| ((), signal))
    }))
}

/// Whether SIGHUP was ignored when this program began: once somebody listens, the kernel does not tell any more.
fn is_hangup_ignored() -> bool {
    static IGNORED: OnceLock<bool> = OnceLock::new();
    *IGNORED.get_or_init(|| {
        std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status))
    })
}

/// The mask of ignored signals, as `/proc/PID/status` has it: signal 1 is the lowest bit.
fn ignores_hangup(status: &str) -> bool {
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::ignores_hangup;

    #[test]
    fn the_mask_of_ignored_signals_tells_of_nohup() {
        assert!(ignores_hangup("Name:\tstack\nSigIgn:\t0000000000001001\n"));
        assert!(!ignores_hangup("SigIgn:\t0000000000001000\n"));
        assert!(!ignores_hangup(""));
    }
}
