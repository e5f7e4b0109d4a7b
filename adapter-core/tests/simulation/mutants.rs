//! The checks are checked: a history that was falsified in one place must fail the check of that name.

use std::time::Duration;

use super::checks::{CHECKS, failures};
use super::history::{History, Life, Record, Sent, What};
use super::network::Profile;
use super::world::run;
use crate::model::{Departure, MissingReason};
use crate::wire::Answer;

/// Falsifies the first history of the profile in which there is something to falsify; the check must fail that did not.
pub(super) fn caught(check: &str, profile: Profile, falsify: impl Fn(&mut History) -> Option<()>) {
    for seed in profile.seeds(60) {
        let mut history = run(seed);
        assert!(failures(&history).is_empty(), "seed {seed:#x} fails as it is");
        if falsify(&mut history).is_none() {
            continue;
        }
        let (_, holds) = CHECKS.iter().find(|(name, _)| *name == check).expect("a check of this name");
        assert!(holds(&history).is_err(), "{check} did not see it, seed {seed:#x}");
        return;
    }
    panic!("no history of {profile:?} has anything to falsify");
}

/// The last record of which this is true; early ones may be of nodes that had no duty yet.
pub(super) fn find(history: &History, is: impl Fn(&What) -> bool) -> Option<usize> {
    history.records.iter().rposition(|record| is(&record.what))
}

fn numbered(history: &History, what: &What) -> bool {
    matches!(what, What::Carried { op, .. } if matches!(history.ops[*op].sent, Sent::Numbered(_)))
}

#[test]
fn g01_sees_a_delivery_that_is_missing() {
    caught("g01_reach", Profile::Ordered, |history| {
        let at = find(history, |what| matches!(what, What::Delivered { .. }))?;
        history.records.remove(at);
        Some(())
    });
}

#[test]
fn g01_sees_a_delivery_too_many() {
    caught("g01_reach", Profile::Wild, |history| {
        let at = find(history, |what| matches!(what, What::Delivered { .. }))?;
        history.records.insert(at, history.records[at].clone());
        Some(())
    });
}

#[test]
fn g01_sees_an_operation_that_a_node_did_not_carry_out() {
    caught("g01_reach", Profile::Ordered, |history| {
        let at =
            find(history, |what| matches!(what, What::Carried { op, .. } if history.ops[*op].sent == Sent::Volatile))?;
        let What::Carried { op, .. } = history.records[at].what else { return None };
        let node = history.records[at].node;
        let of =
            |what: &What| matches!(what, What::Carried { op: of, .. } | What::Delivered { op: of, .. } if *of == op);
        history.records.retain(|record| record.node != node || !of(&record.what));
        Some(())
    });
}

#[test]
fn g01_sees_a_packet_that_was_altered() {
    caught("g01_reach", Profile::Ordered, |history| {
        let at = find(history, |what| matches!(what, What::Carried { .. }))?;
        let What::Carried { intact, .. } = &mut history.records[at].what else { return None };
        *intact = false;
        Some(())
    });
}

#[test]
fn g02_sees_two_that_were_swapped() {
    caught("g02_order", Profile::Ordered, |history| {
        let second = find(history, |what| numbered(history, what))?;
        let (node, What::Carried { op, .. }) = (history.records[second].node, &history.records[second].what) else {
            return None;
        };
        let sender = history.ops[*op].sender;
        let before = |what: &What| matches!(what, What::Carried { op, .. } if history.ops[*op].sender == sender);
        let first = history.records[..second]
            .iter()
            .rposition(|record| record.node == node && before(&record.what) && numbered(history, &record.what))?;
        let what = history.records[first].what.clone();
        history.records[first].what = std::mem::replace(&mut history.records[second].what, what);
        Some(())
    });
}

#[test]
fn g02_sees_a_goodbye_before_the_last_operation() {
    caught("g02_order", Profile::OrderedTurbulent, |history| {
        let at = find(history, |what| matches!(what, What::Down(_, Departure::Left)))?;
        let What::Down(other, _) = history.records[at].what else { return None };
        let node = history.records[at].node;
        let of = |what: &What| matches!(what, What::Carried { op, .. } if history.ops[*op].sender == other);
        let first = history.records[..at]
            .iter()
            .position(|record| record.node == node && of(&record.what) && numbered(history, &record.what))?;
        let goodbye = history.records.remove(at);
        history.records.insert(first, goodbye);
        Some(())
    });
}

#[test]
fn g03_sees_an_answer_before_the_deed() {
    caught("g03_read_your_join", Profile::Ordered, |history| {
        let at = find(history, |what| matches!(what, What::Answered { answer: Answer::Applied, .. }))?;
        let What::Answered { request, from, .. } = history.records[at].what else { return None };
        let asker = history.records[at].node;
        let op = history.of(asker).find_map(|record| match record.what {
            What::Asked { op, request: of, .. } if of == request => Some(op),
            _ => None,
        })?;
        let deed = |what: &What| matches!(what, What::Carried { op: of, .. } if *of == op);
        let done = history.records.iter().position(|record| record.node == from && deed(&record.what))?;
        let deed = history.records.remove(done);
        history.records.insert(at, deed);
        Some(())
    });
}

#[test]
fn g03_sees_a_node_that_is_in_neither_list() {
    caught("g03_read_your_join", Profile::LossyWild, |history| {
        let at = find(history, |what| matches!(what, What::Ended { missing, .. } if !missing.is_empty()))?;
        let What::Ended { request, missing } = &mut history.records[at].what else { return None };
        missing.pop();
        let (request, asker) = (*request, history.records[at].node);
        let change = history.of(asker).any(|record| {
            matches!(record.what, What::Asked { op, request: of, .. } if of == request
                && matches!(history.ops[op].operation, crate::wire::Operation::Change { .. }))
        });
        change.then_some(())
    });
}

#[test]
fn g04_sees_an_end_after_the_deadline() {
    caught("g04_requests", Profile::Ordered, |history| {
        let at = find(history, |what| matches!(what, What::Ended { missing, .. } if !missing.is_empty()))?;
        let late = history.records[at].at + Duration::from_millis(1);
        history.records[at].at = late;
        Some(())
    });
}

#[test]
fn g04_sees_an_end_that_came_late_after_the_last_answer() {
    caught("g04_requests", Profile::Ordered, |history| {
        let at = find(history, |what| matches!(what, What::Ended { missing, .. } if missing.is_empty()))?;
        history.records[at].at += Duration::from_micros(1);
        Some(())
    });
}

#[test]
fn g04_sees_a_question_that_never_ends_and_one_that_ends_twice() {
    let end = |history: &History| find(history, |what| matches!(what, What::Ended { .. }));
    caught("g04_requests", Profile::Wild, |history| {
        let at = end(history)?;
        history.records.remove(at);
        Some(())
    });
    caught("g04_requests", Profile::Wild, |history| {
        let at = end(history)?;
        history.records.insert(at, history.records[at].clone());
        Some(())
    });
}

#[test]
fn g04_sees_an_answer_of_a_node_that_was_not_asked() {
    caught("g04_requests", Profile::Wild, |history| {
        let at = find(history, |what| matches!(what, What::Answered { .. }))?;
        let asker = history.records[at].node;
        let What::Answered { from, .. } = &mut history.records[at].what else { return None };
        *from = asker;
        Some(())
    });
}

#[test]
fn g04_sees_a_reason_that_does_not_fit() {
    caught("g04_requests", Profile::Wild, |history| {
        let timeout =
            |missing: &[(usize, MissingReason)]| missing.iter().any(|(_, why)| *why == MissingReason::Timeout);
        let at = find(history, |what| matches!(what, What::Ended { missing, .. } if timeout(missing)))?;
        let What::Ended { missing, .. } = &mut history.records[at].what else { return None };
        missing.iter_mut().for_each(|(_, why)| *why = MissingReason::Died);
        Some(())
    });
}

#[test]
fn g04_sees_an_answer_that_was_lost_or_altered() {
    caught("g04_requests", Profile::Ordered, |history| {
        let at = find(history, |what| matches!(what, What::Answered { answer: Answer::Count(_), .. }))?;
        let What::Answered { answer: Answer::Count(count), .. } = &mut history.records[at].what else { return None };
        *count += 1;
        Some(())
    });
    caught("g04_requests", Profile::Ordered, |history| {
        let some =
            |what: &What| matches!(what, What::Answered { answer: Answer::Acks(batch), .. } if !batch.acks.is_empty());
        let at = find(history, some)?;
        let What::Answered { answer: Answer::Acks(batch), .. } = &mut history.records[at].what else { return None };
        batch.acks.pop();
        Some(())
    });
}

#[test]
fn g05_sees_a_node_that_nobody_noticed() {
    caught("g05_members", Profile::Ordered, |history| {
        let at = find(history, |what| matches!(what, What::Up(_)))?;
        history.records.remove(at);
        Some(())
    });
}

#[test]
fn g05_sees_a_death_that_was_noticed_late_and_one_that_was_none() {
    for ring in [false, true] {
        caught("g05_members", Profile::OrderedTurbulent, |history| {
            (history.plan.watchers.is_some() == ring).then_some(())?;
            let died = |what: &What| matches!(what, What::Down(_, Departure::Died));
            // Somebody was there all the time, and well, to notice it.
            let lives = history.lives();
            let killed = lives.iter().find_map(|life| life.killed.filter(|_| life.ready.is_some()))?;
            // In a ring later, when those who watch the node were not well.
            let late = Duration::from_secs(if ring { 14 } else { 2 });
            let (from, to) = (killed.checked_sub(Duration::from_secs(1))?, killed + Duration::from_secs(3) + late);
            lives.iter().find(|life| life.is_well(from, to))?;
            for record in history.records.iter_mut().filter(|record| died(&record.what)) {
                record.at += late;
            }
            history.records.sort_by_key(|record| record.at);
            Some(())
        });
    }
    caught("g05_members", Profile::Ordered, |history| {
        let at = find(history, |what| matches!(what, What::Up(_)))?;
        let mut record = history.records[at].clone();
        let What::Up(of) = record.what else { return None };
        record.what = What::Down(of, Departure::Died);
        history.records.insert(at + 1, record);
        Some(())
    });
}

#[test]
fn g05_sees_a_death_in_an_outage_of_ones_own() {
    caught("g05_members", Profile::Lossy, |history| {
        // Of all, so that it would be none too early for one whose link held.
        let lives = history.lives();
        let at = find(history, |what| matches!(what, What::LinkDown(_)))?;
        let mut record = history.records[at].clone();
        let long = |(from, to): &(Duration, Duration)| *from == record.at && *to > *from + Duration::from_millis(1_100);
        let at = record.at;
        let known = |life: &Life| life.started.is_some_and(|started| started + Duration::from_secs(1) < at);
        lives.iter().filter(|life| known(life)).all(|life| life.cut_off.iter().any(long)).then_some(())?;
        record.at += Duration::from_millis(1_050);
        let other = (0..lives.len()).find(|other| *other != record.node && known(&lives[*other]))?;
        record.what = What::Down(other, Departure::Died);
        history.records.push(record);
        history.records.sort_by_key(|record| record.at);
        Some(())
    });
}

#[test]
fn g05_sees_a_node_that_did_not_come_back() {
    caught("g05_members", Profile::Sleeper, |history| {
        let at = find(history, |what| matches!(what, What::Up(_)))?;
        history.records.remove(at);
        Some(())
    });
}

#[test]
fn g09_sees_a_gap_that_was_forgotten_and_one_that_counts_wrong() {
    let gap = |history: &History| find(history, |what| matches!(what, What::Gap { inbox: false, count: Some(_), .. }));
    caught("g09_no_silent_loss", Profile::Forgetful, |history| {
        let at = gap(history)?;
        history.records.remove(at);
        Some(())
    });
    caught("g09_no_silent_loss", Profile::Forgetful, |history| {
        let at = gap(history)?;
        let What::Gap { count: Some(count), .. } = &mut history.records[at].what else { return None };
        *count += 1;
        Some(())
    });
}

#[test]
fn g09_sees_what_was_not_sent_again_and_what_was_given_up_too_early() {
    // Where nobody was thought dead: what such a node had sent may be given up.
    let nobody_died =
        |history: &History| find(history, |what| matches!(what, What::Down(_, Departure::Died))).is_none();
    for profile in [Profile::Leaky, Profile::LeakyWild, Profile::Lossy] {
        caught("g09_what_is_lost_is_repaired", profile, |history| {
            nobody_died(history).then_some(())?;
            let at = find(history, |what| numbered(history, what))?;
            history.records.remove(at);
            Some(())
        });
        caught("g09_what_is_lost_is_repaired", profile, |history| {
            nobody_died(history).then_some(())?;
            let at = find(history, |what| numbered(history, what))?;
            let What::Carried { op, .. } = history.records[at].what else { return None };
            let what = What::Gap { of: history.ops[op].sender, inbox: false, count: Some(1) };
            history.records.push(Record { what, ..history.records[at].clone() });
            Some(())
        });
    }
}

#[test]
fn g09_sees_a_lost_tail() {
    caught("g09_no_silent_loss", Profile::Ordered, |history| {
        let at = find(history, |what| numbered(history, what))?;
        history.records.remove(at);
        Some(())
    });
}

#[test]
fn g10_sees_a_second_copy() {
    caught("g10_once", Profile::Wild, |history| {
        let at = find(history, |what| matches!(what, What::Carried { .. }))?;
        history.records.insert(at, history.records[at].clone());
        Some(())
    });
}

#[test]
fn g12_sees_what_is_left() {
    caught("g12_no_residue", Profile::Ordered, |history| {
        let at = find(history, |what| matches!(what, What::Final { .. }))?;
        let What::Final { gauge, .. } = &mut history.records[at].what else { return None };
        gauge.open_requests = 1;
        Some(())
    });
}

#[test]
fn g18_sees_a_node_that_the_first_question_left_out() {
    caught("g18_ready", Profile::OrderedTurbulent, |history| {
        let newcomer = (0..history.nodes).max_by_key(|node| history.lives()[*node].started)?;
        let first = history.records.iter().position(|record| {
            record.node == newcomer
                && matches!(&record.what, What::Asked { op, asked, .. } if !asked.is_empty()
                    && history.ops[*op].operation.target().is_none_or(|target| target.node.is_none()))
        })?;
        let lives = history.lives();
        let (started, at) = (lives[newcomer].started?, history.records[first].at);
        let there = |node: &usize| {
            let life = &lives[*node];
            let greeted = !life.unsure.iter().any(|unsure| *unsure <= at);
            life.ready.is_some_and(|ready| ready < started) && greeted && life.is_well(started, at)
        };
        let What::Asked { asked, .. } = &mut history.records[first].what else { return None };
        let place = asked.iter().position(there)?;
        asked.remove(place);
        (lives[newcomer].is_well(started, at) && history.plan.delay <= Duration::from_millis(100)).then_some(())
    });
}
