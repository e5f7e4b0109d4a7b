//! What arrives, in order and once: by sender and channel for what is numbered, by its id for what is not.

mod account;
mod asking;
mod assembly;
mod held;
mod held_messages;
mod patience;
mod progress;
mod ranges;
mod window;

pub(crate) use account::{Account, Arrived};
pub(crate) use asking::Reorder;
pub(crate) use assembly::{Whole, split};
pub(crate) use held::HeldInAll;
pub(crate) use patience::Patience;
pub(crate) use progress::{Progress, Step};
pub(crate) use window::{Accepted, SPAN, Window};
