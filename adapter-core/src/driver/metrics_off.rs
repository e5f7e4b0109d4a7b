//! Without the feature `metrics` nothing is published.

use std::time::{Duration, Instant};

use super::core::Core;
use crate::model::{Event, MissingNode};

/// Nothing.
#[derive(Default)]
pub(crate) struct Metrics(());

impl Core {
    pub(crate) fn publish_metrics(&self, _now: Instant) {
        let Metrics(()) = self.metrics;
    }

    pub(crate) fn publish_all(&self) {}

    pub(crate) fn measure_request(&self, _kind: &'static str, _took: Duration) {}

    pub(crate) fn measure_missing(&self, _kind: &'static str, _missing: &[MissingNode]) {}

    pub(crate) fn measure_event(&self, _event: &Event) {}
}
