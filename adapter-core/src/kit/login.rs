//! Who a node is to its broker, asked anew for each connection, and before a login ends.

use std::fmt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::model::{Error, Result};

/// How long code of the application may take to say who logs in.
const PATIENCE: Duration = Duration::from_secs(5);
/// A password has no more bytes.
const LONGEST: u64 = 64 << 10;

/// A login: the name and the password, where the broker wants one. What is `None` is not sent; PostgreSQL takes what the URL says
/// then, and RabbitMQ, where both are `None`, `guest` or our certificate. Debug shows no password.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Login {
    /// Who logs in.
    pub user: Option<String>,
    /// What proves it: a password or a token.
    pub password: Option<String>,
    /// When the broker ends a connection that has this login; `None` for never. [`valid_for`](Self::valid_for) sets it.
    pub expires: Option<Instant>,
}

/// Where the login of each new connection comes from: fixed, from a file, or from code. So a password or a token that changes
/// is taken up without a restart. A connection that is made already keeps its login. If that says that it ends
/// ([`Login::valid_for`]), it is asked for anew in time, and the connection goes on with the new one.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> roomcast_core::Result<()> {
/// use std::time::Duration;
///
/// use roomcast_core::backend::{Credentials, Login};
///
/// async fn token() -> roomcast_core::Result<(String, Duration)> {
///     Ok(("of an hour".to_owned(), Duration::from_secs(3600))) // from the provider's API, say
/// }
/// let credentials = Credentials::from_fn(async || {
///     let (token, time) = token().await?;
///     Ok(Login::new("web", token).valid_for(time))
/// });
/// assert_eq!(credentials.login().await?.user.as_deref(), Some("web"));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Credentials(Source);

type Asked = Pin<Box<dyn Future<Output = Result<Login>> + Send>>;

#[derive(Clone)]
enum Source {
    Fixed(Login),
    File { user: Option<String>, file: PathBuf },
    Code(Arc<dyn Fn() -> Asked + Send + Sync>),
}

impl Login {
    /// This user with this password.
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { user: Some(user.into()), ..Self::token(password) }
    }

    /// A password or a token alone, for brokers that know by it who logs in.
    pub fn token(password: impl Into<String>) -> Self {
        Self { password: Some(password.into()), ..Self::default() }
    }

    /// The broker ends a connection that has this login after this time from now: 12 h for ElastiCache by IAM, what a token says for
    /// Azure Cache by Entra and for RabbitMQ by OAuth 2. When about three quarters of it have passed, the node asks for the next login
    /// and renews what it has: on the same connections with Redis and RabbitMQ, by a new connection that is made before the old one
    /// goes with NATS. PostgreSQL ends no session for its login, and nothing is renewed there.
    ///
    /// A renewal that fails is told as an [`Event::Refused`](crate::Event::Refused) for the kinds `Config` and `Denied`, and logged
    /// otherwise. It is tried again as long as the connection stands, with the pauses of an outage.
    #[must_use]
    pub fn valid_for(mut self, time: Duration) -> Self {
        self.expires = tokio::time::Instant::now().into_std().checked_add(time);
        self
    }
}

impl Credentials {
    /// The option of a URL that names a file for [`from_file`](Self::from_file).
    pub const OPTION: &str = "password_file";

    /// Always this login.
    pub fn fixed(login: Login) -> Self {
        Self(Source::Fixed(login))
    }

    /// The password stands in a file, and is read each time a link is made: a secret that Kubernetes mounts, say. It is UTF-8 of at most
    /// 64 KiB; line ends at its end do not belong to it. While the file cannot be read, connecting fails as `Unavailable`.
    pub fn from_file(user: Option<String>, file: impl Into<PathBuf>) -> Self {
        Self(Source::File { user, file: file.into() })
    }

    /// Asks code of the application each time a link is made, for PostgreSQL and NATS with each connection, and each time a login that
    /// [ends](Login::valid_for) is to be renewed. An attempt whose login fails,
    /// panics or takes 5 s has failed, and is repeated as any other: after 5 to 10 s for the kinds `Config` and `Denied`. The future
    /// may be dropped at any await.
    pub fn from_fn<F>(code: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Login>> + Send + 'static,
    {
        Self(Source::Code(Arc::new(move || Box::pin(code()))))
    }

    /// Those of a URL whose password stands in a file, beside the login before its `@`; `None` if no file is named.
    ///
    /// # Errors
    /// `Config` for a password in both places.
    pub fn of_url(login: Option<(String, Option<String>)>, file: Option<impl Into<PathBuf>>) -> Result<Option<Self>> {
        let Some(file) = file else { return Ok(None) };
        match login {
            Some((_, Some(_))) => Err(Error::config(format!(
                "the password stands before the @ or in the file of {}, not in both",
                Self::OPTION
            ))),
            login => Ok(Some(Self::from_file(login.map(|(user, _)| user).filter(|user| !user.is_empty()), file))),
        }
    }

    /// How long the login may take: 5 s from code, nothing otherwise. To be added to [`Link::timeout`](crate::backend::Link::timeout).
    pub fn limit(&self) -> Duration {
        if let Source::Code(_) = self.0 { PATIENCE } else { Duration::ZERO }
    }

    /// The login for the next connection.
    ///
    /// # Errors
    /// `Unavailable` for a file that cannot be read, and after 5 s; `Unexpected` for a panic; what the application's code says.
    ///
    /// # Cancel safety
    /// Safe, if the application's code is.
    pub async fn login(&self) -> Result<Login> {
        match &self.0 {
            Source::Fixed(login) => Ok(login.clone()),
            Source::File { user, file } => Ok(Login { user: user.clone(), ..Login::token(password(file).await?) }),
            Source::Code(code) => asked(Arc::clone(code)).await,
        }
    }
}

/// In a task of its own: a panic of the application's code costs the attempt.
async fn asked(code: Arc<dyn Fn() -> Asked + Send + Sync>) -> Result<Login> {
    let mut task = JoinSet::new();
    task.spawn(async move { code().await });
    match timeout(PATIENCE, task.join_next()).await {
        Ok(Some(Ok(login))) => login,
        Ok(Some(Err(panicked))) => {
            Err(Error::unexpected("the code that says who logs in has panicked").with_source(panicked))
        }
        Ok(None) => Err(Error::unexpected("the code that says who logs in has ended")),
        Err(_) => Err(Error::unavailable(format!("the login was not there after {} s", PATIENCE.as_secs()))),
    }
}

async fn password(file: &Path) -> Result<String> {
    let owned = file.to_owned();
    let read = tokio::task::spawn_blocking(move || {
        if std::fs::metadata(&owned)?.len() > LONGEST {
            return Err(std::io::Error::other("it is too large for a password"));
        }
        std::fs::read_to_string(&owned)
    });
    // It may just be being replaced.
    let unreadable =
        || Error::unavailable(format!("the file of option {} cannot be read: {}", Credentials::OPTION, file.display()));
    let text = read.await.map_err(|cause| unreadable().with_source(cause))?;
    let mut text = text.map_err(|cause| unreadable().with_source(cause))?;
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(text)
}

impl Default for Credentials {
    /// No login.
    fn default() -> Self {
        Self::fixed(Login::default())
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let password = self.password.as_ref().map(|_| "..");
        let mut shown = f.debug_struct("Login");
        shown.field("user", &self.user).field("password", &password).field("expires", &self.expires).finish()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Fixed(login) => login.fmt(f),
            Source::File { user, file } => {
                f.debug_struct("Credentials").field("user", user).field("password_file", file).finish()
            }
            Source::Code(_) => f.write_str("Credentials(from code)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ErrorKind;

    #[tokio::test]
    async fn a_file_is_read_for_each_login() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("password");
        let credentials = Credentials::from_file(Some("web".into()), &file);
        assert_eq!(credentials.login().await.expect_err("no file").kind(), ErrorKind::Unavailable);
        for (text, password) in [("one\n", "one"), ("two\r\n", "two"), (" three ", " three "), ("", "")] {
            std::fs::write(&file, text).expect("written");
            assert_eq!(credentials.login().await.expect("readable"), Login::new("web", password));
        }
        std::fs::write(&file, vec![b'x'; LONGEST as usize + 1]).expect("written");
        assert_eq!(credentials.login().await.expect_err("too large").kind(), ErrorKind::Unavailable);
    }

    #[tokio::test(start_paused = true)]
    async fn code_that_says_nothing_fails_the_attempt() {
        let credentials = Credentials::from_fn(std::future::pending::<Result<Login>>);
        assert_eq!(credentials.login().await.expect_err("late").kind(), ErrorKind::Unavailable);
    }

    #[tokio::test]
    async fn code_that_panics_fails_the_attempt() {
        let credentials = Credentials::from_fn(|| async { panic!("no token") });
        assert_eq!(credentials.login().await.expect_err("a panic").kind(), ErrorKind::Unexpected);
    }

    #[test]
    fn a_url_has_its_password_in_one_place() {
        let of = |login: Option<(&str, Option<&str>)>, file| {
            let login = login.map(|(user, password)| (user.to_owned(), password.map(str::to_owned)));
            Credentials::of_url(login, file).map(|credentials| format!("{credentials:?}"))
        };
        assert_eq!(of(Some(("web", Some("x"))), None::<&str>).expect("no file"), "None");
        assert!(
            of(Some(("web", None)), Some("/p")).expect("valid").contains("user: Some(\"web\"), password_file: \"/p\"")
        );
        assert!(of(None, Some("/p")).expect("valid").contains("user: None"));
        assert_eq!(of(Some(("web", Some("x"))), Some("/p")).expect_err("both").kind(), ErrorKind::Config);
    }

    #[test]
    fn secrets_are_shown_nowhere() {
        let text = format!("{:?}", Credentials::fixed(Login::new("web", "hunter2")));
        assert!(text.contains("web") && !text.contains("hunter"), "{text}");
    }
}
