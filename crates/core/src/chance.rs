//! Chance that a snapshot does not repeat.
//!
//! The system's generator is frozen with a virtual machine's snapshot. A kernel that is told of its revival (by a
//! generation id, as Firecracker has it) seeds it anew at once; any other gives the same numbers in every machine that is
//! revived from one snapshot, until it seeds its generator again a minute later. Two sessions would have one id, and the
//! turn of one would count as the repetition of another's. So what the system gives is mixed with the moment it is asked
//! at, to the nanosecond.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest as _, Sha256};
use uuid::{Builder, Uuid};

/// An id that nothing else has.
pub fn uuid() -> Uuid {
    Builder::from_random_bytes(drawn()).into_uuid()
}

/// Any number.
pub fn number() -> u64 {
    u64::from_le_bytes(drawn())
}

/// As many bytes as are asked for, up to 32.
fn drawn<const BYTES: usize>() -> [u8; BYTES] {
    const { assert!(BYTES <= 32, "a digest has no more") }
    let mut system = [0; 32];
    // Without the system's chance the moment alone tells draws apart.
    let _ = getrandom::fill(&mut system);
    let digest = mixed(&system, nanoseconds());
    std::array::from_fn(|place| digest[place])
}

fn mixed(system: &[u8; 32], moment: u128) -> [u8; 32] {
    /// Draws of the same nanosecond.
    static DRAWS: AtomicU64 = AtomicU64::new(0);
    let draw = DRAWS.fetch_add(1, Ordering::Relaxed);
    Sha256::new()
        .chain_update(system)
        .chain_update(moment.to_le_bytes())
        .chain_update(draw.to_le_bytes())
        .finalize()
        .into()
}

fn nanoseconds() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_generator_that_repeats_itself_makes_no_id_twice() {
        let revived = [0_u128, 1, 18_000_000_000_000].map(|moment| mixed(&[7; 32], moment));
        assert_eq!(HashSet::from(revived).len(), 3);
        assert_ne!(mixed(&[7; 32], 5), mixed(&[7; 32], 5), "even in the same nanosecond");
    }

    #[test]
    fn ids_are_random_uuids_and_numbers_are_of_any_size() {
        assert_eq!(uuid().get_version_num(), 4);
        let drawn: HashSet<u64> = (0..100).map(|_| number()).collect();
        assert_eq!(drawn.len(), 100);
        assert!(drawn.iter().any(|number| *number > u64::MAX / 2));
    }
}
