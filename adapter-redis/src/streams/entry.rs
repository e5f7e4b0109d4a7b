//! Entries of a stream, and their places: <https://redis.io/docs/latest/develop/data-types/streams/>.

use std::fmt;
use std::str::FromStr;

use adapter_core::Bytes;
use redis::{ErrorKind, RedisError, Value};

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
    pub(crate) fields: Vec<(String, Bytes)>,
}

/// What `XREAD` of one stream answers. Fields that are no channel of ours are passed over: whatever has the right may add to the
/// stream.
///
/// # Errors
/// `Parse` when it is no such answer.
pub(crate) fn entries(answer: Value) -> Result<Vec<Entry>, RedisError> {
    let unexpected = || RedisError::from((ErrorKind::Parse, "no answer of XREAD"));
    let entries = match answer {
        Value::Nil => return Ok(Vec::new()),
        Value::Map(streams) => streams.into_iter().next().map(|(_, entries)| entries),
        _ => None,
    };
    let Some(Value::Array(entries)) = entries else { return Err(unexpected()) };
    entries.into_iter().map(|value| entry(value).ok_or_else(unexpected)).collect()
}

fn entry(value: Value) -> Option<Entry> {
    let Value::Array(parts) = value else { return None };
    let [id, fields] = <[Value; 2]>::try_from(parts).ok()?;
    let id = text(id)?.parse().ok()?;
    let Value::Array(fields) = fields else { return None };
    let (mut fields, mut found) = (fields.into_iter(), Vec::new());
    while let (Some(channel), Some(Value::BulkString(payload))) = (fields.next(), fields.next()) {
        found.extend(text(channel).map(|channel| (channel, payload.into())));
    }
    Some(Entry { id, fields: found })
}

/// The place of the newest entry that the stream has ever had, as `XINFO STREAM` tells it.
pub(crate) fn last_id(info: &Value) -> Option<Id> {
    let Value::Map(info) = info else { return None };
    let name = |value: &Value| matches!(value, Value::BulkString(name) if name == b"last-generated-id");
    let (_, id) = info.iter().find(|(field, _)| name(field))?;
    text(id.clone())?.parse().ok()
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::BulkString(text) => String::from_utf8(text).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
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
    fn an_answer_is_read_and_what_is_none_of_ours_is_passed_over() {
        let fields = vec![
            bulk("rc.a"),
            bulk("one"),
            Value::BulkString(vec![0xff]),
            bulk("x"),
            bulk("rc.b"),
            bulk("two"),
            bulk("odd"),
        ];
        let answer = Value::Map(vec![(
            bulk("roomcast"),
            Value::Array(vec![Value::Array(vec![bulk("5-1"), Value::Array(fields)])]),
        )]);
        let got = entries(answer).expect("an answer");
        let fields = vec![("rc.a".to_owned(), Bytes::from("one")), ("rc.b".to_owned(), Bytes::from("two"))];
        assert_eq!(got, [Entry { id: Id(5, 1), fields }]);
        assert_eq!(entries(Value::Nil).expect("none"), []);
        for wrong in
            [Value::Int(1), Value::Map(Vec::new()), Value::Map(vec![(bulk("s"), Value::Array(vec![bulk("x")]))])]
        {
            assert!(entries(wrong.clone()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_end_of_a_stream_is_in_what_it_tells() {
        let info = Value::Map(vec![(bulk("length"), Value::Int(2)), (bulk("last-generated-id"), bulk("7-3"))]);
        assert_eq!(last_id(&info), Some(Id(7, 3)));
        assert_eq!(last_id(&Value::Map(Vec::new())), None);
    }
}
