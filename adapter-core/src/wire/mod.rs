//! The wire protocol: frames, kinds and bodies, as PROTOCOL.md describes them. Pure: no IO, no clock.

mod body;
mod codec;
mod frame;
#[cfg(test)]
mod frame_tests;
#[cfg(test)]
mod golden;
#[cfg(test)]
pub(crate) mod hostile;
mod kind;
mod operation;
mod run;
#[cfg(test)]
pub(crate) mod samples;

pub(crate) use body::*;
pub(crate) use codec::{Malformed, decode, encode};
pub(crate) use frame::{Frame, Frames, Head, Number, Part, Skipped};
pub(crate) use kind::Kind;
pub(crate) use operation::{Answer, Content, Operation, Unreadable};
pub(crate) use run::{Glance, Message, OVERHEAD, RESEND_ROOM, TRACED_OVERHEAD};
