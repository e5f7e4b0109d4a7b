//! What a broker says first: the client reads it, and keeps it to itself.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use lapin::protocol::{AMQPClass, connection::AMQPMethod, parse_class};
use lapin::types::{AMQPValue, ShortString};
use roomcast_core::backend::BrokerInfo;

/// A greeting is a few hundred bytes. What is longer is not looked at.
const LONGEST: usize = 16 << 10;
/// Type, channel and length of a frame.
const HEAD: usize = 7;

/// Which broker is there, once it has said so.
pub(crate) type Said = Arc<OnceLock<BrokerInfo>>;

/// Hears what the client reads.
pub(crate) type Ear = Box<dyn FnMut(&[u8]) + Send>;

/// Listens to the first frame of a connection.
pub(crate) fn ear(said: Said) -> Ear {
    let mut heard = Some(Vec::new());
    Box::new(move |bytes| {
        let Some(greeting) = &mut heard else { return };
        greeting.extend_from_slice(bytes);
        match parse_class(greeting.get(HEAD..).unwrap_or_default()) {
            Err(cause) if cause.is_incomplete() && greeting.len() < LONGEST => return,
            Ok((_, AMQPClass::Connection(AMQPMethod::Start(start)))) => {
                if let Some(broker) = broker(start.server_properties.inner()) {
                    said.get_or_init(|| broker);
                }
            }
            _ => {}
        }
        heard = None;
    })
}

fn broker(properties: &BTreeMap<ShortString, AMQPValue>) -> Option<BrokerInfo> {
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
    fn heard(bytes: &[u8], part: usize) -> Option<String> {
        let said = Said::default();
        bytes.chunks(part).for_each(ear(Arc::clone(&said)));
        said.get().map(ToString::to_string)
    }

    #[test]
    fn product_and_version_are_heard_however_they_come() {
        let rabbit = greeting(&[("platform", "Erlang/OTP"), ("product", "RabbitMQ"), ("version", "3.10.8")]);
        for part in [1, 7, 100, 10_000] {
            assert_eq!(heard(&rabbit, part), Some("RabbitMQ 3.10.8".to_owned()), "{part}");
        }
        let lavin = greeting(&[("product", "LavinMQ"), ("version", "2.4.0")]);
        assert_eq!(heard(&[lavin, vec![1; 1000]].concat(), 10_000), Some("LavinMQ 2.4.0".to_owned()));
        assert_eq!(heard(&greeting(&[("version", "1")]), 10_000), None);
    }

    #[test]
    fn what_is_no_greeting_is_let_pass() {
        for bytes in
            [b"AMQP\x00\x00\x09\x01".to_vec(), vec![0; 100], vec![0xff; 100_000], b"HTTP/1.1 400 Bad Request".to_vec()]
        {
            assert_eq!(heard(&bytes, 1000), None, "{:?}", &bytes[..7]);
        }
        let whole = greeting(&[("product", "RabbitMQ")]);
        for end in 0..whole.len() - 1 {
            assert_eq!(heard(&whole[..end], 1000), None, "{end}");
        }
    }
}
