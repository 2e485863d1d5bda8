//! Who can talk to whom, how it fails where not, and why. The prediction is pure: a scene of everything there is
//! ([`scene`]), rules that say what kernel and engine do with it ([`rules`]), and a trace of one question through it
//! ([`predict`]). Only [`probe`] sends anything: the same questions, asked for real, to be held against the prediction
//! ([`compare`]).

pub mod advice;
pub mod card;
pub mod change;
pub mod check;
pub mod compare;
pub mod delta;
pub mod explain;
pub mod facts;
pub mod matrix;
pub mod predict;
pub mod probe;
pub mod question;
pub mod rules;
pub mod scene;
pub mod standing;
pub mod verdict;
pub mod words;
