//! The grammar that the backends' URLs share.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::kit::{Credentials, HostPort, Login, percent_decoded};
use crate::model::{Error, Result};

const ENCODED: &str =
    "in a user name or password, percent-encode special characters: / is %2F, ? is %3F, # is %23, @ is %40";

/// A backend's URL, taken apart: `scheme://user:password@host:port,host:port/path?option=value&option=value`.
///
/// No error and no `Debug` repeats a part of the URL that may be secret.
///
/// # Examples
/// ```
/// use roomcast_core::backend::UrlParts;
///
/// let url = UrlParts::parse("Redis", &["redis", "rediss"], "Redis://app:p%40ss@one,two:7000/0?name=web%201")?;
/// assert_eq!((url.scheme, url.path), ("redis", "0"));
/// assert_eq!(url.servers(6379)?[1].to_string(), "two:7000");
/// assert_eq!(url.login()?, Some(("app".to_owned(), Some("p@ss".to_owned()))));
/// assert_eq!(url.options().collect::<Result<Vec<_>, _>>()?, [("name", "web%201")]);
/// # Ok::<_, roomcast_core::Error>(())
/// ```
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct UrlParts<'a> {
    broker: &'static str,
    /// The scheme, as the backend writes it. The URL may have it in upper case.
    pub scheme: &'static str,
    /// Everything between the scheme and the options, still percent-encoded.
    pub place: &'a str,
    /// What stands behind the first slash of that, still percent-encoded. Empty if nothing does.
    pub path: &'a str,
    login: Option<&'a str>,
    hosts: &'a str,
    query: &'a str,
}

impl<'a> UrlParts<'a> {
    /// Takes a URL apart. `broker` names the broker in errors; `schemes` are the backend's, in lower case.
    ///
    /// # Errors
    /// `Config` for an empty URL, a scheme that is none of these, a fragment, and a path with an `@`: that is a user name or
    /// a password with a slash that is not percent-encoded.
    pub fn parse(broker: &'static str, schemes: &[&'static str], url: &'a str) -> Result<Self> {
        if url.trim().is_empty() {
            return Err(Error::config(format!("the URL of {broker} is empty")));
        }
        let found = url.split_once("://").and_then(|(scheme, rest)| {
            schemes.iter().find(|known| known.eq_ignore_ascii_case(scheme)).map(|known| (*known, rest))
        });
        let Some((scheme, rest)) = found else {
            let known: Vec<_> = schemes.iter().map(|scheme| format!("{scheme}://")).collect();
            return Err(Error::config(format!("a URL of {broker} begins with {}", known.join(" or "))));
        };
        if rest.contains('#') {
            return Err(Error::config(format!("a URL of {broker} has no fragment; {ENCODED}")));
        }
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = place.split_once('/').unwrap_or((place, ""));
        if path.contains('@') {
            return Err(Error::config(format!("the path of a URL of {broker} has no @; {ENCODED}")));
        }
        let (login, hosts) =
            authority.rsplit_once('@').map_or((None, authority), |(login, hosts)| (Some(login), hosts));
        Ok(Self { broker, scheme, place, path, login, hosts, query })
    }

    /// The user and the password, decoded. The password is `None` if there is no colon; the user may be empty.
    ///
    /// # Errors
    /// `Config` if they are not UTF-8.
    pub fn login(&self) -> Result<Option<(String, Option<String>)>> {
        let Some(login) = self.login else { return Ok(None) };
        let (user, password) = login.split_once(':').map_or((login, None), |(user, password)| (user, Some(password)));
        Ok(Some((percent_decoded(user)?, password.map(percent_decoded).transpose()?)))
    }

    /// Where the login comes from, for a broker to which a node says user and password, the password alone, or nothing. The password
    /// stands behind the user, or in this file.
    ///
    /// # Errors
    /// `Config` for a user without a password, and those of [`Credentials::of_url`].
    pub fn credentials(&self, password_file: Option<impl Into<PathBuf>>) -> Result<Credentials> {
        let login = self.login()?;
        if let Some(of_file) = Credentials::of_url(login.clone(), password_file)? {
            return Ok(of_file);
        }
        match login {
            None => Ok(Credentials::default()),
            Some((user, Some(password))) if user.is_empty() => Ok(Credentials::fixed(Login::token(password))),
            Some((user, Some(password))) => Ok(Credentials::fixed(Login::new(user, password))),
            Some((_, None)) => Err(Error::config(format!(
                "a URL of {} has user:password before the @, or :password alone",
                self.broker
            ))),
        }
    }

    /// The servers: at least one.
    ///
    /// # Errors
    /// `Config` if one of them is not what [`HostPort::parse`] reads.
    pub fn servers(&self, default_port: u16) -> Result<Vec<HostPort>> {
        let servers = self.hosts.split(',').map(|host| HostPort::parse(host, default_port)).collect::<Option<_>>();
        servers.ok_or_else(|| {
            let hint = self.hint();
            Error::config(format!("a server in a URL of {} is host, host:port or [IPv6]:port{hint}", self.broker))
        })
    }

    /// The options: each one's name, and its value, still percent-encoded ([`percent_decoded`]). Each is an
    /// error, of kind `Config`, if it is not written `option=value`.
    pub fn options(&self) -> impl Iterator<Item = Result<(&'a str, &'a str)>> + use<'a> {
        let Self { broker, query, .. } = *self;
        let hint = self.hint();
        query.split('&').filter(|pair| !pair.is_empty()).map(move |pair| {
            let text = || format!("an option in a URL of {broker} is written option=value{hint}");
            pair.split_once('=').ok_or_else(|| Error::config(text()))
        })
    }

    /// Hands over each option and its decoded value. `take` returns whether it knows the option; `known` are those that there are.
    ///
    /// # Errors
    /// `Config` for an option that is not written `option=value`, is not UTF-8, or is [unknown](Self::unknown_option); those of `take`.
    pub fn each_option(&self, known: &str, mut take: impl FnMut(&str, String) -> Result<bool>) -> Result<()> {
        self.options().try_for_each(|option| {
            let (option, value) = option?;
            if take(option, percent_decoded(value)?)? { Ok(()) } else { Err(self.unknown_option(option, known)) }
        })
    }

    /// The error for an option that the backend does not know. It names the option, never its value, and the options that
    /// there are.
    pub fn unknown_option(&self, option: &str, known: &str) -> Error {
        let Self { broker, .. } = self;
        if option == "cluster" {
            return Error::config(
                "the option cluster is read by roomcast::connect and roomcast::backend; elsewhere, name the cluster with \
                 ClusterBuilder::cluster or EmitterBuilder::cluster",
            );
        }
        let hint = self.hint();
        // What does not look like an option may be the rest of a password.
        let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.');
        let named = hint.is_empty() && option.len() <= 40 && option.chars().all(plain);
        let option = if named { format!(" {option}") } else { String::new() };
        Error::config(format!(
            "unknown option{option} in a URL of {broker}; the options are {known}, and cluster by roomcast::connect and roomcast::backend{hint}"
        ))
    }

    /// What to add to an error if the options may be the rest of a password with a question mark in it.
    fn hint(&self) -> String {
        if self.query.contains('@') { format!("; {ENCODED}") } else { String::new() }
    }
}

/// The value of an option that is a number of at least one.
///
/// # Errors
/// `Config`, also where the number is too large for its type.
pub fn at_least_one<N: FromStr + PartialEq + From<u8>>(option: &str, value: &str) -> Result<N> {
    let number = value.parse().ok().filter(|number| *number != N::from(0));
    number.ok_or_else(|| Error::config(format!("{option} is a number, at least 1, and not too large")))
}

/// Without what may be secret.
impl fmt::Debug for UrlParts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UrlParts").field("broker", &self.broker).field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ErrorKind;

    fn parse(url: &str) -> Result<UrlParts<'_>> {
        UrlParts::parse("Redis", &["redis", "rediss"], url)
    }

    /// What is said of a URL by whatever finds the fault.
    fn refusal(url: &str) -> String {
        let read = |url| {
            let parts = parse(url)?;
            parts.login()?;
            parts.servers(1)?;
            parts.each_option("mode, tag", |option, _| Ok(option == "mode"))
        };
        let error: Error = read(url).expect_err(url);
        assert_eq!(error.kind(), ErrorKind::Config, "{url}");
        format!("{error} {error:?}")
    }

    #[test]
    fn schemes_have_no_case() {
        for url in ["rediss://h", "Rediss://h", "REDISS://h"] {
            assert_eq!(parse(url).expect(url).scheme, "rediss");
        }
        assert!(refusal("kafka://h").contains("redis:// or rediss://"));
        assert!(refusal("redis:h").contains("redis:// or rediss://"));
    }

    #[test]
    fn an_empty_url_is_called_empty() {
        for url in ["", " ", "\n"] {
            assert!(refusal(url).contains("is empty"), "{url:?}");
        }
    }

    #[test]
    fn a_special_character_in_a_password_is_told_how_to_be_written() {
        for special in ['/', '?', '#'] {
            for [before, after] in [["hunter2", "hunter3"], ["", "hunter2"], ["hunter2", ""], ["12", "hunter2"]] {
                for tail in ["h", "h/0", "h?mode=x", "h,i:1/0?mode=x"] {
                    let url = format!("redis://app:{before}{special}{after}@{tail}");
                    let text = refusal(&url);
                    assert!(text.contains("%2F") && !text.contains("hunter"), "{url}: {text}");
                }
            }
        }
        let parts = parse("redis://:a%2Fb%3Fc%23d%40e@h").expect("valid");
        assert_eq!(parts.login().expect("UTF-8"), Some((String::new(), Some("a/b?c#d@e".to_owned()))));
    }

    #[test]
    fn an_unknown_option_is_named_and_its_value_is_not() {
        let text = refusal("redis://app:hunter2@h?protocol=hunter3");
        assert!(
            text.contains("option protocol in") && text.contains("mode, tag") && !text.contains("hunter"),
            "{text}"
        );
        assert!(!refusal("redis://h?hunter2").contains("hunter"));
        assert!(refusal("redis://h?cluster=shop").contains("ClusterBuilder::cluster"));
    }

    #[tokio::test]
    async fn a_login_has_a_password() {
        for (url, login) in [
            ("redis://h", Login::default()),
            ("redis://:s%40fe@h", Login::token("s@fe")),
            ("redis://app:pw@h", Login::new("app", "pw")),
        ] {
            let credentials = parse(url).expect(url).credentials(None::<PathBuf>).expect(url);
            assert_eq!(credentials.login().await.expect("fixed"), login, "{url}");
        }
        let error = parse("redis://hunter2@h").expect("valid").credentials(None::<PathBuf>).expect_err("no password");
        assert!(error.kind() == ErrorKind::Config && !error.to_string().contains("hunter2"), "{error}");
        let file = parse("redis://app@h").expect("valid").credentials(Some("/secret")).expect("the file has it");
        assert!(format!("{file:?}").contains("/secret"), "{file:?}");
        parse("redis://app:pw@h").expect("valid").credentials(Some("/secret")).expect_err("in both");
    }

    #[test]
    fn the_servers_are_read() {
        let servers = parse("redis://h,i:2,[::1]:3").expect("valid").servers(1).expect("valid");
        assert_eq!(servers.iter().map(HostPort::to_string).collect::<Vec<_>>(), ["h:1", "i:2", "[::1]:3"]);
        for url in ["redis://", "redis://u@", "redis://h,,i", "redis://h:x", "redis:///0"] {
            refusal(url);
        }
    }
}
