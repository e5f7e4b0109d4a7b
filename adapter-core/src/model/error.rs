//! The one error, and the kinds to match on.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;

/// The result of everything that can fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn StdError + Send + Sync + 'static>;
/// Shared, so that an error can be cloned.
type Cause = Arc<dyn StdError + Send + Sync + 'static>;

/// The error of every operation: a [`kind`](Error::kind) to match on, a sentence for people, and the cause as `source()`.
///
/// `Debug` is the sentence with the kind and all causes in one line; a `main` that returns the error prints it.
///
/// Nodes that did not reply are not an error: [`Gathered::missing`](crate::Gathered) names them.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    served_locally: bool,
    /// Trying again soon may help: of several servers, one is merely away.
    may_pass: bool,
    source: Option<Cause>,
}

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// A name, a URL or an option is wrong. Trying again cannot help.
    Config,
    /// The broker refused: credentials or permissions.
    Denied,
    /// The broker cannot be reached now. For an emit: the outgoing queue has also reached its bound.
    Unavailable,
    /// The operation's timeout has passed.
    Timeout,
    /// A message is over `max_message`; nothing was sent.
    TooLarge,
    /// Bytes do not follow the protocol, or are of a version that this build cannot read.
    Protocol,
    /// The cluster was closed, or the socket is disconnected.
    Closed,
    /// Anything else; a bug report is welcome.
    Unexpected,
}

impl Error {
    /// An error of this kind with a sentence for people.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let may_pass = !matches!(kind, ErrorKind::Config | ErrorKind::Denied);
        Self(Box::new(Inner { kind, message: message.into(), served_locally: false, may_pass, source: None }))
    }

    /// A `Config` error: the configuration cannot work.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    /// An `Unavailable` error: the link is not there, broke during an operation, or did not reply in time.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    pub(crate) fn unexpected(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unexpected, message)
    }

    pub(crate) fn closed() -> Self {
        Self::new(ErrorKind::Closed, "the cluster was closed")
    }

    /// Adds the cause, which `source()` returns.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    /// Says that this node's own sockets were served although the remote part failed.
    #[must_use]
    pub fn after_local(mut self) -> Self {
        self.0.served_locally = true;
        self
    }

    /// Chooses which of the errors of several servers to show. A refusal says more than an absence, and the first refusal
    /// more than later ones.
    #[must_use]
    pub fn most_telling(before: Option<Self>, next: Self) -> Self {
        let Some(before) = before else { return next };
        let may_pass = before.may_pass() || next.may_pass();
        let first = before.kind() != ErrorKind::Unavailable || next.kind() == ErrorKind::Unavailable;
        let mut told = if first { before } else { next };
        told.0.may_pass = may_pass;
        told
    }

    /// Whether trying again soon may help: not if every server that was asked has refused.
    pub(crate) fn may_pass(&self) -> bool {
        self.0.may_pass
    }

    /// The kind of the error, to match on.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether this node's own sockets got the operation before the rest of it failed.
    pub fn served_locally(&self) -> bool {
        self.0.served_locally
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if self.0.served_locally {
            f.write_str(" (this node's own sockets were served)")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.to_string();
        write!(f, "{text} [{:?}]", self.0.kind)?;
        let causes = std::iter::successors(self.source(), |&cause| cause.source());
        for cause in causes {
            let cause = cause.to_string();
            // Many errors repeat their cause in their own text.
            if !text.ends_with(&cause) {
                write!(f, ": {cause}")?;
            }
            text = cause;
        }
        Ok(())
    }
}

/// For what cannot fail, such as a [`Namespace`](crate::Namespace) where a name of one is taken.
impl From<Infallible> for Error {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|cause| cause as _)
    }
}

/// An error and everything under it, for backends that look for a word of their broker or of TLS: also what an
/// [`io::Error`] or an `Arc` holds, which `source()` passes over.
///
/// # Examples
/// ```
/// let denied = roomcast_core::Error::new(roomcast_core::ErrorKind::Denied, "no");
/// let error = roomcast_core::Error::unavailable("gone").with_source(std::io::Error::other(denied));
/// let within = roomcast_core::backend::causes(&error).filter_map(|cause| cause.downcast_ref::<roomcast_core::Error>());
/// assert_eq!(within.last().map(|error| error.kind()), Some(roomcast_core::ErrorKind::Denied));
/// ```
pub fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| {
        let io = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref).map(|within| within as _);
        let shared = error.downcast_ref::<Arc<dyn StdError + Send + Sync>>().map(|within| &**within as _);
        io.or(shared).or_else(|| error.source())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_causes_are_those_within_others_too() {
        let last: Arc<dyn StdError + Send + Sync> = Arc::new(Error::config("at the bottom"));
        let error = Error::unavailable("gone").with_source(io::Error::other(last));
        let texts: Vec<_> = causes(&error).filter_map(|cause| cause.downcast_ref::<Error>()).map(Error::kind).collect();
        assert_eq!(texts, [ErrorKind::Unavailable, ErrorKind::Config]);
    }

    #[test]
    fn the_first_refusal_is_the_most_telling() {
        let told = |kinds: &[ErrorKind]| {
            let errors = (1..).zip(kinds).map(|(n, kind)| Error::new(*kind, format!("{n}")));
            errors.fold(None, |before, next| Some(Error::most_telling(before, next))).expect("one").to_string()
        };
        use ErrorKind::{Config, Denied, Unavailable};
        assert_eq!(told(&[Unavailable, Unavailable]), "1");
        assert_eq!(told(&[Unavailable, Config, Unavailable]), "2");
        assert_eq!(told(&[Config, Denied, Unavailable]), "1");
    }

    #[test]
    fn what_all_servers_refuse_does_not_pass() {
        use ErrorKind::{Config, Denied, Unavailable};
        let may_pass = |kinds: &[ErrorKind]| {
            let errors = kinds.iter().map(|kind| Error::new(*kind, "no"));
            errors.fold(None, |before, next| Some(Error::most_telling(before, next))).expect("one").may_pass()
        };
        assert!(!may_pass(&[Config]) && !may_pass(&[Denied, Config]));
        assert!(
            may_pass(&[Unavailable]) && may_pass(&[Unavailable, Denied]) && may_pass(&[Config, Unavailable, Denied])
        );
    }

    #[test]
    fn the_cause_is_a_source_and_not_part_of_the_text() {
        let error = Error::new(ErrorKind::Denied, "the broker refused the login")
            .with_source(std::io::Error::other("WRONGPASS"));
        assert_eq!(error.to_string(), "the broker refused the login");
        assert_eq!(error.source().expect("kept").to_string(), "WRONGPASS");
    }

    #[test]
    fn what_main_prints_is_the_sentence_the_kind_and_the_causes() {
        let refused = Error::new(ErrorKind::Denied, "the broker refused the login");
        assert_eq!(format!("{refused:?}"), "the broker refused the login [Denied]");
        let repeating = Error::config("of the driver: WRONGPASS").with_source(io::Error::other("WRONGPASS"));
        let error = refused.with_source(repeating);
        assert_eq!(format!("{:?}", error.clone()), "the broker refused the login [Denied]: of the driver: WRONGPASS");
        assert_eq!(error.clone().source().expect("kept").to_string(), "of the driver: WRONGPASS");
    }

    #[test]
    fn an_error_after_local_delivery_says_so() {
        let error = Error::new(ErrorKind::Unavailable, "the broker is away").after_local();
        assert!(error.served_locally());
        assert!(error.to_string().contains("own sockets were served"));
    }
}
