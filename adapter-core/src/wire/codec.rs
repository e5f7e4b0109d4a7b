//! The encoding of bodies: the one file that knows it.
//!
//! serde by bincode 2.0.1, little endian, variable-length integers. Every decode is bounded: the whole input must be
//! consumed, no length that it claims is believed before the bytes are there, and no wire type is recursive or of no size.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Above the largest message that can be configured. It does not bound what is allocated: `list`, `text` and `blob` do,
/// so no body has a plain `Vec`, `String` or `Bytes`.
const LIMIT: usize = 1 << 30;
const CONFIG: Configuration<LittleEndian, Varint, Limit<LIMIT>> =
    bincode::config::standard().with_little_endian().with_variable_int_encoding().with_limit::<LIMIT>();

/// Bytes that are not a body of the kind they claim to be.
#[derive(Debug, thiserror::Error)]
#[error("malformed body: {0}")]
pub(crate) struct Malformed(String);

impl Malformed {
    /// Why it cannot be what it claims to be.
    pub(crate) fn new(why: &str) -> Self {
        Self(why.to_owned())
    }

    /// A number that nobody gets to by counting.
    pub(crate) fn number() -> Self {
        Self("a number out of range".to_owned())
    }
}

pub(crate) fn encode<T: Serialize>(body: &T) -> Bytes {
    // Nearly every body fits here, and is then allocated once, in its size.
    let mut small = [0; 256];
    if let Ok(len) = bincode::serde::encode_into_slice(body, &mut small, CONFIG) {
        return Bytes::copy_from_slice(&small[..len]);
    }
    // Fails only for types without a fixed shape (maps of unknown length, untagged enums): there are none in `body`.
    bincode::serde::encode_to_vec(body, CONFIG).expect("every body has a fixed shape").into()
}

pub(crate) fn decode<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, Malformed> {
    let (body, used) = bincode::serde::borrow_decode_from_slice(bytes, CONFIG).map_err(|e| Malformed(e.to_string()))?;
    if used == bytes.len() { Ok(body) } else { Err(Malformed(format!("{} bytes too many", bytes.len() - used))) }
}
