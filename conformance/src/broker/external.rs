//! A broker that runs elsewhere.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::timeout;

use super::probe::Target;
use super::recipe::Probe;
use super::url::Url;
use super::{MissingBroker, Recipe, command, probe};

const LIMIT: Duration = Duration::from_secs(5);

/// Asks the broker at this URL for its version, and gives the addresses of its servers.
pub(super) async fn connect(recipe: &Recipe, url: &Url) -> Result<(Vec<SocketAddr>, String), MissingBroker> {
    let missing = |why: String| MissingBroker::new(&*recipe.name, format!("the external broker: {why}"));
    let (owned, port) = (url.clone(), default_port(&recipe.probe));
    let addresses = command::blocking(move || owned.resolve(port)).await.map_err(missing)?;
    let target = Target { address: addresses[0], url: Some(url) };
    // By TLS, or by another way in which we do not speak: that it accepts has to do.
    let asked = async {
        if recipe.is_plain(url) {
            probe::ask(&target, &recipe.probe, addresses.len()).await
        } else {
            probe::accepts(&target).await
        }
    };
    let version = timeout(LIMIT, asked).await.unwrap_or_else(|_| Err(format!("no answer within {LIMIT:?}")));
    Ok((addresses, version.map_err(missing)?))
}

fn default_port(probe: &Probe) -> u16 {
    match probe {
        Probe::Accepts => 0,
        Probe::Redis | Probe::RedisCluster => 6379,
        Probe::Nats => 4222,
        Probe::Postgres => 5432,
        Probe::Answer { port, .. } | Probe::Ask { port, .. } => *port,
    }
}
