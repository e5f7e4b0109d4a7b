//! Trace contexts.

use std::fmt;

/// The trace context of a span, as the [W3C](https://www.w3.org/TR/trace-context/) defines it: with it, spans of other processes become the
/// span's children. Vendors' data (`tracestate`) and baggage are not part of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext([u8; Self::LEN]);

impl TraceContext {
    /// On the wire: the trace's id, the span's id, the flags.
    pub(crate) const LEN: usize = 16 + 8 + 1;

    /// The context of a span. `None` for an id of zeros alone, which the W3C calls invalid. The flags travel as they are; the lowest one says
    /// that the trace is sampled.
    pub fn new(trace_id: [u8; 16], span_id: [u8; 8], flags: u8) -> Option<Self> {
        let mut bytes = [flags; Self::LEN];
        bytes[..16].copy_from_slice(&trace_id);
        bytes[16..24].copy_from_slice(&span_id);
        Self::from_bytes(bytes)
    }

    /// The id of the trace.
    pub fn trace_id(&self) -> [u8; 16] {
        std::array::from_fn(|at| self.0[at])
    }

    /// The id of the span.
    pub fn span_id(&self) -> [u8; 8] {
        std::array::from_fn(|at| self.0[16 + at])
    }

    /// The flags; the lowest one says that the trace is sampled.
    pub fn flags(&self) -> u8 {
        self.0[24]
    }

    pub(crate) fn from_bytes(bytes: [u8; Self::LEN]) -> Option<Self> {
        let valid = bytes[..16] != [0; 16] && bytes[16..24] != [0; 8];
        valid.then_some(Self(bytes))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

/// As in the header `traceparent`.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("00")?;
        for (at, byte) in self.0.iter().enumerate() {
            let dash = if [0, 16, 24].contains(&at) { "-" } else { "" };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceContext({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_shown_as_a_traceparent_and_has_no_zero_ids() {
        let (trace, span) = (std::array::from_fn(|at| at as u8 + 1), [0xa7; 8]);
        let context = TraceContext::new(trace, span, 1).expect("valid");
        assert_eq!(context.to_string(), "00-0102030405060708090a0b0c0d0e0f10-a7a7a7a7a7a7a7a7-01");
        assert_eq!((context.trace_id(), context.span_id(), context.flags()), (trace, span, 1));
        assert_eq!(TraceContext::from_bytes(*context.as_bytes()), Some(context));
        assert_eq!(TraceContext::new([0; 16], span, 1), None);
        assert_eq!(TraceContext::new(trace, [0; 8], 1), None);
    }
}
