//! What is tried again and again: how long to pause between attempts, and which of their errors are news.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::kit::waiting_helps;
use crate::model::{Error, ErrorKind, causes};
use crate::seams::Inbox;

/// The longest pause between two attempts in an outage of up to half a minute.
const LONGEST: Duration = Duration::from_millis(500);
/// After a long outage the pauses are this part of it, so that a broker is not kept down by those who want it back.
const PART: u32 = 60;
/// But never longer than this: after five minutes.
const PATIENT: Duration = Duration::from_secs(5);
/// The longest pause after a refusal, of which at most half is cut: a login that is wrong stays so until somebody acts, and
/// each attempt counts at a directory that locks accounts.
const REFUSED: Duration = Duration::from_secs(10);
/// So many different causes of one outage are told.
const CAUSES: usize = 8;

/// The attempts to make a link in one outage, or to renew the login of one.
pub(super) struct Outage {
    began: Instant,
    longest: Duration,
    told: HashSet<(ErrorKind, String)>,
}

impl Outage {
    /// It begins now.
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), longest: LONGEST, told: HashSet::new() }
    }

    /// How long the next pause may be.
    pub(super) fn longest(&self) -> Duration {
        self.longest
    }

    /// An attempt has failed. Returns its cause if it has not been told yet.
    pub(super) fn failed(&mut self, error: &Error) -> Option<String> {
        self.longest = if error.may_pass() { (self.began.elapsed() / PART).clamp(LONGEST, PATIENT) } else { REFUSED };
        let cause = causes(error).last().map(ToString::to_string).unwrap_or_default();
        let told = (error.kind(), cause.clone());
        (self.told.len() < CAUSES && self.told.insert(told)).then_some(cause)
    }

    /// The same, and tells of it: `what` is not done yet.
    pub(super) fn tell(&mut self, error: &Error, what: &str, inbox: &Inbox) {
        if let Some(cause) = self.failed(error) {
            tell(error, &cause, what, inbox);
        }
    }
}

/// Tells why an attempt has failed: in the log where waiting may help, else to the application.
pub(super) fn tell(error: &Error, cause: &str, what: &str, inbox: &Inbox) {
    if waiting_helps(error) {
        tracing::warn!(kind = ?error.kind(), %cause, "{what}: {error}");
    } else {
        inbox.refused(error);
    }
}
