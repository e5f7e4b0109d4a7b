//! What a broker says first: the client reads it, and keeps it to itself.

use std::sync::{Arc, OnceLock};

use lapin::protocol::{AMQPClass, connection::AMQPMethod, parse_class};
use lapin::types::AMQPValue;
use roomcast_core::backend::BrokerInfo;

/// A greeting is a few hundred bytes. What is longer is not looked at.
const LONGEST: usize = 16 << 10;
/// Type, channel and length of a frame.
const HEAD: usize = 7;

/// What a broker has said of itself, once it has.
pub(crate) type Said = Arc<OnceLock<Option<BrokerInfo>>>;

/// Listens to the first frame of a connection.
#[derive(Debug)]
pub(crate) struct Greeting {
    heard: Vec<u8>,
    said: Said,
}

impl Greeting {
    pub(crate) fn new(said: Said) -> Self {
        Self { heard: Vec::new(), said }
    }

    /// Bytes have come from the broker.
    pub(crate) fn hear(&mut self, bytes: &[u8]) {
        if self.said.get().is_some() {
            return;
        }
        self.heard.extend_from_slice(&bytes[..bytes.len().min(LONGEST - self.heard.len())]);
        let length =
            self.heard.get(3..HEAD).map(|length| length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)));
        let whole = length.is_some_and(|length| self.heard.len() - HEAD >= length);
        if whole || self.heard.len() == LONGEST {
            self.said.get_or_init(|| broker(&self.heard[HEAD..]));
            self.heard = Vec::new();
        }
    }
}

/// What `connection.start` says.
fn broker(method: &[u8]) -> Option<BrokerInfo> {
    let (_, AMQPClass::Connection(AMQPMethod::Start(start))) = parse_class(method).ok()? else { return None };
    let properties = start.server_properties.inner();
    let text = |name: &str| match properties.get(name)? {
        AMQPValue::LongString(text) => Some(text.to_string()),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        _ => None,
    };
    Some(BrokerInfo::new(&text("product")?, &text("version").unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The greeting of a broker with these texts among its properties.
    fn greeting(properties: &[(&str, &str)]) -> Vec<u8> {
        let short = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
        let long = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes(), bytes].concat();
        let field = |(name, text): &(&str, &str)| [short(name), b"S".to_vec(), long(text.as_bytes())].concat();
        let table: Vec<u8> = properties.iter().flat_map(field).collect();
        let method = [&[0, 10, 0, 10, 0, 9][..], &long(&table), &long(b"PLAIN"), &long(b"en_US")].concat();
        [&[1, 0, 0][..], &long(&method), &[0xce]].concat()
    }

    /// What was said when the bytes have come in parts of this size.
    fn heard(bytes: &[u8], part: usize) -> Option<Option<String>> {
        let said = Said::default();
        let mut greeting = Greeting::new(Arc::clone(&said));
        bytes.chunks(part).for_each(|bytes| greeting.hear(bytes));
        said.get().map(|broker| broker.as_ref().map(ToString::to_string))
    }

    #[test]
    fn product_and_version_are_heard_however_they_come() {
        let rabbit = greeting(&[("platform", "Erlang/OTP"), ("product", "RabbitMQ"), ("version", "3.10.8")]);
        for part in [1, 7, 100, 10_000] {
            assert_eq!(heard(&rabbit, part), Some(Some("RabbitMQ 3.10.8".to_owned())), "{part}");
        }
        let lavin = greeting(&[("product", "LavinMQ"), ("version", "2.4.0")]);
        assert_eq!(heard(&[lavin, vec![1; 1000]].concat(), 10_000), Some(Some("LavinMQ 2.4.0".to_owned())));
        assert_eq!(heard(&greeting(&[("version", "1")]), 10_000), Some(None));
    }

    #[test]
    fn what_is_no_greeting_is_let_pass() {
        for bytes in
            [b"AMQP\x00\x00\x09\x01".to_vec(), vec![0; 100], vec![0xff; 100_000], b"HTTP/1.1 400 Bad Request".to_vec()]
        {
            assert_eq!(heard(&bytes, 1000).flatten(), None, "{:?}", &bytes[..7]);
        }
        let whole = greeting(&[("product", "RabbitMQ")]);
        for end in 0..whole.len() - 1 {
            assert_eq!(heard(&whole[..end], 1000).flatten(), None, "{end}");
        }
    }
}
