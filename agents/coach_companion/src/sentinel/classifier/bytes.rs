//! Numbers out of the file of weights and into it, in little-endian order.

/// How many steps of a weight there are on each side of zero. With four times as many, four messages in a thousand are
/// judged otherwise, no better, and each weight packs into two bits more.
pub const STEPS: f32 = 31.0;

/// What is left of the bytes.
#[derive(Debug)]
pub struct Reader<'a>(pub &'a [u8]);

// === impl Reader ===

impl<'a> Reader<'a> {
    /// The next bytes; none where there are too few.
    pub fn array<const COUNT: usize>(&mut self) -> Option<[u8; COUNT]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }

    /// The next whole number.
    pub fn number(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// How many of something follow.
    pub fn count(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    /// The next whole number that is mostly small: seven bits a byte, the lowest first, and a bit that says whether more
    /// follow.
    fn small(&mut self) -> Option<u32> {
        let mut number = 0;
        for place in (0..u32::BITS).step_by(7) {
            let [byte] = self.array()?;
            let bits = u32::from(byte & 0x7f);
            // The last byte may have more bits than there is room for.
            number |= bits.checked_mul(1 << place)?;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// How many numbers follow, each no less than the one before, and those.
    pub fn ascending(&mut self) -> Option<Vec<u32>> {
        let count = self.count()?;
        let mut last = 0_u32;
        let mut next = || {
            last = last.checked_add(self.small()?)?;
            Some(last)
        };
        (0..count).map(|_| next()).collect()
    }

    /// The next bytes, as they are.
    pub fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    /// The next fractions.
    pub fn floats<const COUNT: usize>(&mut self) -> Option<[f32; COUNT]> {
        let mut floats = [0.0; COUNT];
        for float in &mut floats {
            *float = f32::from_le_bytes(self.array()?);
        }
        Some(floats)
    }

    /// The next fractions, as [`write_steps`] wrote them.
    pub fn steps(&mut self, count: usize) -> Option<Vec<f32>> {
        let [step] = self.floats()?;
        Some(self.bytes(count)?.iter().map(|byte| f32::from(byte.cast_signed()) * step).collect())
    }
}

/// Adds a whole number that is mostly small.
#[expect(clippy::cast_possible_truncation, reason = "seven bits")]
fn write_small(bytes: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Adds how many numbers there are and by how much each is more than the one before; they must not descend.
pub fn write_ascending(bytes: &mut Vec<u8>, numbers: impl ExactSizeIterator<Item = u32>) {
    bytes.extend(u32::try_from(numbers.len()).unwrap_or(u32::MAX).to_le_bytes());
    let mut last = 0;
    for number in numbers {
        write_small(bytes, number - last);
        last = number;
    }
}

/// Adds fractions.
pub fn write_floats(bytes: &mut Vec<u8>, floats: impl IntoIterator<Item = f32>) {
    bytes.extend(floats.into_iter().flat_map(f32::to_le_bytes));
}

/// Adds fractions in steps, a byte each, after what a step is worth.
pub fn write_steps(bytes: &mut Vec<u8>, numbers: &[f32]) {
    let step = step_of(numbers.iter().copied());
    write_floats(bytes, [step]);
    bytes.extend(numbers.iter().map(|number| in_steps(*number, step).cast_unsigned()));
}

/// What a step is worth, so that all numbers but one in ten thousand can be told in [`STEPS`]: those are cut off, so that
/// the rest is told apart more finely.
pub fn step_of(numbers: impl Iterator<Item = f32>) -> f32 {
    let mut sizes: Vec<f32> = numbers.map(f32::abs).collect();
    sizes.sort_by(f32::total_cmp);
    let largest = sizes.get(sizes.len().saturating_sub(1 + sizes.len() / 10_000)).copied().unwrap_or(1.0);
    (largest / STEPS).max(f32::MIN_POSITIVE)
}

/// How many steps a number is.
#[expect(clippy::cast_possible_truncation, reason = "clamped")]
pub fn in_steps(number: f32, step: f32) -> i8 {
    (number / step).round().clamp(-STEPS, STEPS) as i8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_number_is_read_as_it_was_written() {
        let mut bytes = Vec::new();
        let numbers = [0, 1, 127, 128, 16_383, 16_384, u32::MAX];
        for number in numbers {
            write_small(&mut bytes, number);
        }
        assert_eq!(bytes[..3], [0, 1, 127], "a byte where one is enough");
        let mut reader = Reader(&bytes);
        assert_eq!(numbers.map(|_| reader.small()), numbers.map(Some));
        assert_eq!(reader.small(), None, "nothing is left");
    }

    #[test]
    fn ascending_numbers_are_read_as_they_were_written() {
        let mut bytes = Vec::new();
        let numbers = [3, 3, 200, 70_000, u32::MAX];
        write_ascending(&mut bytes, numbers.into_iter());
        assert_eq!(Reader(&bytes).ascending().as_deref(), Some(&numbers[..]));
        assert_eq!(Reader(&bytes[..bytes.len() - 1]).ascending(), None, "one is missing");
        let beyond = [&2_u32.to_le_bytes()[..], &[0xff, 0xff, 0xff, 0xff, 0x0f, 1]].concat();
        assert_eq!(Reader(&beyond).ascending(), None, "it goes beyond 32 bits");
    }

    #[test]
    fn fractions_are_read_to_half_a_step_and_cut_off_at_the_last() {
        let numbers: Vec<f32> = (-100_i16..=100).map(|number| f32::from(number) / 100.0).collect();
        let mut bytes = Vec::new();
        write_steps(&mut bytes, &numbers);
        let read = Reader(&bytes).steps(numbers.len()).expect("it was just written");
        let step = 1.0 / STEPS;
        assert!(numbers.iter().zip(&read).all(|(number, read)| (number - read).abs() <= step / 1.99), "{read:?}");
        assert_eq!([5.0, -5.0].map(|number| in_steps(number, step)), [31, -31]);
        assert_eq!(Reader(&bytes).steps(numbers.len() + 1), None, "one is missing");
    }

    #[test]
    fn what_is_no_small_number_is_none() {
        assert_eq!(Reader(&[0xff; 4]).small(), None, "it breaks off");
        assert_eq!(Reader(&[0xff, 0xff, 0xff, 0xff, 0x10]).small(), None, "it has more than 32 bits");
    }
}
