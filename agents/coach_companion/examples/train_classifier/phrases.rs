//! The weights of phrases: for each side the plane that parts its messages from ordinary talk with the widest margin
//! (a linear support vector machine, by dual coordinate descent).

use std::collections::HashMap;

use coach_companion::sentinel::classifier::bytes::{in_steps, step_of};
use coach_companion::sentinel::classifier::phrases::{LEAST_LENGTH, Phrases, Row, SIDES, features};
use coach_companion::sentinel::classifier::{NOTHING, OF_SIDE};
use coach_companion::sentinel::text::Text;

use crate::Sample;
use crate::random::Random;

/// How many features are kept: what the binary can carry.
const KEPT: usize = 110_000;
/// In how many messages a feature must be to be looked at.
const LEAST: u32 = 3;
/// What a message on the wrong side costs.
const COST: f32 = 1.0;
const ROUNDS: usize = 40;

/// A message as features and their values.
type Vector = Vec<(u32, f32)>;

pub(crate) fn train(samples: &[Sample], random: &mut Random) -> Phrases {
    let all = known(samples);
    let kept = strongest(&all, &fit(samples, &all, random).0);
    // Once more, so that those that are kept take over what the others said.
    let (weights, bias) = fit(samples, &kept, random);
    let step = step_of(weights.iter().copied().flatten());
    let row = |((key, rarity), weights): (&(u32, u8), &[f32; SIDES])| {
        (*key, Row { rarity: *rarity, weights: weights.map(|weight| in_steps(weight, step)) })
    };
    let rows: Vec<(u32, Row)> = kept.iter().zip(&weights).map(row).collect();
    Phrases::new(step, bias, &rows)
}

/// What each feature says of each side, its rarity counted in, and what is added to each.
fn fit(samples: &[Sample], known: &[(u32, u8)], random: &mut Random) -> (Vec<[f32; SIDES]>, [f32; SIDES]) {
    let vectors: Vec<Vector> = samples.iter().map(|sample| vector(&sample.text, known)).collect();
    let sides: [_; SIDES] = std::array::from_fn(|side| part(samples, &vectors, side, known.len(), random));
    let weight = |place: usize| sides.each_ref().map(|(weights, _)| weights[place] * Row::factor(known[place].1));
    ((0..known.len()).map(weight).collect(), sides.each_ref().map(|(_, bias)| *bias))
}

/// The features that say most, by key.
fn strongest(known: &[(u32, u8)], weights: &[[f32; SIDES]]) -> Vec<(u32, u8)> {
    let strength = |place: usize| weights[place].iter().map(|weight| weight * weight).sum::<f32>();
    let mut places: Vec<usize> = (0..known.len()).collect();
    places.sort_by(|one, other| strength(*other).total_cmp(&strength(*one)).then(one.cmp(other)));
    let mut kept: Vec<(u32, u8)> = places.into_iter().take(KEPT).map(|place| known[place]).collect();
    kept.sort_unstable();
    kept
}

/// The features that [`LEAST`] messages have or more, each with its rarity, by key.
fn known(samples: &[Sample]) -> Vec<(u32, u8)> {
    let mut seen: HashMap<u32, u32> = HashMap::new();
    let originals = samples.iter().filter(|sample| sample.is_original);
    let count = originals.clone().count();
    for sample in originals {
        let mut own = keys(&sample.text);
        own.sort_unstable();
        own.dedup();
        for key in own {
            *seen.entry(key).or_default() += 1;
        }
    }
    let often = seen.into_iter().filter(|(_, times)| *times >= LEAST);
    let mut known: Vec<(u32, u8)> = often.map(|(key, times)| (key, Row::rarity(count, times))).collect();
    known.sort_unstable();
    known
}

fn keys(text: &Text) -> Vec<u32> {
    let mut keys = Vec::new();
    for sentence in text.sentences() {
        features(text, sentence, |key| keys.push(key));
    }
    keys
}

/// A text as the classifier sees it: every feature by its rarity, all of them brought to length 1.
fn vector(text: &Text, known: &[(u32, u8)]) -> Vector {
    let mut values: HashMap<u32, f32> = HashMap::new();
    let mut length = LEAST_LENGTH;
    for key in keys(text) {
        if let Ok(place) = known.binary_search_by_key(&key, |(known, _)| *known) {
            let rarity = Row::factor(known[place].1);
            *values.entry(u32::try_from(place).unwrap_or_default()).or_default() += rarity;
            length += rarity * rarity;
        }
    }
    let mut vector: Vector = values.into_iter().map(|(place, value)| (place, value / length.sqrt())).collect();
    vector.sort_unstable_by_key(|(place, _)| *place);
    vector
}

/// The weights that part one side from ordinary talk, and what is added to them.
fn part(samples: &[Sample], vectors: &[Vector], side: usize, features: usize, random: &mut Random) -> (Vec<f32>, f32) {
    let (mut weights, mut bias) = (vec![0.0_f32; features], 0.0_f32);
    let is_of_it = |class: usize| class == NOTHING || OF_SIDE[side].contains(&class);
    let mut order: Vec<usize> = (0..samples.len()).filter(|place| is_of_it(samples[*place].class)).collect();
    let mut pulls = vec![0.0_f32; samples.len()];
    let give = 1.0 / (2.0 * COST);
    for _ in 0..ROUNDS {
        random.shuffle(&mut order);
        for place in &order {
            let vector = &vectors[*place];
            let sign = if samples[*place].class == NOTHING { -1.0 } else { 1.0 };
            let sum: f32 = bias + vector.iter().map(|(feature, value)| weights[*feature as usize] * value).sum::<f32>();
            let square: f32 = 1.0 + give + vector.iter().map(|(_, value)| value * value).sum::<f32>();
            let pull = pulls[*place];
            let next = (pull - (sign * sum - 1.0 + give * pull) / square).max(0.0);
            let change = sign * (next - pull);
            if change.abs() > 1e-6 {
                pulls[*place] = next;
                bias += change;
                for (feature, value) in vector {
                    weights[*feature as usize] += change * value;
                }
            }
        }
    }
    (weights, bias)
}
