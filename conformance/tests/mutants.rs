//! The suite is tested itself: each of these backends breaks one promise, and the case that is named after it says so.

mod mutant;

use std::sync::Mutex;
use std::time::Duration;

use roomcast_conformance::{Outcome, Subject, run_case};
use roomcast_core::Result;

use mutant::{Fault, Mutant};

type ConnectTo = fn(&str) -> Result<Mutant>;

/// A broken backend, and the cases that must fail for it.
macro_rules! mutants {
    ($($fault:ident => $($case:ident),+;)+) => {
        &[$((stringify!($fault), |url| Ok(Mutant::new(url, Fault::$fault)), &[$(stringify!($case)),+])),+]
    };
}

const MUTANTS: &[(&str, ConnectTo, &[&str])] = mutants! {
    DropsEverySeventh =>
        g10_every_frame_arrives_once_at_every_subscriber,
        g18_many_channels_are_confirmed_together;
    DropsOneOfManyThatAreReceived => g10_every_frame_arrives_once_at_every_subscriber; // nodes get it again
    SendsTwice => g10_every_frame_arrives_once_at_every_subscriber;
    SwapsWhatItClaimsToOrder => g02_one_publishers_frames_keep_their_order_across_channels;
    LeaksIntoOtherChannels => g15_a_channel_carries_what_was_published_on_it_alone;
    MixesUpperAndLowerCase => g15_a_channel_carries_what_was_published_on_it_alone;
    ConfirmsTooEarly => g18_what_is_published_after_subscribe_has_returned_is_received;
    SubscribesToTheFirstAlone => g18_many_channels_are_confirmed_together;
    SaysOkWhileDropping => g10_every_frame_arrives_once_at_every_subscriber;
    SaysOkBeforeItHasSent => g20_what_was_emitted_arrives_although_the_emitter_is_gone_at_once;
    CorruptsAByte =>
        g13_every_payload_up_to_max_frame_arrives_as_it_was,
        g13_every_size_arrives_byte_for_byte_and_in_order;
    LosesEmptyPayloads => g13_every_payload_up_to_max_frame_arrives_as_it_was;
    EndsAtALineBreak => g01_every_byte_is_carried_as_it_is;
    HidesOwnFrames =>
        g07_a_publisher_receives_its_own_frames;
    HangsOnClose =>
        g19_close_ends_twice_and_hurts_no_other,
        g19_what_is_called_after_close_ends;
    HangsAfterClose => g19_what_is_called_after_close_ends;
    TakesMoreThanItsLimit => g13_a_payload_over_max_frame_is_refused_and_nothing_after_it_is_sent;
    RefusesTheWrongOne => g13_a_payload_over_max_frame_is_refused_and_nothing_after_it_is_sent;
    SendsWhatFollowsARefusal => g13_a_payload_over_max_frame_is_refused_and_nothing_after_it_is_sent;
    GoesDeafSilently =>
        g10_every_frame_arrives_once_at_every_subscriber,
        g03_a_join_that_has_returned_is_seen_by_later_broadcasts_of_any_node;
    DropsSilentlyWhenFull => g09_a_reader_that_is_too_slow_loses_nothing_silently;
    NeverUnsubscribes => g19_unsubscribe_ends_what_is_received;
    FailsWhereNobodyReads => g14_a_channel_that_nobody_reads_takes_messages;
    LeavesATask => g19_close_leaves_no_task;
    PromisesTooSmallAFrame => g13_limits_leave_room_for_a_header;
};

#[test]
fn every_mutant_is_caught_by_the_case_that_names_its_promise() {
    let left: Vec<_> =
        MUTANTS.iter().flat_map(|(name, connect, cases)| cases.iter().map(|case| (*name, *connect, *case))).collect();
    let began = std::time::Instant::now();
    // Many hang, which only the deadline ends.
    let subject = |name, connect: ConnectTo| Subject::new(name, connect).deadline(Duration::from_secs(15));
    let wrong = each(24, left, |(name, connect, case)| match run_case(&subject(name, connect), case) {
        // That case has nodes.
        Outcome::Failed(seen) if case.starts_with("g03") && !seen.contains(" is connected\n") => {
            Some(format!("{name}: {case} does not say what the nodes saw: {seen}"))
        }
        Outcome::Failed(seen) => {
            let seen = seen.lines().next().unwrap_or_default();
            println!("{name} was caught by {case} after {:?}: {seen}", began.elapsed());
            None
        }
        other => Some(format!("{name} was not caught by {case}: {other:?}")),
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Else a mutant would be caught for what all of them do.
#[test]
fn a_mutant_without_a_fault_passes() {
    let mut cases: Vec<_> = MUTANTS.iter().flat_map(|(_, _, cases)| *cases).collect();
    cases.sort_unstable();
    cases.dedup();
    let none: ConnectTo = |url| Ok(Mutant::new(url, Fault::None));
    let wrong = each(4, cases, |case| match run_case(&Subject::new("none", none), case) {
        Outcome::Passed => None,
        other => Some(format!("{case}: {other:?}")),
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Does it for all of them, so many at a time. Answers what was wrong.
fn each<T: Send>(at_once: usize, left: Vec<T>, run: impl Fn(T) -> Option<String> + Sync) -> Vec<String> {
    let (left, wrong) = (Mutex::new(left), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some(next) = take(&left) {
                    let found = run(next);
                    wrong.lock().expect("nothing panics while it is held").extend(found);
                }
            });
        }
    });
    wrong.into_inner().expect("nothing panics while it is held")
}

fn take<T>(left: &Mutex<Vec<T>>) -> Option<T> {
    left.lock().expect("nothing panics while it is held").pop()
}
