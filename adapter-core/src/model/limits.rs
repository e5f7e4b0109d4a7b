//! What a link allows.

/// What the current link allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The largest payload of one message, in bytes; at least 512.
    pub max_frame: usize,
}

impl Limits {
    /// The smallest `max_frame` that carries every header with something behind it.
    pub const MIN_FRAME: usize = 512;

    /// Payloads of up to this many bytes (less than [`Self::MIN_FRAME`] counts as that).
    pub const fn max_frame(bytes: usize) -> Self {
        Self { max_frame: if bytes < Self::MIN_FRAME { Self::MIN_FRAME } else { bytes } }
    }
}
