use std::sync::mpsc;

use super::*;
use crate::hub::Hub;

fn namespace(name: &str) -> Namespace {
    Namespace::new(name).expect("valid")
}

#[test]
fn coming_and_going_looks_at_no_other_namespace() {
    let registry = Arc::new(Registry::default());
    registry.attach(&namespace("/busy"), Arc::new(Hub::new())).expect("attached");
    let busy = Arc::clone(&registry.write().entries[&namespace("/busy")]);
    // A look at this namespace waits now.
    let (_attached, _events) = (busy.attached.write(), busy.events());
    let (done, is_done) = mpsc::channel();
    let there = Arc::clone(&registry);
    std::thread::spawn(move || {
        let id = there.attach(&namespace("/other"), Arc::new(Hub::new())).expect("attached");
        there.detach(id);
        done.send(()).expect("waited for");
    });
    is_done.recv_timeout(Duration::from_secs(10)).expect("it waits for a namespace that it has nothing to do with");
}

#[test]
fn what_came_and_went_leaves_nothing() {
    let registry = Registry::default();
    let names: Vec<_> = (0..10_000).map(|n| namespace(&format!("/{n}"))).collect();
    let ids: Vec<_> = names
        .iter()
        .map(|name| {
            let (events, _) = tokio::sync::mpsc::channel(1);
            registry.on_server_event(name, None, events.clone());
            (registry.attach(name, Arc::new(Hub::new())).expect("attached"), events)
        })
        .collect();
    for (name, (id, events)) in names.iter().zip(ids) {
        registry.detach(id);
        registry.forget_server_events(name, &events);
    }
    let names = registry.write();
    assert_eq!((names.entries.len(), names.attachments.len()), (0, 0));
    assert!(names.entries.capacity() + names.attachments.capacity() < 200, "the memory was given back");
}
