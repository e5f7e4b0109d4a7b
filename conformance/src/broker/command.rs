//! Running another program, with an end to waiting for it.

use std::ffi::OsStr;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often is looked.
const POLL: Duration = Duration::from_millis(5);

/// Runs a program to its end and gives what it printed, or what it complained of. Blocks.
pub(super) fn run<S: AsRef<OsStr>>(program: &str, arguments: &[S], limit: Duration) -> Result<String, String> {
    run_command(Command::new(program).args(arguments), program, limit)
}

/// The same for a command that needs more than arguments. It prints little: less than a pipe holds.
pub(super) fn run_command(command: &mut Command, name: &str, limit: Duration) -> Result<String, String> {
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().map_err(|error| format!("{name}: {error}"))?;
    if !within(limit, || !matches!(child.try_wait(), Ok(None))) {
        // Both fail only when it has just ended.
        let _ = child.kill().and_then(|()| child.wait());
        return Err(format!("{name} took longer than {limit:?}"));
    }
    let output = child.wait_with_output().map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(if complaint.is_empty() { format!("{name}: {}", output.status) } else { format!("{name}: {complaint}") })
}

/// Whether something comes true in time. Of other processes nobody tells when; they can but be looked at. Blocks.
pub(super) fn within(limit: Duration, mut so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while !so() {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(POLL);
    }
    true
}

/// Does blocking work off the runtime's own threads, so that nodes in the same runtime live on.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(error.to_string()))
}
