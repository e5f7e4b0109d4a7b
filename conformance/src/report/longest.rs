//! The longest of what was measured, in Markdown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::Record;

/// For each of these measurements the largest of each subject. Times depend on the machine, so they are shown, and not part
/// of the matrix; a change is seen.
pub fn longest(records: &[Record], measurements: impl IntoIterator<Item = &'static str>) -> String {
    let subjects: BTreeSet<String> = records.iter().map(Record::subject).collect();
    let mut text = String::from("| the longest |");
    for subject in &subjects {
        let _ = write!(text, " {subject} |"); // writing to a string never fails
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(subjects.len()));
    for measurement in measurements {
        let mut largest: BTreeMap<String, u64> = BTreeMap::new();
        for record in records {
            if let Some(&value) = record.measured.get(measurement) {
                let most = largest.entry(record.subject()).or_default();
                *most = value.max(*most);
            }
        }
        let _ = write!(text, "\n| {measurement} |");
        for subject in &subjects {
            let _ = match largest.get(subject) {
                Some(value) => write!(text, " {value} |"),
                None => write!(text, " |"),
            };
        }
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::super::samples::record;
    use super::*;
    use crate::harness::Outcome;

    #[test]
    fn each_subjects_largest_and_nothing_where_nothing_was_measured() {
        let measured = |backend, values: &[u64]| {
            let one = |&value| {
                let mut record = record(backend, 7, Outcome::Passed);
                record.measured.insert("back_ms".to_owned(), value);
                record
            };
            values.iter().map(one).collect::<Vec<_>>()
        };
        let records = [measured("a", &[3, 20, 4]), vec![record("b", 1, Outcome::Passed)]].concat();
        let want = "| the longest | a | b |\n|---|---|---|\n| back_ms | 20 | |\n";
        assert_eq!(longest(&records, ["back_ms"]), want);
    }
}
