//! Answers that are given again, where the agent says that they do not age: see `TurnRequest::reusable_for`.

use crate::played::Served;

/// Asks in `session`, as `user` where somebody is named: the answer, and how often the model had been asked then.
async fn ask(served: &Served, user: Option<&str>, session: &str, prompt: &str) -> (String, usize) {
    let mut request = served.prompt(session, prompt);
    if let Some(user) = user {
        request = request.header("x-amzn-bedrock-agentcore-runtime-user-id", user);
    }
    let answer = served.answer(request).await;
    assert!(answer.starts_with("200"), "{answer}");
    (answer, served.model.asked())
}

#[tokio::test]
async fn the_same_question_of_the_same_user_is_answered_again_without_the_model_at_no_cost() {
    let served = Served::start();
    let (first, asked) = ask(&served, Some("aoife"), "one", "for good: what is protein?").await;
    assert_eq!(asked, 1);
    let (again, asked) = ask(&served, Some("aoife"), "two", "for good: what is protein?").await;
    assert_eq!(asked, 1);
    let of =
        |answer: &str| answer.split(r#""response":"#).nth(1).and_then(|rest| rest.split(']').next()).map(str::to_owned);
    assert_eq!(of(&again), of(&first));
    assert!(first.contains(r#""totalTokens":15"#) && again.contains(r#""totalTokens":0"#), "{first}\n{again}");

    let (next, asked) = ask(&served, Some("aoife"), "two", "Which one was that?").await;
    assert!(asked == 2 && next.contains("what is protein?"), "the session remembers it like any other: {next}");
    let streamed = served.prompt("three", "for good: what is protein?").header("accept", "text/event-stream");
    let streamed = served.answer(streamed.header("x-amzn-bedrock-agentcore-runtime-user-id", "aoife")).await;
    assert!(streamed.contains("contentBlockDelta"), "{streamed}");
    assert_eq!(served.model.asked(), 2);
}

#[tokio::test]
async fn an_answer_is_never_given_to_another_user_nor_after_another_conversation() {
    let served = Served::start();
    let mut asked_before = 0;
    for (user, session) in [
        (Some("aoife"), "one"),
        (Some("brendan"), "one"),
        (Some("brendan2"), "two"),
        // Nobody is named: each session is somebody of its own.
        (None, "one"),
        (None, "two"),
    ] {
        let (_, asked) = ask(&served, user, session, "for good: what is protein?").await;
        assert_eq!(asked, asked_before + 1, "{user:?} in {session}");
        asked_before = asked;
    }
    let (_, asked) = ask(&served, Some("aoife"), "one", "for good: what is protein?").await;
    assert_eq!(asked, asked_before + 1, "it was asked after something else was said");
    let (_, asked) = ask(&served, Some("aoife"), "three", "for good: what is fat?").await;
    assert_eq!(asked, asked_before + 2, "it is another question");
    let (_, asked) = ask(&served, Some("aoife"), "four", "what is protein?").await;
    assert_eq!(asked, asked_before + 3, "nobody said that this one does not age");
}

#[tokio::test]
async fn an_answer_that_has_aged_is_asked_for_anew() {
    let served = Served::start();
    let sessions = std::sync::atomic::AtomicUsize::new(0);
    served
        .until(async || {
            let session = sessions.fetch_add(1, std::sync::atomic::Ordering::SeqCst).to_string();
            ask(&served, Some("aoife"), &session, "for a moment: what is the time?").await.1 > 1
        })
        .await;
}

/// Who answers is chosen anew each time; what they say is not.
#[tokio::test]
async fn an_agent_behind_a_router_gives_its_answer_again_as_well() {
    let served = Served::start();
    assert_eq!(ask(&served, Some("aoife"), "one", "desk: what is protein?").await.1, 2);
    assert_eq!(ask(&served, Some("aoife"), "two", "desk: what is protein?").await.1, 3, "the choice alone");
    assert_eq!(ask(&served, Some("brendan"), "three", "desk: what is protein?").await.1, 5);
}
