//! One page of HTML for a person who asks whether a backend can be trusted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::matrix::title;
use super::text::{escape, seconds};
use super::{LONGEST, Record};
use crate::harness::Outcome;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;color:#1c1e21;background:#fff}\
table{border-collapse:collapse;margin:1rem 0;display:block;overflow-x:auto}\
th,td{border:1px solid #c8ccd2;padding:.25rem .6rem;text-align:left;vertical-align:top}\
th{background:#f2f4f7}.failed{background:#ffd9d6}.passed{background:#def5e1}pre{white-space:pre-wrap;margin:0}\
@media(prefers-color-scheme:dark){body{background:#14171a;color:#e4e6e9}th{background:#23272c}th,td{border-color:#434a52}\
.failed{background:#6a1f1b}.passed{background:#1c4526}}";

/// One column: a subject on one version of its broker.
struct Column<'a> {
    name: String,
    package: &'a str,
    version: &'a str,
    provider: &'a str,
    records: Vec<&'a Record>,
}

/// What several runs of the suite have seen, as one page of HTML that stands alone: versions, guarantees, times, what failed,
/// and what was ignored and why. Each run is what [`read`](super::read) gives for its folder.
pub fn page(runs: &[Vec<Record>]) -> String {
    let columns = columns(runs);
    let mut page = String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    // Writing to a string never fails, here and below.
    let _ = write!(page, "<title>Conformance</title><style>{STYLE}</style></head><body>\n<h1>Conformance</h1>\n");
    let failed = columns.iter().map(|column| column.count(is_failed)).sum::<usize>();
    let ran = columns.iter().map(|column| column.records.len() - column.count(is_ignored)).sum::<usize>();
    let verdict = if failed == 0 { "all passed".to_owned() } else { format!("<strong>{failed} failed</strong>") };
    let _ = writeln!(page, "<p>{ran} cases ran: {verdict}. Suite {}.</p>", env!("CARGO_PKG_VERSION"));
    subjects(&mut page, &columns);
    guarantees(&mut page, &columns);
    failures(&mut page, &columns);
    ignored(&mut page, &columns);
    page + "</body></html>\n"
}

fn columns(runs: &[Vec<Record>]) -> Vec<Column<'_>> {
    let mut columns = Vec::new();
    for run in runs {
        let mut subjects: BTreeMap<String, Vec<&Record>> = BTreeMap::new();
        run.iter().for_each(|record| subjects.entry(record.subject()).or_default().push(record));
        for (name, records) in subjects {
            // A case that did not run met no broker.
            let known = |field: fn(&Record) -> &str| {
                records.iter().map(|record| field(record)).find(|text| !text.is_empty()).unwrap_or_default()
            };
            let version = known(|record| &record.version);
            columns.push(Column {
                name: format!("{name} {version}").trim().to_owned(),
                package: known(|record| &record.package),
                version,
                provider: known(|record| &record.provider),
                records,
            });
        }
    }
    columns
}

impl Column<'_> {
    fn count(&self, wanted: fn(&Outcome) -> bool) -> usize {
        self.records.iter().filter(|record| wanted(&record.outcome)).count()
    }

    fn longest(&self, measurement: &str) -> String {
        let values = self.records.iter().filter_map(|record| record.measured.get(measurement));
        values.max().map(|milliseconds| format!("{} s", seconds(*milliseconds))).unwrap_or_default()
    }
}

fn is_passed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Passed)
}

fn is_failed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed(_))
}

fn is_ignored(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Ignored(_))
}

fn subjects(page: &mut String, columns: &[Column<'_>]) {
    page.push_str("<h2>What was put to the test</h2>\n<table><tr><th>subject<th>package<th>broker<th>ran as<th>passed<th>failed<th>ignored<th>all cases took");
    LONGEST.iter().for_each(|(_, title)| {
        let _ = write!(page, "<th>{title}, the longest");
    });
    for column in columns {
        let failed = column.count(is_failed);
        let time = column.records.iter().map(|record| record.milliseconds).sum();
        let _ = write!(
            page,
            "\n<tr><th>{}<td>{}<td>{}<td>{}<td>{}<td{}>{failed}<td>{}<td>{} s",
            escape(&column.name),
            escape(column.package),
            escape(column.version),
            escape(column.provider),
            column.count(is_passed),
            if failed > 0 { " class=failed" } else { "" },
            column.count(is_ignored),
            seconds(time),
        );
        LONGEST.iter().for_each(|(measurement, _)| {
            let _ = write!(page, "<td>{}", column.longest(measurement));
        });
    }
    page.push_str("\n</table>\n");
}

fn guarantees(page: &mut String, columns: &[Column<'_>]) {
    page.push_str("<h2>By guarantee</h2>\n<table><tr><th>passed of those that ran");
    columns.iter().for_each(|column| {
        let _ = write!(page, "<th>{}", escape(&column.name));
    });
    let all: BTreeSet<u8> =
        columns.iter().flat_map(|column| column.records.iter().map(|record| record.guarantee)).collect();
    for guarantee in all {
        let _ = write!(page, "\n<tr><th>G{guarantee} {}", title(guarantee));
        for column in columns {
            let of = column.records.iter().filter(|record| record.guarantee == guarantee);
            let ran: Vec<_> = of.filter(|record| !is_ignored(&record.outcome)).collect();
            let passed = ran.iter().filter(|record| is_passed(&record.outcome)).count();
            let class = match (passed, ran.len()) {
                (_, 0) => "",
                (passed, ran) if passed == ran => " class=passed",
                _ => " class=failed",
            };
            let _ = write!(page, "<td{class}>");
            if !ran.is_empty() {
                let _ = write!(page, "{passed} of {}", ran.len());
            }
        }
    }
    page.push_str("\n</table>\n");
}

fn failures(page: &mut String, columns: &[Column<'_>]) {
    if columns.iter().all(|column| column.count(is_failed) == 0) {
        return;
    }
    page.push_str("<h2>What failed</h2>\n<table><tr><th>subject<th>case<th>what was seen");
    for column in columns {
        for record in &column.records {
            if let Outcome::Failed(text) = &record.outcome {
                let (name, case) = (escape(&column.name), escape(&record.case));
                let _ = write!(page, "\n<tr><th>{name}<td>{case}<td class=failed><pre>{}</pre>", escape(text));
            }
        }
    }
    page.push_str("\n</table>\n");
}

fn ignored(page: &mut String, columns: &[Column<'_>]) {
    page.push_str("<h2>What was ignored, and why</h2>\n<table><tr><th>subject<th>why<th>cases");
    for column in columns {
        let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for record in &column.records {
            if let Outcome::Ignored(reason) = &record.outcome {
                reasons.entry(reason).or_default().push(&record.case);
            }
        }
        for (reason, cases) in reasons {
            let (name, cases) = (escape(&column.name), escape(&cases.join(", ")));
            let _ = write!(page, "\n<tr><th>{name}<td>{}<td>{cases}", escape(reason));
        }
    }
    page.push_str("\n</table>\n");
}

#[cfg(test)]
mod tests {
    use super::super::samples::record;
    use super::*;

    #[test]
    fn it_says_what_failed_what_was_ignored_and_on_which_version() {
        let of = |version: &str, outcome| {
            let mut record = record("redis", 7, outcome);
            (record.version, record.package, record.case) =
                (version.to_owned(), "adapter-redis 0.1.0".to_owned(), "g07_x".to_owned());
            record.measured.insert("noticed_ms".to_owned(), 1500);
            record
        };
        let ignored = record("redis", 9, Outcome::Ignored("no <proxy>".to_owned()));
        let old = vec![of("7.0.15", Outcome::Passed), ignored];
        let new = vec![of("8.0.6", Outcome::Failed("never <came>".to_owned()))];
        let page = page(&[old, new]);
        for part in [
            "2 cases ran: <strong>1 failed</strong>",
            "<th>redis 7.0.15<td>adapter-redis 0.1.0",
            "<td>1.500 s",
            "<td class=passed>1 of 1<td class=failed>0 of 1",
            "<tr><th>redis 8.0.6<td>g07_x<td class=failed><pre>never &lt;came&gt;</pre>",
            "<tr><th>redis 7.0.15<td>no &lt;proxy&gt;<td>",
        ] {
            assert!(page.contains(part), "{part} is not in {page}");
        }
    }

    #[test]
    fn where_all_passed_there_is_no_list_of_failures() {
        let page = page(&[vec![record("a", 1, Outcome::Passed)]]);
        assert!(page.contains("1 cases ran: all passed") && !page.contains("What failed"));
    }
}
