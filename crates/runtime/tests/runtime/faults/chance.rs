//! All chance of a simulation, from its seed.

use std::ops::Range;

use proptest::prelude::Rng as _;
use proptest::test_runner::{RngAlgorithm, TestRng};
use sha2::{Digest as _, Sha256};

/// Draws the same each time for the same seed and place.
pub(super) struct Chance(TestRng);

// === impl Chance ===

impl Chance {
    /// What is drawn at one place of a simulation. Each place has a row of its own, so that what one draws changes
    /// nothing for another, in whatever order they are reached.
    pub(super) fn at(seed: u64, place: &str) -> Self {
        let row = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(place).finalize();
        Self(TestRng::from_seed(RngAlgorithm::ChaCha, &row))
    }

    /// One of the numbers.
    pub(super) fn number(&mut self, among: Range<u64>) -> u64 {
        among.start + self.0.next_u64() % (among.end - among.start)
    }

    /// The same for what is counted.
    pub(super) fn count(&mut self, among: Range<usize>) -> usize {
        let drawn = self.number(among.start as u64..among.end as u64);
        usize::try_from(drawn).expect("it is below the end of the range")
    }

    /// True so often out of a hundred times.
    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.number(0..100) < percent
    }
}
