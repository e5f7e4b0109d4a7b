//! Socket.IO nodes for the tests in `tests/js`: each does what a client asks it to do.
//!
//! `--nodes N` (3), `--parser common|msgpack|mixed`, `--adapter URL` (memory). Prints one line of JSON, `{ urls, nodes }`,
//! once all nodes listen, and ends with its standard input, so that it never outlives the test that started it.

mod node;
mod ops;
mod target;

use std::error::Error;
use std::io::Read;
use std::sync::Arc;

use node::{Nodes, Parser};
use tokio::sync::oneshot;

struct Args {
    nodes: usize,
    parser: String,
    adapter: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = arguments()?;
    let nodes = Arc::new(Nodes::default());
    for index in 0..args.nodes {
        let parser = Parser::of_node(&args.parser, index)?;
        nodes.start(&args.adapter, parser).await?;
    }
    println!("{}", nodes.describe());
    end_of_input().await?;
    nodes.close_all().await;
    Ok(())
}

fn arguments() -> Result<Args, String> {
    let mut args = Args { nodes: 3, parser: "common".to_owned(), adapter: "memory://tests".to_owned() };
    let mut words = std::env::args().skip(1);
    while let Some(flag) = words.next() {
        let value = words.next().ok_or(format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--nodes" => args.nodes = value.parse().map_err(|_| format!("{value:?} is no number"))?,
            "--parser" => args.parser = value,
            "--adapter" => args.adapter = value,
            _ => return Err(format!("there is no option {flag:?}")),
        }
    }
    Ok(args)
}

async fn end_of_input() -> Result<(), oneshot::error::RecvError> {
    let (ended, end) = oneshot::channel();
    // A thread of its own: a blocked read must not keep the runtime from ending.
    std::thread::spawn(move || {
        let mut rest = Vec::new();
        _ = std::io::stdin().read_to_end(&mut rest);
        ended.send(())
    });
    end.await
}
