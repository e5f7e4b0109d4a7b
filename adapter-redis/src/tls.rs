//! TLS, as the core knows it.

pub(crate) use adapter_core::tls::{Tls, refusal};
