//! Frames as text: what a notification carries is text without a NUL, and short.
//!
//! Seven bits go into each character, and the zeros among them are taken out as COBS does it: a character says how many
//! follow until the next zero. So only the characters 1 to 127 occur, which every encoding of a server has, and a frame grows by
//! 15 %, whatever its bytes are (base64: 33 %). `docs/decisions/0002-postgres.md` has the figures.

use roomcast_core::Bytes;

/// The first character of a frame's text.
pub(crate) const FRAME: char = 'F';
/// That, and what makes equal frames of one transaction differ: of those PostgreSQL delivers one.
const HEAD: usize = 4;
/// The longest run between two zeros: one less than the largest character.
const RUN: usize = 126;

/// The largest frame whose text has at most this many characters.
pub(crate) const fn capacity(characters: usize) -> usize {
    let room = characters.saturating_sub(HEAD + 1); // one run is always begun
    // A run of 126 takes 127 characters.
    let symbols = room - room / (RUN + 1);
    symbols * 7 / 8
}

/// The text of the frame in this place of a transaction.
pub(crate) fn encode(place: usize, frame: &[u8]) -> String {
    let mut symbols = Vec::with_capacity(frame.len().div_ceil(7) * 8);
    let mut groups = frame.chunks_exact(7);
    for group in &mut groups {
        symbols.extend_from_slice(&spread(word(group)));
    }
    let rest = groups.remainder();
    if !rest.is_empty() {
        symbols.extend_from_slice(&spread(word(rest))[..=rest.len()]);
    }
    // All of them are ASCII, and so is the text.
    let symbols = String::from_utf8(symbols).unwrap_or_default();
    let mut text = String::with_capacity(HEAD + 1 + symbols.len() + symbols.len() / RUN);
    let digit = |place: usize| char::from((place % 127 + 1) as u8);
    text.extend([FRAME, digit(place), digit(place / 127), digit(place / (127 * 127))]);
    for run in symbols.split('\0') {
        let mut rest = run;
        while let Some((full, behind)) = rest.split_at_checked(RUN) {
            text.push(char::from(RUN as u8 + 1));
            text.push_str(full);
            rest = behind;
        }
        text.push(char::from(rest.len() as u8 + 1));
        text.push_str(rest);
    }
    text
}

/// The frame of a text; nothing if this is none of ours.
pub(crate) fn decode(text: &str) -> Option<Bytes> {
    let text = text.as_bytes();
    if text.first() != Some(&(FRAME as u8)) || text.len() <= HEAD || !text.is_ascii() || text.contains(&0) {
        return None;
    }
    let mut rest = &text[HEAD..];
    let mut symbols = Vec::with_capacity(rest.len());
    while let Some((&length, behind)) = rest.split_first() {
        let (run, behind) = behind.split_at_checked(usize::from(length) - 1)?;
        symbols.extend_from_slice(run);
        if run.len() < RUN && !behind.is_empty() {
            symbols.push(0);
        }
        rest = behind;
    }
    let mut frame = Vec::with_capacity(symbols.len().div_ceil(8) * 7);
    let mut groups = symbols.chunks_exact(8);
    for group in &mut groups {
        frame.extend_from_slice(&gather(group)[..7]);
    }
    match groups.remainder() {
        [] => {}
        [_] => return None,
        rest => {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            frame.extend_from_slice(&gather(&last)[..rest.len() - 1]);
        }
    }
    Some(frame.into())
}

/// Up to seven bytes, in the high ones of 56 bits.
fn word(bytes: &[u8]) -> u64 {
    let mut all = [0; 8];
    all[1..=bytes.len()].copy_from_slice(bytes);
    u64::from_be_bytes(all)
}

/// 56 bits as eight symbols of seven.
fn spread(bits: u64) -> [u8; 8] {
    let bits = (bits & 0x00ff_ffff_f000_0000) << 4 | bits & 0x0fff_ffff;
    let bits = (bits & 0x0fff_c000_0fff_c000) << 2 | bits & 0x0000_3fff_0000_3fff;
    let bits = (bits & 0x3f80_3f80_3f80_3f80) << 1 | bits & 0x007f_007f_007f_007f;
    bits.to_be_bytes()
}

/// Eight symbols as seven bytes, with nothing behind them.
fn gather(symbols: &[u8]) -> [u8; 8] {
    let mut all = [0; 8];
    all.copy_from_slice(symbols);
    let bits = u64::from_be_bytes(all);
    let bits = (bits & 0x7f00_7f00_7f00_7f00) >> 1 | bits & 0x007f_007f_007f_007f;
    let bits = (bits & 0x3fff_0000_3fff_0000) >> 2 | bits & 0x0000_3fff_0000_3fff;
    let bits = (bits & 0x0fff_ffff_0000_0000) >> 4 | bits & 0x0fff_ffff;
    (bits << 8).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames() -> impl Iterator<Item = Vec<u8>> {
        // Nothing but zeros, nothing but ones, everything, and none of the symbols a zero: what COBS and seven bits turn on.
        let fill = |len: usize| {
            [vec![0; len], vec![0xff; len], (0..len).map(|n| (n * 7 + n / 256) as u8).collect(), vec![0x55; len]]
        };
        (0..600).chain(6_900..6_960).flat_map(fill)
    }

    #[test]
    fn every_frame_comes_back_as_it_was() {
        for (place, frame) in frames().enumerate() {
            let text = encode(place, &frame);
            assert!(text.bytes().all(|char| (1..=127).contains(&char)), "{frame:?}");
            assert_eq!(decode(&text).as_deref(), Some(&frame[..]), "{} bytes", frame.len());
        }
    }

    #[test]
    fn what_fits_fits_and_one_more_does_not() {
        for characters in [600, 3_903, 7_999, 32_575] {
            let most = capacity(characters);
            for fill in [0, 1, 0x55, 0xff] {
                assert!(encode(usize::MAX, &vec![fill; most]).len() <= characters, "{most} bytes in {characters}");
            }
            assert!(encode(0, &vec![0xff; most + 2]).len() > characters, "{most} bytes in {characters}");
        }
        assert_eq!(capacity(7_999), 6_940);
    }

    #[test]
    fn equal_frames_differ_by_their_place() {
        let texts: std::collections::HashSet<_> = (0..50_000).map(|place| encode(place, b"same")).collect();
        assert_eq!(texts.len(), 50_000);
    }

    #[test]
    fn what_is_none_of_ours_is_nothing() {
        for text in ["", "F", "Fabc", "Fabc\u{5}", "Fabc\u{3}a", "Fabcü", "Fabc\u{0}", "Gabc\u{1}", "Fabc\u{2}a"] {
            assert_eq!(decode(text), None, "{text:?}");
        }
        assert_eq!(decode("Fabc\u{1}").as_deref(), Some(&[][..]));
    }
}
