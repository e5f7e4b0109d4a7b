//! What the bridge does for socketioxide, as an application and its clients see it.

mod beside_a_hub;
mod bursts;
mod closing;
mod cost;
mod ghosts;
mod news;
mod parsers;
mod reach;
mod refusals;
mod requests;
mod routing;
mod selection;
mod support;
