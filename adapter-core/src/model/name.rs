//! Names: validated once, cheap to clone.

use std::borrow::{Borrow, Cow};
use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::Error;

/// The longest name, in bytes.
pub const MAX_NAME: usize = 1024;

/// Makes a newtype over a shared string of 1 to [`MAX_NAME`] bytes, which begins with `$prefix`.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and takes a name.
            ///
            /// # Errors
            /// `Config` when it is empty or longer than [`MAX_NAME`] bytes.
            pub fn new(name: impl AsRef<str> + Into<Arc<str>>) -> Result<Self, Error> {
                checked(name, $what, $prefix).map(Self)
            }

            /// The name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<&str> for $name {
            type Error = Error;
            fn try_from(name: &str) -> Result<Self, Error> {
                Self::new(name)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(name: String) -> Result<Self, Error> {
                Self::new(name)
            }
        }

        impl TryFrom<&String> for $name {
            type Error = Error;
            fn try_from(name: &String) -> Result<Self, Error> {
                Self::new(name.as_str())
            }
        }

        impl From<&$name> for $name {
            fn from(name: &$name) -> Self {
                name.clone()
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Name;
                impl Visitor<'_> for Name {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        write!(f, concat!($what, " of 1 to {} bytes"), MAX_NAME)
                    }
                    fn visit_str<E: de::Error>(self, name: &str) -> Result<$name, E> {
                        $name::new(name).map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Name)
            }
        }
    };
}

/// Puts the prefix before a name that lacks it. An empty name stays empty, and is refused.
fn checked(name: impl AsRef<str> + Into<Arc<str>>, what: &str, prefix: &str) -> Result<Arc<str>, Error> {
    let given = name.as_ref();
    let name = if given.is_empty() || given.starts_with(prefix) {
        name.into()
    } else {
        // Not copied together when the result is too long all the same.
        if given.len() + prefix.len() > MAX_NAME {
            return Err(too_long(given.len() + prefix.len(), what));
        }
        Arc::from([prefix, given].concat())
    };
    match name.len() {
        1..=MAX_NAME => Ok(name),
        0 => Err(Error::config(format!("{what} must not be empty"))),
        long => Err(too_long(long, what)),
    }
}

fn too_long(bytes: usize, what: &str) -> Error {
    Error::config(format!("{what} of {bytes} bytes is over the limit of {MAX_NAME}"))
}

name!(
    /// A Socket.IO namespace, such as `/` or `/chat`: rooms and sockets of one never mix with those of another.
    ///
    /// A namespace begins with a slash, as in Socket.IO: `chat` is another way to write `/chat`, and the two are equal.
    /// The slash counts among the [`MAX_NAME`] bytes. The empty name is refused, although Socket.IO takes it for `/`:
    /// a setting that is missing must not send to everybody.
    Namespace,
    "a namespace",
    "/"
);
name!(
    /// A room: any UTF-8 string of 1 to 1,024 bytes. Every socket is alone in the room named by its own id.
    Room,
    "a room",
    ""
);
name!(
    /// A socket's id. The server makes it, at random, so that it is unique in the cluster.
    SocketId,
    "a socket id",
    ""
);
name!(
    /// The name that separates clusters which share a broker.
    ClusterName,
    "a cluster name",
    ""
);

impl ClusterName {
    /// The name of a cluster that was given none.
    pub(crate) const DEFAULT: &str = "roomcast";
}

/// Checks the name of a server-side event.
pub(crate) fn check_event_name(event: &str) -> Result<(), Error> {
    match event.len() {
        1..=MAX_NAME => Ok(()),
        _ => Err(Error::config("the name of an event has 1 to 1,024 bytes")),
    }
}

impl SocketId {
    /// The socket's private room.
    pub fn room(&self) -> Room {
        Room(Arc::clone(&self.0))
    }
}

impl Room {
    /// The socket whose private room this is, if it is one.
    pub fn socket(&self) -> SocketId {
        SocketId(Arc::clone(&self.0))
    }
}

/// What can name one room or several: `"a"`, `String`, `Arc<str>`, `Cow<str>`, [`Room`], [`SocketId`]; arrays, slices,
/// vectors and sets of these; and references to all of them. [`Room::each`] takes any iterator.
///
/// An empty list names no room at all, so a target made of it reaches nobody.
///
/// # Examples
/// ```
/// # async fn example(chat: adapter_core::NamespaceHandle, friends: Vec<String>) -> adapter_core::Result<()> {
/// use adapter_core::Room;
///
/// chat.to("lobby").emit("hello").await?;
/// chat.to(&friends).except(["muted", "away"]).emit("hello").await?;
/// chat.to(Room::each(friends.iter().map(|friend| format!("user:{friend}")))).emit("hello").await
/// # }
/// ```
pub trait IntoRooms {
    /// The rooms, checked.
    ///
    /// # Errors
    /// `Config` when a name is empty or too long.
    fn into_rooms(self) -> Result<Vec<Room>, Error>;
}

impl Room {
    /// The rooms that an iterator names, for wherever rooms are taken.
    pub fn each<I: IntoIterator<Item: IntoRooms>>(names: I) -> impl IntoRooms + use<I> {
        struct Each<I>(I);
        impl<I: IntoIterator<Item: IntoRooms>> IntoRooms for Each<I> {
            fn into_rooms(self) -> Result<Vec<Room>, Error> {
                gather(self.0)
            }
        }
        Each(names)
    }
}

macro_rules! one_room {
    ($($from:ty => |$name:ident| $room:expr),* $(,)?) => {$(
        impl IntoRooms for $from {
            fn into_rooms(self) -> Result<Vec<Room>, Error> {
                let $name = self;
                Ok(vec![$room])
            }
        }
    )*};
}

one_room! {
    &str => |name| Room::new(name)?,
    String => |name| Room::new(name)?,
    &String => |name| Room::new(name.as_str())?,
    Arc<str> => |name| Room::new(name)?,
    &Arc<str> => |name| Room::new(Arc::clone(name))?,
    Cow<'_, str> => |name| Room::new(name)?,
    &Cow<'_, str> => |name| Room::new(&**name)?,
    Room => |room| room,
    &Room => |room| room.clone(),
    SocketId => |socket| socket.room(),
    &SocketId => |socket| socket.room(),
}

macro_rules! many_rooms {
    ($([$($generics:tt)*] $from:ty),* $(,)?) => {$(
        impl<$($generics)*> IntoRooms for $from {
            fn into_rooms(self) -> Result<Vec<Room>, Error> {
                gather(self)
            }
        }
    )*};
}

many_rooms! {
    [T: IntoRooms] Vec<T>,
    [T: IntoRooms, const N: usize] [T; N],
    [T: IntoRooms, S] HashSet<T, S>,
    [T: IntoRooms] BTreeSet<T>,
}

macro_rules! many_rooms_by_reference {
    ($([$($generics:tt)*] $from:ty),* $(,)?) => {$(
        impl<'a, $($generics)*> IntoRooms for &'a $from
        where
            &'a T: IntoRooms,
        {
            fn into_rooms(self) -> Result<Vec<Room>, Error> {
                gather(self)
            }
        }
    )*};
}

many_rooms_by_reference! {
    [T] Vec<T>,
    [T] [T],
    [T, const N: usize] [T; N],
    [T, S] HashSet<T, S>,
    [T] BTreeSet<T>,
}

/// What iterating over a list of references gives, such as `&["a", "b"]`.
impl<'a, T: ?Sized> IntoRooms for &&'a T
where
    &'a T: IntoRooms,
{
    fn into_rooms(self) -> Result<Vec<Room>, Error> {
        (*self).into_rooms()
    }
}

fn gather<T: IntoRooms>(names: impl IntoIterator<Item = T>) -> Result<Vec<Room>, Error> {
    let mut rooms = Vec::new();
    for name in names {
        rooms.append(&mut name.into_rooms()?);
    }
    Ok(rooms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ErrorKind;

    #[test]
    fn names_are_one_byte_to_one_kibibyte_of_any_utf8() {
        for fine in ["a", "#", "*", ">", "a.b c", "ü", &"x".repeat(MAX_NAME)] {
            assert_eq!(Room::new(fine).expect("valid").as_str(), fine);
        }
        for bad in ["", &"x".repeat(MAX_NAME + 1)] {
            assert_eq!(Room::new(bad).expect_err("refused").kind(), ErrorKind::Config);
        }
    }

    #[test]
    fn a_list_with_one_bad_name_is_refused_and_an_empty_one_is_empty() {
        assert!(["a", ""].into_rooms().is_err());
        assert!(Vec::<String>::new().into_rooms().expect("valid").is_empty());
        assert_eq!(["a", "b"].into_rooms().expect("valid").len(), 2);
    }

    #[test]
    #[expect(clippy::needless_borrows_for_generic_args, reason = "references are what is tested")]
    fn whatever_holds_names_names_rooms() {
        fn named(rooms: impl IntoRooms) -> Vec<String> {
            let rooms = rooms.into_rooms().expect("valid");
            rooms.iter().map(|room| room.as_str().to_owned()).collect()
        }
        let room = Room::new("a").expect("valid");
        let shared: Arc<str> = "a".into();
        for one in [
            named("a"),
            named("a".to_owned()),
            named(&"a".to_owned()),
            named(Arc::clone(&shared)),
            named(&shared),
            named(Cow::Borrowed("a")),
            named(Cow::<str>::Owned("a".to_owned())),
            named(&Cow::Borrowed("a")),
            named(&room),
            named(&room.socket()),
            named(BTreeSet::from(["a"])),
            named(&BTreeSet::from(["a"])),
            named(HashSet::from([room.clone()])),
            named(&HashSet::from(["a".to_owned()])),
        ] {
            assert_eq!(one, ["a"]);
        }
        let (strings, rooms) = (vec!["a".to_owned(), "b".to_owned()], [room, Room::new("b").expect("valid")]);
        for two in [
            named(&strings),
            named(&strings[..]),
            named(&rooms),
            named(&rooms[..]),
            named(&["a", "b"]),
            named(&vec!["a", "b"]),
            named(strings.iter().collect::<Vec<_>>()),
            named(&strings.iter().collect::<Vec<_>>()),
            named(Room::each(strings.iter().map(|name| name.as_str()))),
            named(Room::each(rooms.iter())),
            named(strings),
            named(rooms),
        ] {
            assert_eq!(two, ["a", "b"]);
        }
    }

    #[test]
    fn a_namespace_without_its_slash_is_the_same_as_with_it() {
        let with = Namespace::new("/chat").expect("valid");
        let without = Namespace::new("chat").expect("valid");
        assert_eq!((without.as_str(), &without), ("/chat", &with));
        assert!(HashSet::from([with]).contains("/chat"));
        assert!(Namespace::new("").is_err(), "a setting that is missing is not the main namespace");
        assert_eq!(Namespace::new("x".repeat(MAX_NAME - 1)).expect("valid").as_str().len(), MAX_NAME);
        assert!(Namespace::new("x".repeat(MAX_NAME)).is_err(), "the slash counts");
        assert!(Namespace::new(format!("/{}", "x".repeat(MAX_NAME - 1))).is_ok());
        assert_eq!(Room::new("chat").expect("valid").as_str(), "chat", "nothing else has a slash put before it");
    }
}
