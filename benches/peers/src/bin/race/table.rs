//! The medians, as Markdown.

use super::load::Measured;

pub(crate) fn print(all: impl Iterator<Item = (&'static str, Vec<Measured>)>) {
    println!(
        "| | CPU us for an event: sender, receiver, broker; all | events/s | p50, p99 us, another server | same server | fetch_sockets ms | 100 acks ms | MB | rounds |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for (name, results) in all {
        let of = |what: fn(&Measured) -> u64| {
            let mut values: Vec<_> = results.iter().map(what).collect();
            values.sort_unstable();
            values.get(values.len() / 2).copied().unwrap_or_default()
        };
        let thousandth = |what| of(what) as f64 / 1_000.0;
        let all = |of: &Measured| of.sender + 2 * of.receiver + of.broker;
        println!(
            "| {name} | {:.1}, {:.1}, {:.1}; {:.1} | {} | {}, {} | {} | {:.2} | {:.2} | {:.1} | {} |",
            thousandth(|of| of.sender),
            thousandth(|of| of.receiver),
            thousandth(|of| of.broker),
            thousandth(all),
            of(|of| of.events),
            of(|of| of.remote_p50),
            of(|of| of.remote_p99),
            of(|of| of.local_p50),
            thousandth(|of| of.fetch),
            thousandth(|of| of.acks),
            of(|of| of.resident) as f64 / 1e6,
            results.len(),
        );
    }
}
