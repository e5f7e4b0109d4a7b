//! Running another program, with an end to waiting for it.

use std::ffi::OsStr;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Runs a program to its end and gives what it printed, or what it complained of. Blocks.
pub(super) fn run<S: AsRef<OsStr>>(program: &str, arguments: &[S], limit: Duration) -> Result<String, String> {
    run_command(Command::new(program).args(arguments), program, limit)
}

/// The same for a command that needs more than arguments.
pub(super) fn run_command(command: &mut Command, name: &str, limit: Duration) -> Result<String, String> {
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = piped.spawn().map_err(|error| format!("{name}: {error}"))?;
    let (process, (ended, end)) = (child.id(), mpsc::channel());
    // It reads while we wait, and ends with the program.
    thread::spawn(move || ended.send(child.wait_with_output()));
    let Ok(output) = end.recv_timeout(limit) else {
        // It fails only when it has just ended.
        let _ = Command::new("sh").args(["-c", &format!("kill -KILL {process}")]).stderr(Stdio::null()).status();
        return Err(format!("{name} took longer than {limit:?}"));
    };
    let output = output.map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(if complaint.is_empty() { format!("{name}: {}", output.status) } else { format!("{name}: {complaint}") })
}

/// Does blocking work off the runtime's own threads, so that nodes in the same runtime live on.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::run;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_a_program_prints_is_given_however_much() {
        let much = run("sh", &["-c", "yes | head -c 1000000"], LONG).expect("it prints");
        assert_eq!(much.len(), 999_999, "less the last line end");
        assert_eq!(run("sh", &["-c", "echo no >&2; exit 3"], LONG), Err("sh: no".to_owned()));
    }

    #[test]
    fn one_that_does_not_end_is_killed() {
        let late = run("sh", &["-c", "exec sleep 1000"], Duration::from_millis(50)).expect_err("it does not end");
        assert!(late.contains("took longer"), "{late}");
    }
}
