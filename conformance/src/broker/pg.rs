//! As much of PostgreSQL's protocol as it takes to see that a server answers queries.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::probe::Target;
use super::url::Url;

/// No message that comes is longer.
const LONGEST: usize = 64 << 10;

/// The version of a server that answers a query. One that asks for a password is ready as well, and says no version.
pub(super) async fn ask(target: &Target<'_>) -> Result<String, String> {
    let user = target.url.and_then(Url::user).unwrap_or("postgres");
    let database = target.url.and_then(Url::path).unwrap_or("postgres");
    let mut stream = TcpStream::connect(target.address).await.map_err(|error| error.to_string())?;
    let names = [b"\0\x03\0\0user\0".as_slice(), user.as_bytes(), b"\0database\0", database.as_bytes(), b"\0\0"];
    let startup = names.concat();
    send(&mut stream, b"", &startup).await?;
    let mut version = None;
    let mut asked = false;
    loop {
        let (kind, body) = receive(&mut stream).await?;
        match kind {
            b'R' if body.starts_with(&[0; 4]) => {}
            b'R' => return Ok("unknown".to_owned()),
            b'S' => version = version.or_else(|| parameter(&body, "server_version")),
            // Ready for a query; then for another one, which is all we wanted to know.
            b'Z' if asked => return version.ok_or_else(|| "it names no version".to_owned()),
            b'Z' => {
                asked = true;
                send(&mut stream, b"Q", b"SELECT 1\0").await?;
            }
            b'E' => return Err(String::from_utf8_lossy(&body).replace('\0', " ")),
            _ => {}
        }
    }
}

/// The value of a parameter, if this is its message: `15.9` of `15.9 (Debian ..)`.
fn parameter(body: &[u8], name: &str) -> Option<String> {
    let mut words = body.split(|byte| *byte == 0);
    let value = (words.next() == Some(name.as_bytes())).then(|| words.next()).flatten()?;
    String::from_utf8_lossy(value).split(' ').next().map(str::to_owned)
}

async fn send(stream: &mut TcpStream, kind: &[u8], body: &[u8]) -> Result<(), String> {
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX).to_be_bytes();
    let message = [kind, &length, body].concat();
    stream.write_all(&message).await.map_err(|error| error.to_string())
}

async fn receive(stream: &mut TcpStream) -> Result<(u8, Vec<u8>), String> {
    let kind = stream.read_u8().await.map_err(|error| error.to_string())?;
    let length = stream.read_u32().await.map_err(|error| error.to_string())? as usize;
    if !(4..=LONGEST).contains(&length) {
        return Err("it does not speak PostgreSQL's protocol".to_owned());
    }
    let mut body = vec![0; length - 4];
    stream.read_exact(&mut body).await.map_err(|error| error.to_string())?;
    Ok((kind, body))
}

#[cfg(test)]
mod tests {
    use super::parameter;

    #[test]
    fn a_version_is_the_first_word() {
        let body = b"server_version\x0015.9 (Debian 15.9-0+deb12u1)\0";
        assert_eq!(parameter(body, "server_version").as_deref(), Some("15.9"));
        assert_eq!(parameter(b"other\x00x\0", "server_version"), None);
    }
}
