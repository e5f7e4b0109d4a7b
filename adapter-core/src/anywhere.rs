//! Where to begin.

/// One of so many places, at random: with which of its servers a node begins, so that the nodes of a cluster spread over them.
/// The first, where there is no randomness or no place.
pub fn anywhere(among: usize) -> usize {
    getrandom::u32().unwrap_or_default() as usize % among.max(1)
}
