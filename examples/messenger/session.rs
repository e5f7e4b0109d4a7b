//! A session is the user's name with a signature: each server can check it, and none has to keep it. A real one also ends some day.

use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// In characters: two for each byte.
const SIGNATURE: usize = 64;

/// Signs sessions. It is the same on every server.
#[derive(Clone)]
pub(crate) struct Key(Arc<str>);

impl Key {
    pub(crate) fn new(secret: &str) -> Self {
        Self(secret.into())
    }

    pub(crate) fn session_of(&self, user: &str) -> String {
        let signature = self.signed(user).finalize().into_bytes();
        signature.iter().map(|byte| format!("{byte:02x}")).chain([user.to_owned()]).collect()
    }

    /// Whose session it is; `None` if it was not made with this key.
    pub(crate) fn user_of(&self, session: &str) -> Option<String> {
        let (signature, user) = session.split_at_checked(SIGNATURE)?;
        let bytes = (0..SIGNATURE).step_by(2).map(|at| u8::from_str_radix(signature.get(at..at + 2)?, 16).ok());
        self.signed(user).verify_slice(&bytes.collect::<Option<Vec<_>>>()?).ok()?;
        Some(user.to_owned())
    }

    fn signed(&self, user: &str) -> Hmac<Sha256> {
        Hmac::new_from_slice(self.0.as_bytes()).expect("a key of any length will do").chain_update(user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_valid_with_its_own_key_and_user_only() {
        let (key, other) = (Key::new("one"), Key::new("another"));
        let session = key.session_of("Zoë");
        assert_eq!(key.user_of(&session).as_deref(), Some("Zoë"));
        let (signature, _) = session.split_at(SIGNATURE);
        for forged in
            [other.session_of("Zoë"), format!("{signature}Eve"), signature.to_owned(), "ë".repeat(32), String::new()]
        {
            assert_eq!(key.user_of(&forged), None, "{forged}");
        }
    }
}
