//! The checks of links are checked, as in `mutants`.

use std::time::Duration;

use super::history::{History, Record, Sent, What};
use super::mutants::{caught, find};
use super::network::{Profile, Swallows};
use crate::model::Departure;

const SECOND: Duration = Duration::from_secs(1);

fn put(history: &mut History, record: Record) {
    history.records.push(record);
    history.records.sort_by_key(|record| record.at);
}

#[test]
fn g07_sees_a_dead_link_that_was_not_replaced() {
    for way in [Swallows::Both, Swallows::Incoming, Swallows::Outgoing] {
        caught("g07_never_deaf", Profile::HalfOpen, |history| {
            let from = find(history, |what| *what == What::HalfOpen(way))?;
            let node = history.records[from].node;
            let reset =
                history.records[from..].iter().position(|record| record.node == node && record.what == What::Reset)?;
            history.records.remove(from + reset);
            Some(())
        });
    }
}

#[test]
fn g07_sees_a_dead_link_that_was_noticed_late() {
    caught("g07_never_deaf", Profile::HalfOpen, |history| {
        let at = find(history, |what| *what == What::Degraded)?;
        history.records[at].at += 4 * SECOND;
        history.records.sort_by_key(|record| record.at);
        Some(())
    });
}

#[test]
fn g07_sees_a_link_that_was_late_and_was_replaced() {
    caught("g07_never_deaf", Profile::Congested, |history| {
        let at = find(history, |what| *what == What::Degraded)?;
        let reset = Record { what: What::Reset, ..history.records[at].clone() };
        put(history, reset);
        Some(())
    });
}

#[test]
fn g07_sees_a_recovery_that_was_not_told() {
    for profile in [Profile::HalfOpen, Profile::Congested, Profile::Lossy] {
        caught("g07_never_deaf", profile, |history| {
            let at = find(history, |what| *what == What::Recovered)?;
            (history.records[at].at + 5 * SECOND < history.plan.end).then_some(())?;
            history.records.remove(at);
            Some(())
        });
    }
}

#[test]
fn g07_sees_a_node_that_stays_deaf() {
    caught("g07_never_deaf", Profile::HalfOpen, |history| {
        let lives = history.lives();
        let back = |node: usize| lives[node].half_open.last().map(|(_, to, _)| *to);
        let (node, back) = (0..history.nodes).find_map(|node| Some((node, back(node)?)))?;
        (back + 6 * SECOND < history.plan.end).then_some(())?;
        let hears = |record: &Record| record.node == node && matches!(record.what, What::Carried { .. });
        history.records.retain(|record| record.at < back || !hears(record));
        Some(())
    });
}

#[test]
fn g08_sees_a_death_in_an_outage_that_nobody_announced() {
    for way in [Swallows::Both, Swallows::Incoming, Swallows::Outgoing] {
        caught("g08_outage", Profile::HalfOpen, |history| {
            let at = find(history, |what| *what == What::HalfOpen(way))?;
            let Record { at, node, .. } = history.records[at];
            let other = (node + 1) % history.nodes;
            history.lives()[other].is_well(at - SECOND, at + 2 * SECOND).then_some(())?;
            put(history, Record { at: at + 2 * SECOND, node, what: What::Down(other, Departure::Died) });
            Some(())
        });
    }
}

#[test]
fn g08_sees_what_was_accepted_in_an_outage_and_never_arrived() {
    for profile in [Profile::HalfOpen, Profile::Lossy, Profile::LossyWild] {
        caught("g08_outage", profile, |history| {
            let lives = history.lives();
            let (node, (from, to)) = (0..history.nodes).find_map(|node| Some((node, lives[node].outages().next()?)))?;
            let well = |other: &usize| lives[*other].is_well(from.checked_sub(SECOND)?, history.plan.end).then_some(());
            let other = (0..history.nodes).find(|other| well(other).is_some())?;
            let called = |record: &&Record| record.node == node && (from..=to).contains(&record.at);
            let called = history.records.iter().filter(called).find_map(|record| match record.what {
                What::Called { op, .. } if history.concerns(op, other) => Some(op),
                _ => None,
            })?;
            let told = |record: &Record| record.node == other && matches!(record.what, What::Down(..));
            let due = matches!(history.ops[called].sent, Sent::Numbered(_)) && to + 4 * SECOND < history.plan.end;
            (due && !history.records.iter().any(told)).then_some(())?;
            let deed = |record: &Record| {
                record.node == other && matches!(record.what, What::Carried { op, .. } if op == called)
            };
            history.records.retain(|record| !deed(record));
            Some(())
        });
    }
}
