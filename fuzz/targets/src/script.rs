//! Input as a script.

use std::time::Duration;

/// The bytes that are left of an input.
pub(crate) struct Script<'a>(pub(crate) &'a [u8]);

impl<'a> Script<'a> {
    /// The next byte that says what happens; `None` at the end.
    pub(crate) fn step(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.step().unwrap_or(0)
    }

    pub(crate) fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// A length of one byte, and as many bytes of what is left.
    pub(crate) fn bytes(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte());
        self.take(len)
    }

    /// The same, with a length of two bytes.
    pub(crate) fn many_bytes(&mut self) -> &'a [u8] {
        let len = usize::from(self.word());
        self.take(len)
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    /// From nothing to two months: a small number is milliseconds, a large one days.
    pub(crate) fn pause(&mut self) -> Duration {
        let byte = self.byte();
        let number = u64::from(byte & 0x3f);
        match byte >> 6 {
            0 => Duration::from_millis(number * 10),
            1 => Duration::from_secs(number),
            2 => Duration::from_secs(number * 60),
            _ => Duration::from_secs(number * 86_400),
        }
    }
}
