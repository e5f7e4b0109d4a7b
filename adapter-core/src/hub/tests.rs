use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Wake, Waker};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};

use super::*;
use crate::model::{ErrorKind, IntoRooms};

const SOON: Duration = Duration::from_secs(10);

fn rooms(names: impl IntoRooms) -> Target {
    Target::rooms(names.into_rooms().expect("valid"))
}

fn id(name: &str) -> SocketId {
    SocketId::new(name).expect("valid")
}

/// What is there, in its order.
pub(super) fn taken(socket: &mut Socket) -> Vec<Packet> {
    std::iter::from_fn(|| Some(socket.next().now_or_never()??.packet)).collect()
}

/// Whether `next` says that the socket is disconnected.
pub(super) fn is_disconnected(socket: &mut Socket) -> bool {
    matches!(socket.next().now_or_never(), Some(None))
}

/// A hub with three sockets: `a` in x and y, `b` in y, `c` in no room.
fn three() -> (Hub, [Socket; 3]) {
    let hub = Hub::new();
    let sockets = ["a", "b", "c"].map(|name| hub.connect_as(id(name)).expect("free"));
    sockets[0].join(["x", "y"]).expect("valid");
    sockets[1].join("y").expect("valid");
    (hub, sockets)
}

/// How many copies each of them gets.
fn copies<const N: usize>(hub: &Hub, sockets: &mut [Socket; N], target: &Target) -> [usize; N] {
    hub.broadcast(target, &"hello".into());
    sockets.each_mut().map(|socket| taken(socket).len())
}

#[test]
fn a_socket_in_two_of_the_rooms_gets_one_copy() {
    let (hub, mut sockets) = three();
    assert_eq!(copies(&hub, &mut sockets, &rooms(["x", "y", "y", "a"])), [1, 1, 0]);
    assert_eq!(copies(&hub, &mut sockets, &Target::everyone()), [1, 1, 1]);
}

#[test]
fn except_beats_rooms() {
    let (hub, mut sockets) = three();
    let except = |target: Target, names: &[&str]| target.except(names.into_rooms().expect("valid"));
    assert_eq!(copies(&hub, &mut sockets, &except(rooms("y"), &["x"])), [0, 1, 0]);
    assert_eq!(copies(&hub, &mut sockets, &except(Target::everyone(), &["b", "x"])), [0, 0, 1]);
    assert_eq!(copies(&hub, &mut sockets, &except(rooms("a"), &["a"])), [0, 0, 0]);
}

#[test]
fn an_id_is_a_room_that_is_not_listed_and_cannot_be_left() {
    let (hub, mut sockets) = three();
    let c = sockets[2].handle();
    c.join("c").expect("valid");
    c.leave("c").expect("valid");
    assert_eq!(copies(&hub, &mut sockets, &rooms("c")), [0, 0, 1]);
    assert_eq!((c.rooms(), hub.stats().rooms), (vec![], 2));

    sockets[0].join("c").expect("valid"); // for others it is a room like any other
    assert_eq!(copies(&hub, &mut sockets, &rooms("c")), [1, 0, 1]);
    let listed: BTreeSet<_> = hub.rooms(&Target::everyone()).into_iter().collect();
    assert_eq!(Vec::from_iter(listed), ["c", "x", "y"].into_rooms().expect("valid"));
    assert_eq!(hub.rooms(&rooms("b")), "y".into_rooms().expect("valid"));
}

#[test]
fn an_empty_list_is_nobody() {
    let (hub, mut sockets) = three();
    assert_eq!(copies(&hub, &mut sockets, &Target::rooms([])), [0, 0, 0]);
    assert_eq!((hub.count(&Target::rooms([])), hub.count(&Target::everyone())), (0, 3));
}

#[test]
fn a_target_is_moved_between_rooms() {
    let (hub, mut sockets) = three();
    hub.join(&rooms("y"), &["z", "w"].into_rooms().expect("valid"));
    hub.leave(&rooms(["x", "b"]), &["y", "w"].into_rooms().expect("valid"));
    assert_eq!(copies(&hub, &mut sockets, &rooms("z")), [1, 1, 0]);
    assert_eq!(copies(&hub, &mut sockets, &rooms(["y", "w"])), [0, 0, 0]);
    assert_eq!(hub.stats().rooms, 2);
}

#[test]
fn sockets_are_described_as_far_as_asked_for() {
    let (hub, sockets) = three();
    sockets[1].set_data("bob").expect("connected");
    let described = |projection| hub.sockets(&rooms("b"), projection);
    let expect = |rooms: &[&str], data: &'static str| {
        vec![LocalSocket { id: id("b"), rooms: rooms.into_rooms().expect("valid"), data: Bytes::from(data) }]
    };
    assert_eq!(described(Projection::All), expect(&["y"], "bob"));
    assert_eq!(described(Projection::Rooms), expect(&["y"], ""));
    assert_eq!(described(Projection::Data), expect(&[], "bob"));
    assert_eq!(described(Projection::Ids), expect(&[], ""));
}

#[test]
fn an_id_is_connected_once() {
    let (hub, [a, _b, _c]) = three();
    assert_eq!(hub.connect_as(id("a")).expect_err("taken").kind(), ErrorKind::Config);
    assert_eq!((hub.count(&rooms("x")), hub.stats().sockets), (1, 3));
    drop(a);
    let again = hub.connect_as(id("a")).expect("free again");
    assert!(again.rooms().is_empty());
}

#[test]
fn minted_ids_are_twenty_url_safe_characters() {
    let hub = Hub::new();
    let sockets: Vec<_> = (0..100).map(|_| hub.connect().expect("random")).collect();
    let ids: BTreeSet<_> = sockets.iter().map(|socket| socket.id().as_str()).collect();
    let url_safe = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c == b'-';
    assert!(ids.len() == 100 && ids.iter().all(|id| id.len() == 16 && id.bytes().all(url_safe)));
}

#[test]
fn what_was_queued_is_delivered_before_the_end() {
    let (hub, mut sockets) = three();
    hub.broadcast(&rooms("y"), &"bye".into());
    hub.disconnect(&rooms("x"));
    hub.broadcast(&rooms("y"), &"too late".into());
    let [a, b, _] = &mut sockets;
    assert_eq!(taken(a), ["bye".into()]);
    assert!(is_disconnected(a) && !is_disconnected(b));
    assert_eq!((hub.stats().sockets, hub.stats().rooms, hub.stats().dropped()), (2, 1, 0));
}

#[test]
fn what_would_change_a_socket_that_is_gone_is_an_error() {
    let ends: [fn(&Hub, &mut Option<Socket>); 4] = [
        |_, socket| socket.iter().for_each(|socket| socket.handle().disconnect()),
        |hub, _| hub.disconnect(&Target::everyone()),
        |hub, _| (0..2).for_each(|_| hub.broadcast(&Target::everyone(), &"more than it holds".into())),
        |_, socket| *socket = None,
    ];
    for end in ends {
        let hub = Hub::builder().queue(1).build();
        let socket = hub.connect().expect("random");
        socket.join("room").expect("connected");
        let handle = socket.handle();
        let mut socket = Some(socket);
        end(&hub, &mut socket);
        let done = [handle.join("ghosts"), handle.join([""; 0]), handle.leave("room"), handle.set_data("boo")];
        assert_eq!(done.map(|done| done.map_err(|error| error.kind())), [Err(ErrorKind::Closed); 4]);
        handle.disconnect();
        assert_eq!((handle.rooms(), hub.stats().rooms, hub.stats().sockets), (vec![], 0, 0));
    }
}

#[tokio::test]
async fn a_handle_disconnects_a_socket_that_waits() {
    let hub = Hub::new();
    let mut socket = hub.connect().expect("random");
    let handle = socket.handle();
    let (end, ()) = tokio::join!(socket.next(), async { handle.disconnect() });
    assert!(end.is_none() && hub.stats().sockets == 0);
}

#[test]
fn a_dropped_socket_leaves_nothing() {
    let (hub, sockets) = three();
    hub.broadcast(&Target::everyone(), &"never read".into());
    drop(sockets);
    assert_eq!(hub.stats(), HubStats { dropped_gone: 3, ..HubStats::default() });
    hub.broadcast(&Target::everyone(), &"to nobody".into());
    assert_eq!(hub.stats().dropped(), 3);
}

#[test]
fn a_wait_that_is_given_up_loses_nothing() {
    let hub = Hub::new();
    let mut socket = hub.connect().expect("random");
    let mut cx = Context::from_waker(Waker::noop());
    {
        let mut next = pin!(socket.next());
        assert!(next.as_mut().poll(&mut cx).is_pending());
        hub.broadcast(&Target::everyone(), &"first".into()); // wakes, and is not taken
    }
    hub.broadcast(&Target::everyone(), &"second".into());
    assert_eq!(taken(&mut socket), ["first".into(), "second".into()]);
}

#[tokio::test]
async fn a_socket_is_a_stream() {
    let (hub, [a, ..]) = three();
    hub.broadcast(&rooms("x"), &"one".into());
    hub.broadcast(&rooms("x"), &"two".into());
    hub.disconnect(&rooms("x"));
    let packets: Vec<_> = a.map(|delivery| delivery.packet).collect().await;
    assert_eq!(packets, ["one".into(), "two".into()]);
}

#[tokio::test]
async fn g11_a_socket_that_stopped_reading_delays_nobody() {
    let hub = Hub::builder().queue(16).build();
    let mut readers: Vec<_> = (0..199).map(|_| hub.connect().expect("random")).collect();
    let mut stopped = hub.connect().expect("random");
    for number in 0..1_000 {
        let packet: Packet = number.to_string().into();
        hub.broadcast(&Target::everyone(), &packet);
        for reader in &mut readers {
            assert_eq!(reader.next().await.map(|delivery| delivery.packet), Some(packet.clone()));
        }
    }
    assert!(is_disconnected(&mut stopped));
    let expected =
        HubStats { sockets: 199, delivered: 199_000, dropped_slow: 17, disconnected_slow: 1, ..HubStats::default() };
    assert_eq!(hub.stats(), expected);
}

/// A waker that does at once what its task would do: work with the hub.
struct Joins(SocketHandle);

impl Wake for Joins {
    fn wake(self: Arc<Self>) {
        self.0.join("woken").expect("valid");
    }
}

#[test]
fn wakers_and_owners_of_packets_may_use_the_hub() {
    struct Leaves(SocketHandle);
    impl AsRef<[u8]> for Leaves {
        fn as_ref(&self) -> &[u8] {
            b"owned"
        }
    }
    impl Drop for Leaves {
        fn drop(&mut self) {
            self.0.leave("woken").expect("valid");
        }
    }
    let hub = Hub::builder().queue(1).slow(SlowPolicy::DropOldest).build();
    let mut socket = hub.connect().expect("random");
    let waker = Waker::from(Arc::new(Joins(socket.handle())));
    assert!(socket.poll_next_unpin(&mut Context::from_waker(&waker)).is_pending());
    hub.broadcast(&Target::everyone(), &Bytes::from_owner(Leaves(socket.handle())).into());
    assert_eq!(socket.rooms().len(), 1);
    hub.broadcast(&Target::everyone(), &"pushes the other out".into());
    assert_eq!(socket.rooms().len(), 0);
}

/// A waker that returns only when others have worked with the hub.
struct Blocks(mpsc::SyncSender<()>, Mutex<mpsc::Receiver<()>>);

impl Wake for Blocks {
    fn wake(self: Arc<Self>) {
        self.0.send(()).expect("awaited");
        self.1.lock().expect("sound").recv_timeout(SOON).expect("the others go on");
    }
}

#[test]
fn a_waker_that_blocks_holds_up_nobody_else() {
    let hub = Hub::new();
    let mut socket = hub.connect().expect("random");
    let ((blocked, wakes), (goes_on, done)) = (mpsc::sync_channel(0), mpsc::channel());
    let waker = Waker::from(Arc::new(Blocks(blocked, Mutex::new(done))));
    assert!(socket.poll_next_unpin(&mut Context::from_waker(&waker)).is_pending());
    std::thread::scope(|scope| {
        scope.spawn(|| hub.broadcast(&Target::everyone(), &"hello".into()));
        wakes.recv_timeout(SOON).expect("it wakes");
        let other = hub.connect().expect("random");
        other.join("room").expect("connected");
        assert_eq!(copies(&hub, &mut [other], &rooms("room")), [1]);
        assert_eq!(taken(&mut socket).len(), 1);
        goes_on.send(()).expect("awaited");
    });
}

#[test]
fn a_wait_that_was_given_up_wakes_nobody() {
    let hub = Hub::new();
    let mut socket = hub.connect().expect("random");
    let (woken, wakes) = mpsc::sync_channel(1);
    let waker = Waker::from(Arc::new(Blocks(woken, Mutex::new(mpsc::channel().1))));
    assert!(pin!(socket.next()).poll(&mut Context::from_waker(&waker)).is_pending());
    hub.broadcast(&Target::everyone(), &"hello".into());
    assert!(wakes.try_recv().is_err());
    assert_eq!(taken(&mut socket).len(), 1);
}

#[test]
fn nothing_is_lost_count_of_when_all_happens_at_once() {
    const ROUNDS: u64 = 2_000;
    let hub = Hub::builder().queue(4).slow(SlowPolicy::DropOldest).build();
    let mut witness = hub.connect().expect("random");
    witness.join("room").expect("valid");
    let comes_and_goes = || {
        for _ in 0..ROUNDS {
            let mut socket = hub.connect().expect("random");
            socket.join(["room", socket.id().as_str()]).expect("valid");
            taken(&mut socket);
            hub.leave(&rooms("room").except([witness.id().room()]), &"room".into_rooms().expect("valid"));
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(comes_and_goes);
        scope.spawn(comes_and_goes);
        for _ in 0..ROUNDS {
            hub.broadcast(&rooms(["room", "elsewhere"]), &"hello".into());
        }
    });
    assert_eq!(hub.count(&rooms("room")), 1);
    assert_eq!(taken(&mut witness).len(), 4);
    let stats = hub.stats();
    assert_eq!((stats.sockets, stats.rooms), (1, 1));
    assert!(stats.delivered + stats.dropped() >= ROUNDS);
    drop(witness);
    assert_eq!((hub.stats().sockets, hub.stats().rooms), (0, 0));
}
