//! TLS over a socket of ours, since the client's own brings more than it needs.

use std::error::Error as StdError;

use adapter_core::tls::rustls;
use adapter_core::{ErrorKind, causes};

pub(crate) use adapter_core::tls::Tls;

/// What TLS says under this error, if it does: the broker refuses our certificate, or we refuse its. The broker's word may
/// come after the handshake, in the place of its first answer.
pub(crate) fn is_refusal(cause: &(dyn StdError + 'static)) -> Option<ErrorKind> {
    causes(cause).find_map(|cause| match cause.downcast_ref()? {
        rustls::Error::AlertReceived(_) => Some(ErrorKind::Denied),
        _ => Some(ErrorKind::Config),
    })
}
