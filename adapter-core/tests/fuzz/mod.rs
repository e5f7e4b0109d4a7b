//! Fuzz targets: whatever arrives, reading is total, and what it costs is bounded by the bytes.
//!
//! As tests on any toolchain they first run what is kept in `__fuzz__/NAME/corpus`, then random scripts for
//! `FUZZ_SECONDS` (2 when unset). A failure prints the seed, which `BOLERO_RANDOM_SEED=..` runs again, and the shortest script
//! that was found for it: as a file in `__fuzz__/NAME/corpus` it is run first from then on. A script is bytes that [`Choices`]
//! reads, so that every engine of bolero can mutate it.

mod bodies;
mod choices;
mod engine;
mod header;
mod inbox;
mod messages;
mod net;

use std::time::Duration;

use choices::Choices;

/// How long each target looks for new faults.
fn budget() -> Duration {
    const USUAL: u64 = 2;
    let seconds = std::env::var("FUZZ_SECONDS").map(|text| text.parse().expect("FUZZ_SECONDS is a number of seconds"));
    Duration::from_secs(seconds.unwrap_or(USUAL))
}

/// A target, whose corpus has that name.
macro_rules! target {
    ($name:literal) => {
        bolero::check!(name = $name)
            .with_test_time($crate::fuzz::budget())
            .with_generator($crate::fuzz::choices::AnyScript)
    };
}
use target;
