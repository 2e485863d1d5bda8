//! What people ask the engine directly, apart from plans: lists, logs, commands in containers, events, files. Nothing
//! here changes what a plan would look at, but for pausing, killing and one-off containers. Answers are in our own
//! words; bollard's types do not leave this folder.

pub mod act;
pub mod digest;
pub mod event;
pub mod files;
pub mod image;
pub mod list;
pub mod log;
pub mod session;
