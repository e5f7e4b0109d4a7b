//! The index against the plain reading of a target.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// What happens to an index; sockets and rooms are named by small numbers.
#[derive(Clone, Debug)]
enum Step {
    Insert(u8),
    Remove(u8),
    Join(Question, Vec<u8>),
    Leave(Question, Vec<u8>),
    Ask(Question),
}

#[derive(Clone, Debug)]
struct Question {
    rooms: Option<Vec<u8>>,
    except: Vec<u8>,
}

const SOCKETS: u8 = 6;
const ROOMS: u8 = 5;

fn id(number: u8) -> SocketId {
    SocketId::new(format!("socket {number}")).expect("valid")
}

/// A room, or (above [`ROOMS`]) the private room of a socket, which others may join too.
fn room(number: u8) -> Room {
    if number < ROOMS { Room::new(format!("room {number}")).expect("valid") } else { id(number - ROOMS).room() }
}

fn rooms(numbers: &[u8]) -> Vec<Room> {
    numbers.iter().map(|number| room(*number)).collect()
}

impl Question {
    fn target(&self) -> Target {
        let target = self.rooms.as_ref().map_or_else(Target::everyone, |numbers| Target::rooms(rooms(numbers)));
        target.except(rooms(&self.except))
    }
}

fn some_rooms(most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(0..ROOMS + SOCKETS, 0..=most)
}

fn question() -> impl Strategy<Value = Question> {
    (prop::option::weighted(0.8, some_rooms(6)), some_rooms(2)).prop_map(|(rooms, except)| Question { rooms, except })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0..SOCKETS).prop_map(Step::Insert),
        1 => (0..SOCKETS).prop_map(Step::Remove),
        3 => (question(), some_rooms(3)).prop_map(|(who, rooms)| Step::Join(who, rooms)),
        2 => (question(), some_rooms(3)).prop_map(|(who, rooms)| Step::Leave(who, rooms)),
        4 => question().prop_map(Step::Ask),
    ]
}

/// The index, and what it should say.
struct Pair {
    index: Index<SocketId>,
    keys: BTreeMap<SocketId, Key>,
    plain: BTreeMap<SocketId, BTreeSet<Room>>,
}

impl Pair {
    fn meant(&self, target: &Target) -> Vec<SocketId> {
        let is_meant = |(id, rooms): &(&SocketId, &BTreeSet<Room>)| {
            target.matches(|room| *room == id.room() || rooms.contains(room))
        };
        self.plain.iter().filter(is_meant).map(|(id, _)| id.clone()).collect()
    }

    fn selected(&self, target: &Target) -> Vec<SocketId> {
        let mut found = Vec::new();
        self.index.select(target, |key, entry| {
            assert_eq!(self.keys.get(&entry.id), Some(&key));
            found.push(entry.value.clone());
        });
        found.sort();
        found
    }

    fn check(&self, target: &Target) {
        let meant = self.meant(target);
        assert_eq!(self.selected(target), meant);
        let expected: BTreeSet<_> = meant.iter().flat_map(|id| self.plain[id].iter().cloned()).collect();
        let mut names = self.index.rooms_for(target);
        names.sort();
        assert_eq!(names, Vec::from_iter(expected));
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Insert(number) => {
                let key = self.index.insert(id(*number), id(*number));
                assert_eq!(key.is_none(), self.plain.contains_key(&id(*number)));
                if let Some(key) = key {
                    self.keys.insert(id(*number), key);
                    self.plain.insert(id(*number), BTreeSet::new());
                }
            }
            Step::Remove(number) => {
                if let Some(key) = self.keys.remove(&id(*number)) {
                    assert_eq!(self.index.remove(key), Some(id(*number)));
                    assert_eq!(self.index.remove(key), None);
                    self.plain.remove(&id(*number));
                }
            }
            Step::Join(who, numbers) => {
                for id in self.meant(&who.target()) {
                    let joined = rooms(numbers).into_iter().filter(|room| *room != id.room());
                    self.plain.entry(id.clone()).or_default().extend(joined);
                }
                self.index.join(&self.index.keys(&who.target()), &rooms(numbers));
            }
            Step::Leave(who, numbers) => {
                for id in self.meant(&who.target()) {
                    self.plain.entry(id).or_default().retain(|room| !rooms(numbers).contains(room));
                }
                self.index.leave(&self.index.keys(&who.target()), &rooms(numbers));
            }
            Step::Ask(who) => self.check(&who.target()),
        }
    }
}

proptest! {
    #[test]
    fn the_index_means_what_a_target_means(steps in vec(step(), 1..80)) {
        let mut pair = Pair { index: Index::new(), keys: BTreeMap::new(), plain: BTreeMap::new() };
        for step in &steps {
            pair.apply(step);
            let rooms: BTreeSet<_> = pair.plain.values().flatten().collect();
            assert_eq!((pair.index.sockets(), pair.index.rooms()), (pair.plain.len(), rooms.len()));
            for (id, key) in &pair.keys {
                let listed = BTreeSet::from_iter(pair.index.rooms_of(*key));
                assert_eq!(&listed, &pair.plain[id]);
            }
        }
        pair.check(&Target::everyone());
        for number in 0..SOCKETS {
            pair.apply(&Step::Remove(number));
        }
        assert_nothing_remains(&pair.index);
    }
}

fn assert_nothing_remains<T>(index: &Index<T>) {
    assert_eq!((index.sockets.end(), index.rooms.end(), index.names.len()), (0, 0, 0));
}

#[test]
fn a_key_of_the_past_does_nothing_to_the_socket_that_has_its_place_and_id() {
    let mut index = Index::new();
    let old = index.insert(id(0), "old").expect("free");
    assert_eq!(index.remove(old), Some("old"));
    let new = index.insert(id(0), "new").expect("free again");
    index.join(&[old], &[room(0)]);
    assert_eq!((index.remove(old), index.rooms()), (None, 0));
    assert_eq!(index.get(new).map(|entry| entry.value), Some("new"));
}

#[test]
fn a_crowd_leaves_no_memory_behind() {
    let mut index = Index::new();
    let numbered = |i: u32| SocketId::new(format!("socket {i}")).expect("valid");
    let keys: Vec<_> = (0..2_000).filter_map(|i| index.insert(numbered(i), ())).collect();
    for (key, i) in keys.iter().zip(0..) {
        index.join(&[*key], &[room(0), Room::new(format!("room of {i}")).expect("valid")]);
    }
    assert_eq!((index.sockets(), index.rooms()), (2_000, 2_001));
    for key in &keys {
        index.leave(&[*key], &[room(0)]);
        index.remove(*key);
    }
    assert_nothing_remains(&index);
    assert!(index.names.capacity() <= 32);
}

#[test]
fn selecting_allocates_nothing() {
    let questions = [(None, vec![]), (None, vec![2]), (Some(vec![0, 1, ROOMS]), vec![2, ROOMS + 1])];
    let spent = |sockets: usize| {
        let mut index = Index::new();
        let keys: Vec<_> = (0..sockets)
            .map(|n| index.insert(SocketId::new(format!("socket {n}")).expect("valid"), ()).expect("free"))
            .collect();
        index.join(&keys, &rooms(&[0, 1]));
        index.join(&keys[..sockets / 2], &rooms(&[2]));
        questions.clone().map(|(rooms, except)| {
            let target = Question { rooms, except }.target();
            let mut seen = 0;
            let info = allocation_counter::measure(|| index.select(&target, |_, _| seen += 1));
            assert!(seen >= sockets / 2 - 1, "{seen} of {sockets}");
            info.count_total
        })
    };
    assert_eq!((spent(10), spent(10_000)), ([0; 3], [0; 3]));
}

#[test]
fn a_target_without_members_here_allocates_nothing() {
    let mut index = Index::new();
    let key = index.insert(id(0), ()).expect("free");
    index.join(&[key], &[room(0)]);
    for rooms in [vec![1], vec![1, 2, 3], (1..8).collect()] {
        let target = Question { rooms: Some(rooms), except: vec![0, 4] }.target();
        let info = allocation_counter::measure(|| index.select(&target, |_, _| unreachable!("nobody is there")));
        assert_eq!(info.count_total, 0);
    }
}
