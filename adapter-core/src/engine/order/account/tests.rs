//! What is waited for, and how long: what a slow node has dropped is lost at once, and nothing else is.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Account, Arrived, HeldInAll, Patience, Progress, Step};
use crate::model::NodeId;
use crate::wire::{Frame, Head, Kind, Mark, Number};

fn patience(ordered: bool) -> Patience {
    let (beginning, repair) = (Duration::from_secs(1), Duration::from_secs(5));
    Patience { ordered, beginning, repair, bytes: 1 << 20, max_message: 1 << 20, probed: 0 }
}

/// An account that has taken number 1.
fn account() -> Account {
    let mut account = Account::expecting(Number { epoch: 1, n: 1 }, HeldInAll::default());
    assert_eq!(accept(&mut account, 1, true), "1");
    account
}

fn accept(account: &mut Account, n: u64, ordered: bool) -> String {
    let number = Number { epoch: 1, n };
    let sender = NodeId::from_bytes([1; 16]);
    let head = Head { number: Some(number), ..Head::new(Kind::BROADCAST, sender, n) };
    let frame = Frame { head, body: Bytes::new(), packet: Bytes::new() };
    let arrived = Arrived { number, frame, message: 100, resent: false };
    told(account.accept(arrived, Instant::now(), &patience(ordered)))
}

fn mark(account: &mut Account, n: u64) -> String {
    told(account.mark(Mark { epoch: 1, n }, Instant::now(), &patience(true)))
}

/// The numbers that are carried out, and how many are lost.
fn told(progress: Progress) -> String {
    let steps = progress.steps.into_iter().map(|step| match step {
        Step::Frame(whole) => whole.into_frame().head.counter.to_string(),
        Step::Lost(count) => format!("lost {count}"),
        Step::LostUncounted => "lost some".to_owned(),
    });
    steps.collect::<Vec<_>>().join(", ")
}

#[test]
fn g09_what_was_dropped_before_the_next_number_is_lost_at_once() {
    let mut account = account();
    account.was_dropped();
    assert_eq!(accept(&mut account, 4, true), "lost 2, 4");
    assert_eq!(accept(&mut account, 6, true), "", "what is missing later is waited for");
    assert_eq!(accept(&mut account, 5, true), "5, 6");
}

#[test]
fn g09_what_was_dropped_before_the_next_mark_is_lost_at_once() {
    let mut account = account();
    account.was_dropped();
    assert_eq!(mark(&mut account, 3), "lost 2");
    assert_eq!(mark(&mut account, 5), "", "what is missing later is waited for");
}

#[test]
fn g09_where_nothing_was_dropped_what_is_missing_later_is_waited_for() {
    let next: [fn(&mut Account); 3] = [
        |account| drop(accept(account, 2, true)),
        |account| drop(mark(account, 1)),
        |account| assert!(account.takes_next(Number { epoch: 1, n: 2 })),
    ];
    for next in next {
        let mut account = account();
        account.was_dropped();
        next(&mut account);
        assert_eq!(accept(&mut account, 4, true), "");
    }
}

#[test]
fn g09_a_copy_says_nothing_of_what_was_dropped() {
    let mut account = account();
    account.was_dropped();
    assert_eq!(accept(&mut account, 1, true), "");
    assert_eq!(accept(&mut account, 4, true), "lost 2, 4");
}

#[test]
fn g09_without_order_it_may_be_on_its_way() {
    let mut account = account();
    account.was_dropped();
    assert_eq!(accept(&mut account, 3, false), "");
    assert_eq!(accept(&mut account, 2, false), "2, 3");
}

#[test]
fn g09_what_is_missing_of_a_sender_that_was_away_is_waited_for_from_its_return_on() {
    let mut account = account();
    let began = Instant::now();
    accept(&mut account, 3, true);
    let s = Duration::from_secs;
    account.postpone(began + s(14));
    account.sender_is_back(began + s(14), began + s(14));
    assert_eq!(told(account.wait(began + s(28), &patience(true))), "");
    assert_eq!(told(account.wait(began + s(30), &patience(true))), "lost 1, 3");
}

#[test]
fn g09_who_has_asked_where_an_account_begins_does_not_forget_that() {
    let began = Instant::now();
    let s = Duration::from_secs;
    let account = Account::expecting(Number { epoch: 1, n: 1 }, HeldInAll::default());
    let mut account = account.unsure(began);
    accept(&mut account, 5, false);
    account.ask_after(Duration::ZERO, began);
    account.ask(10, 1, began);
    account.ask_anew(began);
    assert_eq!(told(account.wait(began + s(2), &patience(false))), "", "a reply may be lost");
    assert_eq!(told(account.wait(began + s(4), &patience(false))), "lost some, 5");
}
