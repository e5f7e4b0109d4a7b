//! The engine under virtual time: seeded schedules of delay, copies, loss, stalls, crashes and leaves, and checks of
//! what came of them. No run waits or follows a clock, so a seed gives the same run again.
//!
//! `ROOMCAST_SEEDS=100000` runs that many seeds in all instead of a hundred of each weather; `ROOMCAST_SEED=0x1234` runs that one
//! alone and, by the test `one_seed` with `--nocapture`, prints its history. The seed chooses the weather too. Of a seed that
//! fails, what is not needed is left out, and the rest is printed as a test.

mod broken;
mod calls;
mod cases;
mod checks;
mod claims;
mod driver;
mod history;
mod members;
mod mutants;
mod network;
mod node;
mod outages;
mod outages_mutants;
mod random;
mod requests;
mod schedule;
mod shrink;
mod sockets;
mod world;
