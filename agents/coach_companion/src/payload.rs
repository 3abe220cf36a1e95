//! What the app sends to the coach.
//!
//! Every member is optional. What is sent is checked: a value outside its list is refused with the list,
//! because a coach that silently ignores `"gentel"` coaches somebody in the wrong tone. Members that are
//! not known are ignored, so that an app may be ahead of the agent.

use agentcore_runtime::prelude::Prompt;
use serde::Deserialize;

/// The body of an invocation.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct CoachPayload {
    /// What the user wrote.
    #[serde(flatten)]
    pub prompt: Prompt,
    /// What the app knows of the user.
    pub user_context: Option<UserContext>,
}

/// What the app knows of the user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct UserContext {
    /// The tone the user likes.
    pub coaching_style: Option<CoachingStyle>,
    /// Whether the user takes a GLP-1 medicine.
    pub on_glp1: Option<bool>,
    /// What the user works towards.
    pub goal_type: Option<GoalType>,
    /// How much play the user likes.
    pub gamification_preference: Option<Gamification>,
}

/// The tone of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CoachingStyle {
    /// Soft and patient.
    Gentle,
    /// To the point.
    Pragmatic,
    /// Cheerful.
    Upbeat,
    /// In steps.
    Structured,
}

/// What a user works towards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GoalType {
    /// Losing weight.
    Loss,
    /// Keeping it.
    Maintenance,
    /// Moving from the one to the other.
    Transition,
}

/// How much challenge and achievement language a user likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Gamification {
    /// Much.
    High,
    /// Some.
    Moderate,
    /// None.
    Low,
}
