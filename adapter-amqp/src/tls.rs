//! TLS over a socket of ours, since the client's own brings more than it needs.

pub(crate) use adapter_core::tls::{Tls, refusal};
