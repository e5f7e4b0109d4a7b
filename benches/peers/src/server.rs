//! One socketioxide server, whatever its adapter.

use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use socketioxide::adapter::Adapter;
use socketioxide::layer::SocketIoLayer;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::Failed;

/// So many packets may wait for one client: none of what is measured is about slow ones.
pub const BUFFER: usize = 1 << 19;

/// A server that serves. Dropping it ends it.
#[derive(Debug)]
pub struct Server {
    /// Where it serves.
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Serves on a free port of loopback.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start<A: Adapter>(layer: SocketIoLayer<A>) -> Result<Self, Failed> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let router: Router = Router::new().layer(layer);
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                eprintln!("the server ended: {error}");
            }
        });
        Ok(Self { address, task })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}
