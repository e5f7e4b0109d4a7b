//! A broker at the hands of another program: tests in other languages, or a person who wants one to try.

use std::io::{BufRead, Write, stdin, stdout};

use roomcast_conformance::broker::{Broker, Recipe, recipes};

/// Starts a broker, says its URL on a line, and then does what each line of its input says: `kill` (SIGKILL to all servers) or
/// `start` (again, on the same ports). Each is answered with `done`, or with what failed. The end of the input ends it.
pub(super) fn broker(name: &str) -> Result<(), String> {
    let all = recipes::all();
    let recipe = all.iter().find(|recipe| recipe.name() == name).ok_or_else(|| {
        let names: Vec<_> = all.iter().map(Recipe::name).collect();
        format!("no broker is called {name}; there are {}", names.join(", "))
    })?;
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let broker = runtime.block_on(Broker::start(recipe)).map_err(|missing| missing.to_string())?;
    say(&broker.url())?;
    for line in stdin().lock().lines() {
        let outcome = match line.map_err(|error| error.to_string())?.trim() {
            "kill" => runtime.block_on(broker.kill()).map_err(|missing| missing.to_string()),
            "start" => runtime.block_on(broker.start_again()).map_err(|missing| missing.to_string()),
            _ => Err("what can be done is: kill, start".to_owned()),
        };
        say(&outcome.map_or_else(|text| text.replace('\n', " "), |()| "done".to_owned()))?;
    }
    Ok(())
}

fn say(line: &str) -> Result<(), String> {
    let mut out = stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| error.to_string())
}
