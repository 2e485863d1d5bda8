//! Who can talk to whom, how it fails where not, and why. The prediction is pure: a scene of everything there is
//! ([`scene`]), rules that say what kernel and engine do with it ([`rules`]), and a trace of one question through it
//! ([`predict`]). Nothing is sent anywhere here.

pub mod facts;
pub mod predict;
pub mod question;
pub mod rules;
pub mod scene;
pub mod verdict;
