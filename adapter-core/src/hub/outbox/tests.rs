use crate::hub::tests::{is_disconnected, taken};
use crate::hub::{Hub, HubStats, SlowPolicy, Socket};
use crate::model::{Flags, Packet, Target};
use crate::seams::LocalSockets;

fn packet(number: u32) -> Packet {
    number.to_string().into()
}

/// A socket with room for two, to which 0, 1, .. were sent.
fn overrun(slow: SlowPolicy, packets: u32) -> (Hub, Socket) {
    let hub = Hub::builder().queue(2).slow(slow).build();
    let socket = hub.connect().expect("random");
    for number in 0..packets {
        hub.broadcast(&Target::everyone(), &packet(number));
    }
    (hub, socket)
}

#[test]
fn a_full_queue_disconnects_the_socket_and_is_emptied() {
    let (hub, mut socket) = overrun(SlowPolicy::Disconnect, 5);
    assert!(is_disconnected(&mut socket));
    let stats = HubStats { dropped: 3, disconnected_slow: 1, ..HubStats::default() };
    assert_eq!(hub.stats(), stats); // the last two found no socket at all
    drop(socket);
    assert_eq!(hub.stats(), stats);
}

#[test]
fn a_full_queue_drops_the_newest() {
    let (hub, mut socket) = overrun(SlowPolicy::DropNewest, 5);
    assert_eq!(taken(&mut socket), [packet(0), packet(1)]);
    assert_eq!((hub.stats().delivered, hub.stats().dropped, hub.stats().sockets), (2, 3, 1));
}

#[test]
fn a_full_queue_drops_the_oldest() {
    let (hub, mut socket) = overrun(SlowPolicy::DropOldest, 5);
    assert_eq!(taken(&mut socket), [packet(3), packet(4)]);
    assert_eq!((hub.stats().delivered, hub.stats().dropped, hub.stats().sockets), (2, 3, 1));
}

#[test]
fn a_full_queue_is_not_overfull() {
    for slow in [SlowPolicy::Disconnect, SlowPolicy::DropNewest, SlowPolicy::DropOldest] {
        let (hub, mut socket) = overrun(slow, 2);
        assert_eq!(taken(&mut socket), [packet(0), packet(1)]);
        assert_eq!((hub.stats().dropped, hub.stats().disconnected_slow), (0, 0));
    }
}

#[test]
fn a_queue_holds_at_least_one() {
    let hub = Hub::builder().queue(0).build();
    let mut socket = hub.connect().expect("random");
    for number in 0..3 {
        hub.broadcast(&Target::everyone(), &packet(number));
        assert_eq!(taken(&mut socket), [packet(number)]);
    }
}

#[test]
fn a_volatile_packet_is_only_for_a_socket_that_is_ready() {
    for slow in [SlowPolicy::Disconnect, SlowPolicy::DropNewest, SlowPolicy::DropOldest] {
        let (hub, mut socket) = overrun(slow, 0);
        let volatile = Target { flags: Flags::default().volatile(), ..Target::everyone() };
        for number in 0..4 {
            hub.broadcast(&volatile, &packet(number));
        }
        assert_eq!(taken(&mut socket), [packet(0)]);
        hub.broadcast(&Target::everyone(), &packet(4));
        hub.broadcast(&Target::everyone(), &packet(5));
        hub.broadcast(&volatile, &packet(6)); // full, and yet no reason to disconnect
        assert_eq!(taken(&mut socket), [packet(4), packet(5)]);
        assert_eq!((hub.stats().dropped, hub.stats().disconnected_slow), (4, 0));
    }
}

#[test]
fn a_burst_costs_no_memory_once_it_is_taken() {
    let hub = Hub::builder().queue(10_000).build();
    let mut socket = hub.connect().expect("random");
    (0..10_000).for_each(|number| hub.broadcast(&Target::everyone(), &packet(number)));
    assert_eq!(taken(&mut socket).len(), 10_000);
    let index = hub.0.read();
    index.select(&Target::everyone(), |_, entry| assert_eq!(entry.value.lock().queue.capacity(), 0));
}
