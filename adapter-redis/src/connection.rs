//! One connection to the server, watched.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, ProtocolVersion, RedisConnectionInfo, RedisError, Value};
use roomcast_core::backend::tls::Tls;
use roomcast_core::backend::{Driver, HostPort, Login, Pulse, Silence, Wire, tcp};
use roomcast_core::{Error, Result};
use tokio::time::timeout;

use crate::error::connecting;
use crate::intake::Intake;

/// How long a connection may take, login included.
pub(crate) const DIAL: Duration = Duration::from_secs(2);
/// How long an answer may take that carries nothing large.
pub(crate) const RESPONSE: Duration = Duration::from_secs(2);
/// How often we look once a sign of life was asked for.
const TICK: Duration = Duration::from_millis(250);
/// A node's heartbeats come as often as we look, so that nothing has to be asked then.
const SILENCE: Silence = Silence::new(Duration::from_secs(1), TICK, 7);

/// What every connection of one link needs.
#[derive(Clone)]
pub(crate) struct Dial {
    pub(crate) login: Login,
    pub(crate) tls: Option<Tls>,
    /// What the connections are called on the server.
    pub(crate) name: String,
}

/// One connection with the task that drives it.
pub(crate) struct Connection {
    pub(crate) client: MultiplexedConnection,
    pub(crate) pulse: Arc<Pulse>,
    /// What reads and writes the socket.
    pub(crate) driver: Driver,
}

impl Connection {
    /// Connects to this server and logs in. What the server pushes goes to the intake.
    ///
    /// # Errors
    /// `Config`, `Denied`, `Unavailable`.
    pub(crate) async fn open(dial: &Dial, address: &HostPort, intake: Option<Arc<Intake>>) -> Result<Self> {
        match timeout(DIAL, Self::dial(dial, address, intake)).await {
            Ok(made) => made.map_err(|cause| connecting(address, cause)),
            Err(_) => {
                let limit = DIAL.as_secs();
                Err(Error::unavailable(format!("the Redis server at {address} has not answered in {limit} s")))
            }
        }
    }

    async fn dial(dial: &Dial, address: &HostPort, intake: Option<Arc<Intake>>) -> Result<Self, RedisError> {
        let pulse = intake.as_ref().map(|intake| Arc::clone(&intake.pulse)).unwrap_or_default();
        let tcp = tcp(&address.host, address.port, DIAL * 3 / 4).await?;
        let wire = Wire::over(tcp, dial.tls.as_ref(), &address.host, Arc::clone(&pulse)).await?;
        // How long a publish may take is the core's to say: it knows the bytes.
        let mut settings = AsyncConnectionConfig::new().set_response_timeout(None);
        if let Some(intake) = intake {
            settings = settings.set_push_sender(move |push| {
                intake.take(push);
                Ok::<_, ()>(())
            });
        }
        let (mut client, driver) = MultiplexedConnection::new_with_config(&login(dial), wire, settings).await?;
        let driver = Driver::spawn(driver);
        // For CLIENT LIST alone: a server that does not permit it is as good.
        let mut name = redis::cmd("CLIENT");
        name.arg("SETNAME").arg(&dial.name).set_no_response(true);
        let _ = client.send_packed_command(&name).await;
        Ok(Self { client, pulse, driver })
    }

    /// Waits until the connection is of no use any more; returns what has become of it.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn ends(&self) -> &'static str {
        let Self { client, pulse, driver } = self;
        let ask = || async {
            let mut ping = redis::cmd("PING");
            ping.set_no_response(true);
            // It fails if the connection has ended, which is seen anyway, or its queue is full, which asks enough.
            let _ = timeout(TICK, client.clone().send_packed_command(&ping)).await;
        };
        tokio::select! {
            () = driver.ended() => "was closed", // or its driver has panicked
            () = SILENCE.of(pulse, ask, |_| false) => "is silent",
        }
    }

    /// As [`call`].
    pub(crate) async fn call(&self, words: &[&str]) -> Result<Value, RedisError> {
        call(&self.client, words).await
    }
}

/// One command, in words, and its answer.
///
/// # Errors
/// What the server or the connection says; a time-out.
pub(crate) async fn call(client: &MultiplexedConnection, words: &[&str]) -> Result<Value, RedisError> {
    let mut command = Cmd::new();
    command.arg(words);
    in_time(client.clone().send_packed_command(&command)).await?.extract_error()
}

/// Bounds what the server is asked.
///
/// # Errors
/// Those of the question; a time-out.
pub(crate) async fn in_time<T>(question: impl Future<Output = Result<T, RedisError>>) -> Result<T, RedisError> {
    timeout(RESPONSE, question).await.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
}

fn login(dial: &Dial) -> RedisConnectionInfo {
    let mut login = RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP3)
        .set_lib_name("roomcast", env!("CARGO_PKG_VERSION"));
    if let Some(user) = &dial.login.user {
        login = login.set_username(user);
    }
    if let Some(password) = &dial.login.password {
        login = login.set_password(password);
    }
    login
}
