use std::sync::mpsc;

use super::*;
use crate::hub::{Hub, HubStats, SlowPolicy, Socket};
use crate::model::{Target, TargetFlags};
use crate::seams::AckSink;
use crate::seams::LocalSockets;

/// What a sink was told.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Asked(usize),
    Answer(SocketId, Result<Bytes, AckError>),
    End,
}

struct Sink {
    told: mpsc::Sender<Told>,
    hub: Hub,
}

impl Sink {
    fn tell(&self, told: Told) {
        drop(self.hub.connect()); // a sink may use the hub: no lock is held
        self.told.send(told).expect("the test listens");
    }
}

impl AckSink for Sink {
    fn expect(&self, sockets: Vec<SocketId>) {
        self.tell(Told::Asked(sockets.len()));
    }

    fn ack(&self, socket: SocketId, answer: Result<Bytes, AckError>) {
        self.tell(Told::Answer(socket, answer));
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.tell(Told::End);
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn ask(hub: &Hub, target: &Target) -> mpsc::Receiver<Told> {
    let (told, heard) = mpsc::channel();
    hub.broadcast_with_ack(target, &"?".into(), SECOND, Acks::new(Sink { told, hub: hub.clone() }));
    heard
}

fn heard(receiver: &mpsc::Receiver<Told>) -> Vec<Told> {
    receiver.try_iter().collect()
}

fn answer(socket: &Socket, answer: Result<&'static str, AckError>) -> Told {
    Told::Answer(socket.id().clone(), answer.map(Bytes::from))
}

async fn handle(socket: &mut Socket) -> AckHandle {
    socket.next().await.and_then(|delivery| delivery.ack).expect("an answer is wanted")
}

fn pair(hub: &Hub) -> [Socket; 2] {
    [hub.connect().expect("random"), hub.connect().expect("random")]
}

#[tokio::test(start_paused = true)]
async fn each_socket_answers_for_itself_and_the_last_one_ends_it() {
    let hub = Hub::new();
    let [mut a, mut b] = pair(&hub);
    let told = ask(&hub, &Target::everyone());
    assert_eq!((heard(&told), hub.stats().acks_pending), (vec![Told::Asked(2)], 2));
    handle(&mut b).await.send("from b");
    assert_eq!((heard(&told), hub.stats().acks_pending), (vec![answer(&b, Ok("from b"))], 1));
    handle(&mut a).await.send("from a");
    assert_eq!(heard(&told), [answer(&a, Ok("from a")), Told::End]);
    assert_eq!(hub.stats().acks_pending, 0);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_and_it_ends_at_once() {
    let hub = Hub::new();
    let _socket = hub.connect().expect("random");
    assert_eq!(heard(&ask(&hub, &Target::rooms([]))), [Told::Asked(0), Told::End]);
}

#[tokio::test(start_paused = true)]
async fn a_handle_dropped_unused_says_gone() {
    let hub = Hub::new();
    let mut socket = hub.connect().expect("random");
    let told = ask(&hub, &Target::everyone());
    drop(handle(&mut socket).await);
    assert_eq!(heard(&told), [Told::Asked(1), answer(&socket, Err(AckError::Gone)), Told::End]);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_socket_is_gone_whether_it_has_read_the_question_or_not() {
    let hub = Hub::new();
    let [mut a, b] = pair(&hub);
    let told = ask(&hub, &Target::everyone());
    let late = handle(&mut a).await;
    let gone = [Told::Asked(2), answer(&a, Err(AckError::Gone)), answer(&b, Err(AckError::Gone)), Told::End];
    drop(a);
    drop(b);
    assert_eq!(heard(&told), gone);
    late.send("too late");
    assert_eq!((heard(&told), hub.stats().acks_pending), (vec![], 0));
}

#[tokio::test(start_paused = true)]
async fn a_disconnected_socket_may_still_answer_what_it_was_asked_before() {
    let hub = Hub::new();
    let mut socket = hub.connect().expect("random");
    let told = ask(&hub, &Target::everyone());
    hub.disconnect(&Target::everyone());
    handle(&mut socket).await.send("bye");
    assert_eq!(heard(&told), [Told::Asked(1), answer(&socket, Ok("bye")), Told::End]);
}

#[tokio::test(start_paused = true)]
async fn the_silent_are_reported_when_the_time_is_up() {
    let hub = Hub::new();
    let [mut a, mut b] = pair(&hub);
    let told = ask(&hub, &Target::everyone());
    handle(&mut a).await.send("in time");
    let late = handle(&mut b).await;
    tokio::time::sleep(SECOND * 9 / 10).await;
    assert_eq!(heard(&told), [Told::Asked(2), answer(&a, Ok("in time"))]);
    tokio::time::sleep(SECOND * 2 / 10).await;
    assert_eq!(heard(&told), [answer(&b, Err(AckError::Timeout)), Told::End]);
    late.send("too late");
    assert_eq!((heard(&told), hub.stats().acks_pending), (vec![], 0));
}

#[tokio::test(start_paused = true)]
async fn an_answered_question_leaves_no_task_and_no_entry() {
    let hub = Hub::new();
    let mut socket = hub.connect().expect("random");
    let tasks = tokio::runtime::Handle::current().metrics();
    for _ in 0..100 {
        let told = ask(&hub, &Target::everyone());
        let handle = handle(&mut socket).await;
        assert_eq!(tasks.num_alive_tasks(), 1);
        let question = handle.0.as_ref().map(|ask| Arc::downgrade(&ask.question)).expect("unused");
        handle.send("yes");
        tokio::task::yield_now().await;
        assert!(question.upgrade().is_none());
        assert_eq!((tasks.num_alive_tasks(), heard(&told).len()), (0, 3));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_dropped_on_the_way_says_gone() {
    let hub = Hub::builder().queue(1).slow(SlowPolicy::DropNewest).build();
    let socket = hub.connect().expect("random");
    let first = ask(&hub, &Target::everyone());
    let volatile = Target { flags: TargetFlags::default().volatile(), ..Target::everyone() };
    for second in [ask(&hub, &Target::everyone()), ask(&hub, &volatile)] {
        assert_eq!(heard(&second), [Told::Asked(1), answer(&socket, Err(AckError::Gone)), Told::End]);
    }
    assert_eq!(heard(&first), [Told::Asked(1)]);
    drop(socket);
    assert_eq!(heard(&first).last(), Some(&Told::End));
}

#[tokio::test(start_paused = true)]
async fn a_slow_socket_that_is_disconnected_is_gone_for_all_it_was_asked() {
    let hub = Hub::builder().queue(1).build();
    let mut socket = hub.connect().expect("random");
    let taken = ask(&hub, &Target::everyone());
    let _kept = handle(&mut socket).await;
    let [queued, refused] = [(); 2].map(|()| ask(&hub, &Target::everyone()));
    for told in [taken, queued, refused] {
        assert_eq!(heard(&told), [Told::Asked(1), answer(&socket, Err(AckError::Gone)), Told::End]);
    }
    assert_eq!(hub.stats(), HubStats { delivered: 1, dropped_slow: 2, disconnected_slow: 1, ..HubStats::default() });
}

#[test]
fn without_a_runtime_it_asks_all_the_same() {
    let hub = Hub::new();
    let socket = hub.connect().expect("random");
    let told = ask(&hub, &Target::everyone());
    assert_eq!(heard(&told), [Told::Asked(1)]);
    drop(socket);
    assert_eq!(heard(&told).len(), 2);
}
