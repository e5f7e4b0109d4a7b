//! Entries of a stream, and their places: <https://redis.io/docs/latest/develop/data-types/streams/>.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use redis::{ErrorKind, RedisError, Value, from_redis_value};
use roomcast_core::Bytes;

/// The place of an entry: when it was added, by the server's clock, and its number within that millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id(u64, u64);

impl Id {
    /// Before every entry.
    pub(crate) const ZERO: Self = Self(0, 0);

    pub(crate) fn milliseconds(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0, self.1)
    }
}

impl FromStr for Id {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (milliseconds, number) = text.split_once('-').ok_or(())?;
        Ok(Self(milliseconds.parse().map_err(drop)?, number.parse().map_err(drop)?))
    }
}

/// An entry: messages by their channels.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: Id,
    pub(crate) fields: Vec<(Bytes, Bytes)>,
}

/// What `XREAD` of one stream answers.
///
/// # Errors
/// `Parse` when it is no such answer.
pub(crate) fn entries(answer: Value) -> Result<Vec<Entry>, RedisError> {
    let streams: HashMap<String, Vec<(String, _)>> = from_redis_value(answer)?;
    let entry = |(id, fields): (String, _)| {
        let id = id.parse().map_err(|()| (ErrorKind::Parse, "an entry of a stream has no id"))?;
        Ok(Entry { id, fields })
    };
    streams.into_values().flatten().map(entry).collect()
}

/// The place of the newest entry that the stream has ever had, as `XINFO STREAM` tells it.
pub(crate) fn last_id(info: Value) -> Option<Id> {
    let mut info: HashMap<String, Value> = from_redis_value(info).ok()?;
    let id: String = from_redis_value(info.remove("last-generated-id")?).ok()?;
    id.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    #[test]
    fn an_id_is_read_written_and_compared_by_time_and_number() {
        let [a, b]: [Id; 2] = ["1700000000000-9", "1700000000000-10"].map(|text| text.parse().expect("an id"));
        assert!(Id::ZERO < a && a < b);
        assert_eq!((a.to_string().as_str(), a.milliseconds()), ("1700000000000-9", 1_700_000_000_000));
        for wrong in ["", "1", "1-", "-1", "1-2-3", "a-1"] {
            assert!(wrong.parse::<Id>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_answer_is_read() {
        let fields = vec![bulk("rc.a"), bulk("one"), Value::BulkString(vec![0xff]), bulk("x")];
        let entry = |id, fields| Value::Array(vec![bulk(id), Value::Array(fields)]);
        let answer = |entries| Value::Map(vec![(bulk("roomcast"), Value::Array(entries))]);
        let got = entries(answer(vec![entry("5-1", fields), entry("5-2", vec![bulk("rc.b"), bulk("two")])]));
        let pair = |channel: &'static [u8], payload: &'static str| (Bytes::from(channel), Bytes::from(payload));
        let first = Entry { id: Id(5, 1), fields: vec![pair(b"rc.a", "one"), pair(&[0xff], "x")] };
        assert_eq!(got.expect("an answer"), [first, Entry { id: Id(5, 2), fields: vec![pair(b"rc.b", "two")] }]);
        assert_eq!(entries(Value::Nil).expect("none"), []);
        let odd = answer(vec![entry("5-1", vec![bulk("rc.a")])]);
        for wrong in [Value::Int(1), answer(vec![bulk("x")]), answer(vec![entry("x", Vec::new())]), odd] {
            assert!(entries(wrong.clone()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_end_of_a_stream_is_in_what_it_tells() {
        let info = Value::Map(vec![(bulk("length"), Value::Int(2)), (bulk("last-generated-id"), bulk("7-3"))]);
        assert_eq!(last_id(info), Some(Id(7, 3)));
        assert_eq!(last_id(Value::Map(Vec::new())), None);
    }
}
