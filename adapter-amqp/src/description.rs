//! What a broker says of itself. It tells no time.

use lapin::Configuration;
use roomcast_core::backend::{Advice, Description, LimitUnit, ServerLimit};

/// From what was agreed upon with this broker, and whether it takes what is published.
pub(crate) fn describe(agreed: &Configuration, is_blocked: bool) -> Description {
    let mut described = Description::default();
    let frame_max = Some(agreed.frame_max().into()).filter(|most| *most > 0); // 0 is no limit
    described.limits.push(ServerLimit::new("frame_max", LimitUnit::Bytes, frame_max));
    if is_blocked {
        described.advice.push(Advice::new(
            "alarm",
            "a memory or disk alarm is on: the broker takes nothing that is published, and the links of all nodes are down",
            "free memory or disk on the broker, or raise vm_memory_high_watermark: rabbitmq-diagnostics alarms says which",
        ));
    }
    described
}
