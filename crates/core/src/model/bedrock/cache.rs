//! Where a prompt is worth caching.
//!
//! What is read from the cache costs a tenth, and what is written a quarter more, so a point pays where the
//! same prefix comes again within five minutes. In a conversation that is everything but what is new:
//! the tools and the system prompt, which many sessions share; the history, which the next turn sends
//! again; and the newest message, which the next tool round sends again.

use crate::history::{estimate_message, estimate_tokens};
use crate::message::Role;
use crate::model::ModelRequest;
use crate::model::capabilities::CacheRules;

/// Behind what the cache points stand: four at most, as many as Bedrock takes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct CachePlan {
    pub(super) tools: bool,
    pub(super) system: bool,
    /// Places in the conversation, history included: the history's last message, and the newest.
    pub(super) messages: [Option<usize>; 2],
}

// === impl CachePlan ===

impl CachePlan {
    /// No point anywhere.
    pub(super) fn none() -> Self {
        Self::default()
    }

    /// The points that pay for a model with these rules. A prefix that is shorter than the least the model
    /// caches gets none; it is estimated on the high side, and a point too many does no harm.
    pub(super) fn new(request: &ModelRequest, rules: Option<CacheRules>) -> Self {
        let Some(rules) = rules else {
            return Self::none();
        };
        let pays = |prefix: usize| prefix >= rules.least_tokens;
        let tool_tokens: usize = request
            .tools
            .iter()
            .map(|tool| estimate_tokens(tool.name.len() + tool.description.len() + tool.input_schema.to_string().len()))
            .sum();
        let system_tokens = tool_tokens + estimate_tokens(request.system.len());
        let history_tokens = system_tokens + request.history.iter().map(|turn| turn.estimated_tokens()).sum::<usize>();
        let newest_tokens = history_tokens + request.messages.iter().map(estimate_message).sum::<usize>();
        let earlier: usize = request.history.iter().map(|turn| turn.messages().len()).sum();
        // The assistant's own words at the end are there to be gone on from, and must stay the end.
        let last_of_user = request.messages.iter().rposition(|message| message.role == Role::User);
        Self {
            tools: rules.after_tools && !request.tools.is_empty() && pays(tool_tokens),
            system: !request.system.is_empty() && pays(system_tokens),
            messages: [
                earlier.checked_sub(1).filter(|_| pays(history_tokens)),
                last_of_user.filter(|_| pays(newest_tokens)).map(|place| earlier + place),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::CachePlan;
    use crate::history::complete;
    use crate::message::Message;
    use crate::message::ToolSpec;
    use crate::model::ModelRequest;
    use crate::model::capabilities::Capabilities;

    const SONNET_3_7: &str = "eu.anthropic.claude-3-7-sonnet-20250219-v1:0";

    fn words(tokens: usize) -> String {
        "ab ".repeat(tokens)
    }

    fn request(tools: usize, system: usize, history: usize, newest: usize) -> ModelRequest {
        let mut request = ModelRequest::question(words(newest), 100);
        request.system = words(system);
        request.history =
            complete([Message::user(words(history)), Message::assistant("Yes.")]).into_iter().map(Arc::new).collect();
        let tool = ToolSpec { name: "weigh".into(), description: words(tools), input_schema: json!({}) };
        request.tools = Arc::new([tool]);
        request
    }

    fn plan(model_id: &str, request: &ModelRequest) -> (bool, bool, [Option<usize>; 2]) {
        let plan = CachePlan::new(request, Capabilities::of(model_id).cache);
        (plan.tools, plan.system, plan.messages)
    }

    #[test]
    fn a_point_stands_behind_every_prefix_that_is_long_enough() {
        assert_eq!(plan(SONNET_3_7, &request(1100, 10, 10, 10)), (true, true, [Some(1), Some(2)]));
        assert_eq!(plan(SONNET_3_7, &request(500, 600, 10, 10)), (false, true, [Some(1), Some(2)]));
        assert_eq!(plan(SONNET_3_7, &request(10, 10, 1100, 10)), (false, false, [Some(1), Some(2)]));
        assert_eq!(plan(SONNET_3_7, &request(10, 10, 10, 1100)), (false, false, [None, Some(2)]));
        assert_eq!(plan(SONNET_3_7, &request(10, 10, 10, 10)), (false, false, [None, None]));
    }

    #[test]
    fn a_model_without_a_cache_gets_no_points_and_nova_none_behind_tools() {
        let long = request(5000, 5000, 5000, 5000);
        let none = (false, false, [None, None]);
        assert_eq!(plan("eu.anthropic.claude-3-5-sonnet-20240620-v1:0", &long), none);
        assert_eq!(plan("eu.amazon.nova-lite-v1:0", &long), (false, true, [Some(1), Some(2)]));
    }

    #[test]
    fn words_to_be_gone_on_from_stay_the_end() {
        let mut request = request(1100, 10, 10, 10);
        request.messages.push(Message::assistant("It is"));
        assert_eq!(plan(SONNET_3_7, &request).2, [Some(1), Some(2)]);
    }
}
