//! What is put to the test.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use roomcast_core::Result;
use roomcast_core::backend::Connect;

use crate::broker::{Recipe, Text};

/// How to connect to a URL.
pub(crate) type ConnectTo = Arc<dyn Fn(&str) -> Result<Box<dyn Connect>> + Send + Sync>;

/// A backend that is put to the test: its name, how to connect, and the broker that it needs.
#[derive(Clone)]
#[must_use]
pub struct Subject {
    pub(crate) name: Text,
    pub(crate) variant: Text,
    pub(crate) connect: ConnectTo,
    pub(crate) recipe: Option<Recipe>,
    pub(crate) options: Text,
    pub(crate) excused: Vec<(Text, Text)>,
    pub(crate) deadline: Duration,
    /// How many cases run beside each other at most.
    pub(crate) at_once: usize,
    /// Run only where `CONFORMANCE_SUBJECTS` names it.
    pub(crate) on_request: bool,
    /// It differs from another one by its broker's topology alone.
    pub(crate) by_topology: bool,
    /// This build has what it needs.
    pub(crate) possible: bool,
    /// The option by which the broker keeps little.
    pub(crate) keeps_little: Option<Text>,
    /// Why a confirmed subscription is not known everywhere yet.
    pub(crate) spreads_late: Option<Text>,
}

impl Subject {
    /// A backend by its name, and how to make its configuration from a URL.
    ///
    /// Without a [`broker`](Self::broker), each case has a URL of its own, `memory://<fresh name>`; all nodes of the case
    /// connect to it.
    ///
    /// # Examples
    /// ```
    /// use roomcast_core::Memory;
    /// use roomcast_conformance::Subject;
    ///
    /// let memory = Subject::new("memory", |url| Ok(Memory::named(url)));
    /// ```
    pub fn new<C: Connect>(name: impl Into<Text>, connect: impl Fn(&str) -> Result<C> + Send + Sync + 'static) -> Self {
        let deadline = Duration::from_secs(300);
        Self {
            name: name.into(),
            variant: Text::default(),
            connect: Arc::new(move |url| Ok(Box::new(connect(url)?))),
            recipe: None,
            options: Text::default(),
            excused: Vec::new(),
            deadline,
            at_once: 10,
            on_request: false,
            by_topology: false,
            possible: true,
            keeps_little: None,
            spreads_late: None,
        }
    }

    /// The broker that it needs. One is shared by the ordinary cases, and each case that breaks it has its own.
    pub fn broker(mut self, recipe: Recipe) -> Self {
        self.recipe = Some(recipe);
        self
    }

    /// What tells this subject from others of the same name in the report: `sharded`, say. Empty by default.
    pub fn variant(mut self, name: impl Into<Text>) -> Self {
        self.variant = name.into();
        self
    }

    /// A [`variant`](Self::variant) that differs by its broker's topology alone, as a cluster does from one server. The cases in which
    /// that can matter are run: the contract, order, members, and every case with a broker of its own. `CONFORMANCE_CASES=all` runs the
    /// others too, and so does `CONFORMANCE_SUBJECTS` with the subject's name.
    pub fn topology(self, name: impl Into<Text>) -> Self {
        Self { by_topology: true, ..self.variant(name) }
    }

    /// What is appended to the broker's URL as its query: `mode=sharded`, say. Empty by default.
    pub fn url_options(mut self, query: impl Into<Text>) -> Self {
        self.options = query.into();
        self
    }

    /// What is appended to the URL, instead of [`url_options`](Self::url_options), in the case in which a broker that replays has
    /// kept too little: an option by which it keeps at most 2,000 messages.
    pub fn keeps_little(mut self, query: impl Into<Text>) -> Self {
        self.keeps_little = Some(query.into());
        self
    }

    /// Excuses the subject from a case. It is shown as ignored with the reason, never as passed.
    pub fn not(mut self, case: impl Into<Text>, reason: impl Into<Text>) -> Self {
        self.excused.push((case.into(), reason.into()));
        self
    }

    /// Says that a subscription which the server confirmed may be unknown to the broker's other servers for a moment, and
    /// why. The case about just that is shown as ignored; those about something else wait until a first message came through.
    pub fn spreads_late(mut self, reason: impl Into<Text>) -> Self {
        let reason = reason.into();
        self.spreads_late = Some(reason.clone());
        self.not("g18_what_is_published_after_subscribe_has_returned_is_received", reason)
    }

    /// It is run only where `CONFORMANCE_SUBJECTS` names it: one that differs from another in a part of the cases alone.
    pub fn on_request(mut self) -> Self {
        self.on_request = true;
        self
    }

    /// It is left out where this is false: `only_if(cfg!(feature = "tls"))`.
    pub fn only_if(mut self, possible: bool) -> Self {
        self.possible = possible;
        self
    }

    /// How many cases run beside each other at most; 10 by default. A broker that needs the processors for itself bears fewer: on a busy
    /// machine it stands still for so long that links are given up.
    pub fn at_once(mut self, cases: usize) -> Self {
        self.at_once = cases;
        self
    }

    /// How long a case may take before it has failed; 300 s by default. A generous one costs nothing while all is well: what a
    /// case waits for has a limit of its own.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Name and variant.
    pub(crate) fn label(&self) -> String {
        [&*self.name, &*self.variant].join(" ").trim().to_owned()
    }

    /// The URL with this subject's options.
    pub(crate) fn with_options(&self, url: String) -> String {
        with_options(url, &self.options)
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("label", &self.label()).field("recipe", &self.recipe).finish_non_exhaustive()
    }
}

pub(crate) fn with_options(url: String, options: &str) -> String {
    match options {
        "" => url,
        options if url.contains('?') => format!("{url}&{options}"),
        options => format!("{url}?{options}"),
    }
}
