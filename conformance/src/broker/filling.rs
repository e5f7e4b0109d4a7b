//! How a broker becomes full, and has room again.

use super::recipe::Text;

/// How an operator makes a broker so full that it refuses what is published, and makes room again: programs that run where each server
/// runs, with their arguments, which are [templates](super::Recipe#templates).
#[derive(Clone, Debug)]
#[must_use]
pub struct Filling {
    pub(super) prepare: Vec<Text>,
    pub(super) fill: Vec<Text>,
    pub(super) relieve: Vec<Text>,
    pub(super) says: Text,
}

impl Filling {
    /// `fill` fills the broker, and `relieve` makes room again. `says` is part of the reason that nodes give while it is full.
    pub fn new(
        fill: impl IntoIterator<Item = impl Into<Text>>,
        relieve: impl IntoIterator<Item = impl Into<Text>>,
        says: impl Into<Text>,
    ) -> Self {
        let fill = fill.into_iter().map(Into::into).collect();
        let relieve = relieve.into_iter().map(Into::into).collect();
        Self { prepare: Vec::new(), fill, relieve, says: says.into() }
    }

    /// Runs this and restarts the broker before it is filled. If the command prints anything, that is the reason why this server cannot be
    /// filled, and the case is shown as ignored with it.
    pub fn prepared_by(mut self, command: impl IntoIterator<Item = impl Into<Text>>) -> Self {
        self.prepare = command.into_iter().map(Into::into).collect();
        self
    }
}
