//! Frames as text, for a broker that carries text only.
//!
//! Seven bits go into each character, and the zeros among them are taken out as COBS does it: a character says how many
//! follow until the next zero. `docs/decisions/0002-postgres.md` compares it with base64.

use bytes::Bytes;

/// The longest run between two zeros: one less than the largest character.
const RUN: usize = 126;

/// Bytes as text of the characters 1 to 127, for a broker that carries text only, and no NUL. Every encoding of a server has these characters,
/// each as one byte. The text is 15 % longer than the bytes (base64: 33 %), plus one character, whatever the bytes are.
///
/// # Examples
/// ```
/// use roomcast_core::backend::{Limits, SevenBit};
///
/// // The broker takes texts of up to 8,000 bytes, and this backend puts a letter in front.
/// let limits = Limits::max_frame(SevenBit::capacity(8_000 - 1));
///
/// let frame = [0, 1, 254, 255];
/// let mut text = String::from("F");
/// SevenBit::encode(&frame, &mut text);
/// assert!(text.is_ascii() && !text.contains('\0'));
/// assert_eq!(SevenBit::decode(&text[1..]).as_deref(), Some(&frame[..]));
/// # assert_eq!(limits.max_frame, 6_944);
/// ```
#[derive(Debug)]
pub struct SevenBit(());

impl SevenBit {
    /// How many bytes fit, whatever they are, into a text of so many characters.
    pub const fn capacity(characters: usize) -> usize {
        let room = characters.saturating_sub(1); // one run is always begun
        // A run of 126 takes 127 characters.
        let symbols = room - room / (RUN + 1);
        symbols * 7 / 8
    }

    /// Appends the text of these bytes.
    pub fn encode(bytes: &[u8], text: &mut String) {
        let mut symbols = Vec::with_capacity(bytes.len().div_ceil(7) * 8);
        let mut groups = bytes.chunks_exact(7);
        for group in &mut groups {
            symbols.extend_from_slice(&spread(word(group)));
        }
        let rest = groups.remainder();
        if !rest.is_empty() {
            symbols.extend_from_slice(&spread(word(rest))[..=rest.len()]);
        }
        // All of them are ASCII, and so is the text.
        let symbols = String::from_utf8(symbols).unwrap_or_default();
        text.reserve(1 + symbols.len() + symbols.len() / RUN);
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
    }

    /// The bytes of a text; `None` if it is not of this form.
    pub fn decode(text: &str) -> Option<Bytes> {
        let mut rest = text.as_bytes();
        if rest.is_empty() || !rest.is_ascii() || rest.contains(&0) {
            return None;
        }
        let mut symbols = Vec::with_capacity(rest.len());
        while let Some((&length, behind)) = rest.split_first() {
            let (run, behind) = behind.split_at_checked(usize::from(length) - 1)?;
            symbols.extend_from_slice(run);
            if run.len() < RUN && !behind.is_empty() {
                symbols.push(0);
            }
            rest = behind;
        }
        let mut bytes = Vec::with_capacity(symbols.len().div_ceil(8) * 7);
        let mut groups = symbols.chunks_exact(8);
        for group in &mut groups {
            bytes.extend_from_slice(&gather(group)[..7]);
        }
        match groups.remainder() {
            [] => {}
            [_] => return None,
            rest => {
                let mut last = [0; 8];
                last[..rest.len()].copy_from_slice(rest);
                bytes.extend_from_slice(&gather(&last)[..rest.len() - 1]);
            }
        }
        Some(bytes.into())
    }
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

    fn encoded(bytes: &[u8]) -> String {
        let mut text = String::new();
        SevenBit::encode(bytes, &mut text);
        text
    }

    fn frames() -> impl Iterator<Item = Vec<u8>> {
        // Nothing but zeros, nothing but ones, everything, and none of the symbols a zero: what COBS and seven bits turn on.
        let fill = |len: usize| {
            [vec![0; len], vec![0xff; len], (0..len).map(|n| (n * 7 + n / 256) as u8).collect(), vec![0x55; len]]
        };
        (0..600).chain(6_900..6_960).flat_map(fill)
    }

    #[test]
    fn every_frame_comes_back_as_it_was() {
        for frame in frames() {
            let text = encoded(&frame);
            assert!(text.bytes().all(|char| (1..=127).contains(&char)), "{frame:?}");
            assert_eq!(SevenBit::decode(&text).as_deref(), Some(&frame[..]), "{} bytes", frame.len());
        }
    }

    #[test]
    fn a_text_goes_behind_what_is_there() {
        let mut text = String::from("head");
        SevenBit::encode(b"one", &mut text);
        assert_eq!(text.strip_prefix("head").and_then(SevenBit::decode).as_deref(), Some(&b"one"[..]));
    }

    #[test]
    fn what_fits_fits_and_one_more_does_not() {
        for characters in [600, 3_903, 7_999, 32_575] {
            let most = SevenBit::capacity(characters);
            for fill in [0, 1, 0x55, 0xff] {
                assert!(encoded(&vec![fill; most]).len() <= characters, "{most} bytes in {characters}");
            }
            assert!(encoded(&vec![0xff; most + 2]).len() > characters, "{most} bytes in {characters}");
        }
        assert_eq!((SevenBit::capacity(7_995), SevenBit::capacity(0)), (6_940, 0));
    }

    #[test]
    fn what_is_of_another_form_is_nothing() {
        for text in ["", "\u{5}", "\u{3}a", "ü", "\u{0}", "\u{2}a", "\u{2}a\u{0}"] {
            assert_eq!(SevenBit::decode(text), None, "{text:?}");
        }
        assert_eq!(SevenBit::decode("\u{1}").as_deref(), Some(&[][..]));
    }
}
