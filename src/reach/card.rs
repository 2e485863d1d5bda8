//! What a rule says to people.

/// A rule for people.
#[derive(Debug, PartialEq, Eq)]
pub struct Card {
    /// Such as `B2`.
    pub id: &'static str,
    /// A short sentence without a full stop.
    pub title: &'static str,
    /// What happens and why.
    pub text: &'static str,
    /// What says so.
    pub source: &'static str,
}
