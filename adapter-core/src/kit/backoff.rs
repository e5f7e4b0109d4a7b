//! The pauses between attempts to connect again.

use std::time::Duration;

use tokio::time::{Instant, sleep};

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);

/// The pauses that a backend makes before it connects again: 50 ms, doubled after each up to a second. Each is
/// shortened by a random part, at most half, so that the nodes of a cluster do not reconnect all at once.
///
/// # Examples
/// ```
/// # use std::io::Error;
/// # struct Link;
/// # impl Link { async fn hold(self) {} }
/// # async fn connect() -> Result<Link, Error> { Ok(Link) }
/// # async fn listen(mut link: Link) {
/// let mut backoff = roomcast_core::backend::Backoff::default();
/// loop {
///     link.hold().await; // until it breaks
///     link = loop {
///         backoff.wait().await;
///         if let Ok(link) = connect().await {
///             break link;
///         }
///     };
///     backoff.connected();
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Backoff {
    pause: Duration,
    longest: Duration,
    connected: Option<Instant>,
}

impl Backoff {
    /// With pauses of at most this, which is limited to the range from 50 ms to 1 s.
    pub fn at_most(longest: Duration) -> Self {
        Self { pause: FIRST, longest: longest.clamp(FIRST, LONGEST), connected: None }
    }

    /// Makes the next pause.
    ///
    /// # Cancel safety
    /// If the future is dropped, the pause counts as made.
    pub async fn wait(&mut self) {
        self.wait_at_most(self.longest).await;
    }

    /// Makes the next pause, with another bound than its own.
    pub(crate) async fn wait_at_most(&mut self, longest: Duration) {
        // A link that breaks as soon as it is made must not be made in a loop.
        if self.connected.take().is_some_and(|since| since.elapsed() > LONGEST) {
            self.pause = FIRST;
        }
        let pause = self.pause.min(longest);
        self.pause = (pause * 2).min(longest);
        sleep(pause.mul_f64(0.5 + random() / 2.0)).await;
    }

    /// Tells that the link is up. If it stays up for a second, the next pause is the shortest again.
    pub fn connected(&mut self) {
        self.connected = Some(Instant::now());
    }
}

/// Between 0 and 1, so that the nodes of a cluster do not come all at once; 1 without randomness from the system.
pub(super) fn random() -> f64 {
    f64::from(getrandom::u32().unwrap_or(u32::MAX)) / f64::from(u32::MAX)
}

impl Default for Backoff {
    fn default() -> Self {
        Self::at_most(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pause(backoff: &mut Backoff) -> Duration {
        let began = Instant::now();
        backoff.wait().await;
        began.elapsed()
    }

    /// Between half of it and all of it, and a tick of the clock.
    fn is_about(pause: Duration, millis: u64) -> bool {
        (Duration::from_millis(millis / 2)..=Duration::from_millis(millis + 1)).contains(&pause)
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_up_to_the_longest() {
        let mut backoff = Backoff::default();
        for millis in [50, 100, 200, 400, 800, 1000, 1000] {
            assert!(is_about(pause(&mut backoff).await, millis), "{millis}");
        }
        let mut short = Backoff::at_most(Duration::from_millis(70));
        for millis in [50, 70, 70] {
            assert!(is_about(pause(&mut short).await, millis), "{millis}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_link_that_lasted_makes_the_pause_short_again() {
        let mut backoff = Backoff::default();
        for millis in [50, 100, 200] {
            backoff.connected();
            assert!(is_about(pause(&mut backoff).await, millis), "{millis}");
        }
        backoff.connected();
        sleep(LONGEST + Duration::from_millis(1)).await;
        assert!(is_about(pause(&mut backoff).await, 50));
    }
}
