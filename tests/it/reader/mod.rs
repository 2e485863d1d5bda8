//! The reader from end to end, with files in memory: what becomes of a file, and what is told about it.

mod hints;
mod lenient;
mod merge;
mod places;
mod references;
mod refused;
mod shape;
mod told_once;
mod variables;

use expect_test::Expect;

use stack::diagnostic::render::{Colour, text};
use stack::file::Reading;
use stack::file::files::Memory;
use stack::file::render::yaml;
use stack::file::request::Request;

pub fn read_all(files: &[(&str, &str)], request: impl FnOnce(Request) -> Request) -> Reading {
    let memory = Memory::of(files.iter().copied());
    stack::file::read(&request(Request::new("/lab")), &memory)
}

/// Reads one file.
pub fn read(file: &str) -> Reading {
    read_all(&[("/lab/stack.yaml", file)], |request| request)
}

/// What is told, as text.
pub fn told(reading: &Reading) -> String {
    text(&reading.diagnostics, &reading.sources, Colour::Never)
}

/// What is told of a file.
pub fn tells(file: &str, expected: Expect) {
    let reading = read(file);
    expected.assert_eq(&told(&reading));
}

/// What `stack config` prints of a file.
pub fn prints(file: &str, expected: Expect) {
    let reading = read(file);
    assert_eq!(told(&reading), "");
    expected.assert_eq(&yaml(&reading.document).unwrap());
}
