//! Where a broker comes from: what the environment says, and what this machine has.

use std::env;
use std::fmt;
use std::path::PathBuf;

use super::recipe::Text;
use super::url::Url;
use super::{MissingBroker, Recipe, command, container, local};

/// Where a broker runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Provider {
    /// As processes of this machine's binaries.
    Local,
    /// In containers.
    Container,
    /// Elsewhere; only its URL is known, and it is not disturbed.
    External,
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "local",
            Self::Container => "container",
            Self::External => "external",
        })
    }
}

/// Whether a missing broker is a failure: always, but with `CONFORMANCE_REQUIRE=0`.
pub fn required() -> bool {
    !env::var("CONFORMANCE_REQUIRE").is_ok_and(|value| value == "0")
}

/// What to do to have a broker.
#[derive(Debug)]
pub(super) enum Choice {
    Start(Place),
    Connect(Url),
}

/// Where to start servers, and what.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Local(PathBuf),
    Container(String),
}

/// What the environment asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    Local,
    Container,
    External(Url),
    Any,
}

pub(super) async fn choose(recipe: &Recipe) -> Result<Choice, MissingBroker> {
    let variable = |name: &str| env::var(format!("CONFORMANCE_{name}")).ok().filter(|value| !value.is_empty());
    let missing = |why: String| MissingBroker::new(&*recipe.name, why);
    let wish = wish(variable(&recipe.setting), variable(&recipe.family), recipe).map_err(missing)?;
    if let Wish::External(url) = wish {
        return Ok(Choice::Connect(url));
    }
    let image = variable(&format!("{}_IMAGE", recipe.family)).map(Text::from);
    let image = recipe.container.as_ref().map(|launch| image.unwrap_or_else(|| launch.what.clone()));
    let program = recipe.local.as_ref().map(|launch| launch.what.clone());
    let place = command::blocking(move || place(&wish, program, image)).await.map_err(missing)?;
    Ok(Choice::Start(place))
}

/// A program of this machine.
pub(super) async fn here(recipe: &Recipe) -> Result<Place, MissingBroker> {
    let program = recipe.local.as_ref().map(|launch| launch.what.clone());
    let place = command::blocking(move || place(&Wish::Local, program, None)).await;
    place.map_err(|why| MissingBroker::new(&*recipe.name, why))
}

fn wish(own: Option<String>, family: Option<String>, recipe: &Recipe) -> Result<Wish, String> {
    // The family's URL is that of another kind of broker.
    let value = own.or(family.filter(|value| recipe.setting == recipe.family || !value.contains("://")));
    match value.as_deref() {
        None => Ok(Wish::Any),
        Some("local") => Ok(Wish::Local),
        Some("container") => Ok(Wish::Container),
        // The value may hold a password, so it is not repeated.
        Some(value) => match Url::parse(value) {
            Some(url) if url.scheme().starts_with(&*recipe.scheme) => Ok(Wish::External(url)),
            Some(_) => Err(format!("CONFORMANCE_{} has another scheme than {}", recipe.setting, recipe.scheme)),
            None => Err(format!("CONFORMANCE_{} is neither local, container nor a URL", recipe.setting)),
        },
    }
}

fn place(wish: &Wish, program: Option<Text>, image: Option<Text>) -> Result<Place, String> {
    let local = || {
        let program = program.ok_or("the recipe names no program")?;
        local::find(&program).map(Place::Local).ok_or_else(|| format!("no {program} on the PATH"))
    };
    let contained = || {
        let image = image.ok_or("the recipe names no image")?.into_owned();
        container::available(&image).map(|()| Place::Container(image))
    };
    match wish {
        Wish::Local => local(),
        Wish::Container => contained(),
        _ => contained().or_else(|container| local().map_err(|local| format!("{container}, and {local}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::recipes::{redis, redis_cluster};
    use super::{Recipe, Wish, wish};

    fn asked(own: Option<&str>, family: Option<&str>, recipe: &Recipe) -> Option<Wish> {
        wish(own.map(str::to_owned), family.map(str::to_owned), recipe).ok()
    }

    #[test]
    fn a_setting_of_its_own_beats_the_familys() {
        assert_eq!(asked(None, None, &redis_cluster()), Some(Wish::Any));
        assert_eq!(asked(None, Some("local"), &redis_cluster()), Some(Wish::Local));
        assert_eq!(asked(Some("container"), Some("local"), &redis_cluster()), Some(Wish::Container));
    }

    #[test]
    fn the_familys_url_is_not_a_clusters() {
        assert_eq!(asked(None, Some("redis://host"), &redis_cluster()), Some(Wish::Any));
        let url = Some("redis://host");
        assert!(matches!(asked(url, url, &redis()), Some(Wish::External(_))));
    }

    #[test]
    fn nonsense_is_an_error_without_its_secrets() {
        assert_eq!(asked(Some("nats://host"), None, &redis()), None);
        let error = wish(Some("secret@host".to_owned()), None, &redis()).expect_err("no URL");
        assert!(!error.contains("secret"));
    }
}
