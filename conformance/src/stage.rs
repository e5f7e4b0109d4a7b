//! One subject's brokers, and the cases on them.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use adapter_core::backend::Capabilities;
use futures_util::FutureExt;
use tokio::runtime::Runtime;
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};

use crate::broker::{Broker, MissingBroker, Recipe, required};
use crate::case::{Case, Needs};
use crate::failure::{Failure, Verdict};
use crate::harness::Outcome;
use crate::report::Record;
use crate::scene::Scene;
use crate::subject::Subject;

/// One subject, the broker that its ordinary cases share, and those that were struck.
pub(crate) struct Stage {
    pub(crate) subject: Subject,
    /// Started by the first case that needs it, and stopped with the stage.
    shared: OnceCell<Result<Arc<Broker>, MissingBroker>>,
    /// What cases had to themselves that passed; the next one need not start another.
    spare: Mutex<Vec<Arc<Broker>>>,
    capabilities: OnceCell<Capabilities>,
}

/// Where brokers live: longer than any case.
pub(crate) fn home() -> &'static Runtime {
    static HOME: LazyLock<Runtime> = LazyLock::new(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("brokers").enable_all().build().expect("a thread can be started")
    });
    &HOME
}

impl Stage {
    pub(crate) fn new(subject: Subject) -> Self {
        Self { subject, shared: OnceCell::new(), spare: Mutex::default(), capabilities: OnceCell::new() }
    }

    /// Runs one case on a runtime of its own, which ends with it.
    pub(crate) fn run(&self, case: &Case) -> Record {
        let seed = seed();
        let mut record = Record::new(&self.subject, case, seed);
        let excused = self.subject.excused.iter().find(|(name, _)| name == case.name);
        let _turn = excused.is_none().then(|| self.turn(case.needs)).flatten();
        let began = Instant::now();
        record.outcome = match (excused, runtime()) {
            (Some((_, reason)), _) => Outcome::Ignored(reason.to_string()),
            (None, Ok(runtime)) => {
                let (outcome, own) = runtime.block_on(self.play(case, seed, &mut record));
                runtime.shutdown_background(); // what a failed case left behind ends here
                if outcome == Outcome::Passed {
                    self.spare().extend(own);
                }
                outcome
            }
            (None, Err(error)) => Outcome::Failed(format!("no runtime: {error}")),
        };
        record.milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        record
    }

    /// Waited for by a case that has a broker of its own. Four of one server, or two of several, beside what the others share, are as
    /// many servers as a small machine starts and restarts within anybody's patience.
    fn turn(&self, needs: Needs) -> Option<SemaphorePermit<'static>> {
        static SINGLE: Semaphore = Semaphore::const_new(4);
        static SEVERAL: Semaphore = Semaphore::const_new(2);
        let recipe = self.subject.recipe.as_ref().filter(|_| needs.own_broker())?;
        let turns = if recipe.is_several() { &SEVERAL } else { &SINGLE };
        Some(home().block_on(turns.acquire()).expect("nobody closes it"))
    }

    /// Returns what became of the case, and the broker that it had to itself.
    async fn play(&self, case: &Case, seed: u64, record: &mut Record) -> (Outcome, Option<Arc<Broker>>) {
        let broker = match self.suits(case.needs, seed).await {
            Ok(()) => self.broker(case.needs).await,
            Err(outcome) => Err(outcome),
        };
        let broker = match broker {
            Ok(broker) => broker,
            Err(outcome) => return (outcome, None),
        };
        if let Some(broker) = &broker {
            broker.version().clone_into(&mut record.version);
            record.provider = broker.provider().to_string();
        }
        let own = broker.clone().filter(|_| case.needs.own_broker());
        let scene = Scene::new(self.subject.clone(), seed, broker);
        if let Some(own) = &own {
            own.told_to(scene.journal());
        }
        let verdict = self.perform(case, &scene).await;
        record.measured = scene.measured();
        let label = self.subject.label();
        let outcome = match verdict {
            Ok(()) => Outcome::Passed,
            Err(Failure::Unsuited(reason)) => Outcome::Ignored(reason),
            Err(Failure::Broken(text)) => {
                // What a broker of the case's own says is about the case alone.
                let log = own.as_ref().map(|broker| broker.log_tail()).unwrap_or_default();
                let log = if log.is_empty() { log } else { format!("\n{log}") };
                let (cluster, journal) = (&scene.cluster, scene.journal());
                Outcome::Failed(format!(
                    "{text}\n  subject {label}, cluster {cluster}, seed {seed:#018x}{journal}{log}"
                ))
            }
        };
        (outcome, own)
    }

    async fn perform(&self, case: &Case, scene: &Scene) -> Verdict {
        let limit = self.subject.deadline;
        let guarded = AssertUnwindSafe((case.run)(scene)).catch_unwind();
        match tokio::time::timeout(limit, guarded).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(panic)) => Err(Failure::new(format!("it panicked: {}", text_of(&*panic)))),
            Err(_) => Err(Failure::new(format!("it had not ended after {limit:?}"))),
        }
    }

    /// Whether the backend claims what a case is about: asked before a broker is started for that.
    async fn suits(&self, needs: Needs, seed: u64) -> Result<(), Outcome> {
        let claim = match needs {
            Needs::Ordered => "ordered",
            Needs::Replays => "replays",
            Needs::Nothing | Needs::Faults | Needs::Proxy => return Ok(()),
        };
        let scene = Scene::new(self.subject.clone(), seed, self.broker(Needs::Nothing).await?);
        let claims = self.capabilities(&scene).await.map_err(|failure| match failure {
            Failure::Unsuited(reason) => Outcome::Ignored(reason),
            Failure::Broken(text) => Outcome::Failed(text),
        })?;
        let claimed = if needs == Needs::Ordered { claims.ordered } else { claims.replays };
        if claimed { Ok(()) } else { Err(Outcome::Ignored(format!("the backend does not claim `{claim}`"))) }
    }

    async fn capabilities(&self, scene: &Scene) -> Verdict<Capabilities> {
        let ask = async {
            let link = scene.link().await?;
            let capabilities = link.backend.capabilities();
            link.close().await?;
            Ok(capabilities)
        };
        self.capabilities.get_or_try_init(|| ask).await.copied()
    }

    // Guards one list, and nothing awaits while it is held.
    fn spare(&self) -> MutexGuard<'_, Vec<Arc<Broker>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The broker for a case: shared, or its own.
    async fn broker(&self, needs: Needs) -> Result<Option<Arc<Broker>>, Outcome> {
        let breaks = needs.own_broker();
        let Some(recipe) = &self.subject.recipe else {
            let reason = "the subject has no broker that could fail";
            return if breaks || needs.proxy() { Err(Outcome::Ignored(reason.to_owned())) } else { Ok(None) };
        };
        let shared = self.shared.get_or_init(|| start(recipe)).await;
        let shared = shared.clone().map_err(missing)?;
        if needs.proxy()
            && let Err(reason) = shared.can_be_proxied()
        {
            return Err(Outcome::Ignored(reason.to_string()));
        }
        if !breaks {
            return Ok(Some(shared));
        }
        if let Err(reason) = shared.can() {
            return Err(Outcome::Ignored(reason.to_string()));
        }
        let spare = self.spare().pop();
        if let Some(spare) = spare
            && restored(&spare).await
        {
            return Ok(Some(spare));
        }
        start(recipe).await.map(Some).map_err(missing)
    }
}

/// Starts a broker whose tasks outlive the case that asked for it first.
async fn start(recipe: &Recipe) -> Result<Arc<Broker>, MissingBroker> {
    let owned = recipe.clone();
    let started = home().spawn(async move { Broker::start(&owned).await }).await;
    started.unwrap_or_else(|panic| Err(MissingBroker::new(recipe.name(), panic.to_string()))).map(Arc::new)
}

/// Makes a broker that was struck fit for another case; returns whether that was possible.
async fn restored(broker: &Arc<Broker>) -> bool {
    let broker = Arc::clone(broker);
    home().spawn(async move { broker.restore().await }).await.is_ok_and(|restored| restored.is_ok())
}

fn missing(missing: MissingBroker) -> Outcome {
    let text = missing.to_string();
    if required() { Outcome::Failed(text) } else { Outcome::Ignored(text) }
}

fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

/// Random, or what `CONFORMANCE_SEED` says (the cluster's name follows from it).
fn seed() -> u64 {
    let given = std::env::var("CONFORMANCE_SEED").ok();
    let given = given.and_then(|seed| u64::from_str_radix(seed.trim_start_matches("0x"), 16).ok());
    given.unwrap_or_else(|| getrandom::u64().expect("the operating system has random numbers"))
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
}
