//! A server whose disk is really full: a small one in memory, which takes the right to mount.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

mod support;

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use roomcast_conformance::broker::Filling;
use roomcast_conformance::{Broker, Outcome, Recipe, Subject, recipes, run_case};
use roomcast_core::{Cluster, Event, Events, Hub};
use roomcast_postgres::Postgres;
use support::{admin, soon, start_here};
use tempfile::TempDir;

type Test = fn(&Disk) -> Result<(), Failed>;

fn main() -> ExitCode {
    let may_mount = alone_with_mounts();
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(1);
    let tests: [(_, Test); 2] = [
        ("g08_a_full_disk_is_named_once_and_what_is_sent_meanwhile_arrives", is_named_once),
        ("g09_a_server_that_a_full_disk_ends_is_an_outage_that_loses_nothing", ends_the_server),
    ];
    let trials = tests.map(|(name, test)| {
        let may_mount = may_mount.clone();
        Trial::ignorable_test(name, move || match may_mount.and_then(|()| Disk::mount()) {
            Ok(disk) => test(&disk).map(|()| Completion::Completed),
            Err(why) => Ok(Completion::ignored_with(format!("nothing can be mounted here: {why}"))),
        })
    });
    libtest_mimic::run(&arguments, trials.into()).exit_code()
}

/// Begins this program again where its mounts end with it, however it ends.
///
/// # Errors
/// Why that is not possible: it takes root, or the right to it.
fn alone_with_mounts() -> Result<(), String> {
    const INSIDE: &str = "ROOMCAST_TEST_ALONE_WITH_MOUNTS";
    if std::env::var_os(INSIDE).is_some() {
        return Ok(());
    }
    done(Command::new("unshare").args(["--mount", "true"]))?;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut again = Command::new("unshare");
    again.arg("--mount").arg(program).args(std::env::args_os().skip(1)).env(INSIDE, "1");
    Err(again.exec().to_string())
}

fn done(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    let complaint = || String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() { Ok(()) } else { Err(complaint()) }
}

/// It is there as long as this value.
struct Disk(TempDir);

impl Disk {
    /// Of four times what a new database takes, for the suite starts two.
    fn mount() -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap();
        done(Command::new("mount").args(["-t", "tmpfs", "-o", "size=128m,mode=1777", "tmpfs"]).arg(folder.path()))?;
        Ok(Self(folder))
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// Servers that have their data here.
    fn recipe(&self) -> Recipe {
        let data = self.path("{port}");
        let initdb =
            ["initdb", "--pgdata", &data, "--username=postgres", "--auth=trust", "--no-sync", "--wal-segsize=1"];
        let initdb = initdb.map(str::to_owned);
        let small = ["-D", &data, "-c", "min_wal_size=2MB", "-c", "max_wal_size=4MB"].map(str::to_owned);
        recipes::postgres().without_image().with_program(|program| program.unprepared().prepare(initdb).args(small))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Of a server that has just been killed something may be open still.
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

/// What is notified is kept in memory until it takes more than eight pages, and then in files.
const FILL: &str = "
    head -c 100M /dev/zero >FILLER 2>/dev/null
    for size in 7000 2000 500 100 20 1; do
        while psql -h 127.0.0.1 -p {port} -U postgres -qtAc \"SELECT pg_notify('filler', repeat('x', $size))\" 2>{folder}/refused; do :; done
    done
    grep -q 'No space left on device' {folder}/refused";

fn is_named_once(disk: &Disk) -> Result<(), Failed> {
    let filler = disk.path("filler");
    let fill = ["sh".to_owned(), "-c".to_owned(), FILL.replace("FILLER", &filler)];
    let filling = Filling::new(fill, ["rm".to_owned(), filler], "disk is full");
    let subject = Subject::new("postgres", Postgres::from_url).broker(disk.recipe().filled_by(filling));
    match run_case(&subject, "g08_a_full_broker_is_named_once_and_what_is_sent_meanwhile_arrives") {
        Outcome::Passed => Ok(()),
        Outcome::Failed(seen) | Outcome::Ignored(seen) => Err(seen.into()),
        other => Err(format!("{other:?}").into()),
    }
}

fn ends_the_server(disk: &Disk) -> Result<(), Failed> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let broker = start_here(&disk.recipe()).await;
        let ended = outage(&broker, Path::new(&disk.path("filler"))).await;
        broker.kill().await.unwrap();
        ended.map_err(|error| error.to_string().into())
    })
}

async fn outage(broker: &Broker, filler: &Path) -> support::Tested {
    const PACKETS: usize = 100;
    let node = || async { Cluster::connect(Postgres::from_url(&broker.url())?).await };
    let (one, two) = (node().await?, node().await?);
    let hub = Hub::new();
    let _there = two.namespace("/", hub.clone()).await?;
    let (mut socket, chat) = (hub.connect()?, one.of("/")?);
    let mut events = [one.events(), two.events()];
    let admin = admin(broker).await;
    let full = fs::File::create(filler).and_then(|mut file| std::io::copy(&mut std::io::repeat(0), &mut file));
    assert_eq!(full.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    // The server can refuse what needs room, but not do without a checkpoint.
    admin.batch_execute("CHECKPOINT").await.expect_err("the server ends");
    for events in &mut events {
        told(events, |event| matches!(event, Event::Degraded(_))).await;
    }
    for n in 0..PACKETS {
        chat.emit(n.to_string()).await?;
    }
    fs::remove_file(filler)?;
    broker.start_again().await?; // as its operator does, unless it has come back by itself
    for n in 0..PACKETS {
        assert_eq!(soon(socket.next()).await.expect("connected").packet.data, n.to_string());
    }
    for events in &mut events {
        told(events, |event| *event == Event::Recovered).await;
    }
    assert_eq!((one.stats().refused, two.stats().lost), (0, 0));
    tokio::try_join!(one.close(), two.close())?;
    Ok(())
}

async fn told(events: &mut Events, what: impl Fn(&Event) -> bool) {
    soon(async { while !what(&events.next().await.expect("connected")) {} }).await;
}
