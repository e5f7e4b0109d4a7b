//! Every fault that a history can show is found in one.

use super::check::Findings;
use super::history::{History, Line, Run};
use super::plan::Fault;
use super::recovery::Blow;

const A: Run = Run { node: 0, start: 0 };
const B: Run = Run { node: 1, start: 0 };
const B_AGAIN: Run = Run { node: 1, start: 1 };

fn id(run: Run) -> String {
    format!("id-{run}")
}

fn sends(numbers: std::ops::Range<u64>) -> Vec<Line> {
    numbers.map(|n| Line::Sent { at: 100 + n * 10, n }).collect()
}

fn gets(from: Run, numbers: impl IntoIterator<Item = u64>) -> Vec<Line> {
    numbers.into_iter().map(|n| Line::Got { at: 103 + n * 10, from, n }).collect()
}

fn gap(from: Run, count: Option<u64>) -> Line {
    Line::Gap { id: id(from), inbox: false, count }
}

/// A run that lives from 1 to 9,999 and does this.
fn lived(run: Run, lines: impl IntoIterator<Item = Line>) -> History {
    let ready = [Line::Ready { at: 1, id: id(run) }];
    let lines = ready.into_iter().chain(lines).chain([Line::Ended { at: 9_999 }]).collect();
    History { run, lines }
}

/// The same, killed before it came to the end.
fn died(run: Run, lines: impl IntoIterator<Item = Line>) -> History {
    let mut history = lived(run, lines);
    history.lines.pop();
    history
}

/// What a receiver's history says of a sender of ten.
fn ten(receiver: impl IntoIterator<Item = Line>) -> Findings {
    Findings::of(&[lived(A, sends(0..10)), lived(B, receiver)], &[], &[])
}

#[test]
fn a_clean_run_is_clean() {
    let found = ten(gets(A, 0..10));
    assert!(found.is_clean(), "{found:?}");
    assert_eq!((found.sent, found.due, found.delivered), (10, 10, 10));
}

#[test]
fn what_is_lost_in_silence_is_found() {
    let found = ten(gets(A, [0, 1, 2, 3, 5, 6, 7]));
    assert_eq!((found.lost, found.reported, found.delivered), (3, 0, 7), "one in the middle and the last two");
    assert!(!found.is_clean());
}

#[test]
fn what_is_lost_and_reported_is_accounted_for_and_no_more_than_that() {
    let receiver = |count| gets(A, (0..1).chain(3..10)).into_iter().chain([gap(A, count)]);
    let found = ten(receiver(Some(2)));
    assert_eq!((found.lost, found.reported), (0, 2));
    assert!(found.is_clean());
    assert_eq!(ten(receiver(Some(1))).lost, 1);
    assert_eq!(ten(receiver(None)).lost, 2, "a sender that lives knows how many");
    let of_another = gets(A, (0..1).chain(3..10)).into_iter().chain([gap(B, Some(2))]);
    assert_eq!(ten(of_another).lost, 2);
    let of_answers = Line::Gap { id: id(A), inbox: true, count: Some(2) };
    assert_eq!(ten(gets(A, (0..1).chain(3..10)).into_iter().chain([of_answers])).lost, 2);
}

#[test]
fn what_comes_twice_is_found() {
    let found = ten(gets(A, (0..10).chain([9])));
    assert_eq!((found.doubled, found.disordered, found.delivered), (1, 0, 10));
    assert_eq!(ten(gets(A, (0..10).chain([3]))).doubled, 1, "late copies are copies");
    assert!(!found.is_clean());
}

#[test]
fn what_comes_out_of_order_is_found() {
    let found = ten(gets(A, [0, 1, 3, 2, 4, 5, 6, 7, 8, 9]));
    assert_eq!((found.disordered, found.doubled, found.lost), (1, 0, 0));
    assert!(!found.is_clean());
}

#[test]
fn what_nobody_has_sent_is_found() {
    assert_eq!(ten(gets(A, 0..11)).invented, 1);
    assert_eq!(ten(gets(A, 0..10).into_iter().chain(gets(B_AGAIN, 0..1))).invented, 1);
}

#[test]
fn what_was_refused_is_not_owed() {
    let sender = sends(0..10).into_iter().chain([Line::Refused { n: 4 }]);
    let found = Findings::of(&[lived(A, sender), lived(B, gets(A, [0, 1, 2, 3, 5, 6, 7, 8, 9]))], &[], &[]);
    assert_eq!((found.sent, found.refused, found.due, found.lost), (9, 1, 9, 0));
}

#[test]
fn who_starts_later_is_owed_what_is_sent_from_then_on() {
    let mut late = lived(B, gets(A, 5..10));
    late.lines[0] = Line::Ready { at: 145, id: id(B) }; // 4 was sent at 140
    let found = Findings::of(&[lived(A, sends(0..10)), late], &[], &[]);
    assert_eq!((found.due, found.delivered, found.lost), (5, 5, 0));
}

#[test]
fn what_a_newcomer_sent_before_it_was_heard_of_is_owed() {
    let found = |ready, got: Vec<Line>| {
        let mut newcomer = lived(A, sends(0..10));
        newcomer.lines[0] = Line::Ready { at: ready, id: id(A) };
        Findings::of(&[newcomer, lived(B, got)], &[], &[])
    };
    let late = found(50, gets(A, 3..10));
    assert_eq!((late.lost, late.due, late.delivered), (3, 10, 7));
    assert!(!late.is_clean());
    for count in [Some(3), None] {
        let told = found(50, gets(A, 3..10).into_iter().chain([gap(A, count)]).collect());
        assert_eq!((told.lost, told.reported, told.is_clean()), (0, 3, true));
    }
    let hole = found(50, gets(A, (2..5).chain(6..10)).into_iter().chain([gap(A, None)]).collect());
    assert_eq!((hole.lost, hole.reported), (1, 2), "what is missing behind the first is counted, or lost");
    assert_eq!(found(50, vec![]).lost, 10);
}

#[test]
fn what_a_killed_node_sent_last_is_a_gap_of_unknown_count() {
    let found = |receiver: Vec<Line>| Findings::of(&[lived(A, receiver), died(B, sends(0..10))], &[], &[B]);
    let told = found(gets(B, 0..8).into_iter().chain([gap(B, None)]).collect());
    assert_eq!((told.lost, told.gone_with_senders, told.due), (0, 2, 8));
    assert!(told.is_clean());
    assert_eq!(found(gets(B, 0..8)).lost, 2, "nobody said so");
    let hole = gets(B, (0..3).chain(4..8)).into_iter().chain([gap(B, None)]).collect();
    assert_eq!(found(hole).lost, 1, "before the last that came, it is known what is missing");
}

#[test]
fn what_is_lost_shortly_before_its_sender_is_killed_goes_with_it_if_that_is_reported() {
    let found = |count, last| {
        let got = gets(B, (0..3).chain(4..10)).into_iter().chain([gap(B, count)]);
        let sent = sends(0..10).into_iter().chain([Line::Sent { at: last, n: 10 }]);
        let got = got.chain([Line::Got { at: last, from: B, n: 10 }]);
        Findings::of(&[lived(A, got), died(B, sent)], &[], &[B])
    };
    let shortly = found(Some(1), 1_000_000);
    assert_eq!((shortly.lost, shortly.reported, shortly.gone_with_senders, shortly.due), (0, 0, 1, 10));
    assert_eq!((shortly.delivered, found(None, 1_000_000).lost), (10, 1));
    let long_before = found(Some(1), 9_000_000);
    assert_eq!((long_before.reported, long_before.gone_with_senders), (1, 0), "there was time to repair it");
}

#[test]
fn what_a_node_sent_that_was_stopped_for_a_while_is_owed() {
    let lives = [lived(A, gets(B, (0..3).chain(4..10)).into_iter().chain([gap(B, Some(1))])), lived(B, sends(0..10))];
    let stopped = Blow { fault: Fault::NodePaused, node: Some(1), from: 150, to: 3_500_150 };
    let found = Findings::of(&lives, &[stopped], &[]);
    assert_eq!((found.reported, found.gone_with_senders), (1, 0));
}

#[test]
fn a_killed_node_is_owed_nothing_but_its_order() {
    let found = Findings::of(&[lived(A, sends(0..10)), died(B, gets(A, [0, 1, 4, 3]))], &[], &[B]);
    assert_eq!((found.due, found.lost, found.disordered), (0, 0, 1));
}

#[test]
fn a_node_that_does_not_come_to_the_end_is_named() {
    let found = Findings::of(&[lived(A, sends(0..10)), died(B, gets(A, 0..10))], &[], &[]);
    assert_eq!(found.unfinished, [B]);
    assert!(!found.is_clean());
}

#[test]
fn rooms_reach_who_has_joined_and_nobody_who_has_left() {
    let inside = |round| Line::SentInside { joined: 200, round, guest: 1 };
    let got = |round| Line::GotInside { at: 210, from: A, round };
    let found = |at: Run, receiver: Vec<Line>| {
        let mut all =
            vec![lived(A, [inside(0), inside(1)]), lived(B, vec![]), lived(Run { node: 2, start: 0 }, vec![])];
        let history = all.iter_mut().find(|history| history.run == at).expect("one of them");
        history.lines.splice(1..1, receiver);
        Findings::of(&all, &[], &[])
    };
    let fine = found(B, vec![got(0), got(1)]);
    assert_eq!((fine.rounds, fine.due, fine.delivered), (2, 2, 2));
    assert!(fine.is_clean(), "{fine:?}");
    assert_eq!(found(B, vec![got(0)]).lost, 1);
    assert_eq!(found(B, vec![got(1), got(0)]).disordered, 1);
    let left = Line::GotOutside { at: 220, from: A, round: 0 };
    assert_eq!(found(B, vec![got(0), left, got(1)]).strays, 1);
    assert_eq!(found(Run { node: 2, start: 0 }, vec![got(0)]).strays, 1);
    assert_eq!(found(B, vec![got(0), got(1), got(2)]).invented, 1);
}

#[test]
fn a_guest_that_connects_after_the_join_was_called_is_in_no_room() {
    let mut late = lived(B_AGAIN, vec![]);
    late.lines[0] = Line::Ready { at: 205, id: id(B_AGAIN) };
    let found = |joined| {
        let sender = lived(A, [Line::SentInside { joined, round: 0, guest: 1 }]);
        Findings::of(&[sender, late.clone()], &[], &[])
    };
    assert_eq!((found(200).due, found(200).lost), (0, 0));
    assert_eq!((found(206).due, found(206).lost), (1, 1));
}

#[test]
fn questions_are_counted_by_their_end() {
    let asked = |took, missing, late| Line::Asked { took, answered: 3, missing, late };
    let found = ten(gets(A, 0..10).into_iter().chain([asked(5, 0, 0), asked(9, 2, 1), asked(7, 1, 0), Line::NotAsked]));
    let of = found.questions;
    assert_eq!((of.asked, of.complete, of.partial, of.late, of.refused, of.slowest), (4, 1, 1, 1, 1, 9));
}

#[test]
fn recovery_is_from_the_faults_end_to_what_was_sent_after_it() {
    let blow = |fault, node, from, to| Blow { fault, node, from, to };
    // What was sent before (at 140) and comes late is no sign of life; that at 150 is, which comes at 153.
    let got = gets(A, 0..10);
    let histories = [lived(A, sends(0..10)), lived(B, got)];
    let cut = blow(Fault::LinkCut, Some(1), 142, 142);
    let found = |blows: &[Blow]| Findings::of(&histories, blows, &[]).recoveries;
    assert_eq!(found(&[cut])[&Fault::LinkCut].slowest, 11);
    let broker = blow(Fault::BrokerKilled, None, 143, 151);
    let both = found(&[cut, broker]);
    assert_eq!(both[&Fault::LinkCut].slowest, 2, "the broker was away until 151");
    assert_eq!((both[&Fault::BrokerKilled].blows, both[&Fault::BrokerKilled].slowest), (1, 12), "163 is the next");
    let nobody = blow(Fault::LinkCut, Some(7), 142, 142);
    assert_eq!(found(&[nobody])[&Fault::LinkCut].slowest, 0);
}

#[test]
fn a_node_that_gets_nothing_any_more_is_named() {
    let late = || [Line::Sent { at: 20_000_000, n: 10 }];
    let histories =
        [lived(A, sends(0..10).into_iter().chain(late())), lived(B, gets(A, 0..3).into_iter().chain(late()))];
    let cut = Blow { fault: Fault::LinkCut, node: Some(1), from: 130, to: 130 };
    let found = Findings::of(&histories, &[cut], &[]);
    assert_eq!(found.recoveries[&Fault::LinkCut].never, 1);
    assert!(found.silence > 19_000_000, "{}", found.silence);
}

#[test]
fn the_longest_silence_is_of_a_node_that_ran() {
    let histories = [lived(A, sends(0..10)), lived(B, gets(A, [0, 1, 2, 6, 7, 9]))];
    assert_eq!(Findings::of(&histories, &[], &[]).silence, 40);
    let paused = Blow { fault: Fault::NodePaused, node: Some(1), from: 130, to: 160 };
    assert_eq!(Findings::of(&histories, &[paused], &[]).silence, 20);
}
