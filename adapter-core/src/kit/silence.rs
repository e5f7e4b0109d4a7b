//! When a connection on which nothing arrives is dead.

use std::time::Duration;

use tokio::time::sleep;

use crate::kit::Pulse;

/// What is being sent takes its time on a thin link: so many bytes are worth another look.
const THIN: usize = 128 << 10;
/// Looks that are added for that at most.
const PATIENCE: usize = 16;

/// How long a server may be silent. Looks are counted, and not time: a stall of our own process counts as one look.
///
/// # Examples
/// ```
/// # use std::time::Duration;
/// # async fn example(pulse: &roomcast_core::backend::Pulse) {
/// use roomcast_core::backend::Silence;
///
/// const SILENCE: Silence = Silence::new(Duration::from_secs(1), Duration::from_millis(250), 7);
/// SILENCE.of(pulse, || async { /* ping */ }, |_| false).await;
/// // Nothing has arrived for a second, and for seven looks after the ping.
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Silence {
    look: Duration,
    tick: Duration,
    ticks: u32,
}

impl Silence {
    /// Every `look` is checked whether anything has arrived; once nothing had, every `tick`. After so many `ticks` the connection is dead.
    pub const fn new(look: Duration, tick: Duration, ticks: u32) -> Self {
        Self { look, tick, ticks }
    }

    /// Returns when nothing has arrived for too long although it was asked for: `ask` is called after the first look that finds nothing.
    /// A connection that is [paused](Pulse::is_paused) is not silent, nor is one that is `excused`, which is told how many bytes have arrived
    /// since the look before. What is [being sent](Pulse::sends) adds a tick for each 128 KiB, at most 16.
    ///
    /// # Cancel safety
    /// Safe, if `ask` is.
    pub async fn of<F: Future<Output = ()>>(
        &self,
        pulse: &Pulse,
        mut ask: impl FnMut() -> F,
        mut excused: impl FnMut(u64) -> bool,
    ) {
        let (mut seen, mut quiet) = (pulse.bytes(), 0);
        while quiet <= self.ticks + (pulse.sending() / THIN).min(PATIENCE) as u32 {
            sleep(if quiet == 0 { self.look } else { self.tick }).await;
            let bytes = pulse.bytes();
            if excused(bytes - seen) || bytes != seen || pulse.is_paused() {
                (seen, quiet) = (bytes, 0);
                continue;
            }
            if quiet == 0 {
                ask().await;
            }
            quiet += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use tokio::time::Instant;

    const SILENCE: Silence = Silence::new(Duration::from_secs(1), Duration::from_millis(250), 4);

    #[tokio::test(start_paused = true)]
    async fn what_does_not_answer_a_question_is_silent() {
        let (began, asked) = (Instant::now(), Cell::new(0));
        let ask = || {
            asked.set(asked.get() + 1);
            std::future::ready(())
        };
        SILENCE.of(&Pulse::default(), ask, |_| false).await;
        assert_eq!((asked.get(), began.elapsed().as_millis() / 10), (1, 200));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_being_sent_has_time_within_bounds() {
        let pulse = std::sync::Arc::new(Pulse::default());
        for (bytes, ticks) in [(0, 0), (THIN - 1, 0), (THIN * 3, 3), (usize::MAX, 16)] {
            let (began, _sending) = (Instant::now(), pulse.sends(bytes));
            SILENCE.of(&pulse, async || {}, |_| false).await;
            assert_eq!(began.elapsed().as_millis() / 10, 200 + 25 * ticks, "{bytes} bytes");
        }
        assert_eq!(pulse.sending(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_paused_or_excused_is_not() {
        let (pulse, began) = (Pulse::default(), Instant::now());
        pulse.pause();
        let excused = |_| {
            if began.elapsed() > SILENCE.look * 10 {
                pulse.resume();
            }
            began.elapsed() < SILENCE.look * 20
        };
        SILENCE.of(&pulse, || std::future::ready(()), excused).await;
        assert!(began.elapsed() > SILENCE.look * 20);
    }
}
