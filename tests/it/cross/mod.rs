//! Static network analysis: what a file alone shows to be wrong, with both places.

mod addresses;
mod modes;
mod pools;
mod room;
mod turns;
mod wires;

use expect_test::Expect;

use stack::diagnostic::render::{Colour, text};
use stack::file::files::Memory;
use stack::file::request::Request;

/// What is told of a file, as text.
pub fn tells(file: &str, expected: Expect) {
    let memory = Memory::of([("/lab/stack.yaml", file)]);
    let reading = stack::file::read(&Request::new("/lab"), &memory);
    expected.assert_eq(&text(&reading.diagnostics, &reading.sources, Colour::Never));
}
