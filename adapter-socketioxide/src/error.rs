//! The bridge's error.

use std::error::Error as StdError;
use std::fmt;

use adapter_core::ErrorKind;
use socketioxide_core::adapter::errors::{AdapterError, BroadcastError};

/// The error of the cluster's part of an operation.
///
/// socketioxide hands it to the application as the source of its own errors, or as it is where an operation cannot
/// fail otherwise. Its `Debug` is a sentence, too, since socketioxide prints that.
pub struct Error {
    cause: adapter_core::Error,
    served_locally: bool,
}

impl Error {
    /// After this node's own sockets were served.
    pub(crate) fn after_local(cause: adapter_core::Error) -> Self {
        Self { cause, served_locally: true }
    }

    /// The kind of the error, to match on.
    pub fn kind(&self) -> ErrorKind {
        self.cause.kind()
    }

    /// Whether this node's own sockets got the operation before the rest of it failed. It is `false` for a question, whose local part is
    /// lost with the error.
    pub fn served_locally(&self) -> bool {
        self.served_locally || self.cause.served_locally()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)?;
        if self.served_locally && !self.cause.served_locally() {
            f.write_str(" (this node's own sockets were served)")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.kind())?;
        let mut source = self.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.source()
    }
}

impl From<adapter_core::Error> for Error {
    fn from(cause: adapter_core::Error) -> Self {
        Self { cause, served_locally: false }
    }
}

impl From<Error> for AdapterError {
    fn from(error: Error) -> Self {
        Self(Box::new(error))
    }
}

impl From<Error> for BroadcastError {
    fn from(error: Error) -> Self {
        Self::Adapter(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_it_must_be<T: StdError + Into<AdapterError> + Send + Sync + 'static>(error: T) -> AdapterError {
        error.into()
    }

    #[test]
    fn it_says_that_local_sockets_were_served_and_keeps_kind_and_cause() {
        let error = adapter_core::Error::new(ErrorKind::Unavailable, "the broker is away");
        let error = Error::after_local(error.with_source(std::io::Error::other("refused")));
        assert!(error.served_locally());
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(error.source().expect("kept").to_string(), "refused");
        assert_eq!(
            format!("{error:?}"),
            "Unavailable: the broker is away (this node's own sockets were served): refused"
        );
        let text = as_it_must_be(error).to_string();
        assert_eq!(text, "the broker is away (this node's own sockets were served)");
    }
}
