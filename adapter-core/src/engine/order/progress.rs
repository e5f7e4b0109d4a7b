//! What comes of a frame, or of time that passes.

use std::time::Duration;

use super::assembly::Whole;

/// What came of a frame or of time passing.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// In order.
    pub(crate) steps: Steps,
    /// Copies that were dropped.
    pub(crate) copies: u64,
    /// Frames that were dropped since no honest sender counts so fast.
    pub(crate) leaps: u64,
    /// Messages that had been lost, and were sent again.
    pub(crate) repaired: u64,
    /// How much later than what was sent after it the frame came, if it did.
    pub(crate) late: Option<Duration>,
}

/// Steps in order. Nearly always there is one, so the first is not put into a list.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    first: Option<Step>,
    more: Vec<Step>,
}

impl Steps {
    pub(crate) fn push(&mut self, step: Step) {
        match self.first {
            None => self.first = Some(step),
            Some(_) => self.more.push(step),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }
}

impl Extend<Step> for Steps {
    fn extend<T: IntoIterator<Item = Step>>(&mut self, steps: T) {
        steps.into_iter().for_each(|step| self.push(step));
    }
}

impl IntoIterator for Steps {
    type Item = Step;
    type IntoIter = std::iter::Chain<std::option::IntoIter<Step>, std::vec::IntoIter<Step>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.more)
    }
}

/// What is next in an account.
#[derive(Debug)]
pub(crate) enum Step {
    /// To be carried out.
    Frame(Whole),
    /// So many messages, before what follows, will never come.
    Lost(u64),
    /// Some will not; how many is not known.
    LostUncounted,
}
