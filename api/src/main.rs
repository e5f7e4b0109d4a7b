//! Writes the public API of each published library of the workspace into `api/<package>.txt`, or checks what stands there.
//!
//! ```text
//! cargo run --manifest-path api/Cargo.toml              # writes
//! cargo run --manifest-path api/Cargo.toml -- --check   # fails if a file would change
//! ```
//!
//! It reads what rustdoc writes as JSON. That is an unstable format, which a stable rustdoc writes with `RUSTC_BOOTSTRAP`; so the release
//! of rustdoc and that of the crate `public-api` have to fit each other. No user of a crate needs any of this.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

use public_api::{Builder, PublicApi};
use serde_json::Value;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Set where this program is started by Cargo in rustdoc's place: the real one's path.
const IN_PLACE_OF: &str = "ROOMCAST_API_RUSTDOC";

fn main() -> Result<ExitCode> {
    if let Some(rustdoc) = env::var_os(IN_PLACE_OF) {
        // For rustdoc alone: build scripts that see the variable would build everything anew.
        let status = Command::new(rustdoc).args(env::args_os().skip(1)).env("RUSTC_BOOTSTRAP", "1").status()?;
        return Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let check = match env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => false,
        [option] if option == "--check" => true,
        _ => return Err("usage: roomcast-api [--check]".into()),
    };
    let api = Path::new(env!("CARGO_MANIFEST_DIR"));
    let workspace = Workspace::read(api.parent().ok_or("a folder above this one")?)?;
    workspace.document()?;
    let mut changed = false;
    for library in &workspace.libraries {
        let text = text_of(&workspace.target.join(format!("doc/{}.json", library.replace('-', "_"))))?;
        let file = api.join(format!("{library}.txt"));
        if !check {
            fs::write(&file, text)?;
        } else if text != fs::read_to_string(&file).unwrap_or_default() {
            changed = true;
            show_difference(&file, &text)?;
        }
    }
    if changed {
        eprintln!(
            "\nThe public API is not what api/*.txt say. If that is meant: cargo run --manifest-path api/Cargo.toml"
        );
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

struct Workspace {
    root: PathBuf,
    target: PathBuf,
    /// The packages with a library that others can depend on.
    libraries: Vec<String>,
}

impl Workspace {
    fn read(root: &Path) -> Result<Self> {
        let output = cargo(root).args(["metadata", "--no-deps", "--format-version", "1"]).output()?;
        let metadata: Value = serde_json::from_slice(&output.stdout)?;
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let is_library = |target: &Value| list(&target["kind"]).iter().any(|kind| kind == "lib");
        let packages = list(&metadata["packages"]);
        let published = packages.iter().filter(|package| package["publish"].is_null());
        let libraries = published.filter(|package| list(&package["targets"]).iter().any(is_library));
        Ok(Self {
            root: root.to_owned(),
            target: metadata["target_directory"].as_str().ok_or("a target directory")?.into(),
            libraries: libraries.filter_map(|package| package["name"].as_str()).map(str::to_owned).collect(),
        })
    }

    /// Has rustdoc write what it knows of each library, with all features.
    fn document(&self) -> Result<()> {
        let mut command = cargo(&self.root);
        command.args(["doc", "--quiet", "--no-deps", "--lib", "--all-features"]);
        for library in &self.libraries {
            command.args(["--package", library]);
        }
        command.env(IN_PLACE_OF, env::var_os("RUSTDOC").unwrap_or_else(|| "rustdoc".into()));
        command.env("RUSTDOC", env::current_exe()?);
        command.env("RUSTDOCFLAGS", "-Zunstable-options --output-format=json --cap-lints=allow");
        if command.status()?.success() { Ok(()) } else { Err("rustdoc failed".into()) }
    }
}

fn cargo(root: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// The API, an item a line. Of what is derived, that a trait is implemented; of traits that the compiler or a blanket
/// implementation gives, nothing.
fn text_of(json: &Path) -> Result<String> {
    let read = |derived: bool| {
        Builder::from_rustdoc_json(json)
            .omit_blanket_impls(true)
            .omit_auto_trait_impls(true)
            .omit_auto_derived_impls(!derived)
            .build()
            .map_err(|error| format!("{}: {error}. Does public-api in api/Cargo.toml fit this Rust?", json.display()))
    };
    let lines = |api: &PublicApi| api.items().map(ToString::to_string).collect::<Vec<_>>();
    let written: BTreeSet<_> = lines(&read(false)?).into_iter().collect();
    let told = |line: &String| {
        written.contains(line) || line.starts_with("impl") && !line.contains("core::marker::StructuralPartialEq")
    };
    Ok(lines(&read(true)?).into_iter().filter(told).map(|line| line + "\n").collect())
}

fn show_difference(file: &Path, text: &str) -> Result<()> {
    let new = env::temp_dir().join(format!("roomcast-api-{}", std::process::id()));
    fs::write(&new, text)?;
    let shown = Command::new("diff")
        .args(["-u", "--label", "as written down", "--label", "as it is"])
        .arg(file)
        .arg(&new)
        .status();
    fs::remove_file(&new)?;
    if shown.is_err() {
        println!("{} would change", file.display());
    }
    Ok(())
}
