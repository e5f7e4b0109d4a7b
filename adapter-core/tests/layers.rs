//! The layers of the core depend downwards only, and the tree shows it: a module imports from its own layer and from those
//! below it, by their paths.

use std::fs;
use std::path::{Path, PathBuf};

/// From the bottom up.
const LAYERS: [&str; 9] = ["model", "wire", "engine", "seams", "kit", "driver", "api", "hub", "memory"];
/// Layers that are above others in the list and know nothing of them.
const APART: [(&str, &[&str]); 5] = [
    ("seams", &["engine"]),
    ("kit", &["wire", "engine"]),
    ("hub", &["wire", "engine", "driver", "api", "kit"]),
    ("memory", &["wire", "engine", "driver", "api", "kit", "hub"]),
    ("api", &[]),
];

#[test]
fn every_layer_depends_downwards_only() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    let mut seen = 0;
    for file in files(&src) {
        let layer = layer_of(&src, &file);
        let Some(height) = LAYERS.iter().position(|other| *other == layer) else {
            assert!(["lib", "probe"].contains(&layer.as_str()), "{} is in no layer", file.display());
            continue;
        };
        seen += 1;
        let apart = APART.iter().find(|(name, _)| *name == layer).map_or(&[][..], |(_, apart)| *apart);
        let text = fs::read_to_string(&file).expect("a source file");
        for used in code(&text).flat_map(paths) {
            let below = LAYERS.iter().position(|other| *other == used).is_some_and(|used| used <= height);
            if !below || apart.contains(&used) {
                wrong.push(format!("{}: crate::{used}", file.strip_prefix(&src).expect("below").display()));
            }
        }
    }
    assert!(seen > 50, "{seen} files were looked at");
    assert!(wrong.is_empty(), "these look upwards, or past the layers:\n{}", wrong.join("\n"));
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter(|path| !path.file_stem().is_some_and(|name| name.to_string_lossy().ends_with("tests")))
        .collect()
}

/// The first part of a file's path below `src`, without its ending.
fn layer_of(src: &Path, file: &Path) -> String {
    let below = file.strip_prefix(src).expect("below");
    let first = below.components().next().expect("a name").as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// The lines that are code: comments link to what users see, and a layer's tests may look at it from above.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text);
    code.lines().filter(|line| !line.trim_start().starts_with("//"))
}

/// What stands behind each `crate::` of a line.
fn paths(line: &str) -> impl Iterator<Item = &str> {
    let whole = |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$');
    line.match_indices("crate::").filter(move |(at, _)| whole(*at)).map(|(at, found)| {
        let rest = &line[at + found.len()..];
        &rest[..rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())]
    })
}
