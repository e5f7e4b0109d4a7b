//! What is started.

use super::recipe::Text;

/// What is started, and with what.
#[derive(Clone, Debug)]
#[must_use]
pub struct Launch {
    pub(super) what: Text,
    pub(super) arguments: Vec<Text>,
    pub(super) environment: Vec<(Text, Text)>,
    pub(super) files: Vec<(Text, Text)>,
    pub(super) prepare: Vec<Vec<Text>>,
    pub(super) user: Option<Text>,
    pub(super) stop: Text,
    pub(super) behind: Option<Box<Launch>>,
    /// The operator's command after which the next start has a smaller limit.
    pub(super) takes_less: Option<Vec<Text>>,
}

impl Launch {
    /// A program or an image, without arguments.
    pub fn new(what: impl Into<Text>) -> Self {
        Self {
            what: what.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            files: Vec::new(),
            prepare: Vec::new(),
            user: None,
            stop: Text::Borrowed("TERM"),
            behind: None,
            takes_less: None,
        }
    }

    /// Another program or image, started in the same way.
    pub fn named(mut self, what: impl Into<Text>) -> Self {
        self.what = what.into();
        self
    }

    /// More arguments.
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl Into<Text>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Without the arguments until here.
    pub fn without_args(mut self) -> Self {
        self.arguments.clear();
        self
    }

    /// More of its environment, beside what it inherits.
    pub fn envs(mut self, variables: impl IntoIterator<Item = (impl Into<Text>, impl Into<Text>)>) -> Self {
        self.environment.extend(variables.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// A file in the folder, written before the first start: its name there, and what it holds, as a template. For a program of this
    /// machine only.
    pub fn file(mut self, name: impl Into<Text>, content: impl Into<Text>) -> Self {
        self.files.push((name.into(), content.into()));
        self
    }

    /// A command that prepares the folder before the first start, such as `initdb`, after those before it. A program that it puts into
    /// the folder's `bin` is started instead of the one of the same name. For a program of this machine only.
    pub fn prepare(mut self, command: impl IntoIterator<Item = impl Into<Text>>) -> Self {
        self.prepare.push(command.into_iter().map(Into::into).collect());
        self
    }

    /// Without the commands until here that prepare the folder.
    pub fn unprepared(mut self) -> Self {
        self.prepare.clear();
        self
    }

    /// Whom these commands and the server run as, and who owns the folder, where we are root: for a server that refuses to run as
    /// root. For a program of this machine only, with `setpriv` of util-linux.
    pub fn user(mut self, name: impl Into<Text>) -> Self {
        self.user = Some(name.into());
        self
    }

    /// The signal by which an operator ends it; `TERM` by default. For a program of this machine only: an image names its own.
    pub fn stop(mut self, signal: impl Into<Text>) -> Self {
        self.stop = signal.into();
        self
    }

    /// Another program that belongs to the same server, with the same folder and ports: the database behind a pooler. It is prepared
    /// and started before this one; what is done to the server is done to both. For a program of this machine only.
    pub fn in_front_of(mut self, other: Self) -> Self {
        self.behind = Some(Box::new(other));
        self
    }

    /// A command of the operator's, a template, after which the next starts of the server take only smaller messages, of 512 bytes at
    /// least. It is run where the server runs; the case that does so is the last one that this server gets.
    pub fn takes_less_by(mut self, command: impl IntoIterator<Item = impl Into<Text>>) -> Self {
        self.takes_less = Some(command.into_iter().map(Into::into).collect());
        self
    }
}
