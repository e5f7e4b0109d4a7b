//! What a frame is.

/// What a frame is; its number on the wire never changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Kind(pub(crate) u16);

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal),* $(,)?) => {
        impl Kind {
            $($(#[$doc])* pub(crate) const $name: Self = Self($number);)*

            /// Its name in PROTOCOL.md.
            #[cfg(test)]
            pub(crate) const ALL: &[(Self, &str)] = &[$((Self::$name, stringify!($name))),*];
        }
    };
}

kinds! {
    // 1 to 15: control. Unnumbered, handled on arrival, repeated by timer.
    HELLO = 1,
    WELCOME = 2,
    HEARTBEAT = 3,
    BYE = 4,
    PROBE = 5,
    NACK = 6,
    // 7 and 11 to 15 are free.
    MARK = 8,
    SUSPECT = 9,
    NODES = 10,

    // 16 to 63: operations and questions; with a request extension they are answered.
    BROADCAST = 16,
    JOIN = 17,
    LEAVE = 18,
    DISCONNECT = 19,
    SERVER_EVENT = 20,
    BROADCAST_WITH_ACK = 32,
    FETCH_SOCKETS = 33,
    COUNT_SOCKETS = 34,
    LIST_ROOMS = 35,

    // 64 to 127: answers; each carries the request extension of its question.
    APPLIED = 64,
    SOCKETS = 65,
    COUNT = 66,
    ROOMS = 67,
    ACKS = 68,
    SERVER_ANSWER = 69,
    NO_HANDLER = 70,
    UNSUPPORTED = 71,

    // From 128 on: what carries others' frames, or stands before them. Unknown there means what it means from 16 to 63: a
    // question that is not known.
    RESEND = 128,
}

impl Kind {
    pub(crate) const fn is_control(self) -> bool {
        self.0 < 16
    }

    pub(crate) const fn is_answer(self) -> bool {
        matches!(self.0, 64..=127)
    }
}
