//! The agent: keeps the host's side of projects as their last `up` wanted it, while nobody runs. A container, an engine
//! or a machine that starts anew, a link that goes and comes back, another tool that flushes what it does not know: all
//! of these take away shims, routes, flags, translation or lans, and nobody but the kernel tells.
//!
//! It is a loop of three things that are there already: the record of what is wanted ([`crate::apply::wanted`]), the
//! difference to what is there ([`crate::plan::diff::keep`]), and the executor. News only says when to look. It acts
//! under the project's lock and never while a run is under way or was cut off; it removes nothing and touches no
//! container.
//!
//! Nothing is polled. A burst of news is looked at once, when it has been quiet for a moment. The only clocks are that
//! moment, and after a failure, which may have a cause that nobody tells of (an address that another machine uses), a
//! pause that doubles from a second to five minutes.

pub mod care;
pub mod desk;
pub mod follow;
pub mod said;
