//! The code on the page about writing a backend is code that runs, and the example is as small as we say.

const PAGE: &str = include_str!("../../docs/writing-a-backend.md");
const CODE: &str = include_str!("guide.rs");
const README: &str = include_str!("../../README.md");
const GUARANTEES: &str = include_str!("../../docs/guarantees.md");
const MUTANTS: &str = include_str!("mutants.rs");
const RELAY_MUTANTS: &str = include_str!("relay_mutants.rs");
const EXAMPLE: &str = include_str!("../../examples/custom_backend.rs");

#[test]
fn every_block_of_the_page_is_compiled_and_tested() {
    let blocks: Vec<_> = PAGE.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(blocks.len(), 4, "Connect, listen, Backend, main");
    for block in blocks {
        assert!(CODE.contains(block), "not in conformance/tests/guide.rs:\n{block}");
    }
}

/// `DropsEverySeventh` and `drops-every-seventh` as words.
fn words(name: &str) -> String {
    let spaced = name.chars().flat_map(|c| c.is_uppercase().then_some(' ').into_iter().chain(c.to_lowercase()));
    spaced.collect::<String>().replace('-', " ").trim().to_owned()
}

#[test]
fn every_mutant_is_in_the_list_with_the_cases_that_catch_it() {
    // In the table a fault stands at the beginning of a line, before an arrow.
    let named = MUTANTS.lines().filter_map(|line| line.trim().split_once(" =>")).map(|(name, _)| name);
    let named = named.filter(|name| name.starts_with(char::is_uppercase) && name.chars().all(char::is_alphabetic));
    let relay = RELAY_MUTANTS.lines().filter_map(|line| line.trim().strip_prefix("(\"fault="));
    let relay = relay.filter_map(|line| line.split('"').next());
    let names: Vec<_> = named.chain(relay).map(words).collect();
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        assert!(GUARANTEES.contains(&format!("\n| {name} | `g")), "{name} is not in docs/guarantees.md");
    }
    let table = GUARANTEES.split("## How the suite is itself tested").nth(1).expect("a chapter");
    let table = table.split("\n## ").next().expect("its text");
    for case in table.split('`').filter(|word| word.starts_with('g')) {
        assert!(MUTANTS.contains(case) || RELAY_MUTANTS.contains(case), "{case} catches no mutant");
    }
}

#[test]
fn the_example_has_as_many_lines_as_the_readme_says() {
    let between_dashes = EXAMPLE.split("\n// ----").nth(1).expect("two lines of dashes");
    let lines = between_dashes.lines().count() - 1; // less the rest of the first line of dashes
    assert!(lines < 100, "{lines} lines");
    let readme = README.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(readme.contains(&format!("[this one](examples/custom_backend.rs) is {lines})")), "{lines} lines");
}
