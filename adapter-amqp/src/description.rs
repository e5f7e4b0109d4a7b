//! What a broker says of itself. It tells no time.

use lapin::Configuration;
use roomcast_core::backend::{Advice, BrokerInfo, Description, LimitUnit, ServerLimit};

/// From what was agreed upon with this broker, and whether it takes what is published.
pub(crate) fn describe(broker: Option<BrokerInfo>, agreed: &Configuration, is_blocked: bool) -> Description {
    let mut described = Description::default();
    described.limits = vec![
        ServerLimit::new("frame_max", LimitUnit::Bytes, limit(agreed.frame_max().into())),
        ServerLimit::new("channel_max", LimitUnit::Count, limit(agreed.channel_max().into())),
    ];
    described.advice = advice(broker.as_ref(), is_blocked);
    described.broker = broker;
    described
}

/// In AMQP 0 is no limit.
fn limit(most: u64) -> Option<u64> {
    Some(most).filter(|most| *most > 0)
}

fn advice(broker: Option<&BrokerInfo>, is_blocked: bool) -> Vec<Advice> {
    let mut advice = Vec::new();
    if is_blocked {
        advice.push(Advice::new(
            "alarm",
            "a memory or disk alarm is on: the broker takes nothing that is published, and the links of all nodes are down",
            "free memory or disk on the broker, or raise vm_memory_high_watermark: rabbitmq-diagnostics alarms says which",
        ));
    }
    if broker.is_some_and(|broker| broker.product == "LavinMQ") {
        advice.push(Advice::new(
            "no_alarms",
            "LavinMQ tells nobody that its disk is full: it refuses each publish, and nodes make their links again and again (lavinmq#2186)",
            "watch its disk by other means",
        ));
    }
    advice
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_and_what_tells_none_give_advice() {
        for (product, is_blocked, causes) in [
            (Some("RabbitMQ"), false, &[][..]),
            (Some("RabbitMQ"), true, &["alarm"]),
            (Some("LavinMQ"), false, &["no_alarms"]),
            (None, false, &[]),
        ] {
            let broker = product.map(|product| BrokerInfo::new(product, "3.10.8"));
            let advice = advice(broker.as_ref(), is_blocked);
            assert_eq!(advice.iter().map(|advice| advice.cause).collect::<Vec<_>>(), causes, "{product:?}");
        }
        assert_eq!((limit(0), limit(131_072)), (None, Some(131_072)));
    }
}
