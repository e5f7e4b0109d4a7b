//! What stands for TLS when the cargo feature `tls` is off: nothing that could be made.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::io;

use adapter_core::{Error, ErrorKind, Result, TlsFiles};
use tokio::net::TcpStream;

/// Never made.
#[derive(Clone, Debug)]
pub(crate) struct Tls(Infallible);

impl Tls {
    /// # Errors
    /// `Config`, always: it names the feature.
    pub(crate) fn from_files(_: &TlsFiles) -> Result<Self> {
        Err(Error::config("amqps:// needs the cargo feature \"tls\" of adapter-amqp (\"amqp-tls\" of roomcast)"))
    }

    pub(crate) async fn connect(&self, _: &str, _: TcpStream) -> io::Result<TcpStream> {
        match self.0 {}
    }
}

pub(crate) fn refusal(_: &(dyn StdError + 'static)) -> Option<ErrorKind> {
    None
}
