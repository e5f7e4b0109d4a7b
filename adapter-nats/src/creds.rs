//! A file with a user's JWT and its seed.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use roomcast_core::Result;
use serde_json::Value;

use crate::config::read;

/// What the file held when it was read.
pub(crate) struct Creds {
    path: PathBuf,
    /// With the seed; the client takes it out.
    pub(crate) text: String,
    /// When the JWT expires, in seconds since 1970; `None` where that cannot be read.
    end: Option<u64>,
}

const NEVER: u64 = u64::MAX;

impl Creds {
    /// # Errors
    /// `Config`, if the file cannot be read.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = read("creds", path)?;
        Ok(Self { path: path.to_owned(), end: end(&text), text })
    }

    /// When the JWT expires by our clock: now if it has.
    pub(crate) fn expires(&self) -> Option<Instant> {
        let end = UNIX_EPOCH.checked_add(Duration::from_secs(self.end?))?;
        Instant::now().checked_add(end.duration_since(SystemTime::now()).unwrap_or_default())
    }

    /// Whether the file holds a JWT by now that expires later.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(crate) fn is_renewed(&self) -> Result<bool> {
        Ok(Self::read(&self.path)?.end > self.end)
    }
}

/// What the first JWT of the text says. The server verifies it.
fn end(text: &str) -> Option<u64> {
    let jwt = text.lines().map(str::trim).find(|line| line.split('.').count() == 3 && !line.contains(' '))?;
    let claims = BASE64_URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    Some(claims.get("exp").and_then(Value::as_u64).filter(|end| *end > 0).unwrap_or(NEVER))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the tools of NATS write it.
    fn file(claims: impl AsRef<[u8]>) -> String {
        let claims = BASE64_URL_SAFE_NO_PAD.encode(claims);
        format!(
            "-----BEGIN NATS USER JWT-----\neyJ0eXAi.{claims}.c2ln\n------END NATS USER JWT------\n\n\
             *** IMPORTANT ***\nKeys are sensitive. Keep them. Well.\n\n\
             -----BEGIN USER NKEY SEED-----\nSUA\n------END USER NKEY SEED------\n"
        )
    }

    #[test]
    fn the_end_is_that_of_the_jwt() {
        assert_eq!(end(&file(r#"{"exp":1796000000,"sub":"U"}"#)), Some(1_796_000_000));
        assert_eq!(end(&file(r#"{"exp":1796000000}"#).replace('\n', "\r\n")), Some(1_796_000_000));
        for claims in ["{}", r#"{"exp":0}"#, r#"{"exp":-1}"#, r#"{"exp":"soon"}"#, r#"{"exp":1e99}"#, "[]"] {
            assert_eq!(end(&file(claims)), Some(NEVER), "{claims}");
        }
    }

    #[test]
    fn where_no_end_can_be_read_there_is_none() {
        for text in
            [file(""), file("x"), file([0xff; 9]), file("[".repeat(100_000)), file("{}").replace("eyJ0eXAi.", "")]
        {
            assert_eq!(end(&text), None, "{text}");
        }
        for text in ["a.b.c", "a.%.c", "..", "", "-----BEGIN NATS USER JWT-----\neyJ0"] {
            assert_eq!(end(text), None, "{text}");
        }
    }

    #[test]
    fn an_end_of_any_size_is_no_panic() {
        let of = |end| Creds { path: PathBuf::new(), text: String::new(), end }.expires();
        assert!(of(Some(1)).is_some_and(|end| end <= Instant::now()), "it has expired");
        assert!(of(Some(4_000_000_000)).is_some_and(|end| end > Instant::now()));
        assert_eq!([of(Some(u64::MAX - 1)), of(Some(NEVER)), of(None)], [None; 3]);
    }

    /// One that is being written holds nothing that can be used.
    #[test]
    fn it_is_renewed_when_the_file_has_a_later_end() -> Result<()> {
        let place = tempfile::NamedTempFile::new().expect("a file");
        let write = |text: &str| std::fs::write(place.path(), text).expect("written");
        let (first, second, endless) = (file(r#"{"exp":100}"#), file(r#"{"exp":200}"#), file("{}"));
        write(&first);
        let creds = Creds::read(place.path())?;
        for (text, renewed) in [(&first, false), (&second, true), (&second[..40].to_owned(), false), (&endless, true)] {
            write(text);
            assert_eq!(creds.is_renewed()?, renewed, "{text}");
        }
        Ok(())
    }
}
