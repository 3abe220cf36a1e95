//! What a model is told of an agent, and of what comes of a call.

use std::sync::Arc;
use std::time::Duration;

use agentcore_a2a::{RemoteAgent, SigV4, Timeouts};
use agentcore_core::agent::Secret;
use agentcore_core::aws::Aws;
use agentcore_core::model::residency::{Region, Residency};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use serde_json::json;

use crate::cook::{Cook, SOON, call_until, offered};

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_a_tool_as_its_card_tells_of_it_and_answers() {
    for (name, cook) in Cook::all() {
        let told = offered(&cook.agent).await.expect("a tool");
        assert_eq!(told, "cook: Cooks what it is told.\n- Recipes: Knows recipes.", "{name}");
        let called = cook.say("a-session", "Hello!").await;
        assert_eq!((called.text(), called.failed()), ("You said: Hello!", false), "{name}: {called:?}");
        if name.ends_with("still") {
            assert_eq!(called.progress, Vec::<String>::new(), "{name}");
        } else {
            assert_eq!(called.progress, ["looking into the larder", "You said: Hello!"], "{name}");
        }
        let called = cook.say("a-session", "recipe").await;
        assert_eq!(called.text(), "Take eggs.\n\n\n{\"eggs\":2.0}\n", "{name}");
        let called = cook.say("a-session", "no task").await;
        assert_eq!(called.text(), "Here you are.", "{name}: an answer needs no task");

        let journal = cook.journal();
        let version = if name == "0.3" { "0.3" } else { "1.0" };
        assert!(journal.iter().any(|line| line.starts_with(&format!("POST / {version} "))), "{name}: {journal:?}");
        let cards = journal.iter().filter(|line| line.starts_with("GET ")).count();
        assert_eq!(cards, 1, "{name}: the card is read once: {journal:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_a_context_of_the_agents_and_no_other_sees_it() {
    for (name, mut cook) in Cook::all() {
        cook.say("one", "My name is Aoife.").await;
        assert_eq!(cook.say("one", "What is my name?").await.text(), "Aoife", "{name}");
        assert_eq!(cook.say("two", "What is my name?").await.text(), "I do not know.", "{name}");
        let journal = cook.journal();
        assert!(
            !journal.iter().any(|line| line.starts_with("one: ")),
            "{name}: our ids are nobody's business: {journal:?}"
        );
        let context = journal.iter().find_map(|line| line.strip_suffix(": My name is Aoife.")).expect("a context");
        assert!(
            journal.iter().any(|line| line.ends_with(context)),
            "{name}: AgentCore's session is the same: {journal:?}"
        );

        // Another process of ours, and the same session.
        let context = context.to_owned();
        cook.agent = RemoteAgent::at("cook", &cook.address()).expect("an address");
        cook.say("one", "Good evening!").await;
        assert!(cook.journal().contains(&format!("{context}: Good evening!")), "{name}: {:?}", cook.journal());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_told_with_the_way_to_answer_it() {
    for (name, cook) in Cook::all() {
        let asked = cook.say("a-session", "pancake").await;
        assert!(
            asked.text().starts_with("cook asks something before it goes on: With lemon or with sugar?"),
            "{name}: {asked:?}"
        );
        let id = asked.text().split(r#""reply_to": ""#).nth(1).and_then(|rest| rest.split('"').next()).expect("an id");
        let answered = cook.call("a-session", json!({ "message": "lemon", "reply_to": id })).await;
        assert_eq!(answered.text(), "One with lemon.", "{name}: {answered:?}");
        let again = cook.call("a-session", json!({ "message": "sugar", "reply_to": id })).await;
        assert!(again.failed() && again.text().starts_with("cook refused: "), "{name}: {again:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_to_nothing_is_told_plainly() {
    for (name, cook) in Cook::all() {
        let mut said = Vec::new();
        for words in ["soufflé", "fugu", "safe"] {
            let called = cook.say("a-session", words).await;
            assert!(called.failed(), "{name}: {called:?}");
            said.push(called.text().to_owned());
        }
        let wrong = cook.call("a-session", json!({ "words": "Hello!" })).await;
        assert!(wrong.failed(), "{name}: {wrong:?}");
        insta::allow_duplicates! {
            insta::assert_snapshot!(said.join("\n"), @r"
            cook failed: The oven is cold.
            cook does not do this: Nobody here may cook it.
            cook wants credentials that we do not have: The key, please.
            ");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_is_cut_and_a_call_that_takes_too_long_cancel_the_task() {
    for version in ["1.0", "0.3"] {
        let cook = Cook::with(&[version], &[]);
        let called = call_until(&cook.agent, "a-session", json!({ "message": "stew" }), Some("It simmers. ")).await;
        assert_eq!(called.result, None, "{version}: the turn is cut");
        cook.until_told("cancelled").await;

        let cook = Cook::with(&[version], &[]);
        let short = Timeouts { call: Duration::from_millis(1_500), card: SOON };
        let agent = cook.agent.clone().within(short);
        let called = call_until(&agent, "a-session", json!({ "message": "stew" }), None).await;
        assert_eq!(called.text(), "cook did not answer within 1.5 s and was told to stop.", "{version}");
        assert!(called.progress.contains(&"It simmers. ".to_owned()), "{version}: {called:?}");
        cook.until_told("cancelled").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_down_takes_nothing_but_its_tool() {
    let mut cook = Cook::with(&["1.0"], &[]);
    cook.close();
    assert_eq!(offered(&cook.agent).await, None);
    let mut cook = Cook::with(&["1.0"], &[]);
    assert!(offered(&cook.agent).await.is_some());
    cook.close();
    let called = cook.say("a-session", "Hello!").await;
    assert_eq!((called.text(), called.failed()), ("cook cannot be reached now. Go on without it.", true));
    cook.open();
    assert_eq!(cook.say("a-session", "Hello!").await.text(), "You said: Hello!");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_shown_and_goes_nowhere_else() {
    let cook = Cook::with(&["1.0"], &[("TOKEN", "hidden")]);
    assert_eq!(offered(&cook.agent).await, None);
    assert_eq!(cook.journal(), ["refused: another token"]);
    let agent = RemoteAgent::at("cook", &cook.address()).expect("an address").bearer(Secret::new("hidden"));
    assert!(offered(&agent).await.is_some());
    assert!(!format!("{agent:?}").contains("hidden"));

    // A card that would have the token sent elsewhere.
    let cook = Cook::with(&["1.0"], &[("TOKEN", "hidden"), ("ELSEWHERE", "https://elsewhere.example/")]);
    let agent = RemoteAgent::at("cook", &cook.address()).expect("an address").bearer(Secret::new("hidden"));
    assert_eq!(offered(&agent).await, None);
    assert_eq!(cook.journal()[0], "let in: GET", "the card was read");
    assert!(!cook.journal().iter().any(|line| line.contains("POST")), "{:?}", cook.journal());
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_signed_as_botocore_signs_them() {
    let signature = |secret: &str| {
        let region = Region::parse("eu-west-1", Residency::Eu).expect("Ireland is in the EU");
        let credentials = Credentials::new("AKIDTESTS", secret, Some("session".into()), None, "test");
        SigV4::new(Arc::new(Aws::new(region))).credentials(SharedCredentialsProvider::new(credentials))
    };
    for version in ["1.0", "0.3"] {
        let mut cook = Cook::with(&[version], &[("SIGNED", "")]);
        let address = cook.address();
        let signed = |secret: &str| RemoteAgent::at("cook", &address).expect("an address").signed(signature(secret));

        assert_eq!(offered(&signed("hidden")).await, None, "{version}: a wrong secret");
        assert_eq!(cook.journal(), ["refused: GET: botocore signs it differently"], "{version}");

        cook.agent = signed("secret");
        for words in ["Hello!", "zwei ÄÖÜ 😀"] {
            assert_eq!(cook.say("a-session", words).await.text(), format!("You said: {words}"), "{version}");
        }
        let journal = cook.journal();
        assert_eq!(journal.iter().filter(|line| line.starts_with("refused")).count(), 1, "{version}: {journal:?}");
        assert!(journal.iter().filter(|line| *line == "let in: POST").count() >= 2, "{version}: {journal:?}");
    }
}
