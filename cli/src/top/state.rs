//! What is shown.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use roomcast::{Gathered, Node, NodeId, QueueStatus, Stats};
use serde_json::{Value, json};

use super::meter::Amount;

/// So many events are kept.
const LOG: usize = 100;

/// What the cluster looked like at one moment, and what passed before it.
#[derive(Debug)]
pub(crate) struct Sample {
    /// Since the sample before.
    pub(crate) over: Duration,
    /// The other nodes, and how long ago each was heard.
    pub(crate) nodes: Vec<(Node, Duration)>,
    pub(crate) link: Link,
    pub(crate) queue: QueueStatus,
    pub(crate) stats: Stats,
    pub(crate) passed: HashMap<NodeId, Amount>,
}

/// This command's link to the broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    /// Why it is down, if it is.
    pub(crate) down: Option<String>,
    /// For how long it has been up, or down.
    pub(crate) since: Duration,
    /// Through the broker and back.
    pub(crate) round_trip: Option<Duration>,
    /// How often it was down.
    pub(crate) outages: u64,
    /// What it leads to, if that says so.
    pub(crate) broker: Option<String>,
}

/// One node, as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) node: Node,
    /// How long ago it was heard.
    pub(crate) heard: Duration,
    /// How many; or why that is not known.
    pub(crate) sockets: Result<u64, String>,
    pub(crate) rate: Rate,
}

/// What passes in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rate {
    pub(crate) packets: f64,
    pub(crate) bytes: f64,
}

impl Rate {
    fn of(amount: Amount, over: Duration) -> Self {
        let seconds = over.as_secs_f64().max(1e-3);
        Self { packets: amount.packets as f64 / seconds, bytes: amount.bytes as f64 / seconds }
    }
}

/// What is shown.
#[derive(Debug)]
pub(crate) struct State {
    /// The cluster and the broker.
    pub(crate) title: String,
    pub(crate) link: Link,
    pub(crate) queue: QueueStatus,
    pub(crate) stats: Stats,
    /// The other nodes, by name.
    pub(crate) rows: Vec<Row>,
    /// What comes from those who are no nodes.
    pub(crate) emitters: Rate,
    /// All of it.
    pub(crate) total: Rate,
    /// How long the slowest node took to reply.
    pub(crate) slowest: Option<Duration>,
    /// The newest first.
    pub(crate) events: VecDeque<(u64, String)>,
    counts: HashMap<NodeId, Result<u64, String>>,
}

impl State {
    pub(crate) fn new(title: String) -> Self {
        Self {
            title,
            link: Link::default(),
            queue: QueueStatus::default(),
            stats: Stats::default(),
            rows: Vec::new(),
            emitters: Rate::default(),
            total: Rate::default(),
            slowest: None,
            events: VecDeque::new(),
            counts: HashMap::new(),
        }
    }

    /// Takes a sample.
    pub(crate) fn sample(&mut self, sample: Sample) {
        let Sample { over, mut nodes, link, queue, stats, mut passed } = sample;
        (self.link, self.queue, self.stats) = (link, queue, stats);
        nodes.sort_by(|(one, _), (two, _)| (&one.name, one.id).cmp(&(&two.name, two.id)));
        let mut total = Amount::default();
        passed.values().for_each(|amount| total += *amount);
        let row = |(node, heard): (Node, Duration)| {
            let rate = Rate::of(passed.remove(&node.id).unwrap_or_default(), over);
            let sockets = self.counts.get(&node.id).cloned();
            Row { sockets: sockets.unwrap_or_else(|| Err("not asked yet".to_owned())), rate, heard, node }
        };
        self.rows = nodes.into_iter().map(row).collect();
        let mut others = Amount::default();
        passed.values().for_each(|amount| others += *amount);
        (self.total, self.emitters) = (Rate::of(total, over), Rate::of(others, over));
    }

    /// Takes what the nodes replied, and how long it took.
    pub(crate) fn counted(&mut self, took: Duration, counted: Gathered<(NodeId, u64)>) {
        self.slowest = counted.is_complete().then_some(took);
        let there = counted.items.into_iter().map(|(node, count)| (node, Ok(count)));
        let missing = counted.missing.into_iter().map(|missing| (missing.node, Err(missing.reason.to_string())));
        self.counts = there.chain(missing).collect();
        for row in &mut self.rows {
            if let Some(sockets) = self.counts.get(&row.node.id) {
                row.sockets.clone_from(sockets);
            }
        }
    }

    /// Writes an event down.
    pub(crate) fn log(&mut self, at: u64, text: String) {
        self.events.truncate(LOG - 1);
        self.events.push_front((at, text));
    }

    /// The sockets of all nodes that have replied.
    pub(crate) fn sockets(&self) -> u64 {
        self.rows.iter().filter_map(|row| row.sockets.as_ref().ok()).sum()
    }

    /// For scripts.
    pub(crate) fn json(&self, at: u64) -> Value {
        let node = |row: &Row| {
            let (sockets, error) = match &row.sockets {
                Ok(sockets) => (json!(sockets), Value::Null),
                Err(why) => (Value::Null, json!(why)),
            };
            json!({
                "node": row.node.id.to_string(), "name": row.node.name, "sockets": sockets, "error": error,
                "heard_ms": ms(row.heard),
                "packets_per_s": round(row.rate.packets), "bytes_per_s": round(row.rate.bytes),
            })
        };
        let Stats { open_requests, received, repaired, lost, held_bytes, malformed, too_new, .. } = self.stats;
        let Link { down, since, round_trip, outages, broker } = &self.link;
        let QueueStatus { messages, bytes, oldest, .. } = self.queue;
        json!({
            "type": "top", "at": at, "link": if down.is_some() { "down" } else { "up" }, "link_ms": ms(*since), "broker": broker,
            "down": down, "outages": outages, "round_trip_ms": round_trip.map(ms), "slowest_reply_ms": self.slowest.map(ms),
            "packets_per_s": round(self.total.packets), "bytes_per_s": round(self.total.bytes),
            "emitters_packets_per_s": round(self.emitters.packets),
            "queued": messages, "queued_bytes": bytes, "oldest_queued_ms": ms(oldest), "open_requests": open_requests,
            "received": received, "repaired": repaired, "lost": lost, "held_bytes": held_bytes, "malformed": malformed,
            "too_new": too_new, "nodes": self.rows.iter().map(node).collect::<Vec<_>>(),
        })
    }
}

fn ms(time: Duration) -> f64 {
    round(time.as_secs_f64() * 1000.0)
}

/// To a tenth.
fn round(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use roomcast::{MissingNode, MissingReason};

    use super::*;

    #[test]
    fn rates_are_of_a_second_and_of_whom_they_belong_to() {
        let [me, web, emitter] = [1, 2, 3].map(|byte| NodeId::from_bytes([byte; 16]));
        let node = |id| Node::new(id, "n");
        let amount = |packets| Amount { packets, bytes: 100 * packets };
        let mut state = State::new(String::new());
        let sample = || Sample {
            over: Duration::from_secs(2),
            nodes: vec![(node(web), Duration::ZERO)],
            link: Link::default(),
            queue: QueueStatus::default(),
            stats: Stats::default(),
            passed: HashMap::from([(web, amount(10)), (emitter, amount(4))]),
        };
        state.sample(sample());
        assert_eq!((state.rows.len(), state.rows[0].rate.packets, state.emitters.packets), (1, 5.0, 2.0));
        assert_eq!((state.total.packets, state.total.bytes), (7.0, 700.0));
        state.counted(Duration::ZERO, Gathered::new(vec![(me, 0), (web, 7)], Vec::new()));
        assert_eq!((state.sockets(), state.slowest), (7, Some(Duration::ZERO)));
        let missing = vec![MissingNode::new(web, MissingReason::Timeout)];
        state.counted(Duration::ZERO, Gathered::new(vec![(me, 0)], missing));
        state.sample(sample());
        assert!(state.rows[0].sockets.is_err() && state.slowest.is_none());
        assert_eq!(state.json(7)["nodes"][0]["packets_per_s"], 5.0);
    }

    #[test]
    fn the_log_is_bounded() {
        let mut state = State::new(String::new());
        (0..1000).for_each(|at| state.log(at, String::new()));
        assert_eq!((state.events.len(), state.events[0].0), (LOG, 999));
    }
}
