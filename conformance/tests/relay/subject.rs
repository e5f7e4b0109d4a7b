//! The relay as what is put to the test.

use roomcast_conformance::Subject;

use super::backend::Relay;
use super::recipe::recipe;

pub(crate) fn subject() -> Subject {
    Subject::new("relay", Relay::from_url).broker(recipe())
}
