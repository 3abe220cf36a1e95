//! Mass and length that cannot be mistaken for each other, and the units people think of them in.
//!
//! The factors are exact by definition: the international pound is 0.45359237 kg and the inch 2.54 cm (NIST Handbook
//! 44, Appendix C), a stone is 14 pounds.

use crate::payload::WeightUnit;

/// Kilograms in a pound.
pub const KILOGRAMS_PER_POUND: f64 = 0.453_592_37;

/// Pounds in a stone.
pub const POUNDS_PER_STONE: f64 = 14.0;

/// Centimetres in an inch.
pub const CENTIMETRES_PER_INCH: f64 = 2.54;

/// Inches in a foot.
pub const INCHES_PER_FOOT: f64 = 12.0;

/// The largest amount a unit holds, in kilograms or centimetres: beyond it numbers are no measures.
const LARGEST: f64 = 1e6;

/// A mass: never negative, never beyond measure.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Mass {
    kilograms: f64,
}

/// A length: never negative, never beyond measure.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Length {
    centimetres: f64,
}

// === impl Mass ===

impl Mass {
    /// A mass in kilograms; none where that is no number from 0 to a million.
    pub fn from_kilograms(kilograms: f64) -> Option<Self> {
        (0.0..=LARGEST).contains(&kilograms).then_some(Self { kilograms })
    }

    /// A mass in pounds.
    pub fn from_pounds(pounds: f64) -> Option<Self> {
        Self::from_kilograms(pounds * KILOGRAMS_PER_POUND)
    }

    /// A mass in stones and pounds.
    pub fn from_stones(stones: f64, pounds: f64) -> Option<Self> {
        Self::from_pounds(stones * POUNDS_PER_STONE + pounds)
    }

    /// In kilograms.
    pub fn kilograms(self) -> f64 {
        self.kilograms
    }

    /// In pounds.
    pub fn pounds(self) -> f64 {
        self.kilograms / KILOGRAMS_PER_POUND
    }

    /// The least mass of no more than a tenth of a kilogram or pound that is not below it, so that a bound that is told
    /// in [`Self::in_words`] keeps what it promises.
    #[must_use]
    pub fn rounded_up(self, unit: WeightUnit) -> Self {
        /// What arithmetic adds to a number that is a tenth already.
        const NOISE: f64 = 1e-6;
        let per_unit = if unit == WeightUnit::Kg { 1.0 } else { KILOGRAMS_PER_POUND };
        let tenths = (self.kilograms / per_unit * 10.0 - NOISE).ceil();
        Self { kilograms: (tenths / 10.0 * per_unit).max(0.0) }
    }

    /// As people say it, to a tenth of a kilogram or of a pound: `81.6 kg`, `180 lb`, `12 st 12 lb`.
    pub fn in_words(self, unit: WeightUnit) -> String {
        match unit {
            WeightUnit::Kg => format!("{} kg", tenths(self.kilograms)),
            WeightUnit::Lb => format!("{} lb", tenths(self.pounds())),
            WeightUnit::St => {
                let pounds = (self.pounds() * 10.0).round() / 10.0;
                let stones = (pounds / POUNDS_PER_STONE).floor();
                let rest = tenths(pounds - stones * POUNDS_PER_STONE);
                match (stones > 0.0, rest.as_str()) {
                    (true, "0") => format!("{stones} st"),
                    (true, rest) => format!("{stones} st {rest} lb"),
                    (false, rest) => format!("{rest} lb"),
                }
            }
        }
    }
}

// === impl Length ===

impl Length {
    /// A length in centimetres; none where that is no number from 0 to a million.
    pub fn from_centimetres(centimetres: f64) -> Option<Self> {
        (0.0..=LARGEST).contains(&centimetres).then_some(Self { centimetres })
    }

    /// A person's height, from 90 to 250 cm.
    pub fn of_person(centimetres: f64) -> Option<Self> {
        (90.0..=250.0).contains(&centimetres).then_some(Self { centimetres })
    }

    /// A length in feet and inches.
    pub fn from_feet(feet: f64, inches: f64) -> Option<Self> {
        Self::from_centimetres((feet * INCHES_PER_FOOT + inches) * CENTIMETRES_PER_INCH)
    }

    /// In centimetres.
    pub fn centimetres(self) -> f64 {
        self.centimetres
    }

    /// In inches.
    pub fn inches(self) -> f64 {
        self.centimetres / CENTIMETRES_PER_INCH
    }

    /// The body mass index of a mass at this height, in kg/m² (WHO); none at no height.
    pub fn body_mass_index(self, mass: Mass) -> Option<f64> {
        let metres = self.centimetres / 100.0;
        (metres > 0.0).then(|| mass.kilograms / (metres * metres))
    }

    /// The mass that has a body mass index at this height.
    pub fn mass_at(self, body_mass_index: f64) -> Option<Mass> {
        Mass::from_kilograms(body_mass_index * (self.centimetres / 100.0).powi(2))
    }
}

/// A number to a tenth, without a zero after the point.
pub fn tenths(number: f64) -> String {
    // No minus before a zero.
    let rounded = (number * 10.0).round() / 10.0 + 0.0;
    if rounded.fract() == 0.0 { format!("{rounded:.0}") } else { format!("{rounded:.1}") }
}
