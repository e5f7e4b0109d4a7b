//! Every link of every Markdown file of the repository, and of the comments in its code, leads somewhere: to a file or folder that
//! exists, and to a heading that is there. No network: addresses of others are not looked at, those of this repository are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

/// How a page names a file of the repository from outside of it.
const OURS: [&str; 2] =
    ["https://github.com/roomcast/roomcast/blob/main/", "https://github.com/roomcast/roomcast/tree/main/"];
/// Folders whose Markdown is not ours.
const FOREIGN: [&str; 4] = ["target", "node_modules", "book", ".git"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The files below a folder whose names end so, with their texts.
fn texts(folder: &Path, ending: &str, found: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(folder).expect("a folder that can be read") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if !FOREIGN.contains(&&*name) {
                texts(&path, ending, found);
            }
        } else if name.ends_with(ending) {
            let text = fs::read_to_string(&path).expect("a text");
            found.insert(path, text);
        }
    }
}

fn all_pages() -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    texts(&root(), ".md", &mut found);
    found
}

/// The links to this repository in the comments of a source file.
fn links_of_source(text: &str) -> Vec<String> {
    let comments = text.lines().filter(|line| line.trim_start().starts_with("//"));
    let links = comments.flat_map(|line| line.split("](").skip(1));
    links.filter_map(|rest| rest.split_once(')')).map(|(link, _)| link.to_owned()).filter(|link| ours(link)).collect()
}

fn ours(link: &str) -> bool {
    OURS.iter().any(|ours| link.starts_with(ours))
}

/// The lines of prose of a page, without its blocks of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut fence: Option<&str> = None;
    text.lines().filter(move |line| {
        let line = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| line.starts_with(mark));
        match (fence, mark) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            (None, None) => return true,
            _ => {}
        }
        false
    })
}

/// A line without what stands between backticks.
fn without_code(line: &str) -> String {
    line.split('`').enumerate().map(|(place, part)| if place % 2 == 0 { part } else { "_" }).collect()
}

/// Where the links of a page lead, as they are written.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text).map(without_code) {
        let ends = line.match_indices("](").map(|(at, _)| at + 2);
        for rest in ends.map(|at| &line[at..]) {
            if let Some((link, _)) = rest.split_once(')') {
                found.push(link.split_whitespace().next().unwrap_or_default().to_owned());
            }
        }
        if let Some((label, link)) = line.split_once("]: ")
            && label.starts_with('[')
        {
            found.push(link.trim().to_owned());
        }
    }
    found
}

/// What a page of the book includes, as it is written.
fn includes(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.strip_prefix("{{#include ")?.strip_suffix("}}"))
}

/// The anchors of a page: its headings, as GitHub and mdBook name them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut seen = BTreeMap::<String, usize>::new();
    let mut anchors = BTreeSet::new();
    for heading in prose(text).filter_map(heading) {
        let anchor = anchor(heading);
        let before = seen.entry(anchor.clone()).or_default();
        anchors.insert(if *before == 0 { anchor } else { format!("{anchor}-{before}") });
        *before += 1;
    }
    anchors
}

fn heading(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('#');
    let depth = line.len() - text.len();
    ((1..=6).contains(&depth) && text.starts_with(' ')).then(|| text.trim())
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

/// What is wrong with a link of this page, if anything is.
fn wrong(page: &Path, link: &str, pages: &BTreeMap<PathBuf, String>) -> Option<String> {
    let ours = OURS.iter().find_map(|ours| link.strip_prefix(ours));
    let outside = link.contains("://") || link.starts_with("mailto:");
    let item_of_rustdoc = link.contains("::");
    if ours.is_none() && (outside || item_of_rustdoc) {
        return None;
    }
    if link.is_empty() {
        return None; // a chapter of the book without a page
    }
    let (file, anchor) = match ours.unwrap_or(link).split_once('#') {
        Some((file, anchor)) => (file, Some(anchor)),
        None => (ours.unwrap_or(link), None),
    };
    let target = match (ours, file) {
        (None, "") => page.to_owned(),
        (None, file) => plain(&page.parent().expect("a folder").join(file)),
        (Some(_), file) => plain(&root().join(file)),
    };
    if !target.starts_with(root()) {
        return Some("it leads out of the repository".to_owned());
    }
    let book = root().join("docs");
    if page.starts_with(&book) && !target.starts_with(&book) && ours.is_none() {
        return Some(format!("it leads out of the book; write {}..", OURS[0]));
    }
    if !target.exists() {
        return Some("there is no such file".to_owned());
    }
    let anchor = anchor?;
    let Some(text) = pages.get(&target) else { return Some("an anchor of what is no Markdown".to_owned()) };
    let known = anchors(text);
    (!known.contains(anchor)).then(|| format!("there is no heading #{anchor}; there are {known:?}"))
}

#[test]
fn every_link_leads_somewhere() {
    let pages = all_pages();
    assert!(pages.len() > 10, "the pages were not found: {:?}", pages.keys());
    let mut sources = BTreeMap::new();
    texts(&root(), ".rs", &mut sources);
    let of_pages = pages.iter().map(|(page, text)| (page, links(text)));
    let of_sources = sources.iter().map(|(source, text)| (source, links_of_source(text)));
    let mut broken = Vec::new();
    for (page, links) in of_pages.chain(of_sources) {
        for link in links {
            if let Some(why) = wrong(page, &link, &pages) {
                let page = page.strip_prefix(root()).unwrap_or(page).display();
                broken.push(format!("{page}: [..]({link}): {why}"));
            }
        }
    }
    assert!(broken.is_empty(), "{} broken links:\n{}", broken.len(), broken.join("\n"));
}

#[test]
fn the_book_has_every_page_of_its_folder_once() {
    let docs = root().join("docs");
    let summary = docs.join("SUMMARY.md");
    let links = links(&fs::read_to_string(&summary).expect("a summary"));
    let listed = links.iter().filter(|link| !link.is_empty()).map(|link| plain(&docs.join(link)));
    let mut found = BTreeMap::new();
    texts(&docs, ".md", &mut found);
    let wanted: Vec<_> = found.into_keys().filter(|page| *page != summary).collect();
    let mut sorted: Vec<_> = listed.collect();
    sorted.sort();
    assert_eq!(sorted, wanted, "what docs/SUMMARY.md lists, and the pages in docs/");
}

#[test]
fn what_the_book_includes_reads_the_same_there() {
    let pages = all_pages();
    let mut included = 0;
    for (page, text) in &pages {
        for include in includes(text) {
            let source = plain(&page.parent().expect("a folder").join(include));
            let text = pages.get(&source).unwrap_or_else(|| panic!("{}: there is no {include}", page.display()));
            let relative = |link: &String| !link.contains("://") && !link.starts_with('#');
            let wrong: Vec<_> = links(text).into_iter().filter(relative).collect();
            assert!(
                wrong.is_empty(),
                "{}: relative links mean something else in the book: {wrong:?}",
                source.display()
            );
            included += 1;
        }
    }
    assert!(included > 0, "no page of the book includes another");
}

#[test]
fn broken_links_are_seen() {
    let page = root().join("docs/guarantees.md");
    let other = root().join("README.md");
    let pages = BTreeMap::from([
        (page.clone(), "# Title\n## Two `words`, here\n```text\n# no heading\n```\n## Title\n".to_owned()),
        (other, "# Read me\n".to_owned()),
    ]);
    let wrong = |link| wrong(&page, link, &pages).is_some();
    for good in ["#title", "#title-1", "#two-words-here", "speed.md", "decisions", "https://example.com/#x"] {
        assert!(!wrong(good), "{good}");
    }
    for bad in ["#no-heading", "#titel", "absent.md", "../README.md", "../../elsewhere.md", "book.toml#x"] {
        assert!(wrong(bad), "{bad}");
    }
    assert!(!wrong("https://github.com/roomcast/roomcast/blob/main/README.md#read-me"));
    assert!(wrong("https://github.com/roomcast/roomcast/blob/main/README.md#title"));
    assert!(wrong("https://github.com/roomcast/roomcast/blob/main/docs/absent.md"));
    let text = "[a](one.md) `[b](two.md)` and [c](three.md#x \"title\")\n```\n[d](four.md)\n```\n[e]: five.md\n";
    assert_eq!(links(text), ["one.md", "three.md#x", "five.md"]);
}
