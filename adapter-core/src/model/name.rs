//! Names: validated once, cheap to clone.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::Error;

/// The longest name, in bytes.
pub const MAX_NAME: usize = 1024;

/// Makes a newtype over a shared string of 1 to [`MAX_NAME`] bytes.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and takes a name.
            ///
            /// # Errors
            /// `Config` when it is empty or longer than [`MAX_NAME`] bytes.
            pub fn new(name: impl AsRef<str> + Into<Arc<str>>) -> Result<Self, Error> {
                match name.as_ref().len() {
                    1..=MAX_NAME => Ok(Self(name.into())),
                    0 => Err(Error::config(concat!($what, " must not be empty"))),
                    long => Err(Error::config(format!(
                        concat!($what, " of {} bytes is over the limit of {}"), long, MAX_NAME
                    ))),
                }
            }

            /// The name as it was given.
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

name!(
    /// A Socket.IO namespace, such as `/` or `/chat`: rooms and sockets of one never mix with those of another.
    Namespace,
    "a namespace"
);
name!(
    /// A room: any UTF-8 string of 1 to 1,024 bytes. Every socket is alone in the room named by its own id.
    Room,
    "a room"
);
name!(
    /// A socket's id, unique in the cluster by chance (the server mints it).
    SocketId,
    "a socket id"
);
name!(
    /// The name that separates clusters which share a broker.
    ClusterName,
    "a cluster name"
);

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

/// What can name one room or several: `"a"`, `String`, [`Room`], [`SocketId`], arrays, slices and vectors of these.
///
/// An empty list names no room at all, so a target made of it reaches nobody.
pub trait IntoRooms {
    /// The rooms, checked.
    ///
    /// # Errors
    /// `Config` when a name is empty or too long.
    fn into_rooms(self) -> Result<Vec<Room>, Error>;
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
    Room => |room| room,
    &Room => |room| room.clone(),
    SocketId => |socket| socket.room(),
    &SocketId => |socket| socket.room(),
}

impl<T: IntoRooms> IntoRooms for Vec<T> {
    fn into_rooms(self) -> Result<Vec<Room>, Error> {
        gather(self)
    }
}

impl<T: IntoRooms, const N: usize> IntoRooms for [T; N] {
    fn into_rooms(self) -> Result<Vec<Room>, Error> {
        gather(self)
    }
}

impl<'a, T> IntoRooms for &'a [T]
where
    &'a T: IntoRooms,
{
    fn into_rooms(self) -> Result<Vec<Room>, Error> {
        gather(self)
    }
}

impl IntoRooms for &&str {
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
}
