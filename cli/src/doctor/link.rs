//! The link to the broker, without a node behind it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use roomcast::backend::{Backend, Channel, Connect, Outgoing, PublishError};
use roomcast::probe::{Tap, Tapped};
use roomcast::{Bytes, ClusterName, Error, NodeId, Result};

use super::broker;
use super::report::Report;
use crate::context::Context;
use crate::exit::{Failure, hint};
use crate::text::{one_line, size};

/// So many small messages are sent to measure the way.
const ECHOES: usize = 20;
/// A large message is no larger than this.
const LARGE: usize = 1 << 20;
/// A way that takes longer than this is told.
const SLOW: Duration = Duration::from_millis(250);

/// Connects, subscribes to an inbox of its own, and sends itself messages. Returns whether the rest can be checked.
///
/// # Errors
/// When the report cannot be written, or a signal came.
pub(super) async fn check(
    context: &Context,
    report: &mut Report,
    to: &dyn Connect,
    cluster: &str,
) -> Result<bool, Failure> {
    let tap = match Tap::new(1024, 64 << 20).in_cluster(cluster) {
        Ok(tap) => tap,
        Err(error) => {
            report.bad("url", 2, &one_line(&error), "a cluster's name has 1 to 1,024 bytes")?;
            return Ok(false);
        }
    };
    let began = Instant::now();
    let connecting = tokio::time::timeout(context.timeout, to.connect(tap.inbox()));
    let connected = context.unless_stopped(connecting).await?;
    let late =
        |_| Error::new(roomcast::ErrorKind::Timeout, "the broker did not accept the connection within the timeout");
    let backend = match connected.map_err(late).flatten() {
        Ok(backend) => backend,
        Err(error) => {
            let failure = Failure::connecting(&error, &context.place());
            let mend = match hint(error.kind(), &context.place()) {
                mend if mend.is_empty() => "see the URL's options on the page of the backend".to_owned(),
                mend => mend,
            };
            report.bad("connect", failure.code(), &one_line(&error), &mend)?;
            return Ok(false);
        }
    };
    report.good("connect", &format!("the broker accepted the connection within {}", time(began.elapsed())))?;
    let examined = context.unless_stopped(examine(context, report, tap, &backend, cluster)).await;
    let closed = tokio::time::timeout(context.timeout, backend.close()).await;
    let goes_on = examined??;
    if !matches!(closed, Ok(Ok(()))) {
        report.warn(
            "close",
            "the broker did not confirm the end of the connection",
            "nothing, if it is an exception",
        )?;
    }
    Ok(goes_on)
}

/// Asks the broker what it is, uses it, and asks again.
async fn examine(
    context: &Context,
    report: &mut Report,
    mut tap: Tap,
    backend: &Arc<dyn Backend>,
    cluster: &str,
) -> Result<bool, Failure> {
    let mut advised = broker::check(context, report, &**backend).await?;
    let goes_on = probe(context, report, &mut tap, backend, cluster).await?;
    broker::again(context, report, &**backend, &mut advised).await?;
    Ok(goes_on)
}

async fn probe(
    context: &Context,
    report: &mut Report,
    tap: &mut Tap,
    backend: &Arc<dyn Backend>,
    cluster: &str,
) -> Result<bool, Failure> {
    let inbox = Channel::inbox(&ClusterName::new(cluster)?, NodeId::random()?);
    let channels = [inbox.clone()];
    tap.wants().add(&channels);
    match within(context, backend.subscribe(&channels)).await {
        Ok(()) => report.good("subscribe", "the broker lets this login subscribe")?,
        Err(error) => return refused(context, report, "subscribe", &error),
    }
    let mut took = Vec::new();
    for number in 0..ECHOES {
        let began = Instant::now();
        match echo(context, tap, backend, &inbox, format!("echo {number}").into()).await {
            Ok(()) if number == 0 => report.good("publish", "the broker lets this login publish")?,
            Ok(()) => took.push(began.elapsed()),
            Err(error) => return refused(context, report, if number == 0 { "publish" } else { "echo" }, &error),
        }
    }
    took.sort();
    let median = took[took.len() / 2];
    let text = format!("a message comes back within {} (median of {})", time(median), took.len());
    if median < SLOW {
        report.good("echo", &text)?;
    } else {
        report.warn("echo", &text, "is the broker far away, or overloaded? Nodes wait for it with each message")?;
    }
    let limits = backend.limits();
    let large = limits.max_frame.min(LARGE);
    let whole = if large == limits.max_frame { ", the largest of this link," } else { "" };
    match echo(context, tap, backend, &inbox, noise(large)).await {
        Ok(()) => report.good("large", &format!("a message of {}{whole} comes back whole", size(large)))?,
        Err(error) => {
            let mend =
                format!("raise the broker's limits to messages of {}, and those of proxies between", size(large));
            report.bad("large", Failure::from(error.clone()).code(), &one_line(&error), &mend)?;
        }
    }
    let can = backend.capabilities();
    let order = if can.ordered {
        "the broker keeps the order of each publisher"
    } else {
        "nodes restore the order: the broker keeps none"
    };
    let replay = if can.replays {
        "it replays what a node missed"
    } else {
        "it replays nothing: nodes ask each other for what they miss"
    };
    report.good("order", &format!("{order}; {replay}"))?;
    Ok(true)
}

/// Says that something is not possible, and what may be the reason.
fn refused(context: &Context, report: &mut Report, check: &str, error: &Error) -> Result<bool, Failure> {
    let failure = Failure::connecting(error, &context.place());
    let mend = match error.kind() {
        roomcast::ErrorKind::Denied => permissions(&context.place()),
        roomcast::ErrorKind::Unavailable => "the broker was there a moment ago: see its log",
        roomcast::ErrorKind::Timeout => {
            "a subscription or a message got lost on the way: does a pooler or a proxy stand between?"
        }
        _ => "see the limits on the page of the backend",
    };
    report.bad(check, failure.code(), &one_line(error), mend)?;
    Ok(false)
}

/// What a login needs, by the scheme.
fn permissions(place: &str) -> &'static str {
    match place.split(':').next().unwrap_or_default() {
        scheme if scheme.ends_with("+streams") => {
            "ACL SETUSER NAME ~rc.* +xadd +xread +xrange +xinfo|stream +expire +time +ping +hello +client +quit"
        }
        scheme if scheme.ends_with("+cluster") => {
            "ACL SETUSER NAME &{roomcast}rc.* +spublish +ssubscribe +sunsubscribe +cluster|slots +role +ping +hello +client +quit; another option tag is another prefix"
        }
        "nats" | "tls" => "let the user publish and subscribe to rc.>",
        "amqp" | "amqps" => "rabbitmqctl set_permissions -p VHOST USER '^roomcast' '^roomcast' '^roomcast'",
        "postgres" | "postgresql" => "let the role connect to the database: LISTEN and NOTIFY need no other right",
        _ => {
            "ACL SETUSER NAME &rc.* +publish +subscribe +unsubscribe +ping +hello +client +quit; sharded and streams need more: see the page of the backend"
        }
    }
}

/// Publishes, and waits until that comes back.
async fn echo(
    context: &Context,
    tap: &mut Tap,
    backend: &Arc<dyn Backend>,
    channel: &Channel,
    payload: Bytes,
) -> Result<()> {
    let back = async {
        let outgoing = [Outgoing::new(channel.clone(), payload.clone())];
        backend.publish(&outgoing).await.map_err(|error| match error {
            PublishError::Refused { kind, .. } => Error::new(kind, "the broker refuses the message"),
            PublishError::Unknown(error) | PublishError::NotNow(error) => error,
            other => Error::new(roomcast::ErrorKind::Unexpected, other.to_string()),
        })?;
        loop {
            match tap.next().await {
                Tapped::Frame(_, came) if came == payload => return Ok(()),
                Tapped::Frame(..) | Tapped::Up(_) => {}
                Tapped::Down(reason) => return Err(Error::unavailable(format!("the link broke: {reason}"))),
                Tapped::Refused(kind, reason) => return Err(Error::new(kind, reason.to_string())),
            }
        }
    };
    within(context, back).await
}

async fn within<T>(context: &Context, work: impl Future<Output = Result<T>>) -> Result<T> {
    let late = |_| Error::new(roomcast::ErrorKind::Timeout, "nothing came back within the timeout");
    tokio::time::timeout(context.timeout, work).await.map_err(late)?
}

/// Bytes that nothing makes shorter on the way.
fn noise(size: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..size).map(|_| next()).collect()
}

/// A time for people.
pub(super) fn time(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1000.0;
    match ms {
        ..10.0 => format!("{ms:.2} ms"),
        ..10_000.0 => format!("{ms:.0} ms"),
        _ => format!("{:.0} s", ms / 1000.0),
    }
}
