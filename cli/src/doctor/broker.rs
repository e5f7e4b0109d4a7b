//! What the broker says of itself.

use std::collections::HashSet;
use std::time::Duration;

use roomcast::backend::{Advice, Backend, Clock, Description, LimitUnit, ServerLimit};
use serde_json::json;

use super::link::time;
use super::report::Report;
use crate::context::Context;
use crate::exit::Failure;
use crate::text::{one_line, shown, size};

/// Clocks that differ by more than this are told.
const APART: Duration = Duration::from_secs(1);

/// What was advised already, by its cause.
pub(super) type Advised = HashSet<&'static str>;

/// Asks the broker, and says what it told.
///
/// # Errors
/// When the report cannot be written, or a signal came.
pub(super) async fn check(context: &Context, report: &Report, backend: &dyn Backend) -> Result<Advised, Failure> {
    let mut advised = Advised::new();
    let described = match ask(context, backend).await? {
        Ok(described) => described,
        Err(why) => {
            report.warn("broker", &format!("the broker does not say what it is: {why}"), "see the broker's log")?;
            return Ok(advised);
        }
    };
    let Description { broker, clock: told, limits, unknown, .. } = &described;
    match broker {
        Some(broker) => {
            let more = json!({ "product": broker.product, "version": broker.version });
            report.tell("broker", &shown(&broker.to_string()), None, more)?;
        }
        None => report.tell("broker", "the broker does not say what it is", None, json!({ "product": null }))?,
    }
    clock(report, told.as_ref())?;
    limits.iter().try_for_each(|one| limit(report, one))?;
    if !unknown.is_empty() {
        report.tell("unknown", &shown(&unknown.join("; ")), None, json!({ "unknown": unknown }))?;
    }
    advise(report, &described.advice, &mut advised)?;
    Ok(advised)
}

/// Asks again, and says only what is to be advised now and was not before: some of it shows when a node begins to work.
///
/// # Errors
/// As [`check`].
pub(super) async fn again(
    context: &Context,
    report: &Report,
    backend: &dyn Backend,
    advised: &mut Advised,
) -> Result<(), Failure> {
    match ask(context, backend).await? {
        Ok(described) => advise(report, &described.advice, advised),
        Err(why) => {
            report.warn("broker", &format!("the broker cannot be asked any more: {why}"), "see the broker's log")
        }
    }
}

/// What it says, or why it does not.
async fn ask(context: &Context, backend: &dyn Backend) -> Result<Result<Description, String>, Failure> {
    let asked = tokio::time::timeout(context.timeout, backend.describe());
    Ok(match context.unless_stopped(asked).await? {
        Ok(described) => described.map_err(|error| one_line(&error)),
        Err(_) => Err("nothing came back within the timeout".to_owned()),
    })
}

fn advise(report: &Report, advice: &[Advice], advised: &mut Advised) -> Result<(), Failure> {
    let new = advice.iter().filter(|advice| advised.insert(advice.cause));
    new.into_iter().try_for_each(|Advice { cause, text, mend, .. }| {
        report.tell("advice", &shown(text), Some(&shown(mend)), json!({ "cause": cause }))
    })
}

fn clock(report: &Report, clock: Option<&Clock>) -> Result<(), Failure> {
    let Some(clock) = clock else {
        let none = json!({ "ahead_ms": null, "uncertainty_ms": null });
        return report.tell("clock", "the broker does not tell its time", None, none);
    };
    let (by, within) = (Duration::from_micros(clock.ahead_micros.unsigned_abs()), time(clock.uncertainty));
    let side = if clock.ahead_micros < 0 { "behind" } else { "ahead of" };
    let text = format!("the broker's clock is {} {side} this machine's, give or take {within}", time(by));
    let mend = "set both by NTP: certificates and tokens have times, and logs of both are read side by side";
    let more = json!({
        "ahead_ms": clock.ahead_micros as f64 / 1000.0,
        "uncertainty_ms": clock.uncertainty.as_micros() as f64 / 1000.0,
    });
    report.tell("clock", &text, (clock.differs() > APART).then_some(mend), more)
}

fn limit(report: &Report, limit: &ServerLimit) -> Result<(), Failure> {
    let amount = |amount: u64| match limit.unit {
        LimitUnit::Bytes => size(usize::try_from(amount).unwrap_or(usize::MAX)),
        LimitUnit::Percent => format!("{amount} %"),
        _ => amount.to_string(),
    };
    let text = match (limit.used, limit.most) {
        (Some(used), Some(most)) => format!("{} of {} used", amount(used), amount(most)),
        (Some(used), None) => format!("{} used, without a limit", amount(used)),
        (None, Some(most)) => amount(most),
        (None, None) => "no limit".to_owned(),
    };
    let more = json!({ "limit": limit.name, "unit": limit.unit, "used": limit.used, "most": limit.most });
    report.tell("limit", &shown(&format!("{}: {text}", limit.name)), limit.mend(), more)
}
