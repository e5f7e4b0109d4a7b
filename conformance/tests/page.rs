//! The code on the page about writing a backend is code that runs.

const PAGE: &str = include_str!("../../docs/writing-a-backend.md");
const CODE: &str = include_str!("guide.rs");

#[test]
fn every_block_of_the_page_is_compiled_and_tested() {
    let blocks: Vec<_> = PAGE.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(blocks.len(), 4, "Connect, listen, Backend, main");
    for block in blocks {
        assert!(CODE.contains(block), "not in conformance/tests/guide.rs:\n{block}");
    }
}
