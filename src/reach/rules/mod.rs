//! The rules: what kernel and engine do, each a small function with a card. A card has the rule's name in the list that
//! the documentation uses, what it says to a person, and where it comes from: a test of the engine's authors, a kernel
//! file, or a table measured by us. `stack why` prints the card of the rule that decides.

pub mod bridge;
pub mod engine;
pub mod exit;
pub mod host;
pub mod name;
pub mod overlay;
pub mod publish;
pub mod wire;

use crate::reach::card::Card;

/// All cards, in the order of the documentation.
pub fn cards() -> impl Iterator<Item = &'static Card> {
    [
        name::CARDS,
        bridge::CARDS,
        exit::CARDS,
        publish::CARDS,
        host::CARDS,
        wire::CARDS,
        overlay::CARDS,
        engine::CARDS,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// The card of this name.
pub fn card(id: &str) -> Option<&'static Card> {
    cards().find(|card| card.id.eq_ignore_ascii_case(id))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn every_card_has_a_name_of_its_own_and_a_source() {
        let mut seen = BTreeSet::new();
        for card in super::cards() {
            assert!(seen.insert(card.id), "{} twice", card.id);
            assert!(
                !card.source.is_empty() && !card.title.ends_with('.'),
                "{}",
                card.id
            );
            assert!(card.text.ends_with('.'), "{}", card.id);
        }
        assert!(seen.len() > 30);
    }
}
