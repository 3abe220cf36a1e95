//! What the sentinel looks for, by name.

use std::fmt;

use serde::Deserialize;

/// What a message may show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The writer wants to die, says goodbye, or hurts themselves.
    SelfHarm,
    /// Something that needs a doctor now.
    MedicalEmergency,
    /// The writer is hurt, threatened or controlled at home.
    DomesticAbuse,
    /// Somebody else is in danger.
    ThirdPartyConcern,
    /// Purging, starving, bingeing, distress about the body.
    EatingDisorder,
    /// Hopelessness, depression, anxiety.
    LowMood,
    /// The writer is under 18.
    Minor,
    /// Too fast, too little to eat, too low a weight.
    UnsafeGoal,
    /// The writer is, may be or wants to be pregnant, or breastfeeds.
    Pregnancy,
    /// A decision about a medicine.
    Medication,
}

// === impl Kind ===

impl Kind {
    /// All of them, the gravest first.
    pub const ALL: [Self; 10] = [
        Self::SelfHarm,
        Self::MedicalEmergency,
        Self::DomesticAbuse,
        Self::ThirdPartyConcern,
        Self::EatingDisorder,
        Self::LowMood,
        Self::Minor,
        Self::UnsafeGoal,
        Self::Pregnancy,
        Self::Medication,
    ];

    /// Its name, as callers read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SelfHarm => "self_harm",
            Self::MedicalEmergency => "medical_emergency",
            Self::DomesticAbuse => "domestic_abuse",
            Self::ThirdPartyConcern => "third_party_concern",
            Self::EatingDisorder => "eating_disorder",
            Self::LowMood => "low_mood",
            Self::Minor => "minor",
            Self::UnsafeGoal => "unsafe_goal",
            Self::Pregnancy => "pregnancy",
            Self::Medication => "medication",
        }
    }

    /// Whether the model still answers, with an instruction; what is graver, the sentinel answers itself.
    pub fn is_left_to_the_model(self) -> bool {
        matches!(self, Self::UnsafeGoal | Self::Pregnancy | Self::Medication)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
