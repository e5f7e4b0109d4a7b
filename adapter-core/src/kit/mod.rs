//! For authors of backends: what keeps a link up, and what reads URLs, dials and speaks TLS.

mod backoff;
mod caught;
mod clock;
mod driver;
mod host_port;
mod in_place;
mod keeper;
mod late;
mod link;
mod login;
mod outage;
mod percent;
mod renewal;
mod ring;
#[cfg(test)]
#[path = "scripted_for_tests.rs"]
mod scripted;
mod search;
mod seven_bit;
mod silence;
mod stagger;
mod tcp;
#[cfg_attr(not(feature = "tls"), path = "tls_off.rs")]
pub mod tls;
mod tls_files;
mod turns;
mod url;
mod verification;
mod wire;

pub use backoff::Backoff;
pub(crate) use caught::caught;
pub use clock::compare_clocks;
pub use driver::Driver;
pub use host_port::HostPort;
pub use in_place::InPlace;
pub use keeper::Keeper;
pub(crate) use late::{Late, waiting_helps};
pub use link::{Authority, Breaker, Link};
pub use login::{Credentials, Login};
pub use percent::percent_decoded;
pub use renewal::Renewal;
pub use ring::{Ring, in_turn, in_turn_limit};
pub use search::{Found, search};
pub use seven_bit::SevenBit;
pub use silence::Silence;
pub use tcp::tcp;
pub use tls_files::TlsFiles;
pub use turns::Turns;
pub use url::{UrlParts, at_least_one};
pub use verification::Verification;
pub use wire::{Pulse, Sending, Wire};
