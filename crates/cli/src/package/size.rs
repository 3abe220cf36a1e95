//! How large what ships may be.

use std::fmt;

/// A binary that speaks HTTP alone. More of it is more to load before the first answer.
pub(super) const PROGRAM_LIMIT: Megabytes = Megabytes(8_000_000);

/// The files of an image, unpacked, and so any binary.
pub(crate) const IMAGE_LIMIT: Megabytes = Megabytes(10_000_000);

/// A size in bytes that prints in millions of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Megabytes(u64);

// === impl Megabytes ===

impl Megabytes {
    /// The size of some bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(bytes.len() as u64)
    }

    /// The size of a file of so many bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Megabytes {
    /// Rounded up, so that what prints as within a limit is.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = self.0.div_ceil(100_000);
        write!(formatter, "{}.{} MB", tenths / 10, tenths % 10)
    }
}

// === tests ===

#[cfg(test)]
mod specification {
    use super::{IMAGE_LIMIT, Megabytes, PROGRAM_LIMIT};

    #[test]
    fn what_prints_as_within_a_limit_is() {
        assert_eq!([PROGRAM_LIMIT, IMAGE_LIMIT].map(|limit| limit.to_string()), ["8.0 MB", "10.0 MB"]);
        assert_eq!(Megabytes::new(8_000_001).to_string(), "8.1 MB");
        assert!(Megabytes::new(8_000_001) > PROGRAM_LIMIT);
    }
}
