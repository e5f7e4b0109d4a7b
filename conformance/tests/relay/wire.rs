//! What the relay and its clients say to each other.

use std::io::{Error, ErrorKind, Result};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The first byte of a client that is none of Redis.
pub(crate) const HELLO: u8 = b'r';
/// To all who subscribed to the channel.
pub(crate) const PUBLISH: u8 = 0;
/// What is published on the channel from now on.
pub(crate) const SUBSCRIBE: u8 = 1;
/// No more of it.
pub(crate) const UNSUBSCRIBE: u8 = 2;
/// Echoed, once everything before it was done.
pub(crate) const SYNC: u8 = 3;
/// The same, and what was published before it was refused.
pub(crate) const FULL: u8 = 4;

/// Kind (1 byte), length of the channel (1), length of the payload (4), channel, payload.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) kind: u8,
    pub(crate) channel: String,
    pub(crate) payload: Bytes,
}

impl Message {
    pub(crate) fn new(kind: u8, channel: &str, payload: Bytes) -> Self {
        Self { kind, channel: channel.to_owned(), payload }
    }

    pub(crate) fn encode(&self, out: &mut BytesMut) {
        out.put_u8(self.kind);
        out.put_u8(u8::try_from(self.channel.len()).unwrap_or(u8::MAX)); // names have 63 bytes at most
        out.put_u32(u32::try_from(self.payload.len()).unwrap_or(u32::MAX));
        out.put_slice(self.channel.as_bytes());
        out.put_slice(&self.payload);
    }

    pub(crate) async fn read(reader: &mut (impl AsyncRead + Unpin)) -> Result<Self> {
        let kind = reader.read_u8().await?;
        let mut channel = vec![0; usize::from(reader.read_u8().await?)];
        let len = usize::try_from(reader.read_u32().await?).map_err(Error::other)?;
        if len > 1 << 24 {
            return Err(ErrorKind::InvalidData.into());
        }
        reader.read_exact(&mut channel).await?;
        let mut payload = vec![0; len];
        reader.read_exact(&mut payload).await?;
        let channel = String::from_utf8_lossy(&channel).into_owned();
        Ok(Self { kind, channel, payload: payload.into() })
    }
}
