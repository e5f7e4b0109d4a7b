//! TLS for authors of backends, with the cargo feature `tls`. Without it, as here, a backend that uses it compiles all the same.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::io;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::kit::{TlsFiles, Verification};
use crate::model::{Error, ErrorKind, Result};

/// How to speak TLS with every server of one configuration. Without the cargo feature `tls` there is none.
#[derive(Clone, Debug)]
pub struct Tls(Infallible);

impl Tls {
    /// Refuses.
    ///
    /// # Errors
    /// `Config`, always: it names the feature.
    pub fn from_files(files: &TlsFiles) -> Result<Self> {
        Self::verifying(files, Verification::Full)
    }

    /// Refuses.
    ///
    /// # Errors
    /// `Config`, always: it names the feature.
    pub fn verifying(_: &TlsFiles, _: Verification) -> Result<Self> {
        Err(Error::config("TLS needs the cargo feature \"tls\" of roomcast-core"))
    }

    /// Never called: there is nothing to call it on.
    ///
    /// # Errors
    /// None.
    pub async fn connect<S: AsyncRead + AsyncWrite + Send + Unpin>(
        &self,
        _: &str,
        stream: S,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + use<S>> {
        Ok(stream)
    }
}

/// `None`: nothing here speaks TLS.
pub fn refusal(_: &(dyn StdError + 'static)) -> Option<ErrorKind> {
    None
}
