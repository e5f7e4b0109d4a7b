//! The answers of sockets, here and on other nodes.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_core::stream::FusedStream;
use roomcast_core::{AckError, AckStream, MissingReason};
use serde::Serialize;
use serde::de::value::Error as Unreadable;
use serde::de::{DeserializeOwned, IntoDeserializer};
use serde_json::json;
use socketioxide_core::adapter::SocketEmitter;
use socketioxide_core::{Sid, Value};

use crate::asked::Asked;
use crate::reader::Reader;
use crate::sockets::LocalAcks;

/// The replies to a broadcast: one item for each socket that was asked, on every node, failures included.
///
/// What applications see is socketioxide's own `AckStream` around it. Dropping it drops the replies that are still to come.
pub struct Acks<E: SocketEmitter> {
    local: LocalAcks<E>,
    remote: Option<(AckStream, Asked)>,
    /// The socket that alone was asked, until it has answered: it gets an answer in any case.
    only: Option<Sid>,
    reader: Arc<Reader>,
}

impl<E: SocketEmitter> Acks<E> {
    pub(crate) fn new(
        local: LocalAcks<E>,
        remote: Option<(AckStream, Asked)>,
        only: Option<Sid>,
        reader: Arc<Reader>,
    ) -> Self {
        Self { local, remote, only, reader }
    }

    fn poll_remote(&mut self, cx: &mut Context<'_>) -> Poll<Option<<Self as Stream>::Item>> {
        while let Some((remote, asked)) = &mut self.remote {
            let Some(ack) = std::task::ready!(Pin::new(&mut *remote).poll_next(cx)) else {
                // One that ran out of time is no news: so did its sockets, and they are told.
                let ended = remote.missing().into_iter().filter(|missing| missing.reason != MissingReason::Timeout);
                asked.log(&ended.collect::<Vec<_>>());
                self.remote = None;
                break;
            };
            // A socket of another kind of server has an id that socketioxide has no words for.
            let Ok(socket) = ack.socket.as_str().parse() else { continue };
            let answer = match ack.answer {
                Ok(data) => self.reader.answer(&data).ok_or_else(|| AckError::Other(decode_error("not readable here"))),
                Err(why) => Err(why),
            };
            match answer.map_err(|why| from_wire(&why)) {
                Ok(value) => return Poll::Ready(Some((socket, Ok(value)))),
                Err(Some(error)) => return Poll::Ready(Some((socket, Err(error)))),
                Err(None) => {}
            }
        }
        Poll::Ready(None)
    }
}

impl<E: SocketEmitter> Stream for Acks<E> {
    type Item = (Sid, Result<Value, E::AckError>);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        // Whenever this waits, both halves have been polled, so that each of them can wake the task.
        let next = match Pin::new(&mut this.local).poll_next(cx) {
            Poll::Ready(Some(answer)) => Some(answer),
            Poll::Ready(None) => std::task::ready!(this.poll_remote(cx)),
            Poll::Pending => match this.poll_remote(cx) {
                Poll::Ready(Some(answer)) => Some(answer),
                _ => return Poll::Pending,
            },
        };
        let gone = |socket| Some((socket, Err(from_wire(&AckError::Gone)?)));
        let silent = this.only.take();
        Poll::Ready(next.or_else(|| silent.and_then(gone)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let here = self.local.iter().map(|part| part.size_hint().0).sum::<usize>();
        (here + self.remote.as_ref().map_or(0, |(remote, _)| remote.expected().len()), None)
    }
}

impl<E: SocketEmitter> FusedStream for Acks<E> {
    fn is_terminated(&self) -> bool {
        self.local.is_terminated() && self.remote.is_none() && self.only.is_none()
    }
}

impl<E: SocketEmitter> std::fmt::Debug for Acks<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acks").field("remote", &self.remote).finish_non_exhaustive()
    }
}

/// The error of an answer, as the core carries it.
pub(crate) fn to_wire(error: &impl Serialize) -> AckError {
    match serde_json::to_value(error) {
        Ok(error) if error == json!("Timeout") => AckError::Timeout,
        Ok(error) if error == json!({ "Socket": "Closed" }) => AckError::Gone,
        Ok(error) => AckError::Other(error.to_string()),
        Err(error) => AckError::Other(decode_error(&error.to_string())),
    }
}

/// Whether a socket was not asked since its buffer was full.
pub(crate) fn is_full(error: &impl Serialize) -> bool {
    to_wire(error) == full()
}

/// The same error, as the core carries it.
pub(crate) fn full() -> AckError {
    AckError::Other(json!({ "Socket": "InternalChannelFull" }).to_string())
}

/// The same as socketioxide's type, which has no other way to be made here; `None` if that has no such error.
pub(crate) fn from_wire<A: DeserializeOwned>(error: &AckError) -> Option<A> {
    match error {
        AckError::Timeout => A::deserialize(IntoDeserializer::<Unreadable>::into_deserializer("Timeout")).ok(),
        AckError::Gone => serde_json::from_value(json!({ "Socket": "Closed" })).ok(),
        AckError::Other(text) => serde_json::from_str(text).or_else(|_| serde_json::from_str(&decode_error(text))).ok(),
        _ => serde_json::from_str(&decode_error("an error that this version does not know")).ok(),
    }
}

/// socketioxide's error for an answer that cannot be decoded, in its serde form.
pub(crate) fn decode_error(text: &str) -> String {
    json!({ "Decode": text }).to_string()
}

#[cfg(test)]
mod tests {
    use socketioxide::{AckError as Upstream, SocketError};

    use super::*;

    #[test]
    fn upstreams_errors_come_back_as_they_were() {
        let there_and_back = |error| from_wire::<Upstream>(&to_wire(&error)).expect("known");
        assert_eq!(to_wire(&Upstream::Timeout), AckError::Timeout);
        assert_eq!(to_wire(&Upstream::Socket(SocketError::Closed)), AckError::Gone);
        assert!(matches!(there_and_back(Upstream::Timeout), Upstream::Timeout));
        assert!(matches!(there_and_back(Upstream::Socket(SocketError::Closed)), Upstream::Socket(SocketError::Closed)));
        let full = there_and_back(Upstream::Socket(SocketError::InternalChannelFull));
        assert!(matches!(full, Upstream::Socket(SocketError::InternalChannelFull)));
    }

    #[test]
    fn errors_of_other_servers_are_decode_errors() {
        for text in ["", "no json", "{\"Decode\":\"bad\"}", "[[[", "{\"Else\":1}"] {
            let error = from_wire::<Upstream>(&AckError::Other(text.to_owned()));
            assert!(matches!(error, Some(Upstream::Decode(_))), "{text}");
        }
    }
}
