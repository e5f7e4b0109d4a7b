//! The nemesis of a backend of this workspace, by the backend's own suite: this package depends on no backend.

use std::process::Command;

use roomcast_conformance::nemesis::Options;

/// Runs the suite of the package `adapter-<backend>` as the nemesis, built as this program is; `relay` is the suite's own broker.
///
/// A backend elsewhere needs no more than its own suite: `cargo test --test conformance -- --nemesis`.
pub(super) fn nemesis(arguments: impl IntoIterator<Item = String>) -> Result<(), String> {
    let (backend, rest) = of_backend(arguments)?;
    Options::parse(rest.iter().cloned())?; // before anything is built
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["test", "--quiet"]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let relay = backend == "relay";
    let package = if relay { "roomcast-conformance".to_owned() } else { format!("adapter-{backend}") };
    cargo.args(["--package", &package, "--test", if relay { "relay" } else { "conformance" }, "--", "--nemesis"]);
    let status = cargo.args(rest).status().map_err(|error| format!("cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("the nemesis of {backend} has not passed")) }
}

/// Takes `--backend` out of the arguments.
fn of_backend(arguments: impl IntoIterator<Item = String>) -> Result<(String, Vec<String>), String> {
    let (mut backend, mut rest, mut arguments) = (None, Vec::new(), arguments.into_iter());
    while let Some(argument) = arguments.next() {
        if argument == "--backend" {
            backend = arguments.next();
        } else {
            rest.push(argument);
        }
    }
    let backend = backend.ok_or("--backend says which: redis, nats, amqp, postgres or relay")?;
    Ok((backend, rest))
}

#[cfg(test)]
mod tests {
    use super::of_backend;

    #[test]
    fn the_backend_is_taken_out() {
        let words = ["--seconds", "9", "--backend", "redis", "--keep"].map(str::to_owned);
        let rest = ["--seconds", "9", "--keep"].map(str::to_owned).to_vec();
        assert_eq!(of_backend(words), Ok(("redis".to_owned(), rest)));
        assert!(of_backend(["--keep".to_owned()]).is_err());
    }
}
