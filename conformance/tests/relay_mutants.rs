//! The outage cases are tested themselves: each of these faults of the relay's backend breaks one promise, and the case that is
//! named after it says so. Without a fault the relay passes all of them: `relay.rs`. This program is the broker too.

mod relay {
    pub(crate) mod backend;
    pub(crate) mod recipe;
    pub(crate) mod server;
    pub(crate) mod subject;
    pub(crate) mod wire;
}

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use roomcast_conformance::{Outcome, run_case, started_by_a_case};

/// Faults by their option, and the case that must fail.
const MUTANTS: [(&str, &str); 15] = [
    ("fault=subscribes-once", "g07_every_node_receives_again_after_kill_and_restart"),
    ("fault=never-says-down", "g07_a_link_that_was_cut_receives_again"),
    ("fault=ignores-reset", "g07_a_half_open_link_is_noticed_and_replaced"),
    ("fault=gives-up", "g07_a_link_that_is_refused_for_a_while_receives_again"),
    ("fault=tries-hotly", "g07_a_link_that_is_refused_for_a_while_receives_again"),
    ("fault=says-up-too-early", "g07_up_is_said_once_every_channel_is_subscribed_to_again"),
    ("fault=confirms-what-it-has-written", "g09_what_has_not_reached_the_broker_is_not_confirmed"),
    ("fault=leaves-a-task", "g12_connecting_again_leaves_nothing_behind"),
    ("fault=leaves-a-connection", "g12_connecting_again_leaves_nothing_behind"),
    ("fault=logs-each-failure", "g08_outages_are_no_storm_in_the_log"),
    ("fault=blocks-the-runtime", "g08_connecting_and_outages_do_not_block_the_runtime"),
    ("fault=remembers-its-limit", "g13_a_broker_that_takes_less_after_a_restart_is_sent_no_more"),
    ("fault=leaves-a-full-broker", "g08_a_full_broker_is_named_once_and_what_is_sent_meanwhile_arrives"),
    ("fault=dials-tenfold", "g07_fifty_links_that_are_cut_at_once_come_back_without_a_storm"),
    ("fault=buffers-without-bound", "g12_what_waits_for_a_node_that_takes_nothing_is_bounded"),
];

fn main() -> ExitCode {
    let part = || started_by_a_case(&[relay::subject::subject()]);
    relay::server::asked_for().or_else(part).unwrap_or_else(|| {
        let caught = MUTANTS.map(|(fault, case)| {
            Trial::test(format!("{fault} is caught by {case}"), move || {
                match run_case(&relay::subject::subject().url_options(fault), case) {
                    Outcome::Failed(seen) => {
                        println!("{seen}");
                        Ok(())
                    }
                    other => Err(format!("it was not caught: {other:?}").into()),
                }
            })
        });
        let mut arguments = Arguments::from_args();
        arguments.test_threads.get_or_insert(8); // they mostly wait
        libtest_mimic::run(&arguments, caught.into()).exit_code()
    })
}
