use std::sync::LazyLock;
use std::time::Duration;

use agentcore_local::{LocalConfig, StartError};
use futures::future::join_all;
use http::Method;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};

use crate::aws::{Aws, SOON, config};

const MEMORY: &str = "/memories/coach_memory-abcdefghij";

/// A moment of no importance, in Unix seconds.
const MOMENT: f64 = 1_795_406_111.25;

// === newest first, page by page ===

#[tokio::test]
async fn an_event_is_kept_as_it_was_said() {
    let aws = Aws::start(config()).await;
    let said = json!({
        "actorId": "ann", "sessionId": "one", "eventTimestamp": MOMENT, "clientToken": "a-token",
        "payload": [
            {"conversational": {"content": {"text": "Good morning ☀"}, "role": "USER"}},
            {"blob": {"z": 1, "a": [null, 1.5]}},
            {"json": {"content": "anything"}},
        ],
        "metadata": {"mood": {"stringValue": "fine"}},
    });
    let created = aws.remember(&said).await;
    let id = created["eventId"].as_str().expect("an id");
    insta::assert_snapshot!(created.to_string().replace(id, "[id]"), @r#"{"memoryId":"coach_memory-abcdefghij","actorId":"ann","sessionId":"one","eventId":"[id]","eventTimestamp":1795406111.25,"payload":[{"conversational":{"content":{"text":"Good morning ☀"},"role":"USER"}},{"blob":{"z":1,"a":[null,1.5]}},{"json":{"content":"anything"}}],"metadata":{"mood":{"stringValue":"fine"}}}"#);
    let (time, random) = id.split_once('#').expect("a time and a random part");
    assert!(time.parse::<u64>().is_ok() && u64::from_str_radix(random, 16).is_ok(), "{id}");
    assert_eq!(aws.get(&event_path("ann", "one", id)).await.json(), json!({ "event": created }));
}

#[tokio::test]
async fn events_are_listed_by_their_own_time_newest_first() {
    let aws = Aws::start(config()).await;
    for (seconds, text) in [(2.0, "second"), (1.0, "first"), (3.5, "fourth"), (3.25, "third"), (3.5, "fifth")] {
        aws.remember(&event("ann", "one", seconds, text)).await;
    }
    let listed = aws.list("ann", "one", json!({ "includePayloads": true })).await;
    assert_eq!(texts(&listed), ["fifth", "fourth", "third", "second", "first"]);
    assert_eq!(listed.get("nextToken"), None);
}

#[tokio::test]
async fn a_page_has_twenty_events_or_as_many_as_were_asked_for_up_to_a_hundred() {
    let aws = Aws::start(config()).await;
    for number in 0..105 {
        aws.remember(&event("ann", "one", f64::from(number), &number.to_string())).await;
    }
    assert_eq!(texts(&aws.list("ann", "one", json!({ "includePayloads": true })).await).len(), 20);
    let first = aws.list("ann", "one", json!({ "includePayloads": true, "maxResults": 100 })).await;
    let token = &first["nextToken"];
    let rest = aws.list("ann", "one", json!({ "includePayloads": true, "maxResults": 100, "nextToken": token })).await;
    let expected: Vec<String> = (0..105).rev().map(|number: i32| number.to_string()).collect();
    assert_eq!([texts(&first), texts(&rest)].concat(), expected);
    assert_eq!(rest.get("nextToken"), None, "nothing follows the last page");
}

#[tokio::test]
async fn a_page_that_takes_the_last_event_is_the_last_page() {
    let aws = Aws::start(config()).await;
    for number in 0..4 {
        aws.remember(&event("ann", "one", f64::from(number), "Hello")).await;
    }
    let first = aws.list("ann", "one", json!({ "maxResults": 2 })).await;
    let second = aws.list("ann", "one", json!({ "maxResults": 2, "nextToken": first["nextToken"] })).await;
    assert_eq!(second["events"].as_array().map(Vec::len), Some(2));
    assert_eq!(second.get("nextToken"), None);
}

#[tokio::test]
async fn payloads_are_listed_only_when_asked_for() {
    let aws = Aws::start(config()).await;
    aws.remember(&event("ann", "one", MOMENT, "Hello")).await;
    for members in [json!({}), json!({ "includePayloads": false }), json!({ "includePayloads": null })] {
        let listed = aws.list("ann", "one", members).await;
        assert_eq!(listed["events"][0].get("payload"), None, "{listed}");
        assert_eq!(listed["events"][0]["sessionId"], "one");
    }
    let unsaid = aws.call(Method::POST, &session_path("ann", "one"), "").await.json();
    assert_eq!(unsaid["events"][0].get("payload"), None, "an empty body asks for nothing");
}

#[tokio::test]
async fn sessions_and_actors_are_listed_each_once_and_page_by_page() {
    let aws = Aws::start(config()).await;
    for (actor, session) in [("bob", "x"), ("ann", "two"), ("ann", "one"), ("ann", "two"), ("ann/home", "y")] {
        aws.remember(&event(actor, session, MOMENT, "Hello")).await;
    }
    let paged = async |path: &str, members: &str, member: &str| {
        let mut found: Vec<String> = Vec::new();
        let mut token = Value::Null;
        loop {
            let page = aws.post(path, &json!({ "maxResults": 1, "nextToken": token })).await.json();
            let items = page[members].as_array().expect("a list");
            found.extend(items.iter().map(|item| item[member].as_str().expect("an id").to_owned()));
            match page.get("nextToken") {
                Some(next) => token = next.clone(),
                None => return found,
            }
        }
    };
    assert_eq!(paged(&format!("{MEMORY}/actors"), "actorSummaries", "actorId").await, ["ann", "ann/home", "bob"]);
    let ann = format!("{MEMORY}/actor/ann/sessions");
    assert_eq!(paged(&ann, "sessionSummaries", "sessionId").await, ["one", "two"]);
    let other = aws.post("/memories/other_memory-abcdefghij/actors", &json!({})).await.json();
    assert_eq!(other, json!({ "actorSummaries": [] }), "memories know nothing of each other");
}

/// A runtime and a local AWS that the cases of a property share.
static SHARED: LazyLock<(Runtime, Aws)> = LazyLock::new(|| {
    let runtime = Runtime::new().expect("a runtime");
    let aws = runtime.block_on(Aws::start(config()));
    (runtime, aws)
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Offsets are milliseconds: many events share one, and later writes fall between, before and after.
    #[test]
    fn whatever_is_written_between_pages_every_older_event_comes_exactly_once(
        old in vec(0_u32..6, 0..30),
        pages in vec((1_u32..12, vec(0_u32..6, 0..3)), 1..6),
    ) {
        let (runtime, aws) = &*SHARED;
        let session = uuid::Uuid::new_v4().to_string();
        let (written, listed) = runtime.block_on(paged_with_writes(aws, &session, &old, &pages));
        let mut unique = listed.clone();
        unique.sort_unstable_by(|one, other| other.cmp(one));
        unique.dedup();
        prop_assert_eq!(&listed, &unique, "newest first, none twice");
        let missed: Vec<&String> = written.iter().filter(|id| !listed.contains(id)).collect();
        prop_assert!(missed.is_empty(), "missed {:?}", missed);
    }
}

/// The ids that were written before the first page, and those that all pages listed.
async fn paged_with_writes(
    aws: &Aws,
    session: &str,
    old: &[u32],
    pages: &[(u32, Vec<u32>)],
) -> (Vec<String>, Vec<String>) {
    let write = async |offset: &u32| {
        let seconds = 1_795_406_111.0 + f64::from(*offset) / 1000.0;
        id_of(&aws.remember(&event("ann", session, seconds, "Hello")).await)
    };
    let mut written = Vec::new();
    for offset in old {
        written.push(write(offset).await);
    }
    let (mut listed, mut token) = (Vec::new(), Value::Null);
    // The last page size is kept, without writes, until the list ends.
    let last = (pages[pages.len() - 1].0, Vec::new());
    for (size, writes) in pages.iter().chain(std::iter::repeat(&last)) {
        let page = aws.list("ann", session, json!({ "maxResults": size, "nextToken": token })).await;
        listed.extend(page["events"].as_array().expect("a list").iter().map(id_of));
        for offset in writes {
            write(offset).await;
        }
        match page.get("nextToken") {
            Some(next) => token = next.clone(),
            None => break,
        }
    }
    (written, listed)
}

// === writing ===

#[tokio::test]
async fn a_retry_with_its_client_token_makes_no_second_event() {
    let aws = Aws::start(config()).await;
    let request = changed("clientToken", json!("a-token"));
    let (first, retried) = (aws.remember(&request).await, aws.remember(&request).await);
    assert_eq!(first, retried);
    assert_eq!(listed_ids(&aws.list("ann", "one", json!({})).await), [id_of(&first)]);
}

#[tokio::test]
async fn retries_at_the_same_time_make_one_event() {
    let aws = Aws::start(config()).await;
    let request = changed("clientToken", json!("a-token"));
    let ids = join_all((0..16).map(async |_| id_of(&aws.remember(&request).await))).await;
    assert_eq!(ids, vec![ids[0].clone(); 16]);
    assert_eq!(listed_ids(&aws.list("ann", "one", json!({})).await), [ids[0].clone()]);
}

#[tokio::test]
async fn a_late_retry_does_not_bring_a_deleted_event_back() {
    let aws = Aws::start(config()).await;
    let request = changed("clientToken", json!("a-token"));
    let id = id_of(&aws.remember(&request).await);
    aws.delete(&event_path("ann", "one", &id)).await.json();
    assert_eq!(id_of(&aws.remember(&request).await), id);
    assert_eq!(aws.list("ann", "one", json!({})).await, json!({ "events": [] }));
}

#[tokio::test]
async fn a_client_token_does_not_stand_for_another_request() {
    let aws = Aws::start(config()).await;
    let mut request = changed("clientToken", json!("a-token"));
    aws.remember(&request).await;
    request["payload"] = json!([]);
    insta::assert_snapshot!(aws.post(&format!("{MEMORY}/events"), &request).await.refusal(), @r#"
    400 ValidationException
    {"message":"The clientToken was used with other parameters before; a retry repeats the request unchanged.","reason":"IdempotentParameterMismatchException"}
    "#);
    assert_eq!(aws.list("ann", "one", json!({})).await["events"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn an_event_without_a_session_gets_one() {
    let aws = Aws::start(config()).await;
    let created = aws.remember(&changed("sessionId", Value::Null)).await;
    let session = created["sessionId"].as_str().expect("a session id");
    assert_eq!(listed_ids(&aws.list("ann", session, json!({})).await), [id_of(&created)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_at_the_same_time_lose_nothing_nor_does_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let aws = Aws::start(kept_in(&directory)).await;
    // All of one moment, where ids are nearest to colliding.
    let mut expected: Vec<String> = (0..48).map(|number| format!("{number:02}")).collect();
    join_all(expected.iter().map(|text| aws.remember_text(text))).await;
    let before = aws.list("ann", "one", json!({ "includePayloads": true, "maxResults": 100 })).await;
    aws.local.shutdown().await;

    let aws = Aws::start(kept_in(&directory)).await;
    let after = aws.list("ann", "one", json!({ "includePayloads": true, "maxResults": 100 })).await;
    assert_eq!(after, before);
    let mut found = texts(&after);
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_client_token_is_spent_across_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let request = changed("clientToken", json!("a-token"));
    let aws = Aws::start(kept_in(&directory)).await;
    let before = id_of(&aws.remember(&request).await);
    aws.local.shutdown().await;
    let aws = Aws::start(kept_in(&directory)).await;
    assert_eq!(id_of(&aws.remember(&request).await), before);
    assert_eq!(listed_ids(&aws.list("ann", "one", json!({})).await), [before]);
}

#[tokio::test]
async fn a_directory_has_one_owner() {
    let directory = tempfile::tempdir().expect("a directory");
    let aws = Aws::start(kept_in(&directory)).await;
    aws.remember_text("Hello").await;
    let error = Aws::try_start(kept_in(&directory)).await.err().expect("it is in use");
    assert!(matches!(error, StartError::Memory(_)), "{error:?}");
    let path = directory.path().display().to_string();
    insta::assert_snapshot!(error.to_string().replace(&path, "[directory]"), @"[directory]/data/memory.redb is open in another local AWS; stop that one, or give this one a data directory of its own");
    assert_eq!(listed_ids(&aws.list("ann", "one", json!({})).await).len(), 1, "the owner goes on");
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_told() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let inside = file.path().join("data");
    let error = Aws::try_start(LocalConfig { data_directory: Some(inside), ..config() }).await.err();
    let path = file.path().display().to_string();
    insta::assert_snapshot!(error.expect("a file holds no directory").to_string().replace(&path, "[file]"), @"[file]/data/memory.redb cannot keep memory events: Not a directory (os error 20); check that its directory can be written to");
}

// === one event ===

#[tokio::test]
async fn a_deleted_event_is_gone_and_no_other() {
    let aws = Aws::start(config()).await;
    let (one, other) = (id_of(&aws.remember_text("one").await), id_of(&aws.remember_text("other").await));
    let path = event_path("ann", "one", &one);
    assert_eq!(aws.delete(&path).await.json(), json!({ "eventId": one }));
    assert_eq!((aws.get(&path).await.status, aws.delete(&path).await.status), (404, 404));
    assert_eq!(listed_ids(&aws.list("ann", "one", json!({})).await), [other]);
}

#[tokio::test]
async fn the_id_of_a_deleted_event_is_never_given_again() {
    let aws = Aws::start(config()).await;
    // All of one event time.
    let deleted = id_of(&aws.remember_text("deleted").await);
    let path = event_path("ann", "one", &deleted);
    aws.delete(&path).await.json();
    let later = id_of(&aws.remember_text("later").await);

    // What an SDK sends when it has not heard the first answer.
    assert_eq!(aws.delete(&path).await.status, 404);

    assert!(later > deleted, "{later} {deleted}");
    assert_eq!(listed_ids(&aws.list("ann", "one", json!({})).await), [later]);
}

#[tokio::test]
async fn an_event_is_found_in_its_own_session_only() {
    let aws = Aws::start(config()).await;
    let id = id_of(&aws.remember_text("Hello").await);
    for path in [event_path("ann", "two", &id), event_path("bob", "one", &id), event_path("ann", "one", "0#0")] {
        let (got, deleted) = (aws.get(&path).await, aws.delete(&path).await);
        assert_eq!((got.status, deleted.status), (404, 404), "{path}");
        assert_eq!(got.header("x-amzn-errortype"), Some("ResourceNotFoundException"), "{path}");
    }
    let unknown = aws.get(&event_path("ann", "one", "0#0")).await;
    insta::assert_snapshot!(unknown.refusal(), @r#"
    404 ResourceNotFoundException
    {"message":"Event 0#0 was not found in session one of actor ann in memory coach_memory-abcdefghij."}
    "#);
    assert_eq!(aws.get(&event_path("ann", "one", &id)).await.status, 200);
}

#[tokio::test]
async fn ids_may_hold_slashes_and_colons_when_they_are_encoded() {
    let aws = Aws::start(config()).await;
    let actor = "clinic/7:ann/b";
    let created = aws.remember(&event(actor, "one", MOMENT, "Hello")).await;
    assert_eq!(created["actorId"], actor);
    let id = id_of(&created);
    assert_eq!(aws.get(&event_path(actor, "one", &id)).await.json()["event"], created);
    assert_eq!(listed_ids(&aws.list(actor, "one", json!({})).await), [id]);
    let arn = "arn:aws:bedrock-agentcore:eu-west-1:123456789012:memory/coach_memory-abcdefghij";
    let by_arn = aws.post(&format!("/memories/{}/actors", encoded(arn)), &json!({})).await.json();
    assert_eq!(by_arn, json!({ "actorSummaries": [{ "actorId": actor }] }));
}

#[tokio::test]
async fn an_event_expires() {
    let aws = Aws::start(LocalConfig { retention: Duration::from_millis(400), ..config() }).await;
    let old = aws.remember(&event("ann", "one", MOMENT, "Hello")).await;
    let path = event_path("ann", "one", &id_of(&old));
    let expired = timeout(SOON, async {
        while aws.get(&path).await.status != 404 {
            sleep(Duration::from_millis(20)).await;
        }
    });
    expired.await.expect("it expires");
    assert_eq!(aws.delete(&path).await.status, 404);
    assert_eq!(aws.list("ann", "one", json!({})).await, json!({ "events": [] }));
    // What is written next sweeps out what is left of it.
    aws.remember(&event("bob", "two", MOMENT, "Hello")).await;
    let sessions = aws.post(&format!("{MEMORY}/actor/ann/sessions"), &json!({})).await.json();
    assert_eq!(sessions, json!({ "sessionSummaries": [] }));
}

#[tokio::test]
async fn a_client_token_is_free_again_when_its_event_has_expired() {
    let aws = Aws::start(LocalConfig { retention: Duration::from_millis(100), ..config() }).await;
    let request = changed("clientToken", json!("a-token"));
    let old = id_of(&aws.remember(&request).await);
    let renewed = timeout(SOON, async {
        while id_of(&aws.remember(&request).await) == old {
            sleep(Duration::from_millis(20)).await;
        }
    });
    renewed.await.expect("it makes another event");
}

// === bounds ===

#[tokio::test]
async fn what_breaks_a_bound_is_refused_in_the_services_form() {
    let aws = Aws::start(config()).await;
    let request = changed("payload", json!([{"conversational": {"content": {"text": ""}, "role": "USER"}}]));
    insta::assert_snapshot!(aws.post(&format!("{MEMORY}/events"), &request).await.refusal(), @r#"
    400 ValidationException
    {"message":"1 validation error detected: Value at 'payload.0.conversational.content.text' failed to satisfy constraint: Member must have length greater than or equal to 1","reason":"FieldValidationFailed","fieldList":[{"name":"payload.0.conversational.content.text","message":"Member must have length greater than or equal to 1"}]}
    "#);
}

#[tokio::test]
async fn every_member_of_an_event_has_its_bounds() {
    let aws = Aws::start(config()).await;
    let said = |text: &str, role: &str| json!([{"conversational": {"content": {"text": text}, "role": role}}]);
    let sixteen: Value = (0..16).map(|number| (format!("key{number}"), json!({ "stringValue": "" }))).collect();
    let mut told = Vec::new();
    for (member, value) in [
        ("actorId", json!("")),
        ("actorId", json!("a".repeat(256))),
        ("actorId", json!("-ann")),
        ("actorId", Value::Null),
        ("sessionId", json!("a".repeat(101))),
        ("sessionId", json!("one/two")),
        ("eventTimestamp", Value::Null),
        ("eventTimestamp", json!("2026-11-23T09:00:00Z")),
        ("eventTimestamp", json!(-1)),
        ("payload", Value::Null),
        ("payload", json!(vec![json!({ "blob": 1 }); 101])),
        ("payload", said(&"ä".repeat(100_001), "USER")),
        ("payload", said("Hello", "SYSTEM")),
        ("payload", json!([{ "image": 1 }])),
        ("metadata", sixteen),
        ("metadata", json!({ "mood": { "stringValue": "<fine>" } })),
        ("branch", json!({ "name": "" })),
        ("extractionMode", json!("ALL")),
    ] {
        let answer = aws.post(&format!("{MEMORY}/events"), &changed(member, value)).await;
        told.push(answer.sentence());
    }
    insta::assert_snapshot!(told.join("\n"), @r#"
    400 ValidationException: 2 validation errors detected: Value at 'actorId' failed to satisfy constraint: Member must have length greater than or equal to 1; Value at 'actorId' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9][a-zA-Z0-9-_/]*(?::[a-zA-Z0-9-_/]+)*[a-zA-Z0-9-_/]*
    400 ValidationException: 1 validation error detected: Value at 'actorId' failed to satisfy constraint: Member must have length less than or equal to 255
    400 ValidationException: 1 validation error detected: Value at 'actorId' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9][a-zA-Z0-9-_/]*(?::[a-zA-Z0-9-_/]+)*[a-zA-Z0-9-_/]*
    400 ValidationException: 1 validation error detected: Value at 'actorId' failed to satisfy constraint: Member must not be null
    400 ValidationException: 1 validation error detected: Value at 'sessionId' failed to satisfy constraint: Member must have length less than or equal to 100
    400 ValidationException: 1 validation error detected: Value at 'sessionId' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9][a-zA-Z0-9-_]*
    400 ValidationException: 1 validation error detected: Value at 'eventTimestamp' failed to satisfy constraint: Member must not be null
    400 ValidationException: 1 validation error detected: Value at 'eventTimestamp' failed to satisfy constraint: invalid type: string "2026-11-23T09:00:00Z", expected a JSON number
    400 ValidationException: 1 validation error detected: Value at 'eventTimestamp' failed to satisfy constraint: Member must be Unix seconds between the years 1970 and 9999
    400 ValidationException: 1 validation error detected: Value at 'payload' failed to satisfy constraint: Member must not be null
    400 ValidationException: 1 validation error detected: Value at 'payload' failed to satisfy constraint: Member must have length less than or equal to 100
    400 ValidationException: 1 validation error detected: Value at 'payload.0.conversational.content.text' failed to satisfy constraint: Member must have length less than or equal to 100000
    400 ValidationException: 1 validation error detected: Value at 'payload.0.conversational.role' failed to satisfy constraint: unknown variant `SYSTEM`, expected one of `ASSISTANT`, `USER`, `TOOL`, `OTHER`
    400 ValidationException: 1 validation error detected: Value at 'payload.0' failed to satisfy constraint: unknown variant `image`, expected one of `conversational`, `blob`, `json`
    400 ValidationException: 1 validation error detected: Value at 'metadata' failed to satisfy constraint: Map must have at most 15 entries
    400 ValidationException: 1 validation error detected: Value at 'metadata.mood' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9\s._:/=+@-]*
    400 ValidationException: 2 validation errors detected: Value at 'branch.name' failed to satisfy constraint: Member must have length greater than or equal to 1; Value at 'branch.name' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9][a-zA-Z0-9-_]*
    400 ValidationException: 1 validation error detected: Value at 'extractionMode' failed to satisfy constraint: unknown variant `ALL`, expected `SKIP`
    "#);
    assert_eq!(aws.post(&format!("{MEMORY}/actors"), &json!({})).await.json(), json!({ "actorSummaries": [] }));
}

#[tokio::test]
async fn what_is_just_within_the_bounds_passes() {
    let aws = Aws::start(config()).await;
    let longest = json!([{"conversational": {"content": {"text": "ä".repeat(100_000)}, "role": "OTHER"}}]);
    for (member, value) in [
        ("actorId", json!("a".repeat(255))),
        ("sessionId", json!("a".repeat(100))),
        ("payload", json!([])),
        ("payload", json!(vec![json!({ "blob": 1 }); 100])),
        ("payload", longest),
        ("eventTimestamp", json!(0)),
    ] {
        aws.remember(&changed(member, value)).await;
    }
}

#[tokio::test]
async fn what_a_list_is_asked_for_has_bounds_too() {
    let aws = Aws::start(config()).await;
    for _ in 0..2 {
        aws.remember_text("Hello").await;
    }
    let token = aws.list("ann", "one", json!({ "maxResults": 1 })).await["nextToken"].clone();
    let (one, two) = (session_path("ann", "one"), session_path("ann", "two"));
    let short_memory = one.replace("coach_memory-abcdefghij", "coach");
    let mut told = Vec::new();
    for (path, body) in [
        (one.as_str(), json!({ "maxResults": 0 })),
        (&one, json!({ "maxResults": 101 })),
        (&one, json!({ "maxResults": "ten" })),
        (&one, json!({ "nextToken": "made up" })),
        (&two, json!({ "nextToken": token })),
        (&session_path("-ann", "one"), json!({})),
        (&session_path("ann", "a%20b"), json!({})),
        (&short_memory, json!({})),
        (&format!("{MEMORY}/actors"), json!({ "maxResults": 101 })),
        (&format!("{MEMORY}/actor/ann/sessions"), json!({ "maxResults": 0 })),
    ] {
        told.push(aws.post(path, &body).await.sentence());
    }
    told.push(aws.get(&event_path("ann", "one", "yesterday")).await.sentence());
    for body in ["{\"maxResults\": 1", "[]", "{} {}"] {
        told.push(aws.call(Method::POST, &one, body).await.sentence());
    }
    insta::assert_snapshot!(told.join("\n"), @r#"
    400 ValidationException: 1 validation error detected: Value at 'maxResults' failed to satisfy constraint: Member must have value greater than or equal to 1
    400 ValidationException: 1 validation error detected: Value at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to 100
    400 ValidationException: 1 validation error detected: Value at 'maxResults' failed to satisfy constraint: invalid type: string "ten", expected i64
    400 ValidationException: 1 validation error detected: Value at 'nextToken' failed to satisfy constraint: Member must be a token that this list gave
    400 ValidationException: 1 validation error detected: Value at 'nextToken' failed to satisfy constraint: Member must be a token that this list gave
    400 ValidationException: 1 validation error detected: Value at 'actorId' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9][a-zA-Z0-9-_/]*(?::[a-zA-Z0-9-_/]+)*[a-zA-Z0-9-_/]*
    400 ValidationException: 1 validation error detected: Value at 'sessionId' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9][a-zA-Z0-9-_]*
    400 ValidationException: 1 validation error detected: Value at 'memoryId' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z][a-zA-Z0-9-_]{0,99}-[a-zA-Z0-9]{10}, or be a memory's ARN
    400 ValidationException: 1 validation error detected: Value at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to 100
    400 ValidationException: 1 validation error detected: Value at 'maxResults' failed to satisfy constraint: Member must have value greater than or equal to 1
    400 ValidationException: 1 validation error detected: Value at 'eventId' failed to satisfy constraint: Member must satisfy regular expression pattern: [0-9]+#[a-fA-F0-9]+
    400 ValidationException: The body is not JSON: EOF while parsing an object at line 1 column 16.
    400 ValidationException: The body is not a JSON object.
    400 ValidationException: The body is not JSON: trailing characters at line 1 column 4.
    "#);
}

#[tokio::test]
async fn a_request_larger_than_the_largest_event_is_refused() {
    let aws = Aws::start(config()).await;
    let text = json!({"conversational": {"content": {"text": "ä".repeat(100_000)}, "role": "USER"}});
    let answer = aws.post(&format!("{MEMORY}/events"), &changed("payload", json!(vec![text; 121]))).await;
    insta::assert_snapshot!(answer.sentence(), @"400 ValidationException: Failed to buffer the request body: length limit exceeded; a request has at most 24000000 bytes.");
}

// === how it is said ===

fn kept_in(directory: &tempfile::TempDir) -> LocalConfig {
    LocalConfig { data_directory: Some(directory.path().join("data")), ..config() }
}

fn session_path(actor: &str, session: &str) -> String {
    format!("{MEMORY}/actor/{}/sessions/{session}", encoded(actor))
}

fn event_path(actor: &str, session: &str, event: &str) -> String {
    format!("{}/events/{}", session_path(actor, session), encoded(event))
}

/// As the SDKs write a segment of a path.
fn encoded(segment: &str) -> String {
    segment.replace('#', "%23").replace('/', "%2F").replace(':', "%3A")
}

/// What a user said at a moment.
fn event(actor: &str, session: &str, seconds: f64, text: &str) -> Value {
    json!({
        "actorId": actor, "sessionId": session, "eventTimestamp": seconds,
        "payload": [{"conversational": {"content": {"text": text}, "role": "USER"}}],
    })
}

/// A good event of Ann's first session but for one member, which is left out where the value is null.
fn changed(member: &str, value: Value) -> Value {
    let mut event = event("ann", "one", MOMENT, "Hello");
    event[member] = value;
    if let Some(members) = event.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    event
}

fn id_of(event: &Value) -> String {
    event["eventId"].as_str().expect("an event's id").to_owned()
}

fn listed_ids(list: &Value) -> Vec<String> {
    list["events"].as_array().expect("a list of events").iter().map(id_of).collect()
}

fn texts(list: &Value) -> Vec<&str> {
    list["events"].as_array().expect("a list of events").iter().map(text_of).collect()
}

fn text_of(event: &Value) -> &str {
    event["payload"][0]["conversational"]["content"]["text"].as_str().expect("a text")
}

impl Aws {
    async fn remember(&self, event: &Value) -> Value {
        let answer = self.post(&format!("{MEMORY}/events"), event).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["event"].clone()
    }

    /// A word in Ann's first session.
    async fn remember_text(&self, text: &str) -> Value {
        self.remember(&event("ann", "one", MOMENT, text)).await
    }

    async fn list(&self, actor: &str, session: &str, members: Value) -> Value {
        self.post(&session_path(actor, session), &members).await.json()
    }
}
