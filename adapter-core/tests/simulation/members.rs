//! The checks of who is there, and of what is left in the end.

use std::collections::BTreeSet;
use std::time::Duration;

use super::checks::hold;
use super::history::{History, Life, N, What};
use super::network::Profile;
use crate::engine::Gauge;
use crate::model::Departure;

const SECOND: Duration = Duration::from_secs(1);
/// The reader's and the writer's own time.
const SLACK: Duration = Duration::from_millis(50);

/// Who comes, leaves, dies or returns is seen by all, in time; nobody else goes.
pub(super) fn g05_members(history: &History) -> Result<(), String> {
    if history.plan.loss > 0 {
        return Ok(()); // greetings and heartbeats are lost, too
    }
    let lives = history.lives();
    for node in 0..history.nodes {
        for other in (0..history.nodes).filter(|other| *other != node) {
            check_arrival(history, &lives, node, other)?;
            check_departure(history, &lives, node, other)?;
            check_return(history, &lives, node, other)?;
            check_deaths(history, &lives, node, other)?;
        }
        check_outages(history, &lives[node], node)?;
    }
    check_views(history, &lives)
}

/// What `node` knew of `other` at some time: up, down and how, or nothing yet.
fn seen(history: &History, node: N, other: N, at: Duration) -> Option<Result<(), Departure>> {
    let until = history.of(node).take_while(|record| record.at <= at);
    let change = |what: &What| match what {
        What::Up(of) if *of == other => Some(Ok(())),
        What::Down(of, how) if *of == other => Some(Err(*how)),
        _ => None,
    };
    until.filter_map(|record| change(&record.what)).last()
}

fn check_arrival(history: &History, lives: &[Life], node: N, other: N) -> Result<(), String> {
    let (Some(a), Some(b)) = (lives[node].started, lives[other].started) else { return Ok(()) };
    let (begin, end) = (a.max(b), a.max(b) + SECOND);
    if !lives[node].is_well(begin, end) || !lives[other].is_well(begin, end) || end > history.plan.end {
        return Ok(());
    }
    let there = seen(history, node, other, end) == Some(Ok(()));
    hold(there, || format!("node {node} has not seen node {other} by {end:?}"))
}

fn check_departure(history: &History, lives: &[Life], node: N, other: N) -> Result<(), String> {
    let plan = &history.plan;
    let (at, limit, how) = match (lives[other].killed, lives[other].closed) {
        (Some(at), _) if plan.ordered => (at, 3 * SECOND, Departure::Died),
        // Its last heartbeat may be under way for a while, and our own echo late.
        (Some(at), _) => (at, 3 * SECOND + plan.delay + SECOND, Departure::Died),
        (_, Some(at)) if plan.ordered => (at, Duration::from_millis(200), Departure::Left),
        (_, Some(at)) => (at, SECOND + plan.delay + SLACK + Duration::from_millis(250), Departure::Left),
        _ => return Ok(()),
    };
    // Its goodbye was said before this node was there.
    if lives[other].closing.is_some_and(|closing| lives[node].started.is_some_and(|started| started >= closing)) {
        return Ok(());
    }
    let limit = limit + unwatched(history, lives, node, other, at);
    let well = lives[node].is_well(at.saturating_sub(SECOND), at + limit);
    if !well || seen(history, node, other, at).is_none() || at + limit > plan.end {
        return Ok(());
    }
    let saw = seen(history, node, other, at + limit);
    hold(saw == Some(Err(how)), || format!("node {other} {how:?} at {at:?}; {limit:?} later node {node} saw {saw:?}"))
}

/// How much later a death in a ring may be known: for each node that was not well itself, and may have been the one that
/// watched. When nobody else was there, nobody watched but the node itself.
fn unwatched(history: &History, lives: &[Life], node: N, dead: N, at: Duration) -> Duration {
    if history.plan.watchers.is_none() || lives[dead].killed.is_none() {
        return Duration::ZERO;
    }
    let unwell = |other: &N| {
        let began = lives[*other].started.filter(|began| *began < at + SECOND);
        began.is_some_and(|began| !lives[*other].is_well(began.max(at.saturating_sub(4 * SECOND)), at + 4 * SECOND))
    };
    let unwell = (0..history.nodes).filter(|other| *other != node && *other != dead).filter(unwell).count();
    3 * SECOND * unwell as u32
}

/// A node that was away for so long that it was thought dead comes back as itself.
fn check_return(history: &History, lives: &[Life], node: N, other: N) -> Result<(), String> {
    let Some((_, wakes)) = lives[other].away.iter().max_by_key(|(_, to)| *to) else { return Ok(()) };
    // Nobody in a ring knows when what was split is whole again: the next heartbeat to all tells.
    // Nor does a node that was suspended know that it was away.
    let unaware = history.plan.splits() || history.plan.profile == Profile::Suspended;
    let periods = if history.plan.watchers.is_some() { history.nodes as u32 } else { 1 };
    let period = SECOND * if unaware { periods } else { 0 };
    let by = *wakes + SECOND + period + history.plan.delay;
    if !lives[other].stays() || !lives[node].is_well(*wakes, by) || by > history.plan.end {
        return Ok(());
    }
    let saw = seen(history, node, other, by);
    hold(saw == Some(Ok(())), || format!("node {other} woke at {wakes:?}; at {by:?} node {node} saw {saw:?}"))
}

/// Only a node that is dead, or was away for longer than a second, is said to have died; only one that left, to have left.
fn check_deaths(history: &History, lives: &[Life], node: N, other: N) -> Result<(), String> {
    let life = &lives[other];
    for record in history.of(node) {
        let at = record.at;
        match record.what {
            What::Down(of, Departure::Died) if of == other => {
                let dead = life.killed.is_some_and(|killed| killed < at);
                let away = life.away.iter().any(|(from, to)| *from < at && *to - *from > SECOND);
                // Its goodbye was lost, or said before this node was there, whom somebody told of it all the same.
                let told = |closing| history.plan.lossy || lives[node].ready.is_none_or(|ready| ready > closing);
                let unheard = life.closing.is_some_and(|closing| closing < at && told(closing));
                hold(dead || away || unheard, || format!("node {node} thought node {other} dead at {at:?}: it lives"))?;
            }
            What::Down(of, Departure::Left) if of == other => {
                let left = life.closing.is_some_and(|closing| closing < at);
                hold(left, || format!("node {node} says that node {other} left: it did not"))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// While its own link is down a node thinks nobody dead.
fn check_outages(history: &History, life: &Life, node: N) -> Result<(), String> {
    /// Until the reader has heard of the outage.
    const HEARD: Duration = Duration::from_millis(10);
    for record in history.of(node) {
        let What::Down(other, Departure::Died) = record.what else { continue };
        let deaf = life.cut_off.iter().any(|(from, to)| *from + HEARD < record.at && record.at < *to);
        hold(!deaf, || format!("node {node} thought node {other} dead at {:?}, in an outage of its own", record.at))?;
    }
    Ok(())
}

/// In the end everyone knows everyone who is there, and nobody else.
fn check_views(history: &History, lives: &[Life]) -> Result<(), String> {
    for record in &history.records {
        let What::Final { live, .. } = &record.what else { continue };
        let there: BTreeSet<_> =
            (0..history.nodes).filter(|node| *node != record.node && lives[*node].stays()).collect();
        let live: BTreeSet<_> = live.iter().copied().collect();
        let fine = !lives[record.node].stays() || live == there;
        hold(fine, || format!("in the end node {} knows {live:?}, there are {there:?}", record.node))?;
    }
    Ok(())
}

/// Within this time a reply is with the broker.
const SENT: Duration = Duration::from_millis(200);

/// In the end nothing is left of questions, answers and those who are gone.
pub(super) fn g12_no_residue(history: &History) -> Result<(), String> {
    let lives = history.lives();
    // Of one that died in the middle of a large message, and of what was lost, pieces stay; they are bounded.
    let pieces = history.plan.lossy || lives.iter().any(|life| life.killed.is_some());
    for record in &history.records {
        let What::Final { gauge, .. } = &record.what else { continue };
        let mut rest = Gauge { peers: 0, inboxes: 0, ..*gauge };
        if pieces {
            rest.assembled_bytes = 0;
        }
        // A handler may reply in the last moment.
        let late = |what: &What| matches!(what, What::Replied { .. });
        if history.of(record.node).any(|other| late(&other.what) && other.at + SENT > record.at) {
            (rest.queued, rest.answer_bytes) = (0, 0);
        }
        hold(rest == Gauge::default(), || format!("node {} still holds {gauge:?}", record.node))?;
    }
    Ok(())
}

/// Whoever was ready before a node started is asked by the first question of that node once it is ready.
pub(super) fn g18_ready(history: &History) -> Result<(), String> {
    let (lives, plan) = (history.lives(), &history.plan);
    // "Alone" is 250 ms of silence: an answer must be able to come in that time.
    if plan.delay > Duration::from_millis(100) || plan.loss > 0 {
        return Ok(());
    }
    for node in 0..history.nodes {
        let Life { started: Some(started), ready: Some(_), .. } = lives[node] else { continue };
        let everyone = |op: usize| history.ops[op].operation.target().is_none_or(|target| target.node.is_none());
        let first = history.of(node).find_map(|record| match &record.what {
            What::Asked { op, asked, .. } if everyone(*op) => Some((record.at, *op, asked)),
            _ => None,
        });
        let Some((at, op, asked)) = first else { continue };
        for (other, life) in lives.iter().enumerate().filter(|(other, _)| *other != node) {
            let there = life.ready.is_some_and(|ready| ready < started) && life.is_well(started, at);
            // One whose greeting's outcome is unknown, and is repeated, may be known to nobody yet.
            let greeted = !life.unsure.iter().any(|unsure| *unsure <= at);
            let due = there && greeted && lives[node].is_well(started, at);
            hold(!due || asked.contains(&other), || {
                format!("op {op}, the first question of node {node}, did not ask node {other}")
            })?;
        }
    }
    Ok(())
}
