//! Where an operation of socketioxide leads.

use roomcast_core::ErrorKind;
use roomcast_core::adapter::Address;

use crate::Error;

/// What of an operation other nodes have to do.
pub(crate) enum Beyond {
    /// Nothing.
    Nothing,
    /// The same, for the sockets there.
    To(Address),
    /// Nothing any more: the node of the one socket that is meant is gone.
    Gone,
}

/// An operation, divided between this node and the others.
pub(crate) struct Route {
    pub(crate) here: bool,
    pub(crate) beyond: Result<Beyond, roomcast_core::Error>,
}

impl Route {
    /// Refuses what is wrong whatever the state of the broker: nobody has been served yet.
    pub(crate) fn checked(
        self,
        check: impl FnOnce(&Address) -> Result<(), roomcast_core::Error>,
    ) -> Result<Self, Error> {
        let wrong = |error: &roomcast_core::Error| matches!(error.kind(), ErrorKind::Config | ErrorKind::TooLarge);
        match self.beyond {
            Err(error) if wrong(&error) => Err(error.into()),
            Ok(Beyond::To(ref address)) => check(address).map(|()| self).map_err(Error::from),
            _ => Ok(self),
        }
    }

    /// How an error of the cluster's part is told.
    pub(crate) fn failure(&self) -> impl Fn(roomcast_core::Error) -> Error + use<> {
        if self.here { Error::after_local } else { Error::from }
    }
}
