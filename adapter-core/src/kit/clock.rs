//! The time that a broker tells.

use std::time::{Duration, Instant, SystemTime};

use crate::model::{Clock, Result};

/// Asks a broker for its time, counted from 1970, and compares that with this machine's. The answer is taken to be of the middle of
/// the question. `None` when the broker does not tell.
///
/// # Errors
/// Those of the question.
///
/// # Cancel safety
/// That of the question.
pub async fn compare_clocks(ask: impl Future<Output = Result<Option<Duration>>>) -> Result<Option<Clock>> {
    let (asked, began) = (SystemTime::now(), Instant::now());
    Ok(ask.await?.map(|told| Clock::new(told, asked, began.elapsed())))
}
