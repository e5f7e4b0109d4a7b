//! What came of the load.

use std::fmt;
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// What came of the load, as seen by all sockets together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Score {
    /// Messages that were emitted, and how many deliveries they should make.
    pub(crate) sent: u64,
    /// Those of which `emit` has said at once that they reach no other server.
    pub(crate) refused: u64,
    pub(crate) due: u64,
    pub(crate) delivered: u64,
    /// Deliveries of messages that had been lost, and were sent again.
    pub(crate) repaired: u64,
    /// Deliveries that a node has reported as lost.
    pub(crate) reported: u64,
    pub(crate) doubled: u64,
    pub(crate) disordered: u64,
    pub(crate) kills: u64,
    /// The longest time in which a socket got nothing from the other servers.
    pub(crate) silence: Duration,
}

impl Score {
    /// Deliveries that are missing; while messages are under way, those too.
    pub(crate) fn missing(&self) -> u64 {
        self.due.saturating_sub(self.delivered)
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.missing() == 0 && self.doubled == 0 && self.disordered == 0
    }

    /// Prints it as one line, in the place of the line before; nothing where nobody looks.
    pub(crate) fn show(&self) {
        if !std::io::stdout().is_terminal() {
            return;
        }
        let Self { sent, delivered, repaired, doubled, disordered, kills, silence, .. } = self;
        print!(
            "\rsent {sent:>8}   delivered {delivered:>9}   repaired {repaired:>7}   doubled {doubled}   out of order \
             {disordered}   kills {kills:>3}   longest silence {:>5} ms ",
            silence.as_millis()
        );
        let _ = std::io::stdout().flush(); // nobody looks: nothing to do
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, refused, due, delivered, repaired, reported, doubled, disordered, kills, silence } = self;
        writeln!(f, "the broker was killed     {kills:>10} times")?;
        writeln!(f, "messages sent             {sent:>10}")?;
        if *refused > 0 {
            writeln!(f, "refused by emit           {refused:>10}")?;
        }
        writeln!(f, "deliveries                {delivered:>10} of {due}")?;
        writeln!(f, "  of which sent again     {repaired:>10}")?;
        writeln!(f, "lost                      {:>10}", self.missing())?;
        writeln!(f, "  of which reported       {reported:>10}")?;
        writeln!(f, "doubled                   {doubled:>10}")?;
        writeln!(f, "out of order              {disordered:>10}")?;
        write!(f, "longest silence           {:>10} ms", silence.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_doubled_or_out_of_order_is_not_clean() {
        let clean = Score { due: 9, delivered: 9, repaired: 4, kills: 2, ..Score::default() };
        assert!(clean.is_clean());
        assert!(!Score { delivered: 8, reported: 1, ..clean.clone() }.is_clean());
        assert!(!Score { doubled: 1, ..clean.clone() }.is_clean());
        assert!(!Score { disordered: 1, ..clean }.is_clean());
    }
}
