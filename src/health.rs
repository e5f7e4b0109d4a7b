//! Health checks over HTTP, for load balancers, Kubernetes and people.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use roomcast_core::{Cluster, NodeState, Status};

/// An axum router with three routes. Put it on a port that only your operators reach, since `/status` names your nodes:
///
/// | route | 200 when | else |
/// |---|---|---|
/// | `/livez` | the node runs | 503 once [`Cluster::close`] has begun, or when the node's own tasks have ended |
/// | `/readyz` | the node hears the cluster and the cluster hears it | 503 with the reason, while it joins, is cut off, or is closed |
/// | `/status` | always, with [`Cluster::status`] as JSON | |
///
/// A node that is cut off from the broker still serves its own sockets. Make `/readyz` the readiness probe if clients should go to other
/// servers meanwhile, and `/livez` if they should stay: an outage of the broker makes every node unready at once, and then a load
/// balancer that obeys has nowhere to send anybody. Never make `/readyz` the liveness probe: restarting servers does not mend a broker.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let cluster = roomcast::connect("memory://health").await?;
/// let app: axum::Router = axum::Router::new().merge(roomcast::health::router(cluster.clone()));
/// # drop(app); cluster.close().await?; Ok(()) }
/// ```
pub fn router<S: Clone + Send + Sync + 'static>(cluster: Cluster) -> Router<S> {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/status", get(status))
        .with_state(cluster)
}

async fn livez(State(cluster): State<Cluster>) -> Response {
    match cluster.status().state {
        NodeState::Closed => (StatusCode::SERVICE_UNAVAILABLE, "this node has left the cluster\n").into_response(),
        _ => "the node runs\n".into_response(),
    }
}

async fn readyz(State(cluster): State<Cluster>) -> Response {
    let status = cluster.status();
    match why_not_ready(&status) {
        None => format!("ready: {} nodes\n", status.nodes.len() + 1).into_response(),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason).into_response(),
    }
}

fn why_not_ready(status: &Status) -> Option<String> {
    let cause = status.last_error.as_deref().unwrap_or("no error so far");
    let seconds = status.state_for.as_secs();
    match status.state {
        NodeState::Up => None,
        NodeState::Joining => Some(format!("for {seconds} s this node has waited for the broker: {cause}\n")),
        NodeState::Degraded => Some(format!("for {seconds} s this node has been cut off: {cause}\n")),
        _ => Some("this node has left the cluster\n".to_owned()),
    }
}

async fn status(State(cluster): State<Cluster>) -> Json<Status> {
    Json(cluster.status())
}
