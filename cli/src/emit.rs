//! `roomcast emit`.

use roomcast::{Ack, Cluster, Packet};
use serde_json::{Map, Value, json};

use crate::context::{Context, look_around, name_missing};
use crate::exit::{Done, Failure};
use crate::packet;
use crate::selection::Selection;
use crate::text::{shown, shown_bytes};

/// Emits an event, text or binary data to the sockets of a namespace, on every node.
///
/// Without --ack this command is no node of the cluster: it hands one message to the broker. With --ack it joins while it waits:
/// the other nodes see one more node, which has no sockets.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    selection: Selection,
    /// The event's name.
    #[arg(required_unless_present_any = ["text", "opaque"], value_name = "EVENT")]
    event: Option<String>,
    /// The event's arguments, each as JSON: '"text"', 42, '{"a":1}'.
    #[arg(value_name = "JSON")]
    arguments: Vec<String>,
    /// Emits this text as it is, instead of an event, to clients of WebSocket servers. Servers of Socket.IO cannot read it.
    #[arg(long, value_name = "TEXT", conflicts_with = "event")]
    text: Option<String>,
    /// The same as binary data.
    #[arg(long, value_name = "BYTES", conflicts_with_all = ["event", "text"])]
    opaque: Option<String>,
    /// Asks each socket for a reply, and waits up to --timeout seconds.
    #[arg(long)]
    ack: bool,
}

/// Emits.
///
/// # Errors
/// What connecting or emitting says.
pub(crate) async fn run(context: &Context, args: Args) -> Result<Done, Failure> {
    let packet = match (&args.text, &args.opaque, &args.event) {
        (Some(text), ..) => Packet::text(text),
        (_, Some(bytes), _) => Packet::opaque(bytes.clone()),
        (None, None, event) => packet::event(event.as_deref().unwrap_or_default(), &args.arguments)?,
    };
    if args.ack {
        return context.as_node(async |cluster| ask(context, cluster, &args.selection, packet).await).await;
    }
    let emitter = context.emitter().await?;
    let sent = context.unless_stopped(async { args.selection.of_emitter(&emitter)?.emit(packet).await }).await;
    let closed = emitter.close().await;
    sent??;
    closed?;
    let Selection { namespace, rooms, except } = &args.selection;
    let to = if rooms.is_empty() { Value::Null } else { json!(rooms) };
    context.out.result(
        || format!("the broker has it, for {} in {}", to_whom(rooms, except), shown(namespace)),
        || json!({ "type": "sent", "namespace": namespace, "to": to, "except": except }),
    )?;
    Ok(Done::Complete)
}

/// Emits and gathers the answers as they come.
async fn ask(context: &Context, cluster: &Cluster, selection: &Selection, packet: Packet) -> Result<Done, Failure> {
    look_around(cluster).await?;
    let mut acks = selection.of_node(cluster, context.timeout)?.emit_with_ack(packet).await?;
    let nodes = cluster.nodes();
    let mut answered = 0;
    while let Some(Ack { node, socket, answer, .. }) = acks.next().await {
        let name = nodes.iter().find(|known| known.id == node).map_or_else(String::new, |known| shown(&known.name));
        answered += usize::from(answer.is_ok());
        let text = match &answer {
            Ok(data) => shown_bytes(data),
            Err(error) => shown(&error.to_string()),
        };
        context.out.result(
            || format!("{}  {name}  {text}", shown(socket.as_str())),
            || {
                let mut object = Map::new();
                object.insert("type".to_owned(), json!("ack"));
                object.insert("node".to_owned(), json!(node.to_string()));
                object.insert("socket".to_owned(), json!(socket.as_str()));
                match &answer {
                    Ok(data) => object.insert("answer".to_owned(), packet::value_of(data)),
                    Err(error) => object.insert("error".to_owned(), json!(error.to_string())),
                };
                object.into()
            },
        )?;
    }
    let (asked, missing) = (acks.asked(), acks.missing());
    context.out.result(
        || format!("{answered} of {asked} sockets answered"),
        || json!({ "type": "acks", "asked": asked, "answered": answered, "missing": missing }),
    )?;
    name_missing(&missing);
    Ok(Done::complete(answered == asked && missing.is_empty()))
}

/// The sockets that a selection means, for people.
pub(crate) fn to_whom(rooms: &[impl AsRef<str>], except: &[impl AsRef<str>]) -> String {
    let list = |rooms: Vec<&str>| shown(&rooms.join(", "));
    let to = if rooms.is_empty() { "everyone".to_owned() } else { list(rooms.iter().map(AsRef::as_ref).collect()) };
    if except.is_empty() {
        return to;
    }
    format!("{to} except {}", list(except.iter().map(AsRef::as_ref).collect()))
}
