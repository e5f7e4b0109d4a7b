//! Every way to mix rooms, private rooms and exceptions means what the core's definition says.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::client::Client;
use crate::support::{cluster, received, server};
use roomcast_core::adapter::{Address, Target};
use roomcast_core::{Namespace, Packet, Projection, Room};

const WAIT: Duration = Duration::from_secs(5);

/// All lists made of these.
fn subsets(rooms: &[Room]) -> Vec<Vec<Room>> {
    let pick = |mask: usize| {
        rooms.iter().enumerate().filter(|(at, _)| mask & (1 << at) != 0).map(|(_, r)| r.clone()).collect()
    };
    (0..1 << rooms.len()).map(pick).collect()
}

#[tokio::test]
async fn g01_rooms_private_rooms_and_exceptions_mean_what_the_definition_says() {
    let nodes = cluster(2).await;
    let (far, io) = (nodes[0].clone(), server(nodes[1].clone()).await);
    let mut clients = [Client::connect(&io).await, Client::connect(&io).await, Client::connect(&io).await];
    let [x, y] = ["x", "y"];
    let joined = [vec![x], vec![x, y], vec![]];
    for (client, rooms) in clients.iter().zip(&joined) {
        io.get_socket(client.id).expect("here").join(rooms.clone());
    }
    let ids: Vec<_> = clients.iter().map(|client| client.id.to_string()).collect();
    let rooms: Vec<_> = [x, y, &ids[0], &ids[1]].iter().map(|name| Room::new(*name).expect("valid")).collect();

    let mut targets: Vec<_> = subsets(&rooms).into_iter().map(Target::rooms).collect();
    targets.push(Target::everyone());
    for target in targets {
        for except in subsets(&rooms) {
            let target = target.clone().except(except);
            let meant =
                |at: usize| target.matches(|room| room.as_str() == ids[at] || joined[at].contains(&room.as_str()));
            let meant: Vec<_> = (0..clients.len()).map(meant).collect();

            let to = || Address::new(Namespace::new("/").expect("valid"), target.clone());
            let found = far.fetch_sockets(to(), Projection::Ids, WAIT).await.expect("found").items;
            let found: BTreeSet<_> = found.iter().map(|socket| socket.id.as_str()).collect();
            let expected = ids.iter().zip(&meant).filter(|(_, meant)| **meant).map(|(id, _)| &**id);
            assert_eq!(found, expected.collect(), "{target:?}");
            let count = far.count_sockets(to(), WAIT).await.expect("counted").total();
            assert_eq!(count, found.len() as u64, "{target:?}");

            far.broadcast(to(), Packet::event("news", 1).expect("json"), WAIT).await.expect("sent");
            let copies = received(&[&far], &mut clients).await.map(|events| events.len());
            assert_eq!(copies.map(|copies| copies == 1).to_vec(), meant, "{target:?}");
            assert!(copies.iter().all(|copies| *copies <= 1), "{target:?}");
        }
    }
}
