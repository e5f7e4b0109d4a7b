//! What the broker counts.

use std::ops::{Add, AddAssign, Sub};

/// Messages, and the bytes in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

/// What went one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lanes {
    pub(crate) control: Count,
    pub(crate) other: Count,
}

/// What one node, or all of them, sent to the broker and received from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) published: Lanes,
    pub(crate) delivered: Lanes,
}

/// Whether a message is control, by the flags of its first run (PROTOCOL.md).
pub(crate) fn is_control(message: &[u8]) -> bool {
    message.starts_with(b"RC") && message.get(4).is_some_and(|flags| flags & 2 != 0)
}

impl Count {
    /// The bytes on a broker that adds so many to each message.
    pub(crate) fn bytes_with(self, overhead: u64) -> u64 {
        self.bytes + self.messages * overhead
    }
}

impl Lanes {
    pub(crate) fn add(&mut self, control: bool, bytes: usize) {
        let lane = if control { &mut self.control } else { &mut self.other };
        *lane += Count { messages: 1, bytes: bytes as u64 };
    }

    pub(crate) fn all(self) -> Count {
        self.control + self.other
    }
}

impl Add for Count {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { messages: self.messages + other.messages, bytes: self.bytes + other.bytes }
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Count {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self { messages: self.messages - other.messages, bytes: self.bytes - other.bytes }
    }
}

impl Add for Lanes {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { control: self.control + other.control, other: self.other + other.other }
    }
}

impl Sub for Lanes {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self { control: self.control - other.control, other: self.other - other.other }
    }
}

impl Add for Traffic {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { published: self.published + other.published, delivered: self.delivered + other.delivered }
    }
}

impl Sub for Traffic {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self { published: self.published - other.published, delivered: self.delivered - other.delivered }
    }
}
