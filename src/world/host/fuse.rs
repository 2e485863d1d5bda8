//! A fuse that tests put into the host: it lets a number of acts pass, then fails one, or all from there on as if the
//! process had been killed. Outside of tests it is empty and costs nothing. Every act that changes the world burns it
//! first, so a test that goes through all numbers has been everywhere.

use nix::errno::Errno;

/// Asked before every act.
#[derive(Debug, Clone, Default)]
pub struct Fuse {
    #[cfg(test)]
    state: std::sync::Arc<std::sync::Mutex<State>>,
}

#[cfg(test)]
#[derive(Debug, Default)]
struct State {
    passed: usize,
    /// The act that fails, from 0; none lets all pass.
    at: Option<usize>,
    /// Whether everything after it fails too.
    dead: bool,
}

impl Fuse {
    /// Whether the next act may be done.
    pub fn burn(&self) -> Result<(), Errno> {
        #[cfg(test)]
        {
            let mut state = self
                .state
                .lock()
                .expect("no test panics while it holds this");
            let now = state.passed;
            state.passed += 1;
            let fails = match (state.at, state.dead) {
                (Some(at), true) => now >= at,
                (Some(at), false) => now == at,
                (None, _) => false,
            };
            if fails {
                return Err(Errno::ECANCELED);
            }
        }
        Ok(())
    }

    /// From here on: act number `at` fails, and if `dead` everything after it.
    #[cfg(test)]
    pub fn set(&self, at: Option<usize>, dead: bool) {
        *self
            .state
            .lock()
            .expect("no test panics while it holds this") = State {
            passed: 0,
            at,
            dead,
        };
    }

    /// How many acts were asked for since it was set.
    #[cfg(test)]
    pub fn passed(&self) -> usize {
        self.state
            .lock()
            .expect("no test panics while it holds this")
            .passed
    }
}
