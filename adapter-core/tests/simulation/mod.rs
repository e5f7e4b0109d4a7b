//! The engine under virtual time: seeded schedules of delay, copies, loss, stalls, crashes and leaves, and checks of
//! what came of them. Nothing here waits or reads a clock, so a seed gives the same run again.

mod calls;
mod cases;
mod checks;
mod driver;
mod history;
mod members;
mod mutants;
mod network;
mod node;
mod random;
mod requests;
mod sockets;
mod world;
