//! Choices that a script makes.

use std::fmt;

use bolero::{Driver, ValueGenerator};

/// A script as it is kept in a file: bytes, nothing else. Shown in hexadecimal digits.
#[derive(Clone)]
pub(super) struct Script(Vec<u8>);

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Any script; bolero's own slices are 64 bytes at the most where they are random.
#[derive(Clone, Copy, Debug)]
pub(super) struct AnyScript;

impl ValueGenerator for AnyScript {
    type Output = Script;

    fn generate<D: Driver>(&self, driver: &mut D) -> Option<Script> {
        const MOST: usize = 2048;
        driver.gen_from_bytes(|| (0, Some(MOST)), |bytes| Some((bytes.len(), Script(bytes.to_vec()))))
    }
}

/// A script: bytes that are read as choices. One that has ended chooses zero.
#[derive(Debug)]
pub(super) struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub(super) fn new(script: &'a Script) -> Self {
        Self(&script.0)
    }

    pub(super) fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or(0)
    }

    /// From 0 to one less than `end`, which is 256 at the most.
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    pub(super) fn pick<'b, T>(&mut self, list: &'b [T]) -> &'b T {
        &list[self.below(list.len())]
    }

    pub(super) fn yes(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// A number: small, any, or one at which arithmetic may fail.
    pub(super) fn number(&mut self) -> u64 {
        match self.below(8) {
            0..=3 => u64::from(self.byte()),
            4 => u64::from(u16::from_le_bytes([self.byte(), self.byte()])),
            5 => u64::MAX - u64::from(self.byte()),
            6 => 1 << self.below(64),
            _ => u64::from_le_bytes(std::array::from_fn(|_| self.byte())),
        }
    }

    /// So many bytes, or what is left.
    pub(super) fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}
