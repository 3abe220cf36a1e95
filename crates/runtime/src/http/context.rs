//! What the headers of an invocation say, as an agent sees it.

use agentcore_core::agent::{Context, Secret};
use agentcore_core::chance;
use axum::http::HeaderMap;

/// Names the session.
pub(crate) const SESSION_ID: &str = "x-amzn-bedrock-agentcore-runtime-session-id";
/// Names the request.
pub(crate) const REQUEST_ID: &str = "x-amzn-bedrock-agentcore-runtime-request-id";
/// Names whose session it is.
pub(crate) const USER_ID: &str = "x-amzn-bedrock-agentcore-runtime-user-id";
const WORKLOAD_ACCESS_TOKEN: &str = "x-amz-bedrock-agentcore-identity-wat";
const OLDER_WORKLOAD_ACCESS_TOKEN: &str = "workloadaccesstoken";
const OAUTH2_CALLBACK_URL: &str = "oauth2callbackurl";
const AUTHORIZATION: &str = "authorization";

/// The caller's own headers come under this name.
const CUSTOM: &str = "x-amzn-bedrock-agentcore-runtime-custom-";

/// Headers with a member of their own, and those that describe the connection and not the call.
const NOT_HANDED_ON: [&str; 10] = [
    WORKLOAD_ACCESS_TOKEN,
    OLDER_WORKLOAD_ACCESS_TOKEN,
    OAUTH2_CALLBACK_URL,
    AUTHORIZATION,
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "expect",
    "upgrade",
];

/// Those of a handshake describe the connection as well.
const HANDSHAKE: &str = "sec-websocket-";

/// Reads the context. A call without a session gets one of its own, which its answer names; a call
/// without a request id gets a UUID.
pub(crate) fn read(headers: &HeaderMap) -> Context {
    let text = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let named = |name| text(name).filter(|value| !value.trim().is_empty());
    let secret = |name| named(name).map(Secret::new);
    Context {
        session_id: named(SESSION_ID).unwrap_or_else(|| chance::uuid().to_string()),
        request_id: named(REQUEST_ID).unwrap_or_else(|| chance::uuid().to_string()),
        user_id: named(USER_ID),
        workload_access_token: secret(WORKLOAD_ACCESS_TOKEN).or_else(|| secret(OLDER_WORKLOAD_ACCESS_TOKEN)),
        oauth2_callback_url: named(OAUTH2_CALLBACK_URL),
        authorization: secret(AUTHORIZATION),
        headers: headers
            .iter()
            .filter(|(name, _)| is_handed_on(name.as_str()))
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
        activity: agentcore_core::activity::Activity::default(),
    }
}

/// The platform's own headers stay outside; the caller's come in.
fn is_handed_on(name: &str) -> bool {
    let of_the_platform = name.starts_with("x-amz-") || name.starts_with("x-amzn-");
    (!of_the_platform || name.starts_with(CUSTOM)) && !NOT_HANDED_ON.contains(&name) && !name.starts_with(HANDSHAKE)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value"))).collect()
    }

    #[test]
    fn the_platforms_headers_are_dropped_and_the_callers_are_kept_in_lower_case() {
        let context = read(&headers(&[
            ("X-Amzn-Bedrock-AgentCore-Runtime-Custom-Foo", "bar"),
            ("X-Api-Key", "k"),
            ("X-Amz-Foo", "no"),
            ("X-Amzn-Trace-Id", "Root=1"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("traceparent", "00-aa-bb-01"),
        ]));
        let names: Vec<&str> = context.headers.keys().map(String::as_str).collect();
        assert_eq!(names, ["traceparent", "x-amzn-bedrock-agentcore-runtime-custom-foo", "x-api-key"]);
    }

    #[test]
    fn secrets_have_members_of_their_own_and_show_nothing() {
        let context = read(&headers(&[
            ("Authorization", "Bearer t0ken"),
            ("WorkloadAccessToken", "older-wat"),
            ("X-Amz-Bedrock-AgentCore-Identity-WAT", "newer-wat"),
            ("OAuth2CallbackUrl", "https://callback"),
        ]));
        assert_eq!(context.authorization, Some(Secret::new("Bearer t0ken")));
        assert_eq!(context.workload_access_token, Some(Secret::new("newer-wat")));
        assert_eq!(context.oauth2_callback_url.as_deref(), Some("https://callback"));
        assert!(context.headers.is_empty());
        let shown = format!("{context:?}");
        assert!(!shown.contains("t0ken") && !shown.contains("-wat"), "{shown}");
    }

    #[test]
    fn a_call_without_ids_gets_ids_of_its_own() {
        let (one, other) = (read(&HeaderMap::new()), read(&HeaderMap::new()));
        assert_ne!(one.session_id, other.session_id);
        assert_ne!(one.request_id, other.request_id);
        assert!(Uuid::parse_str(&one.request_id).is_ok());
    }

    #[test]
    fn ids_come_from_their_headers() {
        let context = read(&headers(&[
            ("X-Amzn-Bedrock-AgentCore-Runtime-Session-Id", "a-session"),
            ("X-Amzn-Bedrock-AgentCore-Runtime-Request-Id", "a-request"),
            ("X-Amzn-Bedrock-AgentCore-Runtime-User-Id", "a-user"),
        ]));
        assert_eq!(context.session_id, "a-session");
        assert_eq!(context.request_id, "a-request");
        assert_eq!(context.user_id.as_deref(), Some("a-user"));
    }
}
