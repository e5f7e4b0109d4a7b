//! The runs: every weather with every check, then each guarantee by its name.

use super::checks::{CHECKS, failures};
use super::history::History;
use super::network::Profile;
use super::shrink::{as_test, shrink};
use super::world::run;

/// How many seeds of each profile the ordinary run takes; `ROOMCAST_SEEDS` says how many in all.
const SEEDS: u64 = 100;
/// How many of them each thin test takes.
const FEW: u64 = 10;

fn number(text: &str) -> Option<u64> {
    text.strip_prefix("0x").map_or_else(|| text.parse().ok(), |hex| u64::from_str_radix(hex, 16).ok())
}

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(number(&text).unwrap_or_else(|| panic!("{name} is a number, or 0x and hexadecimal digits: {text}")))
}

/// How to see one run again, alone.
fn again(seed: u64) -> String {
    format!("ROOMCAST_SEED={seed:#x} cargo test -p roomcast-core --lib simulation::cases::one_seed -- --nocapture")
}

/// Runs the seeds of a profile through every check.
fn weather(profile: Profile) {
    if variable("ROOMCAST_SEED").is_some() {
        return; // one seed alone was asked for
    }
    let count = variable("ROOMCAST_SEEDS").map_or(SEEDS, |all| all.div_ceil(Profile::ALL.len() as u64));
    let (mut failed, mut short) = (Vec::new(), String::new());
    for seed in profile.seeds(count) {
        for (check, why) in failures(&run(seed)) {
            if short.is_empty() {
                short = as_test(seed, &shrink(seed, check));
            }
            failed.push(format!("{check} failed, seed {seed:#x}, {profile:?}: {why}\n  {}", again(seed)));
        }
        if failed.len() >= variable("ROOMCAST_FAILURES").unwrap_or(5) as usize {
            break;
        }
    }
    assert!(failed.is_empty(), "\n{}\n{short}", failed.join("\n"));
}

/// Runs a few seeds of some profiles through one check.
fn guarantee(name: &str, profiles: &[Profile]) {
    if variable("ROOMCAST_SEED").is_some() {
        return;
    }
    let (_, check) = CHECKS.iter().find(|(check, _)| *check == name).expect("a check of this name");
    for seed in profiles.iter().flat_map(|profile| profile.seeds(FEW)) {
        check(&run(seed)).unwrap_or_else(|why| panic!("{name} failed, seed {seed:#x}: {why}\n  {}", again(seed)));
    }
}

/// `ROOMCAST_SEED=0x1234` runs that one and prints its history; without it there is nothing to do.
#[test]
fn one_seed() {
    let Some(seed) = variable("ROOMCAST_SEED") else { return };
    let history = run(seed);
    println!("{history}");
    let failed = failures(&history);
    assert!(failed.is_empty(), "seed {seed:#x}: {failed:#?}");
}

#[test]
fn a_seed_gives_the_same_run_again() {
    let text = |history: History| history.to_string();
    for seed in 0..Profile::ALL.len() as u64 {
        assert_eq!(text(run(seed)), text(run(seed)), "seed {seed:#x}");
    }
}

#[test]
fn all_guarantees_hold_where_order_is_kept() {
    weather(Profile::Ordered);
}

#[test]
fn all_guarantees_hold_where_order_is_kept_and_nodes_crash_leave_and_stall() {
    weather(Profile::OrderedTurbulent);
}

#[test]
fn all_guarantees_hold_with_delays_copies_and_unknown_outcomes() {
    weather(Profile::Wild);
}

#[test]
fn all_guarantees_hold_with_delays_and_copies_when_nodes_crash_leave_and_stall() {
    weather(Profile::WildTurbulent);
}

#[test]
fn all_guarantees_hold_when_links_lose_messages() {
    weather(Profile::Lossy);
}

#[test]
fn all_guarantees_hold_when_links_lose_messages_and_keep_no_order() {
    weather(Profile::LossyWild);
}

#[test]
fn all_guarantees_hold_when_a_node_is_evicted_and_wakes() {
    weather(Profile::Sleeper);
}

#[test]
fn all_guarantees_hold_when_a_node_is_forgotten_and_wakes() {
    weather(Profile::LongSleeper);
}

#[test]
fn all_guarantees_hold_when_links_are_half_open() {
    weather(Profile::HalfOpen);
}

#[test]
fn all_guarantees_hold_when_a_link_is_congested() {
    weather(Profile::Congested);
}

#[test]
fn all_guarantees_hold_when_single_messages_and_bursts_are_lost() {
    weather(Profile::Leaky);
}

#[test]
fn all_guarantees_hold_when_single_messages_and_bursts_are_lost_and_no_order_is_kept() {
    weather(Profile::LeakyWild);
}

#[test]
fn all_guarantees_hold_when_next_to_nothing_is_kept_of_what_was_sent() {
    weather(Profile::Forgetful);
}

#[test]
fn all_guarantees_hold_when_some_nodes_do_not_hear_others() {
    weather(Profile::Split);
}

#[test]
fn all_guarantees_hold_when_some_nodes_do_not_hear_others_and_no_order_is_kept() {
    weather(Profile::SplitWild);
}

#[test]
fn all_guarantees_hold_when_a_node_is_suspended_and_does_not_know_it() {
    weather(Profile::Suspended);
}

#[test]
fn g01_every_node_carries_out_every_operation_and_every_socket_gets_its_copy() {
    guarantee("g01_reach", &[Profile::OrderedTurbulent, Profile::WildTurbulent]);
}

#[test]
fn g02_the_order_of_a_sender_is_kept() {
    guarantee("g02_order", &[Profile::Wild, Profile::LossyWild]);
}

#[test]
fn g03_an_awaited_change_is_applied_where_it_says_so() {
    guarantee("g03_read_your_join", &[Profile::WildTurbulent, Profile::Lossy]);
}

#[test]
fn g04_every_question_ends_in_time_and_names_who_is_missing() {
    guarantee("g04_requests", &[Profile::OrderedTurbulent, Profile::WildTurbulent, Profile::LossyWild]);
}

#[test]
fn g05_everyone_knows_who_is_there_in_time() {
    guarantee("g05_members", &[Profile::OrderedTurbulent, Profile::WildTurbulent, Profile::Sleeper]);
}

#[test]
fn g07_a_dead_link_is_replaced_and_one_that_works_is_not() {
    guarantee("g07_never_deaf", &[Profile::HalfOpen, Profile::Congested]);
}

#[test]
fn g08_an_outage_condemns_nobody_and_what_waited_goes_out() {
    guarantee("g08_outage", &[Profile::HalfOpen, Profile::LossyWild]);
}

#[test]
fn g09_what_is_lost_is_reported_where_it_is_missing() {
    guarantee("g09_no_silent_loss", &[Profile::Lossy, Profile::LossyWild]);
}

#[test]
fn g09_what_is_lost_is_asked_for_and_carried_out() {
    let lossy = [Profile::Lossy, Profile::LossyWild, Profile::HalfOpen, Profile::Leaky, Profile::LeakyWild];
    guarantee("g09_what_is_lost_is_repaired", &lossy);
}

#[test]
fn g10_copies_and_batches_sent_again_give_one_copy() {
    guarantee("g10_once", &[Profile::Wild, Profile::WildTurbulent]);
}

#[test]
fn g12_nothing_is_left_when_everything_is_over() {
    guarantee("g12_no_residue", &[Profile::OrderedTurbulent, Profile::WildTurbulent, Profile::Sleeper]);
}

#[test]
fn g13_no_message_is_larger_than_the_link_takes() {
    guarantee("g13_any_size", &[Profile::Ordered, Profile::Wild]);
}

#[test]
fn g18_a_ready_node_asks_everyone_who_was_there() {
    guarantee("g18_ready", &[Profile::OrderedTurbulent, Profile::WildTurbulent]);
}
