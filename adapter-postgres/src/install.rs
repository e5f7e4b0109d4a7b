//! The function by which SQL emits.

use roomcast_core::{Error, ErrorKind, Result};

use crate::config::Place;
use crate::connection::Connection;
use crate::error::error;

pub(crate) const MIGRATION: &str = include_str!("../migration.sql");

/// Runs the migration.
pub(crate) async fn install(place: &Place) -> Result<()> {
    let connection = Connection::open(place, None).await?;
    connection.client.batch_execute(MIGRATION).await.map_err(|cause| {
        let error = error(cause);
        if error.kind() != ErrorKind::Denied {
            return error;
        }
        let text =
            "the PostgreSQL role is not allowed to create functions in its schema: let the schema's owner run the migration";
        Error::new(ErrorKind::Denied, text).with_source(error)
    })
}
