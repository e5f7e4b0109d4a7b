//! The embedded backend: as it is, and with messages of 600 bytes at most, as a broker might have it.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use roomcast_conformance::Subject;
use roomcast_core::Memory;
use roomcast_core::backend::Limits;

fn main() -> std::process::ExitCode {
    roomcast_conformance::main([
        Subject::new("memory", |url| Ok(Memory::named(url))),
        Subject::new("memory", |url| Ok(narrow(url))).variant("600 bytes"),
    ])
}

/// The broker at this URL.
fn narrow(url: &str) -> Memory {
    static NAMED: LazyLock<Mutex<HashMap<String, Memory>>> = LazyLock::new(Mutex::default);
    let mut named = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
    named.entry(url.to_owned()).or_insert_with(|| Memory::with_limits(Limits::max_frame(600))).clone()
}
