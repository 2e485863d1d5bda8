//! The reader: stack files (a superset of the Compose Specification) to the model, or to diagnostics that point at the
//! text. Nothing here asks an engine or changes anything; files and environment come in through the request.

pub mod scalar;
pub mod tree;
pub mod yaml;
