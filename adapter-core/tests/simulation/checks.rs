//! What must be true of every history. Each check is named after its guarantee and reads nothing but the history.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::history::{History, Life, N, Record, Sent, What};
use super::members::{g05_members, g12_no_residue, g18_ready};
use super::network::Profile;
use super::outages::{g07_never_deaf, g08_outage};
use super::requests::{g03_read_your_join, g04_requests};
use super::sockets::Sockets;
use crate::model::{Departure, SocketId};
use crate::wire::Operation;

/// A check; the error says what was wrong.
pub(super) type Check = fn(&History) -> Result<(), String>;

/// None is named after G6: local sockets are served by the driver (`cluster`), in the call; the engine has no part in it.
pub(super) const CHECKS: [(&str, Check); 13] = [
    ("g01_reach", g01_reach),
    ("g02_order", g02_order),
    ("g03_read_your_join", g03_read_your_join),
    ("g04_requests", g04_requests),
    ("g05_members", g05_members),
    ("g07_never_deaf", g07_never_deaf),
    ("g08_outage", g08_outage),
    ("g09_no_silent_loss", g09_no_silent_loss),
    ("g09_what_is_lost_is_repaired", g09_what_is_lost_is_repaired),
    ("g10_once", g10_once),
    ("g12_no_residue", g12_no_residue),
    ("g13_any_size", g13_any_size),
    ("g18_ready", g18_ready),
];

/// The names of the checks that fail, with the reasons.
pub(super) fn failures(history: &History) -> Vec<(&'static str, String)> {
    CHECKS.iter().filter_map(|(name, check)| check(history).err().map(|why| (*name, why))).collect()
}

/// Fails unless it holds.
pub(super) fn hold(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}

/// For each operation the live nodes that its sender knew when it was called, and when that was.
fn calls(history: &History) -> BTreeMap<usize, (Duration, &[N])> {
    let called = |record: &'_ Record| matches!(record.what, What::Called { .. });
    let calls = history.records.iter().filter(|record| called(record));
    calls
        .filter_map(|record| match &record.what {
            What::Called { op, live } => Some((*op, (record.at, live.as_slice()))),
            _ => None,
        })
        .collect()
}

/// Who has to carry out what: whoever its sender knew, or was ready, when it was called, if both live or leave cleanly.
struct Duties<'a> {
    history: &'a History,
    lives: Vec<Life>,
    calls: BTreeMap<usize, (Duration, &'a [N])>,
}

impl<'a> Duties<'a> {
    fn new(history: &'a History) -> Self {
        Self { history, lives: history.lives(), calls: calls(history) }
    }

    fn must(&self, op: usize, node: N) -> bool {
        let sender = self.history.ops[op].sender;
        let Some((at, live)) = self.calls.get(&op) else { return false };
        // Where greetings are lost, a node may be ready and known to nobody yet.
        let greeted = |ready: Duration| ready <= *at && self.greeted(sender, node, ready);
        let ready = self.history.plan.loss == 0 && self.lives[node].ready.is_some_and(greeted);
        sender != node
            && self.vouched(sender)
            && self.lives[node].stays()
            && (live.contains(&node) || ready)
            && self.history.concerns(op, node)
    }

    /// Without an order, a sender that slept while a newcomer greeted may have its first message there overtaken by its
    /// welcome, which stands above it. With one that cannot be.
    fn greeted(&self, sender: N, node: N, ready: Duration) -> bool {
        let began = self.lives[sender].started.max(self.lives[node].started).unwrap_or_default();
        self.history.plan.ordered || self.lives[sender].is_well(began, ready.max(began))
    }

    /// All that a node has sent is with the broker.
    fn vouched(&self, node: N) -> bool {
        (self.lives[node].stays() || self.lives[node].closed.is_some()) && !self.lives[node].refused
    }
}

/// How often each node has carried out each operation.
fn carried(history: &History) -> BTreeMap<(N, usize), usize> {
    let mut carried = BTreeMap::new();
    for record in &history.records {
        if let What::Carried { op, .. } = record.what {
            *carried.entry((record.node, op)).or_default() += 1;
        }
    }
    carried
}

/// Every node that has to carries out every operation as it was called, and its sockets get what they should.
pub(super) fn g01_reach(history: &History) -> Result<(), String> {
    let (duties, carried) = (Duties::new(history), carried(history));
    for (op, call) in history.ops.iter().enumerate().filter(|(_, op)| op.sent != Sent::Nowhere && !history.plan.lossy) {
        if was_in_the_middle(history, &duties.lives, op) {
            continue;
        }
        for node in 0..history.nodes {
            let missed = duties.must(op, node) && !carried.contains_key(&(node, op));
            hold(!missed, || format!("node {node} has not carried out op {op} of node {}", call.sender))?;
        }
    }
    for record in &history.records {
        if let What::Carried { op, intact } = record.what {
            hold(intact, || format!("node {} got op {op} not as it was sent", record.node))?;
            hold(history.concerns(op, record.node), || format!("node {} is not concerned by op {op}", record.node))?;
        }
    }
    (0..history.nodes).try_for_each(|node| sockets_got_theirs(history, node))
}

/// Evaluates what a node carried out, plainly, and compares it with what its sockets got.
fn sockets_got_theirs(history: &History, node: N) -> Result<(), String> {
    let mut sockets = Sockets::default();
    let mut owed: BTreeSet<(SocketId, usize)> = BTreeSet::new();
    for record in history.of(node) {
        if let What::Delivered { op, socket } = &record.what {
            let due = owed.remove(&(socket.clone(), *op));
            hold(due, || format!("socket {socket} got op {op}, which it should not have (again)"))?;
            continue;
        }
        if matches!(record.what, What::Asked { .. }) {
            continue; // stands between the call and its deliveries
        }
        hold(owed.is_empty(), || format!("{owed:?} were not delivered"))?;
        let op = match &record.what {
            What::Connected { socket, namespace, rooms } => {
                sockets.connect(socket.clone(), namespace.clone(), rooms);
                continue;
            }
            What::Called { op, .. } if history.concerns(*op, node) => *op,
            What::Carried { op, .. } => *op,
            _ => continue,
        };
        match &history.ops[op].operation {
            Operation::Broadcast { namespace, target, .. } | Operation::BroadcastWithAck { namespace, target, .. } => {
                owed.extend(sockets.meant(namespace, target).into_iter().map(|socket| (socket, op)));
            }
            Operation::Change { namespace, target, change } => sockets.change(namespace, target, change, None),
            _ => {}
        }
    }
    hold(owed.is_empty(), || format!("{owed:?} were not delivered"))
}

/// Who falls asleep in the middle of a publish and is forgotten sends the batch again, to nodes that do not know any
/// more what they had of it: once and in order hold for as long as a node is remembered.
pub(super) fn was_forgotten(history: &History, lives: &[Life], sender: N) -> bool {
    history.plan.profile == Profile::LongSleeper && !lives[sender].away.is_empty()
}

/// Called by one that fell asleep with it half sent, perhaps, and was forgotten: of a large one the others had some pieces, and
/// know of none any more. They have reported that they do not know what they miss.
fn was_in_the_middle(history: &History, lives: &[Life], op: usize) -> bool {
    let sender = history.ops[op].sender;
    let called = |record: &&Record| matches!(record.what, What::Called { op: of, .. } if of == op);
    let at = history.of(sender).find(called).map(|record| record.at);
    was_forgotten(history, lives, sender) && lives[sender].away.iter().any(|(_, to)| at.is_some_and(|at| at < *to))
}

/// A sender's numbered operations are carried out in its order, and its goodbye after them.
pub(super) fn g02_order(history: &History) -> Result<(), String> {
    let mut newest: BTreeMap<(N, N), (u64, usize)> = BTreeMap::new();
    let mut left = BTreeSet::new();
    let lives = history.lives();
    for record in &history.records {
        let node = record.node;
        if let What::Down(other, Departure::Left) = record.what {
            left.insert((node, other));
        }
        let What::Carried { op, .. } = record.what else { continue };
        let Sent::Numbered(n) = history.ops[op].sent else { continue };
        let sender = history.ops[op].sender;
        if was_forgotten(history, &lives, sender) {
            continue;
        }
        let last = newest.entry((node, sender)).or_default();
        hold(last.0 <= n, || format!("node {node} carried out op {op} (number {n}) after op {} ({})", last.1, last.0))?;
        hold(!left.contains(&(node, sender)), || format!("node {node} carried out op {op} after its sender had left"))?;
        *last = (n, op);
    }
    Ok(())
}

/// What one node has seen of one sender's numbers: those carried out, and the gaps between.
#[derive(Debug, Default)]
struct Seen {
    /// The number that was carried out last.
    last: u64,
    begun: bool,
    /// Reported since then.
    gap: u64,
    unknown: bool,
}

/// A gap of unknown count is an error if no link loses messages and both nodes have been well for this long.
const WELL: Duration = Duration::from_secs(4);

/// What was not carried out was reported, at its place and in its number.
pub(super) fn g09_no_silent_loss(history: &History) -> Result<(), String> {
    let duties = Duties::new(history);
    for sender in 0..history.nodes {
        let numbers: Vec<usize> = numbered(history, sender);
        for node in (0..history.nodes).filter(|node| *node != sender) {
            let mut seen = Seen::default();
            for record in history.of(node) {
                match record.what {
                    What::Carried { op, .. } if history.ops[op].sender == sender => {
                        let Sent::Numbered(n) = history.ops[op].sent else { continue };
                        check_hole(&duties, &numbers, node, &seen, n)?;
                        seen = Seen { last: n, begun: true, gap: 0, unknown: false };
                    }
                    What::Gap { of, count: Some(count), inbox } if of == sender => {
                        // Where no order is kept, a mark may come from before what the node was not there to hear; a sender
                        // that is gone cannot say that any more.
                        let life = &duties.lives[sender];
                        let gone = life.closed.is_some() || life.killed.is_some();
                        let strange = !history.plan.ordered && !seen.begun && gone;
                        let told = seen.gap + count;
                        let early = strange && sent_before(history, sender, duties.lives[node].started) >= told;
                        hold(history.plan.lossy || duties.lives[sender].refused || early, || {
                            format!("node {node} misses {count} of node {sender}: nothing was lost")
                        })?;
                        seen.gap += if inbox { 0 } else { count };
                    }
                    What::Gap { of, count: None, .. } if of == sender => {
                        let well = |node: N| duties.lives[node].is_well(record.at.saturating_sub(WELL), record.at);
                        hold(history.plan.lossy || !well(sender) || !well(node), || {
                            format!("node {node} does not know what it misses of node {sender}, at {:?}", record.at)
                        })?;
                        seen.unknown = true;
                    }
                    _ => {}
                }
            }
            if duties.vouched(sender) && duties.lives[node].stays() && !seen.unknown {
                check_hole(&duties, &numbers, node, &seen, numbers.len() as u64 + 1)?;
            }
        }
    }
    Ok(())
}

/// How many numbered operations a node has called by then.
fn sent_before(history: &History, sender: N, then: Option<Duration>) -> u64 {
    let early = |record: &&Record| then.is_some_and(|then| record.at < then);
    let numbered =
        |what: &What| matches!(what, What::Called { op, .. } if matches!(history.ops[*op].sent, Sent::Numbered(_)));
    history.of(sender).filter(early).filter(|record| numbered(&record.what)).count() as u64
}

/// Whatever was lost, a sender that lives still has it, unless it keeps next to nothing: every node that has to carries out
/// every operation. But for a sender that was thought dead meanwhile, and did not come back in time: what it had sent until then was
/// given up.
pub(super) fn g09_what_is_lost_is_repaired(history: &History) -> Result<(), String> {
    if !history.plan.lossy || history.plan.profile == Profile::Forgetful {
        return Ok(());
    }
    let (duties, carried) = (Duties::new(history), carried(history));
    let thought = |node: N, other: N| {
        let turns =
            history.of(node).filter(|record| matches!(record.what, What::Up(of) | What::Down(of, _) if of == other));
        let turns: Vec<_> = turns.collect();
        let end = history.plan.end;
        turns.iter().enumerate().any(|(at, record)| {
            let back = turns.get(at + 1).map_or(end, |next| next.at);
            record.what == What::Down(other, Departure::Died) && back - record.at >= history.plan.absence
        })
    };
    // Repair needs both directions. A split that lasts longer than the receiver's patience ends in a gap, although the sender lives.
    let cut = |node: N| duties.lives[node].away.iter().map(|(from, to)| *to - *from).sum::<Duration>() > WELL;
    let split = |node: N, sender: N| history.plan.splits() && (thought(sender, node) || cut(node) && cut(sender));
    let dead = |node: N, sender: N| thought(node, sender) || split(node, sender);
    for (op, call) in history.ops.iter().enumerate().filter(|(_, op)| matches!(op.sent, Sent::Numbered(_))) {
        for node in (0..history.nodes).filter(|node| !dead(*node, call.sender)) {
            let missed = duties.must(op, node) && !carried.contains_key(&(node, op));
            hold(!missed, || format!("node {node} has not carried out op {op} of node {}, which lives", call.sender))?;
        }
    }
    for record in &history.records {
        if let What::Gap { of, count: Some(count), .. } = record.what {
            let lives = duties.vouched(of) && duties.lives[record.node].stays() && !dead(record.node, of);
            hold(!lives, || format!("node {} reports {count} of node {of}, which lives, as lost", record.node))?;
        }
    }
    Ok(())
}

/// A sender's operations by their numbers, from 1.
fn numbered(history: &History, sender: N) -> Vec<usize> {
    let ops = history.ops.iter().enumerate();
    let of = |(at, op): (usize, &super::history::Op)| {
        (op.sender == sender && matches!(op.sent, Sent::Numbered(_))).then_some(at)
    };
    ops.filter_map(of).collect()
}

/// Between what was carried out last and number `n` nothing is missing that was not reported.
fn check_hole(duties: &Duties<'_>, numbers: &[usize], node: N, seen: &Seen, n: u64) -> Result<(), String> {
    if n <= seen.last {
        return Ok(()); // twice or out of order, which others check
    }
    let between = &numbers[seen.last as usize..n as usize - 1];
    let concerned = |op: &&usize| duties.history.concerns(**op, node);
    let due = if seen.begun {
        between.iter().filter(concerned).count()
    } else {
        between.iter().filter(|op| duties.must(**op, node)).count()
    };
    let most = between.len();
    // Who thought the sender dead and has forgotten it has said that it does not know how much it misses.
    let due = if seen.unknown { 0 } else { due };
    let exact = (due as u64..=most as u64).contains(&seen.gap);
    hold(exact, || {
        let last = seen.last;
        format!(
            "node {node}, before number {n} and after {last}: {due} to {most} are missing, {} were reported",
            seen.gap
        )
    })
}

/// Nothing is carried out twice, nothing comes back to its sender, and no node answers a question twice.
pub(super) fn g10_once(history: &History) -> Result<(), String> {
    let lives = history.lives();
    for ((node, op), times) in carried(history) {
        if was_forgotten(history, &lives, history.ops[op].sender) {
            continue;
        }
        hold(times == 1, || format!("node {node} carried out op {op} {times} times"))?;
        hold(history.ops[op].sender != node, || format!("node {node} carried out its own op {op} again"))?;
    }
    let mut answered = BTreeSet::new();
    for record in &history.records {
        if let What::Answered { request, from, answer } = &record.what
            && answer.is_last()
        {
            let first = answered.insert((record.node, *request, *from));
            hold(first, || {
                format!("the answer of node {from} to question {request} of node {} came twice", record.node)
            })?;
        }
    }
    Ok(())
}

/// No message is larger than the link takes.
pub(super) fn g13_any_size(history: &History) -> Result<(), String> {
    let oversize = history.records.iter().find(|record| matches!(record.what, What::Oversize(_)));
    oversize.map_or(Ok(()), |record| Err(format!("node {} made a message too large: {:?}", record.node, record.what)))
}
