//! What a broker says of itself.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

/// So many characters of a name or a version are kept.
const LONGEST: usize = 64;

/// Which broker a node is connected to, as the broker says itself.
///
/// # Examples
/// ```
/// use roomcast_core::BrokerInfo;
///
/// let broker = BrokerInfo::new("PostgreSQL", "15.3 (Debian 15.3-1)");
/// assert_eq!(broker.to_string(), "PostgreSQL 15.3 (Debian 15.3-1)");
/// assert!(broker.is_before(&[15, 15]) && !broker.is_before(&[15]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BrokerInfo {
    /// What it is: `Redis`, `Valkey`, `RabbitMQ`, ..
    pub product: String,
    /// Its version, as it writes it; empty when it says none.
    pub version: String,
}

impl BrokerInfo {
    /// From what the broker said. Of each text the first 64 characters are kept, and no control characters.
    pub fn new(product: &str, version: &str) -> Self {
        let kept = |text: &str| text.trim().chars().filter(|letter| !letter.is_control()).take(LONGEST).collect();
        Self { product: kept(product), version: kept(version) }
    }

    /// Whether the version is lower than this one, by as many numbers as are given: 15.3 is before 15.15 and before 16, and not before
    /// 15. False when the version does not begin with a number.
    pub fn is_before(&self, version: &[u32]) -> bool {
        let numbers = self.numbers();
        !numbers.is_empty() && numbers.iter().chain(std::iter::repeat(&0)).take(version.len()).lt(version)
    }

    /// The numbers that the version begins with: 15 and 3 of `15.3 (Debian 15.3-1)`, also behind a `v`.
    pub fn numbers(&self) -> Vec<u32> {
        let version = self.version.strip_prefix('v').unwrap_or(&self.version);
        let end = version.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(version.len());
        version[..end].split('.').map_while(|number| number.parse().ok()).collect()
    }
}

impl fmt::Display for BrokerInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { product, version } = self;
        if version.is_empty() { f.write_str(product) } else { write!(f, "{product} {version}") }
    }
}

/// What a broker says of itself when it is asked: for people who look after it. Begin with [`default`](Self::default), which is nothing.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Description {
    /// What it is, if it says so.
    pub broker: Option<BrokerInfo>,
    /// Its clock, if it tells the time.
    pub clock: Option<Clock>,
    /// Limits that matter to a node, and how much of them is used.
    pub limits: Vec<ServerLimit>,
    /// What should be mended, or be known.
    pub advice: Vec<Advice>,
    /// What could not be asked, one clause each: "this login may not run INFO". What is missing here is not known.
    pub unknown: Vec<String>,
}

/// The broker's clock beside this machine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Clock {
    /// How far the broker's clock is ahead of this machine's, in microseconds; negative when it is behind.
    pub ahead_micros: i64,
    /// How far that may be wrong: half of the time that the question took.
    pub uncertainty: Duration,
}

impl Clock {
    /// The broker told this time, counted from 1970. This machine asked at `asked`, and had the answer when `took` was over.
    pub fn new(told: Duration, asked: SystemTime, took: Duration) -> Self {
        let uncertainty = took / 2;
        let here = asked.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_add(uncertainty);
        let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        Self { ahead_micros: micros(told) - micros(here), uncertainty }
    }

    /// How far the clocks differ for certain: nothing within the [uncertainty](Self::uncertainty).
    pub fn differs(&self) -> Duration {
        Duration::from_micros(self.ahead_micros.unsigned_abs()).saturating_sub(self.uncertainty)
    }
}

/// A limit of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerLimit {
    /// What the server calls it: `max_connections`.
    pub name: String,
    /// What is counted.
    pub unit: LimitUnit,
    /// How much there may be; `None` when there is no limit.
    pub most: Option<u64>,
    /// How much there is now, if that is known.
    pub used: Option<u64>,
    /// From this percentage on it should be mended.
    warn_percent: u64,
    mend: String,
}

/// What a [`ServerLimit`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LimitUnit {
    /// Connections, messages, ..
    Count,
    /// Bytes.
    Bytes,
    /// Hundredths of the whole.
    Percent,
}

impl ServerLimit {
    /// A limit by the server's name for it; `None` is no limit. How much of it is used is not known.
    pub fn new(name: &str, unit: LimitUnit, most: impl Into<Option<u64>>) -> Self {
        Self { name: name.to_owned(), unit, most: most.into(), used: None, warn_percent: 80, mend: String::new() }
    }

    /// How much is used, and what to do when that is 80 % or more of it.
    #[must_use]
    pub fn used(mut self, used: u64, mend: &str) -> Self {
        (self.used, self.mend) = (Some(used), mend.to_owned());
        self
    }

    /// Another percentage than 80.
    #[must_use]
    pub fn warned_from(mut self, percent: u64) -> Self {
        self.warn_percent = percent;
        self
    }

    /// What to do, when so much is used that something should be done.
    pub fn mend(&self) -> Option<&str> {
        let (used, most) = (self.used?, self.most?);
        let is_near = u128::from(used) * 100 >= u128::from(most) * u128::from(self.warn_percent);
        is_near.then_some(&*self.mend)
    }
}

/// Something about a broker that should be mended, or be known.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Advice {
    /// What it is about, in one word that does not change: `old_release`, `transaction_pooler`.
    pub cause: &'static str,
    /// What is so, and what may come of it.
    pub text: String,
    /// What to do.
    pub mend: String,
}

impl Advice {
    /// What it is about, what is so, and what to do.
    pub fn new(cause: &'static str, text: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { cause, text: text.into(), mend: mend.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        let numbers = |version: &str| BrokerInfo::new("x", version).numbers();
        for (version, expected) in [
            ("15.14 (Debian 15.14-0+deb12u1)", &[15, 14][..]),
            ("2.9.10", &[2, 9, 10]),
            ("v1.21.0", &[1, 21, 0]),
            ("18beta1", &[18]),
            ("4.2.0-rc.1", &[4, 2, 0]),
            ("7.0.", &[7, 0]),
            ("99999999999.1", &[]),
            ("next", &[]),
            ("", &[]),
        ] {
            assert_eq!(numbers(version), expected, "{version}");
        }
        let before = |version: &str, other: &[u32]| BrokerInfo::new("x", version).is_before(other);
        assert!(before("15.3", &[15, 15]) && before("7", &[7, 0, 1]) && before("6.2.14", &[7]));
        assert!(!before("15.15", &[15, 15]) && !before("15.3", &[15]) && !before("7.0.15", &[7, 0]));
        assert!(!before("next", &[7]), "not known");
    }

    #[test]
    fn a_broker_may_say_anything() {
        let broker = BrokerInfo::new("\u{1b}[31mRedis\n", &"9".repeat(1000));
        assert_eq!((broker.product.as_str(), broker.version.len()), ("[31mRedis", 64));
        assert_eq!(BrokerInfo::new("LavinMQ", "").to_string(), "LavinMQ");
    }

    #[test]
    fn the_clock_is_compared_with_the_middle_of_the_question() {
        let asked = UNIX_EPOCH + Duration::from_secs(1_000);
        let clock = |told_ms: u64| Clock::new(Duration::from_millis(told_ms), asked, Duration::from_millis(20));
        assert_eq!((clock(1_000_010).ahead_micros, clock(1_000_010).differs()), (0, Duration::ZERO));
        assert_eq!((clock(1_000_015).ahead_micros, clock(1_000_015).differs()), (5_000, Duration::ZERO));
        let ahead = clock(1_300_010);
        assert_eq!((ahead.ahead_micros, ahead.differs()), (300_000_000, Duration::from_millis(299_990)));
        let behind = clock(10);
        assert_eq!((behind.ahead_micros, behind.uncertainty), (-1_000_000_000, Duration::from_millis(10)));
        assert!(Clock::new(Duration::MAX, asked, Duration::ZERO).ahead_micros > 0, "whatever it says");
    }

    #[test]
    fn a_limit_that_is_nearly_reached_says_what_to_do() {
        let limit = |most, used| ServerLimit::new("max_connections", LimitUnit::Count, most).used(used, "raise it");
        for (limit, mend) in [
            (limit(Some(100), 79), None),
            (limit(Some(100), 80), Some("raise it")),
            (limit(Some(100), 200), Some("raise it")),
            (limit(Some(u64::MAX), u64::MAX), Some("raise it")),
            (limit(None, 1_000_000), None),
            (limit(Some(100), 40).warned_from(25), Some("raise it")),
            (limit(Some(100), 24).warned_from(25), None),
            (ServerLimit::new("max_payload", LimitUnit::Bytes, 1 << 20), None),
        ] {
            assert_eq!(limit.mend(), mend, "{limit:?}");
        }
    }
}
