//! What a link allows.

/// What the current link allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The largest payload of one message, in bytes; at least 512.
    pub max_frame: usize,
    /// How many batches may be under way at a time; 1 unless [`in_flight`](Self::in_flight) says more.
    pub in_flight: usize,
    /// How many may be under way while each is a single message; 1 unless [`in_flight`](Self::in_flight) or
    /// [`singles_in_flight`](Self::singles_in_flight) says more.
    pub singles_in_flight: usize,
    /// Small packets travel together in messages of about this many bytes; 64 KiB unless [`packed`](Self::packed) says less.
    pub packed: usize,
}

impl Limits {
    /// The smallest `max_frame` that carries every header with something behind it.
    pub const MIN_FRAME: usize = 512;

    /// Payloads of up to this many bytes (less than [`Self::MIN_FRAME`] counts as that).
    pub const fn max_frame(bytes: usize) -> Self {
        let max_frame = if bytes < Self::MIN_FRAME { Self::MIN_FRAME } else { bytes };
        Self { max_frame, in_flight: 1, singles_in_flight: 1, packed: 64 << 10 }
    }

    /// Small packets travel together in messages of up to this many bytes: for a broker that moves smaller messages faster.
    #[must_use]
    pub const fn packed(mut self, bytes: usize) -> Self {
        self.packed = bytes;
        self
    }

    /// The backend takes so many calls of `publish` at a time (0 counts as 1), and keeps the order in which they were first
    /// polled. Then a node sends its next batch before the broker has confirmed the one before; when the outcome of one is
    /// unknown, those behind it are sent again as well.
    #[must_use]
    pub const fn in_flight(mut self, batches: usize) -> Self {
        self.in_flight = if batches == 0 { 1 } else { batches };
        self.singles_in_flight(batches)
    }

    /// The same for calls with one message each: for a backend that hands the messages of a call to its client one after the
    /// other, so that two long calls would mix. A node that has little to send does not wait for the broker then.
    #[must_use]
    pub const fn singles_in_flight(mut self, batches: usize) -> Self {
        self.singles_in_flight = if batches < self.in_flight { self.in_flight } else { batches };
        self
    }
}
