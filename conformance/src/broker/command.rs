//! Running another program, with an end to waiting for it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often is looked.
const POLL: Duration = Duration::from_millis(5);

/// Runs a program to its end and gives what it printed, or what it complained of. Blocks.
pub(super) fn run<S: AsRef<OsStr>>(program: &str, arguments: &[S], limit: Duration) -> Result<String, String> {
    run_command(Command::new(program).args(arguments), program, limit)
}

/// The same for a command that needs more than arguments.
pub(super) fn run_command(command: &mut Command, name: &str, limit: Duration) -> Result<String, String> {
    match end(command, limit) {
        Ok(Some((status, printed, _))) if status.success() => Ok(printed),
        Ok(Some((status, _, complaint))) if complaint.is_empty() => Err(format!("{name}: {status}")),
        Ok(Some((_, _, complaint))) => Err(format!("{name}: {complaint}")),
        Ok(None) => Err(format!("{name} took longer than {limit:?}")),
        Err(error) => Err(format!("{name}: {error}")),
    }
}

/// How a program ended, what it printed and what it complained of; nothing if it had to be killed.
fn end(command: &mut Command, limit: Duration) -> io::Result<Option<(ExitStatus, String, String)>> {
    // Not into pipes: they hold little, and nobody reads them while it runs.
    let (out, err) = (tempfile::tempfile()?, tempfile::tempfile()?);
    let mut child = command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(err.try_clone()?).spawn()?;
    if within(limit, || !matches!(child.try_wait(), Ok(None))) {
        return Ok(Some((child.wait()?, text(out)?, text(err)?)));
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

fn text(mut file: File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// Whether something comes true in time. Of other processes nobody tells when; they can but be looked at. Blocks.
pub(super) fn within(limit: Duration, mut so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while !so() {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(POLL); // until the next look
    }
    true
}

/// Does blocking work off the runtime's own threads, so that nodes in the same runtime live on.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::fs;
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
        let time = format!("1000.{}", std::process::id()); // nobody else sleeps for so long
        let late = run("sleep", &[&time], Duration::from_millis(50)).expect_err("it does not end");
        assert!(late.contains("took longer"), "{late}");
        let said = |process: fs::DirEntry| fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
        let mut all = fs::read_dir("/proc").into_iter().flatten().flatten();
        assert!(!all.any(|process| said(process).contains(&time)), "it lives on");
    }
}
