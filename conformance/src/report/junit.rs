//! JUnit's XML, which CI shows.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::Record;
use super::text::{escape, seconds};
use crate::harness::Outcome;

/// The records as JUnit's XML: a suite for each subject.
pub fn junit(records: &[Record]) -> String {
    let mut suites: BTreeMap<String, Vec<&Record>> = BTreeMap::new();
    for record in records {
        suites.entry(record.subject()).or_default().push(record);
    }
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for (subject, cases) in suites {
        let count = |wanted: fn(&Outcome) -> bool| cases.iter().filter(|case| wanted(&case.outcome)).count();
        let failed = count(|outcome| matches!(outcome, Outcome::Failed(_)));
        let ignored = count(|outcome| matches!(outcome, Outcome::Ignored(_)));
        let time = seconds(cases.iter().map(|case| case.milliseconds).sum());
        let _ = writeln!(
            xml,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\" skipped=\"{ignored}\" time=\"{time}\">",
            escape(&subject),
            cases.len(),
        );
        cases.iter().for_each(|case| write_case(&mut xml, case));
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn write_case(xml: &mut String, record: &Record) {
    let (class, name) = (escape(&format!("{}.{}", record.subject(), record.group)), escape(&record.case));
    let time = seconds(record.milliseconds);
    let _ = write!(xml, "    <testcase classname=\"{class}\" name=\"{name}\" time=\"{time}\"");
    // Writing to a string never fails.
    let _ = match &record.outcome {
        Outcome::Passed => writeln!(xml, "/>"),
        Outcome::Failed(text) => writeln!(xml, "><failure message=\"{}\"/></testcase>", escape(text)),
        Outcome::Ignored(reason) => writeln!(xml, "><skipped message=\"{}\"/></testcase>", escape(reason)),
    };
}
