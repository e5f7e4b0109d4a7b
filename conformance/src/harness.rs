//! Cases as tests.

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::case::Case;
use crate::cases;
use crate::nemesis;
use crate::report::{Record, Writer};
use crate::specimen;
use crate::stage::Stage;
use crate::subject::Subject;

const SUBJECTS: &str = "CONFORMANCE_SUBJECTS";
const CASES: &str = "CONFORMANCE_CASES";
/// The name of all cases.
const ALL: &str = "all";

/// What became of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// What was promised holds.
    Passed,
    /// It does not, or could not be shown; with what was seen.
    Failed(String),
    /// It cannot be shown here, and why.
    Ignored(String),
}

/// What a test with `harness = false` does: every case, for each of the subjects.
///
/// Takes the arguments of `cargo test`. Cases run beside each other, since they mostly wait: ten at a time, or as many as each
/// of the subjects [bears](Subject::at_once), unless `--test-threads` says otherwise. At most four of them have a broker of their own.
///
/// `CONFORMANCE_SUBJECTS` names those that are put to the test, `redis,redis cluster` say, or by `* tls` every one that ends so; by
/// default all but those [on request](Subject::on_request). `CONFORMANCE_CASES` names groups of cases, and guarantees:
/// `contract,g13`. By default all are run, or those that can fail [by the topology](Subject::topology) of the broker; `all` runs all.
///
/// With `--nemesis` as the first argument it strikes one subject for a while instead, and says what came of it: [`nemesis`].
pub fn main(subjects: impl IntoIterator<Item = Subject>) -> ExitCode {
    let subjects: Vec<_> = subjects.into_iter().filter(|subject| subject.possible).collect();
    if let Some(done) = started_by_a_case(&subjects) {
        return done;
    }
    let contestants: Vec<_> = subjects.iter().map(nemesis::Contestant::from).collect();
    if let Some(done) = nemesis::command::asked_for(&contestants, std::env::args().skip(1)) {
        return done;
    }
    let named = |variable| std::env::var(variable).unwrap_or_default();
    let (names, cases) = (named(SUBJECTS), named(CASES));
    let subjects = match chosen(subjects, &names) {
        Ok(subjects) => subjects,
        Err(text) => {
            eprintln!("{text}");
            return ExitCode::FAILURE;
        }
    };
    let mut arguments = Arguments::from_args();
    let bearable = subjects.iter().map(|subject| subject.at_once).min().unwrap_or(1);
    arguments.test_threads.get_or_insert(bearable.max(1));
    let stages: Vec<_> = subjects.into_iter().map(|subject| Arc::new(Stage::new(subject))).collect();
    let mut trials = Vec::new();
    for stage in &stages {
        let report = Arc::new(Writer::new(&stage.subject));
        let narrowed = is_narrowed(&stage.subject, &names, &cases);
        for case in wanted_cases(&cases).into_iter().filter(|case| !narrowed || case.depends_on_topology()) {
            let (stage, report) = (Arc::clone(stage), Arc::clone(&report));
            let kind = stage.subject.label();
            let run = move || {
                let record = stage.run(case);
                report.write(&record);
                completion(record)
            };
            trials.push(Trial::ignorable_test(format!("{}::{}", case.group, case.name), run).with_kind(kind));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(stages); // and with them the brokers
    conclusion.exit_code()
}

/// The subjects that are named, separated by commas; where none is, all but those on request.
fn chosen(subjects: Vec<Subject>, names: &str) -> Result<Vec<Subject>, String> {
    let names = words(names);
    let labels: Vec<_> = subjects.iter().map(Subject::label).collect();
    let strange = |name: &&&str| !name.starts_with('*') && !labels.iter().any(|label| label == **name);
    if let Some(strange) = names.iter().find(strange) {
        return Err(format!("{SUBJECTS}: there is no {strange:?} among {}", labels.join(", ")));
    }
    let named = |label: &str| {
        names.iter().any(|name| name.strip_prefix('*').map_or(label == *name, |end| label.ends_with(end)))
    };
    let wanted = |subject: &Subject| if names.is_empty() { !subject.on_request } else { named(&subject.label()) };
    Ok(subjects.into_iter().filter(wanted).collect())
}

/// Whether only the cases are run that can fail by the topology: where neither the subject nor any case is asked for.
fn is_narrowed(subject: &Subject, subjects: &str, cases: &str) -> bool {
    subject.by_topology && words(subjects).is_empty() && words(cases).is_empty()
}

/// The cases of the groups and guarantees that are named, separated by commas; all of them where none is, or `all`. Every other one has a broker
/// of its own as long as there are such: those take longest, and wait for the broker while the others use the processors.
fn wanted_cases(names: &str) -> Vec<&'static Case> {
    let names = words(names);
    let named =
        |case: &&Case| names.iter().any(|name| case.group == *name || case.name.split('_').next() == Some(name));
    let wanted = cases::all().filter(|case| names.is_empty() || names.contains(&ALL) || named(case));
    let (own, shared): (Vec<_>, Vec<_>) = wanted.partition(|case| case.needs.own_broker());
    let mut shared = shared.into_iter();
    let mut mixed: Vec<_> = own.into_iter().flat_map(|case| [Some(case), shared.next()]).flatten().collect();
    mixed.extend(shared);
    mixed
}

fn words(names: &str) -> Vec<&str> {
    names.split(',').map(str::trim).filter(|name| !name.is_empty()).collect()
}

fn completion(record: Record) -> Result<Completion, Failed> {
    match record.outcome {
        Outcome::Passed => Ok(Completion::Completed),
        Outcome::Ignored(reason) => Ok(Completion::ignored_with(reason)),
        Outcome::Failed(text) => Err(text.into()),
    }
}

/// What became of this process, if a case has started it: some have a node in a process of its own, which is this program once
/// more. [`main`] looks for that itself; a program that runs such cases by [`run_case`] asks first.
pub fn started_by_a_case(subjects: &[Subject]) -> Option<ExitCode> {
    specimen::asked_for(subjects, std::env::args().skip(1))
}

/// Runs one case for a subject, outside of any test: to see that a broken backend is caught.
///
/// # Panics
/// When there is no case of this name, or inside a runtime.
pub fn run_case(subject: &Subject, name: &str) -> Outcome {
    let case = cases::all().find(|case| case.name == name);
    let case = case.unwrap_or_else(|| panic!("no case is named {name}"));
    Stage::new(subject.clone()).run(case).outcome
}

/// The names of all cases.
pub fn case_names() -> Vec<&'static str> {
    cases::all().map(|case| case.name).collect()
}

#[cfg(test)]
mod tests {
    use super::{Case, Subject, chosen, is_narrowed, wanted_cases};

    #[test]
    fn subjects_are_chosen_by_their_whole_names() {
        let subject =
            |variant: &'static str| Subject::new("redis", |url| Ok(roomcast_core::Memory::named(url))).variant(variant);
        let all = || vec![subject(""), subject("cluster"), subject("sharded"), subject("tls").on_request()];
        let labels =
            |names: &str| chosen(all(), names).map(|chosen| chosen.iter().map(Subject::label).collect::<Vec<_>>());
        assert_eq!(labels(""), Ok(vec!["redis".into(), "redis cluster".into(), "redis sharded".into()]));
        assert_eq!(labels("redis, redis sharded"), Ok(vec!["redis".into(), "redis sharded".into()]));
        assert_eq!(labels("redis tls"), Ok(vec!["redis tls".into()]));
        assert_eq!(labels("* tls,* pooled"), Ok(vec!["redis tls".into()]));
        assert!(labels("redis,nats").expect_err("no such subject").contains("\"nats\""));
    }

    #[test]
    fn another_topology_is_shown_what_can_differ_unless_more_is_asked_for() {
        let one = || Subject::new("redis", |url| Ok(roomcast_core::Memory::named(url)));
        let cluster = one().topology("cluster");
        assert_eq!(cluster.label(), "redis cluster");
        assert!(is_narrowed(&cluster, "", "") && !is_narrowed(&one().variant("sharded"), "", ""));
        assert!(!is_narrowed(&cluster, "redis cluster", "") && !is_narrowed(&cluster, "", "all"));
        let (differs, same): (Vec<&Case>, Vec<&Case>) =
            crate::cases::all().partition(|case| case.depends_on_topology());
        assert!(differs.iter().any(|case| case.group == "outage") && same.iter().any(|case| case.group == "rooms"));
        assert!(same.iter().all(|case| !case.needs.own_broker() && case.group != "contract"));
    }

    #[test]
    fn cases_are_chosen_by_group_or_guarantee() {
        let some = wanted_cases("contract, g13");
        assert!(some.iter().all(|case| case.group == "contract" || case.guarantee() == 13));
        assert!(some.iter().any(|case| case.group != "contract") && some.iter().any(|case| case.guarantee() != 13));
        let all = wanted_cases("");
        assert_eq!(all.len(), crate::cases::all().count());
        assert_eq!(all.len(), wanted_cases("all").len());
        assert!(all[0].needs.own_broker() && !all[1].needs.own_broker() && all[2].needs.own_broker());
    }
}
