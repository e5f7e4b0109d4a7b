//! The checks of links: what a node does about its own, and what becomes of what it sends meanwhile.

use std::collections::BTreeSet;
use std::time::Duration;

use super::checks::{hold, was_forgotten};
use super::history::{History, Life, N, Sent, What};
use super::network::Swallows;
use crate::model::Departure;

const SECOND: Duration = Duration::from_secs(1);
/// A half-open link is noticed within this time,
const NOTICED: Duration = Duration::from_secs(5);
/// and replaced within this one if much arrives on it: an echo may be as late as ten seconds, and one is sent each second.
const ONE_WAY: Duration = Duration::from_secs(12);
/// So long after the link is back the node receives again.
const BACK: Duration = Duration::from_secs(2);
/// So long after the link works, and no publish has failed: an echo that was lost is given up with the heartbeat after
/// the next.
const RECOVERED: Duration = Duration::from_secs(3);

/// A half-open link is noticed and replaced, one that works is not; when it is back, the node hears, and says so.
pub(super) fn g07_never_deaf(history: &History) -> Result<(), String> {
    if history.plan.loss > 0 {
        return Ok(()); // echoes are lost, too
    }
    let lives = history.lives();
    for node in 0..history.nodes {
        check_resets(history, &lives[node], node)?;
        check_noticed(history, &lives[node], node)?;
        check_recovered(history, &lives[node], node)?;
        check_hears_again(history, &lives, node)?;
    }
    Ok(())
}

/// Only a half-open link is reset.
fn check_resets(history: &History, life: &Life, node: N) -> Result<(), String> {
    for record in history.of(node).filter(|record| record.what == What::Reset) {
        let dead = life.half_open.iter().any(|(from, to, _)| *from < record.at && record.at < *to);
        hold(dead, || format!("node {node} reset its link at {:?}, which worked", record.at))?;
    }
    Ok(())
}

fn check_noticed(history: &History, life: &Life, node: N) -> Result<(), String> {
    for (from, to, swallows) in &life.half_open {
        let limit = if *swallows == Swallows::Outgoing { ONE_WAY } else { NOTICED };
        if life.is_gone(*from + limit) || *from + limit > history.plan.end {
            continue;
        }
        let mut since = history.of(node).filter(|record| (*from..=*from + limit).contains(&record.at));
        let reset = since.any(|record| record.what == What::Reset && record.at < *to);
        hold(reset, || {
            format!("node {node} did not reset the link that was half-open from {from:?} by {limit:?} later")
        })?;
        let said = history.of(node).take_while(|record| record.at <= *from + NOTICED);
        let said = said.filter(|record| record.what == What::Degraded || record.at < *from);
        let said = said.filter(|record| matches!(record.what, What::Degraded | What::Recovered)).last();
        let said = said.is_some_and(|record| record.what == What::Degraded);
        hold(said, || format!("node {node} did not say that its link was half-open from {from:?}"))?;
    }
    Ok(())
}

/// Whoever says that it is degraded says that it has recovered, once its link works.
fn check_recovered(history: &History, life: &Life, node: N) -> Result<(), String> {
    let mut degraded = None;
    for record in history.of(node) {
        match record.what {
            What::Degraded => {
                hold(degraded.is_none(), || format!("node {node} is degraded twice, at {:?}", record.at))?;
                degraded = Some(life.works_again(record.at, RECOVERED) + RECOVERED);
            }
            What::Recovered => {
                let by = degraded.take();
                hold(by.is_some(), || format!("node {node} recovered at {:?} from nothing", record.at))?;
                let late = by.filter(|by| *by < record.at && !life.is_gone(*by));
                hold(late.is_none(), || format!("node {node} recovered at {:?}, not by {late:?}", record.at))?;
            }
            _ => {}
        }
    }
    let late = degraded.filter(|by| *by <= history.plan.end && !life.is_gone(*by));
    hold(late.is_none(), || format!("node {node} had not recovered by {late:?}"))
}

/// What is sent two seconds after the link is back, and later, arrives.
fn check_hears_again(history: &History, lives: &[Life], node: N) -> Result<(), String> {
    if lives[node].cut_off.is_empty() {
        return Ok(());
    }
    let carried = carried(history, node);
    for (_, back) in &lives[node].cut_off {
        for record in history.of_others(node).filter(|record| record.at >= *back + BACK) {
            let What::Called { op, .. } = record.what else { continue };
            let arrives = record.at + BACK;
            let well = |life: &Life| life.is_well(*back + Duration::from_micros(1), arrives);
            let sent = matches!(history.ops[op].sent, Sent::Numbered(_)) && history.concerns(op, node);
            let due = sent && well(&lives[node]) && well(&lives[record.node]) && arrives <= history.plan.end;
            hold(!due || carried.contains(&op), || {
                format!("node {node}, whose link was back at {back:?}, did not get op {op} of {:?}", record.at)
            })?;
        }
    }
    Ok(())
}

fn carried(history: &History, node: N) -> BTreeSet<usize> {
    let op = |what: &What| if let What::Carried { op, .. } = what { Some(*op) } else { None };
    history.of(node).filter_map(|record| op(&record.what)).collect()
}

/// An outage of one's own condemns nobody, and what was accepted in it goes out afterwards.
pub(super) fn g08_outage(history: &History) -> Result<(), String> {
    let lives = history.lives();
    for node in 0..history.nodes {
        check_condemned(history, &lives, node)?;
        check_kept(history, &lives, node)?;
    }
    Ok(())
}

/// Whoever is well all the time is not thought dead, neither in the outage nor when it is over.
fn check_condemned(history: &History, lives: &[Life], node: N) -> Result<(), String> {
    for (from, to) in lives[node].outages() {
        for record in history.of(node).filter(|record| (from..=to + 3 * SECOND).contains(&record.at)) {
            let What::Down(other, Departure::Died) = record.what else { continue };
            let well = lives[other].is_well(from.saturating_sub(SECOND), record.at);
            hold(!well, || format!("node {node}, whose own link was down from {from:?}, thought node {other} dead"))?;
        }
    }
    Ok(())
}

/// What was accepted in an outage arrives at whoever is there, in the order that `g02_order` checks. Whoever thought the
/// sender dead meanwhile may miss some of it, and says so.
fn check_kept(history: &History, lives: &[Life], sender: N) -> Result<(), String> {
    if !lives[sender].stays() || was_forgotten(history, lives, sender) {
        return Ok(());
    }
    for (from, to) in lives[sender].outages().filter(|(_, to)| *to + 3 * SECOND < history.plan.end) {
        let well = |node: N| lives[node].is_well(from.saturating_sub(SECOND), history.plan.end);
        for node in (0..history.nodes).filter(|node| *node != sender && well(*node)) {
            let carried = carried(history, node);
            let since = |what: What| history.of(node).any(|record| record.at >= from && record.what == what);
            let gap = |what: &What| matches!(what, What::Gap { of, .. } if *of == sender);
            let reported = since(What::Down(sender, Departure::Died))
                && history.of(node).any(|record| record.at >= from && gap(&record.what));
            for record in history.of(sender).filter(|record| (from..=to).contains(&record.at)) {
                let What::Called { op, .. } = record.what else { continue };
                let due = matches!(history.ops[op].sent, Sent::Numbered(_)) && history.concerns(op, node);
                hold(!due || reported || carried.contains(&op), || {
                    format!("op {op} of node {sender}, called in its outage, did not reach node {node}")
                })?;
            }
        }
    }
    Ok(())
}
