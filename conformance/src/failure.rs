//! Why a case did not pass.

use std::error::Error as StdError;
use std::fmt;
use std::panic::Location;

/// What a case ends with.
pub(crate) type Verdict<T = ()> = Result<T, Failure>;

/// Why a case did not pass.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What was promised does not hold.
    Broken(String),
    /// The case means nothing here, and why: it counts as ignored.
    Unsuited(String),
}

impl Failure {
    /// What was promised does not hold.
    #[track_caller]
    pub(crate) fn new(text: impl fmt::Display) -> Self {
        Self::Broken(format!("{}: {text}", place(Location::caller())))
    }

    /// The case means nothing here.
    pub(crate) fn unsuited(reason: impl Into<String>) -> Self {
        Self::Unsuited(reason.into())
    }
}

/// With the place of the `?`, and every cause.
impl<E: StdError> From<E> for Failure {
    #[track_caller]
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(next) = cause {
            text = format!("{text}: {next}");
            cause = next.source();
        }
        Self::new(text)
    }
}

fn place(location: &Location<'_>) -> String {
    let file = location.file().rsplit("src/").next().unwrap_or_default();
    format!("{file}:{}", location.line())
}

/// Ends the case unless this is so.
macro_rules! check {
    ($so:expr) => {
        check!($so, "`{}` is not so", stringify!($so))
    };
    ($so:expr, $($text:tt)+) => {
        if !$so {
            return Err($crate::failure::Failure::new(format!($($text)+)));
        }
    };
}

/// Ends the case unless both are equal.
macro_rules! check_eq {
    ($is:expr, $want:expr) => {
        check_eq!($is, $want, "{}", stringify!($is))
    };
    ($is:expr, $want:expr, $($text:tt)+) => {{
        let (is, want) = (&$is, &$want);
        if *is != *want {
            let what = format!($($text)+);
            let text = format!("{what}: is {}, must be {}", $crate::failure::short(is), $crate::failure::short(want));
            return Err($crate::failure::Failure::new(text));
        }
    }};
}

/// A value's text, cut where nobody reads on.
pub(crate) fn short(value: &impl fmt::Debug) -> String {
    const MOST: usize = 400;
    let mut text = format!("{value:?}");
    if text.len() > MOST {
        let end = (0..=MOST).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push_str(" ...");
    }
    text
}
