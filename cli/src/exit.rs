//! How the command ends.

use std::process::ExitCode;

use roomcast::{Error, ErrorKind};

use crate::text::one_line;

/// What the exit codes mean, for `--help`.
pub(crate) const CODES: &str = "\
Exit codes:
  0    done
  1    failed
  2    the command line, the URL or a name in it is wrong
  3    the broker cannot be reached, or what listens there is another kind of server
  4    the answer is partial: nodes or sockets did not reply; what came was printed
  5    the broker refuses the login, or a permission is missing
  6    nodes of this cluster speak a protocol that this build cannot read
  130  interrupted by Ctrl-C or SIGTERM before it was done (watch and top end with 0)";

/// How a command ended that did what it could.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// All of it.
    Complete,
    /// Nodes or sockets did not reply, which was said.
    Partial,
    /// A check of `doctor` failed with this exit code, which was said.
    Found(u8),
}

impl Done {
    /// Whether all that were asked replied.
    pub(crate) fn complete(complete: bool) -> Self {
        if complete { Self::Complete } else { Self::Partial }
    }
}

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    code: u8,
    /// One line for people; empty when there is nothing to say.
    text: String,
}

impl Failure {
    /// Exit code 1.
    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self { code: 1, text: text.into() }
    }

    /// Exit code 2.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self { code: 2, text: text.into() }
    }

    /// Exit code 6.
    pub(crate) fn version(frames: u64) -> Self {
        let text = format!(
            "nodes of this cluster speak a newer protocol ({frames} messages could not be read): install a newer roomcast-cli"
        );
        Self { code: 6, text }
    }

    /// A signal came before the command was done.
    pub(crate) fn interrupted() -> Self {
        Self { code: 130, text: String::new() }
    }

    /// Nobody reads the output any more: the end, and no failure.
    pub(crate) fn nobody_reads() -> Self {
        Self { code: 0, text: String::new() }
    }

    /// What went wrong on the way to the broker. Time that was up, and replies that make no sense, are the broker's fault here.
    pub(crate) fn connecting(error: &Error, place: &str) -> Self {
        let mut failure = Self::from(error.clone());
        if matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Protocol | ErrorKind::Unexpected) {
            failure.code = 3;
        }
        let hint = hint(error.kind(), place);
        if !hint.is_empty() {
            failure.text = format!("{}; {hint}", failure.text);
        }
        failure
    }

    /// Whether a signal ended it.
    pub(crate) fn is_interruption(&self) -> bool {
        self.code == 130
    }

    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        self.code
    }

    /// The line for people.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

/// What to look at, by the kind of the error.
pub(crate) fn hint(kind: ErrorKind, place: &str) -> String {
    match kind {
        ErrorKind::Denied => {
            "check user and password, and that the login may publish and subscribe to the channels rc.*".to_owned()
        }
        ErrorKind::Unavailable => format!("is the broker running at {place}, and is that its port?"),
        ErrorKind::Timeout | ErrorKind::Protocol | ErrorKind::Unexpected => {
            format!("is what listens at {place} the broker that the URL's scheme names?")
        }
        _ => String::new(),
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match error.kind() {
            ErrorKind::Config => 2,
            ErrorKind::Unavailable => 3,
            ErrorKind::Denied => 5,
            _ => 1,
        };
        Self { code, text: one_line(&error) }
    }
}

/// Says why, and makes the exit code.
pub(crate) fn end(ended: Result<Done, Failure>) -> ExitCode {
    let code = match ended {
        Ok(Done::Complete) => 0,
        Ok(Done::Partial) => 4,
        Ok(Done::Found(code)) => code,
        Err(Failure { code, text }) => {
            if !text.is_empty() {
                crate::out::complain(&text);
            }
            code
        }
    };
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_code() {
        let code = |kind| Failure::from(Error::new(kind, "x")).code;
        assert_eq!(
            [ErrorKind::Config, ErrorKind::Unavailable, ErrorKind::Denied, ErrorKind::Timeout, ErrorKind::TooLarge]
                .map(code),
            [2, 3, 5, 1, 1]
        );
        let connecting = |kind| Failure::connecting(&Error::new(kind, "x"), "nats://h").code;
        assert_eq!([ErrorKind::Timeout, ErrorKind::Unexpected, ErrorKind::Denied].map(connecting), [3, 3, 5]);
    }

    #[test]
    fn a_failure_is_one_line() {
        let error = Error::unavailable("gone").with_source(std::io::Error::other("two\nlines"));
        assert!(!Failure::from(error).text.contains('\n'));
    }
}
