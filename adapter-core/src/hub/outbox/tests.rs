use std::collections::BTreeSet;
use std::task::{Context, Waker};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};

use crate::hub::tests::{is_disconnected, taken};
use crate::hub::{Hub, HubStats, SlowPolicy, Socket};
use crate::model::{Packet, PacketFormat, Target, TargetFlags};
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
    let stats = HubStats { dropped_slow: 3, disconnected_slow: 1, ..HubStats::default() };
    assert_eq!(hub.stats(), stats); // the last two found no socket at all
    drop(socket);
    assert_eq!(hub.stats(), stats);
}

#[test]
fn a_full_queue_drops_the_newest() {
    let (hub, mut socket) = overrun(SlowPolicy::DropNewest, 5);
    assert_eq!(taken(&mut socket), [packet(0), packet(1)]);
    assert_eq!((hub.stats().delivered, hub.stats().dropped_slow, hub.stats().sockets), (2, 3, 1));
}

#[test]
fn a_full_queue_drops_the_oldest() {
    let (hub, mut socket) = overrun(SlowPolicy::DropOldest, 5);
    assert_eq!(taken(&mut socket), [packet(3), packet(4)]);
    assert_eq!((hub.stats().delivered, hub.stats().dropped_slow, hub.stats().sockets), (2, 3, 1));
}

#[test]
fn a_full_queue_is_not_overfull() {
    for slow in [SlowPolicy::Disconnect, SlowPolicy::DropNewest, SlowPolicy::DropOldest] {
        let (hub, mut socket) = overrun(slow, 2);
        assert_eq!(taken(&mut socket), [packet(0), packet(1)]);
        assert_eq!((hub.stats().dropped(), hub.stats().disconnected_slow), (0, 0));
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
        let volatile = Target { flags: TargetFlags::default().volatile(), ..Target::everyone() };
        for number in 0..4 {
            hub.broadcast(&volatile, &packet(number));
        }
        assert_eq!(taken(&mut socket), [packet(0)]);
        hub.broadcast(&Target::everyone(), &packet(4));
        hub.broadcast(&Target::everyone(), &packet(5));
        hub.broadcast(&volatile, &packet(6)); // full, and yet no reason to disconnect
        assert_eq!(taken(&mut socket), [packet(4), packet(5)]);
        assert_eq!((hub.stats().dropped_volatile, hub.stats().disconnected_slow), (4, 0));
    }
}

#[test]
fn a_queue_is_bounded_in_bytes_too() {
    let large = || Packet::opaque(vec![0; 1_000]);
    for (slow, left) in [(SlowPolicy::Disconnect, 0), (SlowPolicy::DropNewest, 3), (SlowPolicy::DropOldest, 3)] {
        let hub = Hub::builder().queue_bytes(2 * 1_128 + 1).slow(slow).build();
        let mut socket = hub.connect().expect("random");
        (0..3).for_each(|_| hub.broadcast(&Target::everyone(), &large()));
        assert_eq!((hub.stats().queued, hub.stats().queued_bytes), (3, 3 * 1_128));
        hub.broadcast(&Target::everyone(), &large());
        assert_eq!((hub.stats().queued, hub.stats().dropped_slow), (left, 4 - left));
        assert_eq!(taken(&mut socket).len() as u64, left);
        assert_eq!(hub.stats().queued_bytes, 0);
    }
}

#[test]
fn an_empty_queue_takes_a_packet_of_any_size() {
    let hub = Hub::builder().queue_bytes(0).build();
    let mut socket = hub.connect().expect("random");
    for _ in 0..3 {
        hub.broadcast(&Target::everyone(), &vec![0; 1 << 20].into());
        assert_eq!(taken(&mut socket).len(), 1);
    }
}

#[test]
fn many_small_packets_push_out_no_more_than_a_large_one_needs() {
    let hub = Hub::builder().queue_bytes(10 * 128).slow(SlowPolicy::DropOldest).build();
    let mut socket = hub.connect().expect("random");
    (0..10).for_each(|_| hub.broadcast(&Target::everyone(), &Packet::opaque("")));
    hub.broadcast(&Target::everyone(), &vec![0; 1_000].into());
    assert_eq!(taken(&mut socket).len(), 10);
    assert_eq!(hub.stats().dropped_slow, 1);
}

#[test]
fn by_default_a_socket_that_does_not_read_is_bounded() {
    for size in [0, 1_000, 1 << 20] {
        let hub = Hub::new();
        let mut silent = hub.connect().expect("random");
        let packet = Packet::opaque(vec![0; size]);
        let mut sent = 0;
        while hub.stats().sockets == 1 {
            assert!(hub.stats().queued_bytes < (128 << 20) + 128 + size as u64);
            hub.broadcast(&Target::everyone(), &packet);
            sent += 1;
        }
        assert_eq!((hub.stats().queued_bytes, hub.stats().dropped_slow, hub.stats().disconnected_slow), (0, sent, 1));
        assert!(is_disconnected(&mut silent));
        assert!(sent <= 65_537);
    }
}

#[test]
fn a_burst_costs_no_memory_once_it_is_taken() {
    let hub = Hub::new();
    let mut socket = hub.connect().expect("random");
    (0..10_000).for_each(|number| hub.broadcast(&Target::everyone(), &packet(number)));
    let capacity = || {
        let (index, mut capacity) = (hub.0.read(), 0);
        index.select(&Target::everyone(), |_, entry| capacity = entry.value.lock().queue.capacity());
        capacity
    };
    for left in (0..10_000).rev() {
        assert!(socket.next().now_or_never().is_some());
        assert!(capacity() <= 4 * left + 32, "{} for {left}", capacity());
    }
    assert!(capacity() <= 8);
}

/// A 64 KiB message that holds a packet of 100 bytes, as the cluster's reader hands it over.
fn part_of_a_message() -> Packet {
    let message = Bytes::from(vec![b'm'; 64 << 10]);
    Packet::received(PacketFormat::Opaque, message.slice(40..140))
}

#[test]
fn g12_packets_that_wait_do_not_keep_the_messages_that_brought_them() {
    const SOCKETS: u64 = 1_000;
    let hub = Hub::new();
    let mut sockets: Vec<_> = (0..SOCKETS).map(|_| hub.connect().expect("random")).collect();
    let rooms: Vec<_> = sockets.iter().map(|socket| Target::socket(socket.id())).collect();
    for given_up in [false, true] {
        if given_up {
            sockets.iter_mut().for_each(|socket| assert!(socket.next().now_or_never().is_none()));
        }
        let held = allocation_counter::measure(|| {
            rooms.iter().for_each(|room| hub.broadcast(room, &part_of_a_message())); // each from another message
        });
        let (held, counted) = (held.bytes_current as u64, hub.stats().queued_bytes);
        assert!(counted == SOCKETS * 228 && held * 2 < counted * 3, "{held} bytes for {counted}");
        sockets.iter_mut().for_each(|socket| assert_eq!(taken(socket), [part_of_a_message()]));
    }
}

#[test]
fn a_packet_is_copied_once_for_all_sockets_that_do_not_wait_for_it() {
    let hub = Hub::new();
    let mut sockets: Vec<_> = (0..100).map(|_| hub.connect().expect("random")).collect();
    let waits = |socket: &mut Socket| socket.poll_next_unpin(&mut Context::from_waker(Waker::noop())).is_pending();
    let packet = part_of_a_message();
    let pointers = |sockets: &mut [Socket]| {
        let packets = sockets.iter_mut().flat_map(taken);
        packets.map(|packet| packet.data.as_ptr() as usize).collect::<BTreeSet<_>>()
    };

    hub.broadcast(&Target::everyone(), &packet);
    let copies = pointers(&mut sockets);
    assert!(copies.len() == 1 && !copies.contains(&(packet.data.as_ptr() as usize)));

    assert!(sockets.iter_mut().all(waits)); // they take it at once: no copy is worth its while
    hub.broadcast(&Target::everyone(), &packet);
    assert_eq!(pointers(&mut sockets), BTreeSet::from([packet.data.as_ptr() as usize]));
}
