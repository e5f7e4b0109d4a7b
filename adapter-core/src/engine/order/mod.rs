//! What arrives, in order and once: by sender and channel for what is numbered, by its id for what is not.

mod account;
mod asking;
mod assembly;
mod held;
mod ranges;
mod window;

pub(crate) use account::{Account, Arrived, Patience, Progress, Step};
pub(crate) use asking::Reorder;
pub(crate) use assembly::{Whole, split};
pub(crate) use held::HeldInAll;
pub(crate) use window::{Accepted, SPAN, Window};
