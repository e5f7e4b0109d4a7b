//! The code on the page about writing a backend is code that runs, and the example is as small as we say.

const PAGE: &str = include_str!("../../docs/writing-a-backend.md");
const CODE: &str = include_str!("guide.rs");
const README: &str = include_str!("../../README.md");
const EXAMPLE: &str = include_str!("../../examples/custom_backend.rs");

#[test]
fn every_block_of_the_page_is_compiled_and_tested() {
    let blocks: Vec<_> = PAGE.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(blocks.len(), 4, "Connect, listen, Backend, main");
    for block in blocks {
        assert!(CODE.contains(block), "not in conformance/tests/guide.rs:\n{block}");
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
