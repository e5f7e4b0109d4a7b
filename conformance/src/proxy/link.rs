//! One connection through the proxy: two pumps, and the faults that end or freeze both.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::faults::{Faults, Grant, Ways};

/// What is read at once.
const CHUNK: usize = 16 * 1024;
/// How many chunks one direction holds back under a delay; then it reads no more.
const HELD: usize = 256;
/// Throttled bytes are written in pieces of this time, so that a new rate holds soon.
const PIECE: Duration = Duration::from_millis(20);

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    ToBroker,
    ToClient,
}

/// How many bytes to the client a connection still carries, if that has an end, and the sign of the end.
struct Thaw {
    left: AtomicU64,
    over: Notify,
}

impl Thaw {
    fn new(bytes: Option<u64>) -> Self {
        Self { left: AtomicU64::new(bytes.unwrap_or(u64::MAX)), over: Notify::new() }
    }

    /// Takes as many of the bytes as it still carries.
    fn take<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let left = usize::try_from(self.left.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        let taken = &bytes[..bytes.len().min(left)];
        if left < usize::MAX {
            self.left.store((left - taken.len()) as u64, Ordering::Relaxed); // one writer
        }
        if left <= bytes.len() {
            self.over.notify_one();
        }
        taken
    }
}

/// Carries one connection until it ends, is cut, or the proxy is gone.
pub(super) async fn serve(client: TcpStream, birth: Faults, ways: Ways) {
    ways.meter.open.fetch_add(1, Ordering::Relaxed);
    let _open = Open(&ways.meter.open);
    carry(client, birth, &ways).await;
}

/// Counts a link as open until it ends, whichever way.
struct Open<'a>(&'a AtomicU64);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn carry(mut client: TcpStream, birth: Faults, ways: &Ways) {
    if birth.hole_all {
        until_cut(birth, ways).await;
        return super::reset(client);
    }
    let connected = tokio::select! {
        biased;
        () = until_cut(birth, ways) => return super::reset(client),
        connected = TcpStream::connect(ways.upstream) => connected,
    };
    let Ok(mut server) = connected else { return super::reset(client) };
    // It fails on a connection that is gone; the pumps find that out.
    let _ = client.set_nodelay(true).and_then(|()| server.set_nodelay(true));
    let thaw = Thaw::new(birth.freeze_after);
    let ended = tokio::select! {
        biased;
        () = until_cut(birth, ways) => None,
        () = until_hole(birth, ways) => {
            until_cut(birth, ways).await;
            None
        }
        () = thaw.over.notified() => {
            until_cut(birth, ways).await;
            None
        }
        ended = pump_both(&mut client, &mut server, &thaw, ways) => Some(ended),
    };
    // An end on both sides is passed on as it is; everything else as a reset.
    if !matches!(ended, Some(Ok(()))) {
        super::reset(client);
        super::reset(server);
    }
}

async fn until_cut(birth: Faults, ways: &Ways) {
    // An error says that the proxy is gone, which cuts too.
    let _ = ways.faults.clone().wait_for(|now| now.cut != birth.cut).await;
}

async fn until_hole(birth: Faults, ways: &Ways) {
    if ways.faults.clone().wait_for(|now| now.hole != birth.hole).await.is_err() {
        std::future::pending::<()>().await; // the cut is noticed beside it
    }
}

async fn pump_both(client: &mut TcpStream, server: &mut TcpStream, thaw: &Thaw, ways: &Ways) -> io::Result<()> {
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    tokio::try_join!(
        pump(from_client, to_server, Direction::ToBroker, thaw, ways),
        pump(from_server, to_client, Direction::ToClient, thaw, ways),
    )?;
    Ok(())
}

/// A chunk on its way, and when it is due at the other side; an empty one is the end.
struct Chunk {
    due: Instant,
    bytes: Vec<u8>,
}

async fn pump(from: ReadHalf<'_>, to: WriteHalf<'_>, direction: Direction, thaw: &Thaw, ways: &Ways) -> io::Result<()> {
    let (held, due) = mpsc::channel(HELD);
    tokio::try_join!(read(from, held, direction, ways), write(to, due, direction, thaw, ways))?;
    Ok(())
}

async fn read(mut from: ReadHalf<'_>, held: mpsc::Sender<Chunk>, direction: Direction, ways: &Ways) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let size = from.read(&mut buffer).await?;
        let faults = *ways.faults.borrow();
        let vanishes = match direction {
            Direction::ToClient => faults.drop_replies,
            Direction::ToBroker => faults.drop_requests,
        };
        if size > 0 && vanishes {
            continue;
        }
        let chunk = Chunk { due: Instant::now() + faults.delay, bytes: buffer[..size].to_vec() };
        if held.send(chunk).await.is_err() || size == 0 {
            return Ok(());
        }
    }
}

async fn write(
    mut to: WriteHalf<'_>,
    mut due: mpsc::Receiver<Chunk>,
    direction: Direction,
    thaw: &Thaw,
    ways: &Ways,
) -> io::Result<()> {
    while let Some(chunk) = due.recv().await {
        // Without a delay it is due already, and the timer, which counts in milliseconds, is not asked.
        if chunk.due > Instant::now() {
            tokio::time::sleep_until(chunk.due).await;
        }
        if chunk.bytes.is_empty() {
            return to.shutdown().await;
        }
        let mut left = chunk.bytes.as_slice();
        // By a timetable: on a busy machine each sleep is too long, and the link would be thinner than it is said to be.
        let mut free = Instant::now();
        while !left.is_empty() {
            let (size, pause) = piece(left.len(), ways.faults.borrow().throttle);
            let (now, later) = left.split_at(size);
            write_piece(&mut to, now, direction, thaw, ways).await?;
            if !pause.is_zero() {
                free += pause;
                tokio::time::sleep_until(free).await;
            }
            left = later;
        }
    }
    Ok(())
}

/// How many of the bytes go now, and how long nothing goes after them.
fn piece(bytes: usize, throttle: Option<u64>) -> (usize, Duration) {
    let Some(rate) = throttle.map(|rate| rate.max(1)) else { return (bytes, Duration::ZERO) };
    let share = (rate as f64 * PIECE.as_secs_f64()) as usize;
    let size = bytes.min(share.max(1));
    (size, Duration::from_secs_f64(size as f64 / rate as f64))
}

async fn write_piece(
    to: &mut WriteHalf<'_>,
    bytes: &[u8],
    direction: Direction,
    thaw: &Thaw,
    ways: &Ways,
) -> io::Result<()> {
    if direction == Direction::ToBroker {
        to.write_all(bytes).await?;
        ways.meter.to_broker.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        return Ok(());
    }
    let bytes = thaw.take(bytes);
    let grant = ways.meter.take(bytes.len());
    let granted = match grant {
        Grant::All => bytes,
        Grant::CutAfter(size) => &bytes[..size],
    };
    to.write_all(granted).await?;
    ways.meter.to_client.fetch_add(granted.len() as u64, Ordering::Relaxed);
    if grant == Grant::All {
        return Ok(());
    }
    if let Some(all) = ways.all.upgrade() {
        all.send_modify(|faults| faults.cut += 1);
    }
    Err(io::ErrorKind::ConnectionReset.into())
}
