//! Guarantees by subjects, in Markdown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};

use super::Record;
use crate::harness::Outcome;

/// What the matrix stands behind in a page.
pub const MARK: &str = "<!-- conformance -->";
/// What stands behind the matrix.
pub const MARK_END: &str = "<!-- /conformance -->";

/// Guarantees by subjects, with how many cases passed, failed and were ignored. It depends on nothing that differs
/// between two equal runs: no times, no seeds, no versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matrix {
    subjects: BTreeSet<String>,
    cells: BTreeMap<(u8, String), Counts>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u32,
    failed: u32,
    ignored: u32,
}

impl Matrix {
    /// Counts the records.
    pub fn of(records: &[Record]) -> Self {
        let mut matrix = Self::default();
        for record in records {
            matrix.subjects.insert(record.subject());
            let counts = matrix.cells.entry((record.guarantee, record.subject())).or_default();
            match record.outcome {
                Outcome::Passed => counts.passed += 1,
                Outcome::Failed(_) => counts.failed += 1,
                Outcome::Ignored(_) => counts.ignored += 1,
            }
        }
        matrix
    }

    fn total(&self, subject: &str) -> Counts {
        let cells = self.cells.iter().filter(|((_, of), _)| of == subject);
        cells.fold(Counts::default(), |sum, (_, counts)| Counts {
            passed: sum.passed + counts.passed,
            failed: sum.failed + counts.failed,
            ignored: sum.ignored + counts.ignored,
        })
    }
}

/// `5`, or `5, 1 failed, 2 ignored`.
impl Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.passed)?;
        if self.failed > 0 {
            write!(f, ", **{} failed**", self.failed)?;
        }
        if self.ignored > 0 {
            write!(f, ", {} ignored", self.ignored)?;
        }
        Ok(())
    }
}

impl Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "| cases passed |")?;
        self.subjects.iter().try_for_each(|subject| write!(f, " {subject} |"))?;
        write!(f, "\n|---|")?;
        self.subjects.iter().try_for_each(|_| write!(f, "---|"))?;
        let guarantees: BTreeSet<u8> = self.cells.keys().map(|(guarantee, _)| *guarantee).collect();
        for guarantee in guarantees {
            write!(f, "\n| G{guarantee} {} |", title(guarantee))?;
            for subject in &self.subjects {
                match self.cells.get(&(guarantee, subject.clone())) {
                    Some(counts) => write!(f, " {counts} |")?,
                    None => write!(f, " |")?,
                }
            }
        }
        write!(f, "\n| all |")?;
        self.subjects.iter().try_for_each(|subject| write!(f, " {} |", self.total(subject)))?;
        writeln!(f)
    }
}

/// What a guarantee is about, as in docs/guarantees.md.
pub(super) fn title(guarantee: u8) -> &'static str {
    const TITLES: [&str; 24] = [
        "reach",
        "order",
        "read your join",
        "requests",
        "members",
        "local first",
        "never deaf",
        "outage",
        "no silent loss",
        "once",
        "slow sockets",
        "bounds",
        "any size",
        "hostile bytes",
        "isolation",
        "upgrades",
        "sealed",
        "ready",
        "clean end",
        "emitter",
        "only what is needed",
        "many nodes",
        "supervision",
        "never alone unawares",
    ];
    usize::from(guarantee).checked_sub(1).and_then(|at| TITLES.get(at)).copied().unwrap_or_default()
}

/// The page with this text between the marks; `None` when it has no marks.
pub fn replace_between_marks(page: &str, text: &str) -> Option<String> {
    let (before, rest) = page.split_once(MARK)?;
    let (_, after) = rest.split_once(MARK_END)?;
    Some(format!("{before}{MARK}\n{text}{MARK_END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::super::samples::record;
    use super::*;

    #[test]
    fn a_row_for_each_guarantee_and_a_column_for_each_subject() {
        let failed = || Outcome::Failed("x".to_owned());
        let records = [
            record("b", 7, Outcome::Ignored("no broker".to_owned())),
            record("a", 1, Outcome::Passed),
            record("a", 1, failed()),
        ];
        let want = "| cases passed | a | b |\n|---|---|---|\n| G1 reach | 1, **1 failed** | |\n\
                    | G7 never deaf | | 0, 1 ignored |\n| all | 1, **1 failed** | 0, 1 ignored |\n";
        assert_eq!(Matrix::of(&records).to_string(), want);
    }

    #[test]
    fn titles_are_those_of_the_list_of_promises() {
        let list = include_str!("../../../docs/guarantees.md");
        let headings: Vec<_> = list.lines().filter_map(|line| line.strip_prefix("## G")).collect();
        let want: Vec<_> = (1..=24).map(|guarantee| format!("{guarantee} {}", title(guarantee))).collect();
        assert_eq!(headings, want);
    }

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let page = format!("a\n{MARK}\nold\n{MARK_END}\nb");
        let new = replace_between_marks(&page, "new\n").expect("marks");
        assert_eq!(new, format!("a\n{MARK}\nnew\n{MARK_END}\nb"));
        assert_eq!(replace_between_marks(&new, "new\n").as_deref(), Some(&*new));
        assert_eq!(replace_between_marks("no marks", "new"), None);
    }
}
