//! Names and passwords in URLs.

use percent_encoding::percent_decode_str;

use crate::model::{Error, Result};

/// A part of a URL without its percent signs, for backends that read URLs of their own.
///
/// # Errors
/// `Config` when it is not UTF-8 then; the text repeats nothing of it.
pub fn percent_decoded(part: &str) -> Result<String> {
    let decoded = percent_decode_str(part).decode_utf8();
    decoded.map(String::from).map_err(|_| Error::config("the URL is not UTF-8 behind its percent signs"))
}
