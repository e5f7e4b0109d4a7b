//! One command to a Redis server, in its own protocol.

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::probe::Target;

/// Longer answers are none that we ask for.
const LONGEST: usize = 1 << 20;

/// Sends one command over a connection of its own. Numbers are given as text; lists are not read.
pub(super) async fn call(target: &Target<'_>, words: &[&str]) -> Result<String, String> {
    let exchange = async {
        let mut stream = BufReader::new(TcpStream::connect(target.address).await?);
        if let Some((user, password)) = target.url.and_then(|url| url.credentials()) {
            let words = ["AUTH", user, password];
            let words = if user.is_empty() { &[words[0], words[2]][..] } else { &words[..] };
            if let Err(refusal) = ask(&mut stream, words).await? {
                return Ok(Err(refusal));
            }
        }
        ask(&mut stream, words).await
    };
    exchange.await.unwrap_or_else(|error: std::io::Error| Err(error.to_string()))
}

async fn ask(stream: &mut BufReader<TcpStream>, words: &[&str]) -> std::io::Result<Result<String, String>> {
    stream.write_all(encode(words).as_bytes()).await?;
    answer(stream).await
}

fn encode(words: &[&str]) -> String {
    let mut command = format!("*{}\r\n", words.len());
    for word in words {
        command.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    command
}

async fn answer(stream: &mut (impl AsyncBufRead + Unpin)) -> std::io::Result<Result<String, String>> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let odd = || std::io::Error::other(format!("an odd answer: {}", line.trim()));
    let (kind, rest) = line.split_at_checked(1).ok_or_else(odd)?;
    let rest = rest.trim_end();
    match kind {
        "+" | ":" => Ok(Ok(rest.to_owned())),
        "-" => Ok(Err(rest.to_owned())),
        "$" => {
            let size = rest.parse::<usize>().ok().filter(|size| *size <= LONGEST).ok_or_else(odd)?;
            let mut bytes = vec![0; size + 2]; // and the end of the line
            stream.read_exact(&mut bytes).await?;
            bytes.truncate(size);
            Ok(Ok(String::from_utf8_lossy(&bytes).into_owned()))
        }
        _ => Err(odd()),
    }
}

#[cfg(test)]
mod tests {
    use super::{answer, encode};

    async fn read(mut bytes: &[u8]) -> Option<Result<String, String>> {
        answer(&mut bytes).await.ok()
    }

    #[tokio::test]
    async fn every_kind_of_answer_is_read() {
        assert_eq!(read(b"+OK\r\n").await, Some(Ok("OK".to_owned())));
        assert_eq!(read(b":42\r\n").await, Some(Ok("42".to_owned())));
        assert_eq!(read(b"$4\r\na\r\nb\r\n").await, Some(Ok("a\r\nb".to_owned())));
        assert_eq!(read(b"-ERR no\r\n").await, Some(Err("ERR no".to_owned())));
        for odd in [&b""[..], b"$-1\r\n", b"$9\r\nshort", b"HTTP/1.1 400\r\n"] {
            assert_eq!(read(odd).await, None);
        }
    }

    #[test]
    fn words_are_counted_in_bytes() {
        assert_eq!(encode(&["PING", "ä"]), "*2\r\n$4\r\nPING\r\n$2\r\nä\r\n");
    }
}
