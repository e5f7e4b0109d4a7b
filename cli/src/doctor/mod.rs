//! `roomcast doctor`.

mod broker;
mod cluster;
mod link;
mod report;

use crate::context::{Context, MEMORY, is_memory};
use crate::exit::{Done, Failure};
use crate::text::shown;
use report::Report;

/// Checks the way to the broker and into the cluster, and says what to mend.
///
/// The checks are: that the URL is understood, the broker accepts the connection, which product and version it is, how far its clock is from this
/// machine's, which limits it has, the login may subscribe and publish, messages come back, and how fast, whether large ones do, and which nodes are
/// there and reply.
///
/// Joins the cluster for a moment: the other nodes see one more node, which has no sockets. The exit code is that of the first check that
/// fails.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The broker; else --url, else ROOMCAST_URL.
    #[arg(value_name = "URL")]
    place: Option<String>,
}

/// Checks.
///
/// # Errors
/// When the output cannot be written, or a signal came; what the checks find is no error.
pub(crate) async fn run(context: Context, args: Args) -> Result<Done, Failure> {
    let context = context.at(args.place);
    let mut report = Report::new(context.out);
    examine(&context, &mut report).await?;
    Ok(report.end())
}

async fn examine(context: &Context, report: &mut Report) -> Result<(), Failure> {
    if is_memory(context.url()?) {
        return report.bad("url", 2, MEMORY, "give the URL of a broker: redis://, nats://, amqp:// or postgres://");
    }
    let backend = match context.backend() {
        Ok(backend) => backend,
        Err(failure) => {
            let mend = "write the URL as the backend's page has it: https://docs.rs/roomcast";
            return report.bad("url", failure.code(), failure.text(), mend);
        }
    };
    let name = context.cluster_name(&*backend);
    report.good("url", &format!("{}, cluster {}", context.place(), shown(&name)))?;
    if !link::check(context, report, &*backend, &name).await? {
        return Ok(());
    }
    cluster::check(context, report).await
}
