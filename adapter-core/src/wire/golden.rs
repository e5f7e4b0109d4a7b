//! The golden frames (G16): bytes that were published once and never change.
//!
//! `UPDATE_VECTORS=1 cargo test -p roomcast-core golden` writes the files that do not exist yet, and no other:
//! a file that differs from what this build writes means that this build is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::samples::{Sample, Vector, vectors};
use super::*;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/v1")
}

fn hex(bytes: &[u8]) -> String {
    let line = |line: &[u8]| line.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n";
    bytes.chunks(32).map(line).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: String = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(digits.len().is_multiple_of(2) && digits.is_ascii(), "whole bytes");
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// The comment lines: where each frame's fields are, and what they hold.
fn describe(vector: &Vector, message: &Bytes) -> String {
    let mut text = format!("# {}: {}\n", vector.name, vector.says);
    let at = |slice: &Bytes| slice.as_ptr() as usize - message.as_ptr() as usize;
    for (read, Sample { body, .. }) in Frames::new(message.clone()).zip(&vector.frames) {
        let mut line = |what: std::fmt::Arguments<'_>| writeln!(text, "# {what}").expect("a string takes everything");
        let Ok(frame) = read else {
            line(format_args!("a run that this version passes over"));
            continue;
        };
        let Head { kind, sender, counter, .. } = frame.head;
        let name = Kind::ALL.iter().find(|(other, _)| *other == kind).map_or("unknown", |(_, name)| name);
        line(format_args!("kind {} {name}, sender {sender}, counter {counter}", kind.0));
        if let Some(Number { epoch, n }) = frame.head.number {
            line(format_args!("  number: epoch {epoch}, n {n}"));
        }
        if let Some(Part { index, of, body, packet }) = frame.head.part {
            line(format_args!("  part: index {index} of {of}, whole body {body} bytes, whole packet {packet} bytes"));
        }
        if let Some(request) = frame.head.request {
            line(format_args!("  request: {request}"));
        }
        if let Some(trace) = frame.head.trace {
            line(format_args!("  trace: {trace}"));
        }
        line(format_args!("  body at {}, {} bytes: {body:?}", at(&frame.body), frame.body.len()));
        line(format_args!("  packet at {}, {} bytes", at(&frame.packet), frame.packet.len()));
    }
    text
}

/// The files as they are, by name.
fn files() -> BTreeMap<String, String> {
    let missing = |vector: &&Vector| !directory().join(format!("{}.hex", vector.name)).exists();
    if std::env::var("UPDATE_VECTORS").is_ok_and(|update| update == "1") {
        fs::create_dir_all(directory()).expect("writable");
        for vector in vectors().iter().filter(missing) {
            let bytes = Bytes::from(vector.bytes());
            let text = describe(vector, &bytes) + &hex(&bytes);
            fs::write(directory().join(format!("{}.hex", vector.name)), text).expect("writable");
        }
    }
    let read = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.expect("readable");
        let name = entry.file_name().into_string().expect("UTF-8");
        (name.trim_end_matches(".hex").to_owned(), fs::read_to_string(entry.path()).expect("text"))
    };
    fs::read_dir(directory()).expect("the directory of vectors").map(read).collect()
}

#[test]
fn g16_every_kind_has_a_golden_file_and_no_file_is_extra() {
    let names: BTreeSet<String> = vectors().into_iter().map(|vector| vector.name).collect();
    assert_eq!(files().into_keys().collect::<BTreeSet<_>>(), names);
    for vector in vectors() {
        assert!(!vector.frames.is_empty(), "{} has no sample", vector.name);
    }
}

#[test]
fn g16_golden_frames_read_as_their_values_and_are_written_again_to_the_byte() {
    let files = files();
    for vector in vectors() {
        let published = unhex(files.get(&vector.name).unwrap_or_else(|| panic!("{} has no file", vector.name)));
        let read: Vec<_> = Frames::new(published.clone().into()).take(vector.frames.len() + 1).collect();
        let expected: Vec<_> = vector.frames.iter().map(Sample::expected).collect();
        assert_eq!(read, expected, "{}", vector.name);
        for (frame, sample) in read.iter().zip(&vector.frames) {
            if let Ok(frame) = frame {
                assert!(sample.body.read(&frame.body).expect("decodes"), "{}: {:?}", vector.name, sample.body);
            }
        }
        assert_eq!(hex(&vector.bytes()), hex(&published), "{}", vector.name);
    }
}

#[test]
fn golden_parts_are_a_whole_again_when_put_together() {
    let published = unhex(&files()["parts"]);
    let frames: Vec<Frame> = Frames::new(published.into()).map(|frame| frame.expect("reads")).collect();
    let mut whole: Bytes = frames.iter().flat_map(|frame| frame.packet.to_vec()).collect();
    let body = whole.split_to(frames[0].head.part.expect("a part").body as usize);
    let broadcast: Broadcast = decode(&body).expect("decodes");
    assert_eq!((broadcast.format, &whole[..]), (1, &b"[\"news\",1]"[..]));
}

/// Blocks that open with "```hex name".
#[test]
fn protocol_md_shows_the_bytes_of_every_golden_file() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../PROTOCOL.md");
    let document = fs::read_to_string(path).expect("PROTOCOL.md");
    let mut shown = BTreeMap::new();
    for block in document.split("```hex ").skip(1) {
        let (name, rest) = block.split_once('\n').expect("a line");
        let (bytes, _) = rest.split_once("```").expect("a closed block");
        assert!(shown.insert(name.to_owned(), bytes.to_owned()).is_none(), "{name} is shown twice");
    }
    let bytes = |text: String| text.split_inclusive('\n').filter(|line| !line.starts_with('#')).collect();
    let published: BTreeMap<String, String> = files().into_iter().map(|(name, text)| (name, bytes(text))).collect();
    assert_eq!(shown, published);
}
