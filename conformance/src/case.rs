//! One thing that every backend has to show.

use std::future::Future;
use std::pin::Pin;

use crate::failure::Verdict;
use crate::scene::Scene;

/// One thing that every backend has to show.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    /// A sentence that begins with its guarantee: `g01_union_of_rooms_reaches_each_socket_once`.
    pub(crate) name: &'static str,
    /// The noun it is about: the file it stands in.
    pub(crate) group: &'static str,
    pub(crate) needs: Needs,
    pub(crate) run: Run,
}

pub(crate) type Run = for<'a> fn(&'a Scene) -> Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// What a case cannot do without; where it is missing, the case is ignored, with the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Several connections.
    Nothing,
    /// A backend that claims `ordered`.
    Ordered,
    /// A backend that claims `replays`, and a proxy.
    Replays,
    /// A broker that nobody else uses meanwhile, and that can be killed, restarted and paused.
    Faults,
    /// A broker behind a TCP address, so that a proxy can stand between one node and it.
    Proxy,
}

impl Needs {
    /// Whether the case does to the broker what no other case could live with.
    pub(crate) fn own_broker(self) -> bool {
        self == Self::Faults
    }

    /// Whether something stands between a node and the broker.
    pub(crate) fn proxy(self) -> bool {
        matches!(self, Self::Proxy | Self::Replays)
    }
}

impl Case {
    /// Whether a broker of several servers could fail it where one server passes.
    pub(crate) fn depends_on_topology(&self) -> bool {
        self.needs.own_broker() || ["contract", "members", "order"].contains(&self.group)
    }

    /// The number of the guarantee that it shows.
    pub(crate) fn guarantee(&self) -> u8 {
        self.name.get(1..3).and_then(|digits| digits.parse().ok()).unwrap_or(0)
    }
}

/// The cases of a file, as a table.
macro_rules! cases {
    ($group:literal: $($needs:ident $name:ident,)+) => {
        pub(in crate::cases) const CASES: &[$crate::case::Case] = &[$($crate::case::Case {
            name: stringify!($name),
            group: $group,
            needs: $crate::case::Needs::$needs,
            run: |scene| Box::pin($name(scene)),
        }),+];
    };
}
