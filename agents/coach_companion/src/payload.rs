//! What the app sends to the coach.
//!
//! Every member is optional. What is sent is checked: a value outside its list is refused with the list,
//! because a coach that silently ignores `"gentel"` coaches somebody in the wrong tone. Members that are
//! not known are ignored, so that an app may be ahead of the agent.

use agentcore_runtime::prelude::{ContentBlock, Object, Prompt, Reply};
use serde::Deserialize;

/// The body of an invocation.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct CoachPayload {
    prompt: Option<String>,
    message: Option<String>,
    content: Option<Vec<ContentBlock>>,
    #[serde(default)]
    replies: Vec<Reply>,
    user_id: Option<String>,
    user_context: Option<Object<UserContext>>,
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

// === impl CoachPayload ===

impl CoachPayload {
    /// What the app knows of the user: nothing, where it says nothing.
    pub fn context(&self) -> UserContext {
        self.user_context.map(|Object(context)| context).unwrap_or_default()
    }

    /// Whether the app has opened the conversation and the user has said nothing yet.
    pub fn is_opening(&self) -> bool {
        self.prompt.is_none() && self.message.is_none() && self.content.is_none() && self.replies.is_empty()
    }

    /// What the user wrote and showed, and who it is.
    pub fn into_prompt(self) -> Prompt {
        Prompt {
            prompt: self.prompt,
            message: self.message,
            content: self.content,
            replies: self.replies,
            user_id: self.user_id,
        }
    }
}
