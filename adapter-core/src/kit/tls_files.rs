//! The files that a URL names for TLS.

use std::path::{Path, PathBuf};

use crate::model::{Error, Result};

/// The files of a backend's options for TLS: the authority that is trusted, our certificate and its key. With the
/// cargo feature `tls`, [`Tls`](crate::kit::tls::Tls) is made of them.
///
/// # Examples
/// ```
/// let mut files = roomcast_core::backend::TlsFiles::default();
/// assert!(files.set("ca", "/etc/ca.pem") && !files.set("name", "web-1"));
/// assert_eq!(files.ca, Some("/etc/ca.pem".into()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Of the options: authority, certificate, key.
    pub(crate) names: [&'static str; 3],
    /// Trusted authorities, as PEM; without it those of the system.
    pub ca: Option<PathBuf>,
    /// Our certificate and those between it and an authority, as PEM; it needs the key.
    pub cert: Option<PathBuf>,
    /// Our certificate's key, as PEM.
    pub key: Option<PathBuf>,
}

impl TlsFiles {
    /// None yet, of options with these names. [`Default`] calls them `ca`, `cert` and `key`.
    pub const fn named(ca: &'static str, cert: &'static str, key: &'static str) -> Self {
        Self { names: [ca, cert, key], ca: None, cert: None, key: None }
    }

    /// Takes an option's value; `false` if the option is none of these.
    pub fn set(&mut self, option: &str, file: impl Into<PathBuf>) -> bool {
        let Some(index) = self.names.iter().position(|name| *name == option) else { return false };
        *[&mut self.ca, &mut self.cert, &mut self.key][index] = Some(file.into());
        true
    }

    /// Our certificate and its key; `None` if neither is named.
    ///
    /// # Errors
    /// `Config` for one of them alone.
    pub fn certificate(&self) -> Result<Option<(&Path, &Path)>> {
        let [_, cert, key] = self.names;
        match (&self.cert, &self.key) {
            (None, None) => Ok(None),
            (Some(cert), Some(key)) => Ok(Some((cert, key))),
            _ => Err(Error::config(format!("a client certificate needs both options, {cert} and {key}"))),
        }
    }

    /// Whether no file is named.
    pub fn is_empty(&self) -> bool {
        self.ca.is_none() && self.cert.is_none() && self.key.is_none()
    }
}

impl Default for TlsFiles {
    fn default() -> Self {
        Self::named("ca", "cert", "key")
    }
}
