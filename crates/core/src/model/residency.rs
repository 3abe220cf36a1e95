//! Where a conversation may be processed.
//!
//! Vitracka's conversations are health data of people in the EU, so a model is called only through an
//! `eu.` inference profile, which routes within EU regions, and only from an EU region. Anything else
//! refuses to start, unless an operator says `DATA_RESIDENCY=any`.

use std::fmt;

/// The model asked when `MODEL_ID` says nothing: Claude 3.5 Sonnet through its EU profile.
pub const DEFAULT_MODEL_ID: &str = "eu.anthropic.claude-3-5-sonnet-20240620-v1:0";

/// The region called when `AWS_REGION` says nothing: Ireland.
pub const DEFAULT_REGION: &str = "eu-west-1";

/// AWS regions on the soil of the EU, the sovereign cloud included. London (`eu-west-2`) and Zurich
/// (`eu-central-2`) are `eu-` by name only.
///
/// Source: the AWS list of regions and the EU's list of member states, November 2026.
pub const EU_REGIONS: [&str; 7] =
    ["eu-central-1", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-3", "eusc-de-east-1"];

/// How far data may go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Residency {
    /// EU profiles and EU regions only.
    #[default]
    Eu,
    /// Anywhere, on purpose.
    Any,
}

/// A model or inference profile that may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelId(String);

/// A region that may be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region(String);

/// Why a model or region may not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResidencyError {
    /// Data would leave the EU.
    #[error("{variable}={value} {problem}. Data stays in the EU unless DATA_RESIDENCY=any is set on purpose")]
    OutsideEu {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What is wrong, as the rest of the sentence.
        problem: String,
    },
    /// A model id with the version as people say it.
    #[error("{variable}={value} does not exist: Bedrock writes the version with dashes. Use {variable}={right}")]
    Mistyped {
        /// The variable.
        variable: &'static str,
        /// What was set.
        value: String,
        /// What was meant.
        right: String,
    },
    /// No model has such an id.
    #[error("{variable}={value} is not a model id; {DEFAULT_MODEL_ID} is one")]
    NotAModel {
        /// The variable.
        variable: &'static str,
        /// What was set.
        value: String,
    },
    /// There is no such rule.
    #[error("DATA_RESIDENCY={0} must be `eu` or `any`")]
    NotARule(String),
}

// === impl Residency ===

impl Residency {
    /// Reads `DATA_RESIDENCY`.
    ///
    /// # Errors
    /// When the value is neither `eu` nor `any`.
    pub fn parse(value: &str) -> Result<Self, ResidencyError> {
        match value {
            "eu" => Ok(Self::Eu),
            "any" => Ok(Self::Any),
            _ => Err(ResidencyError::NotARule(value.to_owned())),
        }
    }
}

// === impl ModelId ===

impl ModelId {
    /// Checks the value of `variable` against what may be asked.
    ///
    /// # Errors
    /// When the id is mistyped or empty, and, unless `residency` is [`Residency::Any`], when it is not
    /// an EU inference profile: an id that begins with `eu.`, or the ARN of such a profile in an EU
    /// region.
    pub fn parse_for(variable: &'static str, value: &str, residency: Residency) -> Result<Self, ResidencyError> {
        if let Some(right) = with_dashes(value) {
            return Err(ResidencyError::Mistyped { variable, value: value.to_owned(), right });
        }
        let well_formed = |c: char| c.is_ascii_alphanumeric() || "-_.:/".contains(c);
        if value.is_empty() || !value.chars().all(well_formed) {
            return Err(ResidencyError::NotAModel { variable, value: value.to_owned() });
        }
        if residency == Residency::Eu && !is_eu_profile(value) {
            return Err(outside_eu(variable, value, "is not an EU inference profile (their ids begin with `eu.`)"));
        }
        Ok(Self(value.to_owned()))
    }

    /// Checks `MODEL_ID`, as [`Self::parse_for`] does.
    ///
    /// # Errors
    /// When it may not be asked.
    pub fn parse(value: &str, residency: Residency) -> Result<Self, ResidencyError> {
        Self::parse_for("MODEL_ID", value, residency)
    }

    /// The id as Bedrock takes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The id with dashes, where the version was written with a dot (`claude-3.5-…`), as no id is.
fn with_dashes(value: &str) -> Option<String> {
    let (before, after) = value.split_once("claude-")?;
    let (version, rest) = after.split_once('-')?;
    let (major, minor) = version.split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(major) && digits(minor)).then(|| format!("{before}claude-{major}-{minor}-{rest}"))
}

fn outside_eu(variable: &'static str, value: &str, problem: impl Into<String>) -> ResidencyError {
    ResidencyError::OutsideEu { variable, value: value.to_owned(), problem: problem.into() }
}

fn is_eu_profile(value: &str) -> bool {
    let Some(arn) = value.strip_prefix("arn:") else {
        return value.starts_with("eu.");
    };
    let parts: Vec<&str> = arn.splitn(5, ':').collect();
    matches!(
        parts[..],
        [_, "bedrock", region, _, resource]
            if EU_REGIONS.contains(&region) && resource.starts_with("inference-profile/eu.")
    )
}

// === impl Region ===

impl Region {
    /// Checks `AWS_REGION`, as [`Self::parse_for`] does.
    ///
    /// # Errors
    /// When data may not be sent there.
    pub fn parse(value: &str, residency: Residency) -> Result<Self, ResidencyError> {
        Self::parse_for("AWS_REGION", value, residency)
    }

    /// Checks the value of `variable` against where data may be sent.
    ///
    /// # Errors
    /// When it is not one of [`EU_REGIONS`], unless `residency` is [`Residency::Any`].
    pub fn parse_for(variable: &'static str, value: &str, residency: Residency) -> Result<Self, ResidencyError> {
        if residency == Residency::Eu && !EU_REGIONS.contains(&value) {
            let problem = match value {
                "eu-west-2" => "is in the United Kingdom, not in the EU".to_owned(),
                "eu-central-2" => "is in Switzerland, not in the EU".to_owned(),
                _ => format!("is not an EU region (those are {})", EU_REGIONS.join(", ")),
            };
            return Err(outside_eu(variable, value, problem));
        }
        Ok(Self(value.to_owned()))
    }

    /// The region's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Region {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
