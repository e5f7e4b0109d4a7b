//! One connection to the server, watched.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ProtocolVersion, RedisConnectionInfo, Value};
use roomcast_core::backend::tls::refusal;
use roomcast_core::backend::{Credentials, HostPort, InPlace, Pulse, Renewal, Silence, Wire, tcp};
use roomcast_core::{Error, Result};
use socket2::{SockRef, TcpKeepalive};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::config::Dial;
use crate::description::Hello;
use crate::error::error;
use crate::intake::Intake;

/// How long a connection may take, login included.
pub(crate) const DIAL: Duration = Duration::from_secs(2);
/// How long an answer may take that carries nothing large.
pub(crate) const RESPONSE: Duration = Duration::from_secs(2);
/// How often we look once a sign of life was asked for.
const TICK: Duration = Duration::from_millis(250);
/// A node's heartbeats come as often as we look, so that nothing has to be asked then.
const SILENCE: Silence = Silence::new(Duration::from_secs(1), TICK, 7);

/// One connection with the task that drives it, which ends with this value.
pub(crate) struct Connection {
    pub(crate) client: MultiplexedConnection,
    pulse: Arc<Pulse>,
    /// What reads and writes the socket.
    pub(crate) driver: InPlace,
    ended: JoinHandle<()>,
}

/// What pings one connection.
pub(crate) struct Watch {
    client: MultiplexedConnection,
    pulse: Arc<Pulse>,
}

impl Connection {
    /// Connects to this server and logs in.
    ///
    /// # Errors
    /// `Config`, `Denied`, `Unavailable`.
    pub(crate) async fn open(dial: &Dial, address: &HostPort) -> Result<Self> {
        Self::with_pulse(dial, address, Arc::default(), None).await
    }

    /// The same, with a pulse of the caller's; what the server pushes goes to the intake.
    ///
    /// # Errors
    /// The same.
    pub(crate) async fn with_pulse(
        dial: &Dial,
        address: &HostPort,
        pulse: Arc<Pulse>,
        to: Option<Arc<Intake>>,
    ) -> Result<Self> {
        let late =
            |_| Error::unavailable(format!("the Redis server at {address} has not answered in {} s", DIAL.as_secs()));
        timeout(DIAL, Self::dial(dial, address, pulse, to)).await.map_err(late)?
    }

    async fn dial(dial: &Dial, address: &HostPort, pulse: Arc<Pulse>, to: Option<Arc<Intake>>) -> Result<Self> {
        let gone =
            |cause| Error::unavailable(format!("the Redis server at {address} cannot be reached")).with_source(cause);
        let no_tls =
            |kind| Error::new(kind, format!("no TLS session with the Redis server at {address}: see ca, cert and key"));
        let tcp = tcp(&address.host, address.port, DIAL * 3 / 4).await.map_err(gone)?;
        // Beside our own pings, so that the kernel, too, gives up a peer that has gone.
        let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(5)).with_interval(Duration::from_secs(2));
        SockRef::from(&tcp).set_tcp_keepalive(&keepalive).map_err(gone)?;
        let wire = Wire::over(tcp, dial.tls.as_ref(), &address.host, Arc::clone(&pulse)).await;
        let stream = wire.map_err(|cause| match refusal(&cause) {
            Some(kind) => no_tls(kind).with_source(cause),
            None => gone(cause),
        })?;
        // How long a publish may take is the core's to say: it knows the bytes.
        let mut settings = AsyncConnectionConfig::new().set_response_timeout(None);
        if let Some(intake) = to {
            settings = settings.set_push_sender(move |push| {
                intake.take(push);
                Ok::<_, ()>(())
            });
        }
        let made = MultiplexedConnection::new_with_config(&login(dial), stream, settings).await;
        let (mut client, driver) = made.map_err(|cause| match refusal(&cause) {
            Some(kind) => no_tls(kind).with_source(cause),
            None => error(cause),
        })?;
        let (driver, ended) = InPlace::spawn(driver);
        // For CLIENT LIST alone: a server that does not permit it is as good.
        let mut name = redis::cmd("CLIENT");
        name.arg("SETNAME").arg(&dial.name).set_no_response(true);
        let _ = client.send_packed_command(&name).await;
        Ok(Self { client, pulse, driver, ended })
    }

    /// Waits until the server has closed the connection.
    ///
    /// # Cancel safety
    /// Safe; not to be called again once it has returned.
    pub(crate) async fn ended(&mut self) {
        // A panic of the driver ends the connection as well.
        let _ = (&mut self.ended).await;
    }

    pub(crate) fn watch(&self) -> Watch {
        Watch { client: self.client.clone(), pulse: Arc::clone(&self.pulse) }
    }

    /// One command and its answer.
    ///
    /// # Errors
    /// What the server or the connection says; a time-out.
    pub(crate) async fn call(&mut self, command: &redis::Cmd) -> Result<Value, redis::RedisError> {
        in_time(self.client.send_packed_command(command)).await?.extract_error()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.ended.abort(); // and the socket with it
    }
}

impl Watch {
    /// Returns when the server has been silent for too long although it was asked.
    pub(crate) async fn silence(self) {
        let ask = || {
            let mut client = self.client.clone();
            async move {
                let mut ping = redis::cmd("PING");
                ping.set_no_response(true);
                // It fails if the connection has ended, which others see, or its queue is full, which asks enough.
                let _ = timeout(TICK, client.send_packed_command(&ping)).await;
            }
        };
        SILENCE.of(&self.pulse, ask, |_| false).await;
    }
}

/// Logs in with the next login on open connections: with RESP3 the one that subscribes takes it as well.
///
/// # Errors
/// Those of [`Credentials::login`] and of the server; a time-out.
pub(crate) async fn renew(connections: [&MultiplexedConnection; 2], credentials: &Credentials) -> Result<Renewal> {
    let login = credentials.login().await?;
    let mut auth = redis::cmd("AUTH");
    auth.arg(login.user).arg(login.password);
    for connection in connections {
        let mut connection = connection.clone();
        let answer = in_time(connection.send_packed_command(&auth)).await;
        answer.and_then(Value::extract_error).map_err(error)?;
    }
    Ok(Renewal::Until(login.expires))
}

/// Bounds what the server is asked.
///
/// # Errors
/// Those of the question; a time-out.
pub(crate) async fn in_time<T>(
    question: impl Future<Output = Result<T, redis::RedisError>>,
) -> Result<T, redis::RedisError> {
    timeout(RESPONSE, question).await.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
}

/// Asks the server for its role and what it is. `HELLO` says the role too, and needs no right of its own, as `ROLE` does.
///
/// # Errors
/// Those of the question; a time-out.
pub(crate) async fn hello(client: &mut MultiplexedConnection) -> Result<Hello, redis::RedisError> {
    let mut hello = redis::cmd("HELLO");
    hello.arg("3");
    Ok(Hello::read(&in_time(client.send_packed_command(&hello)).await?.extract_error()?))
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
