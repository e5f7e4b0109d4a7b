//! The cases, by noun. A case that is not in a table does not compile, so none is forgotten.

mod acks;
mod broadcast;
mod bytes;
mod contract;
mod emitter;
mod hostile;
mod lifecycle;
mod limits;
mod members;
mod names;
mod order;
mod outage;
mod requests;
mod rooms;
mod server_events;

use crate::case::Case;

/// Every case there is.
pub(crate) fn all() -> impl Iterator<Item = &'static Case> {
    let tables = [
        contract::CASES,
        bytes::CASES,
        broadcast::CASES,
        rooms::CASES,
        requests::CASES,
        acks::CASES,
        server_events::CASES,
        members::CASES,
        order::CASES,
        outage::local::CASES,
        outage::back::CASES,
        outage::queue::CASES,
        outage::planned::CASES,
        outage::link::CASES,
        outage::way::CASES,
        outage::word::CASES,
        outage::process::CASES,
        outage::crowd::CASES,
        outage::limit::CASES,
        outage::full::CASES,
        outage::replay::CASES,
        outage::nemesis::CASES,
        limits::CASES,
        names::CASES,
        hostile::CASES,
        emitter::CASES,
        lifecycle::CASES,
    ];
    tables.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    #[test]
    fn every_case_is_named_after_a_guarantee_and_once() {
        let mut names = HashSet::new();
        for case in super::all() {
            assert!((1..=21).contains(&case.guarantee()) && case.name.as_bytes()[3] == b'_', "{}", case.name);
            assert!(names.insert(case.name), "{} is there twice", case.name);
        }
    }
}
