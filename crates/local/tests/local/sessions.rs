use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Stdio};
use std::time::Duration;

use agentcore_local::{
    Agent, AgentSource, InvocationFailure, LocalConfig, Notice, OutputStream, PingProblem, Protocol, SessionEnd,
    SessionTimes, StartFailure,
};
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::time::sleep;

use crate::aws::{Aws, config};
use crate::hosted::{
    Hosted, agent_name, command, gone, is_running, patient, played, played_in_a_shell, session, soon_idle,
};

const TELL: &str = "tell";

fn order(name: &str) -> Value {
    json!({ "do": name })
}

fn is_start(notice: &Notice) -> bool {
    matches!(notice, Notice::SessionStarted { .. })
}

fn is_end(notice: &Notice) -> bool {
    matches!(notice, Notice::SessionEnded { .. })
}

// === one process a session ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_invocations_at_the_same_time_start_one_process() {
    let hosted = Hosted::start(played(&[]), patient()).await;
    let told = join_all((0..8).map(|_| hosted.tell("one"))).await;
    for other in &told {
        assert_eq!(other["pid"], told[0]["pid"]);
    }
    assert_eq!(hosted.count(is_start), 1);
}

#[tokio::test]
async fn every_session_has_a_process_a_port_and_a_key_of_its_own() {
    let hosted = Hosted::start(played(&[]), patient()).await;
    let (one, two) = tokio::join!(hosted.tell("one"), hosted.tell("two"));
    assert_ne!(one["pid"], two["pid"]);
    for variable in ["PORT", "AWS_ACCESS_KEY_ID"] {
        assert_ne!(one["environment"][variable], two["environment"][variable], "{variable}");
    }
    assert_eq!(hosted.tell("one").await["pid"], one["pid"]);
}

#[tokio::test]
async fn a_process_is_given_its_aws_and_nothing_of_the_developers() {
    const CHILD: &str = "AGENTCORE_LOCAL_TEST_OF_THE_ENVIRONMENT";
    // Setting variables here would set them under every other test, so this one runs once more.
    if std::env::var_os(CHILD).is_none() {
        let name = "sessions::a_process_is_given_its_aws_and_nothing_of_the_developers";
        let mut again = Command::new(std::env::current_exe().expect("this binary"));
        again.args(["--exact", name, "--nocapture"]).env(CHILD, "1").env("AWS_PROFILE", "the-developers");
        again.env("AWS_SESSION_TOKEN", "the-developers").env("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "http://elsewhere");
        again.env("AWS_ACCESS_KEY_ID", "the-developers").env("AWS_REGION", "us-east-1").env("EDITOR", "ed");
        let output = tokio::task::spawn_blocking(move || again.output()).await.expect("no panic").expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&[output.stdout, output.stderr].concat()));
        return;
    }
    let own = [("MODEL_ID", "the-agents"), ("BEDROCK_AGENTCORE_MEMORY_ID", "its_own-abcdefghij")];
    let hosted = Hosted::start(played(&own), patient()).await;
    let environment = hosted.tell("one").await["environment"].clone();
    assert_eq!(environment["EDITOR"], "ed", "what is not about AWS is passed on");
    assert_eq!(environment["MODEL_ID"], "the-agents");
    let about_aws = environment.as_object().expect("an object").iter().filter(|(name, _)| {
        name.starts_with("AWS_")
            || name.starts_with("BEDROCK_")
            || ["HOST", "NO_PROXY", "no_proxy"].contains(&name.as_str())
    });
    let mut lines: Vec<String> =
        about_aws.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default())).collect();
    lines.sort_unstable();
    let key = environment["AWS_ACCESS_KEY_ID"].as_str().expect("a key");
    let lines = lines.join("\n").replace(&hosted.aws.url(""), "[endpoint]").replace(key, "[key]");
    insta::assert_snapshot!(lines, @"
    AWS_ACCESS_KEY_ID=[key]
    AWS_DEFAULT_REGION=eu-west-1
    AWS_EC2_METADATA_DISABLED=true
    AWS_ENDPOINT_URL=[endpoint]
    AWS_REGION=eu-west-1
    AWS_SECRET_ACCESS_KEY=not-a-secret-signatures-are-not-verified
    BEDROCK_AGENTCORE_MEMORY_ID=its_own-abcdefghij
    HOST=127.0.0.1
    NO_PROXY=localhost,127.0.0.1,::1
    no_proxy=localhost,127.0.0.1,::1
    ");
}

#[tokio::test]
async fn sessions_of_an_agent_that_runs_elsewhere_share_its_process_which_is_left_alone() {
    let elsewhere = Hosted::start(played(&[]), patient()).await;
    let port = elsewhere.tell("one").await["environment"]["PORT"].clone();
    let base = format!("http://127.0.0.1:{}/base/", port.as_str().expect("a port"));
    let source = AgentSource::Url(base.parse().expect("a URL"));
    let hosted =
        Hosted::start(Agent { name: agent_name("played"), source, protocol: Protocol::Http }, soon_idle()).await;
    let (one, two) = (hosted.tell("one").await, hosted.tell("two").await);
    assert_eq!(one["pid"], two["pid"]);
    assert_eq!(one["path"], "/base/invocations");
    assert_eq!(hosted.stop("one").await.status, 200);
    assert_eq!(hosted.hear_end().await, SessionEnd::Stopped);
    let idle = |notice: &Notice| matches!(notice, Notice::SessionEnded { why: SessionEnd::Idle, .. }).then_some(());
    hosted.hear("the other session's idle end", idle).await;
    hosted.aws.local.shutdown().await;
    assert!(is_running(&one["pid"]));
}

#[tokio::test]
async fn an_agent_elsewhere_that_does_not_run_is_told() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let source = AgentSource::Url(base.parse().expect("a URL"));
    let hosted = Hosted::start(Agent { name: agent_name("played"), source, protocol: Protocol::Http }, patient()).await;
    insta::assert_snapshot!(hosted.invoke("one", &order(TELL)).await.refusal(), @r#"
    424 RuntimeClientError
    {"message":"Received error (502) from runtime. Please check your CloudWatch logs for more information."}
    "#);
    let failure = hosted.hear_failure().await.to_string();
    assert!(failure.starts_with("the agent gave no answer: no connection to 127.0.0.1:"), "{failure}");
}

#[tokio::test]
async fn what_an_agent_writes_is_told_line_by_line_and_long_lines_in_pieces() {
    let hosted = Hosted::start(played(&[]), patient()).await;
    let lengths = json!({ "do": "write", "lengths": [5, 0, 65_536, 70_000, 1] });
    hosted.invoke("one", &lengths).await.json();
    let length = |notice: &Notice| match notice {
        Notice::AgentLine { stream: OutputStream::Stdout, line, .. } => Some(line.len()),
        _ => None,
    };
    hosted.hear("the last line", |notice| length(notice).filter(|length| *length == 1)).await;
    let told: Vec<usize> = hosted.so_far().iter().filter_map(length).collect();
    assert_eq!(told, [5, 0, 65_536, 65_536, 4464, 1]);
}

// === what goes wrong ===

#[tokio::test]
async fn an_agent_that_dies_in_mid_call_fails_that_call_and_is_replaced() {
    let hosted = Hosted::start(played(&[]), patient()).await;
    let first = hosted.tell("one").await;
    insta::assert_snapshot!(hosted.invoke("one", &order("die")).await.refusal(), @r#"
    424 RuntimeClientError
    {"message":"Received error (502) from runtime. Please check your CloudWatch logs for more information."}
    "#);
    let end = hosted.hear_end().await;
    assert!(matches!(end, SessionEnd::Exited(status) if status.code() == Some(3)), "{end:?}");
    let failure = hosted.hear_failure().await;
    assert!(matches!(failure, InvocationFailure::Unreachable(_)), "{failure:?}");
    assert_ne!(hosted.tell("one").await["pid"], first["pid"]);
}

#[tokio::test]
async fn a_call_right_after_a_death_gets_the_next_process() {
    let hosted = Hosted::start(played(&[]), patient()).await;
    for _ in 0..3 {
        assert_eq!(hosted.invoke("one", &order("die")).await.status, 424);
        assert_eq!(hosted.invoke("one", &order(TELL)).await.status, 200);
    }
}

#[tokio::test]
async fn an_agent_that_dies_in_its_answer_breaks_the_answer_off() {
    let hosted = Hosted::start(played(&[]), patient()).await;
    let mut answer = hosted.invocation("one", &order("stream_and_die")).send().await.expect("a stream");
    assert_eq!(answer.chunk().await.expect("a frame").as_deref(), Some(&b"data: half\n\n"[..]));
    // It dies before it can answer this.
    let _cut = hosted.invocation("one", &order("release")).send().await;
    assert!(answer.chunk().await.is_err(), "the caller can tell it from a whole answer");
    let failure = hosted.hear_failure().await;
    assert!(matches!(failure, InvocationFailure::CutShort(_)), "{failure:?}");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_told_with_its_name() {
    let hosted = Hosted::start(command(&["no-such-program"], &[]), patient()).await;
    insta::assert_snapshot!(hosted.invoke("one", &order(TELL)).await.refusal(), @r#"
    424 RuntimeClientError
    {"message":"An error occurred when starting the runtime. Please check your CloudWatch logs for more information."}
    "#);
    insta::assert_snapshot!(hosted.hear_failure().await, @"`no-such-program` cannot be run: No such file or directory (os error 2); check the agent's command");
    assert!(matches!(hosted.hear_end().await, SessionEnd::NotStarted(StartFailure::NotRunnable { .. })));
}

#[tokio::test]
async fn a_program_that_ends_at_once_is_told_with_its_last_words() {
    let hosted = Hosted::start(played(&[("AT_START", "exit")]), patient()).await;
    let answer = hosted.invoke("one", &order(TELL)).await;
    assert_eq!(answer.header("x-amzn-errortype"), Some("RuntimeClientError"), "{answer:?}");
    insta::assert_snapshot!(hosted.hear_failure().await, @"the agent ended before it answered /ping on the port in PORT (exit status: 3): the key to the cellar is missing");
    assert!(matches!(hosted.hear_end().await, SessionEnd::NotStarted(StartFailure::Exited { .. })));
    assert_eq!(hosted.count(is_start), 0);
}

#[tokio::test]
async fn an_agent_that_does_not_get_healthy_in_time_is_ended_and_told() {
    let times = SessionTimes { start_timeout: Duration::from_millis(500), ..patient() };
    let hosted = Hosted::start(played(&[("AT_START", "unhealthy")]), times).await;
    assert_eq!(hosted.invoke("one", &order(TELL)).await.status, 424);
    let failure = hosted.hear_failure().await.to_string();
    assert!(failure.starts_with("the agent did not answer GET /ping on 127.0.0.1:"), "{failure}");
    assert!(failure.contains("with a healthy status within 500ms: "), "{failure}");
    assert!(failure.ends_with("; it has to listen on the port in PORT"), "{failure}");
}

// === when a session ends ===

#[tokio::test]
async fn a_session_in_which_nothing_happens_is_ended_and_begun_anew_by_the_next_call() {
    let hosted = Hosted::start(played(&[]), soon_idle()).await;
    let first = hosted.tell("one").await;
    assert_eq!(hosted.hear_end().await, SessionEnd::Idle);
    gone(&first["pid"]).await;
    assert_ne!(hosted.tell("one").await["pid"], first["pid"]);
}

#[tokio::test]
async fn background_work_keeps_a_session_as_long_as_the_time_moves() {
    let hosted = Hosted::start(played(&[("STATUS", "HealthyBusy"), ("PING", "moving")]), soon_idle()).await;
    let first = hosted.tell("one").await;
    sleep(soon_idle().idle_timeout * 3).await;
    assert_eq!(hosted.count(is_end), 0);
    assert_eq!(hosted.tell("one").await["pid"], first["pid"]);
    assert_eq!(hosted.count(|notice| matches!(notice, Notice::PingProblem { .. })), 0);
}

#[tokio::test]
async fn work_without_a_moving_time_does_not_keep_a_session() {
    let hosted = Hosted::start(played(&[("STATUS", "HealthyBusy"), ("PING", "frozen")]), soon_idle()).await;
    hosted.tell("one").await;
    assert_eq!(hosted.hear_end().await, SessionEnd::Idle);
}

#[tokio::test]
async fn work_without_a_time_does_not_keep_a_session_and_that_is_told_once() {
    let hosted = Hosted::start(played(&[("STATUS", "HealthyBusy"), ("PING", "missing")]), soon_idle()).await;
    hosted.tell("one").await;
    assert_eq!(hosted.hear_end().await, SessionEnd::Idle);
    let is_problem = |notice: &Notice| {
        matches!(notice, Notice::PingProblem { problem: PingProblem::BusyWithoutTime, session: of }
            if *of.id == session("one"))
    };
    assert_eq!(hosted.count(is_problem), 1);
}

#[tokio::test]
async fn a_time_that_moves_while_idle_keeps_a_session_and_that_is_told() {
    let hosted = Hosted::start(played(&[("PING", "moving")]), soon_idle()).await;
    hosted.tell("one").await;
    let problem = |notice: &Notice| match notice {
        Notice::PingProblem { problem, .. } => Some(problem.clone()),
        _ => None,
    };
    assert_eq!(hosted.hear("a problem", problem).await, PingProblem::MovingWhileIdle);
    assert_eq!(hosted.count(is_end), 0);
}

#[tokio::test]
async fn an_invocation_under_way_keeps_its_session() {
    let hosted = Hosted::start(played(&[]), soon_idle()).await;
    let waiting = tokio::spawn(hosted.invocation("one", &order("wait")).send());
    hosted.hear_line("waiting").await;
    sleep(soon_idle().idle_timeout * 3).await;
    assert_eq!(hosted.count(is_end), 0);
    hosted.invoke("one", &order("release")).await.json();
    assert_eq!(waiting.await.expect("no panic").expect("an answer").status(), 200);
    assert_eq!(hosted.hear_end().await, SessionEnd::Idle);
}

#[tokio::test]
async fn a_caller_that_reads_an_answer_keeps_its_session() {
    let hosted = Hosted::start(played(&[]), soon_idle()).await;
    let streamed = json!({ "do": "stream", "frames": ["one", "two"] });
    let mut answer = hosted.invocation("one", &streamed).send().await.expect("a stream");
    answer.chunk().await.expect("a frame");
    sleep(soon_idle().idle_timeout * 3).await;
    assert_eq!(hosted.count(is_end), 0);
    drop(answer);
    assert_eq!(hosted.hear_end().await, SessionEnd::Idle);
}

#[tokio::test]
async fn no_session_outlives_the_longest_life_whatever_it_does() {
    let times = SessionTimes { maximum_lifetime: Duration::from_millis(300), ..patient() };
    let hosted = Hosted::start(played(&[("STATUS", "HealthyBusy"), ("PING", "moving")]), times).await;
    let answer = hosted.invoke("one", &order("wait")).await;
    assert_eq!(answer.header("x-amzn-errortype"), Some("RuntimeClientError"), "{answer:?}");
    assert_eq!(hosted.hear_end().await, SessionEnd::Lifetime);
}

// === how a session ends ===

#[tokio::test]
async fn a_stopped_session_is_gone_when_the_call_returns() {
    let hosted = Hosted::start(played(&[("AT_TERM", "slow")]), patient()).await;
    let first = hosted.tell("one").await;
    let stopped = hosted.stop("one").await;
    assert_eq!((stopped.status, stopped.body.as_str()), (200, "{}"));
    assert_eq!(stopped.header(crate::hosted::SESSION_ID), Some(session("one").as_str()));
    assert!(!is_running(&first["pid"]));
    assert_eq!(hosted.hear_end().await, SessionEnd::Stopped);
    hosted.hear_line("a last word").await;
    assert_ne!(hosted.tell("one").await["pid"], first["pid"]);
}

#[tokio::test]
async fn a_session_that_is_not_there_cannot_be_stopped() {
    let hosted = Hosted::start(played(&[]), patient()).await;
    hosted.tell("one").await;
    insta::assert_snapshot!(hosted.stop("two").await.refusal(), @r#"
    404 ResourceNotFoundException
    {"message":"Agent played has no session two------------------------------; it ended, or never began."}
    "#);
    assert_eq!((hosted.stop("one").await.status, hosted.stop("one").await.status), (200, 404));
    let short = hosted.aws.client.post(hosted.aws.url("/runtimes/played/stopruntimesession"));
    insta::assert_snapshot!(crate::aws::Answer::to(short).await.sentence(), @"400 ValidationException: 1 validation error detected: Value at 'runtimeSessionId' failed to satisfy constraint: Member must not be null");
}

#[tokio::test]
async fn a_session_stopped_while_it_starts_fails_the_call_that_waits_for_it() {
    let hosted = Hosted::start(played(&[("AT_START", "unhealthy")]), patient()).await;
    let waiting = tokio::spawn(hosted.invocation("one", &order(TELL)).send());
    hosted.hear_line("not yet").await;
    assert_eq!(hosted.stop("one").await.status, 200);
    assert_eq!(waiting.await.expect("no panic").expect("an answer").status(), 424);
    insta::assert_snapshot!(hosted.hear_failure().await, @"the session was stopped while it started");
    assert_eq!(hosted.stop("one").await.status, 404, "no other process was begun");
}

#[tokio::test]
async fn an_agent_that_ignores_the_first_signal_is_killed_by_the_second() {
    let times = SessionTimes { stop_grace: Duration::from_millis(300), ..patient() };
    let hosted = Hosted::start(played(&[("AT_TERM", "ignore")]), times).await;
    let first = hosted.tell("one").await;
    assert_eq!(hosted.stop("one").await.status, 200);
    hosted.hear_line("not now").await;
    assert!(!is_running(&first["pid"]));
}

#[tokio::test]
async fn what_an_agent_started_ends_with_it() {
    let hosted = Hosted::start(played(&[]), patient()).await;
    let stopped = hosted.invoke("one", &order("start_a_child")).await.json();
    let died = hosted.invoke("two", &order("start_a_child")).await.json();
    assert!(is_running(&stopped["child"]) && is_running(&died["child"]));
    assert_eq!(hosted.stop("one").await.status, 200);
    assert_eq!(hosted.invoke("two", &order("die")).await.status, 424);
    gone(&stopped["child"]).await;
    gone(&died["child"]).await;
}

#[tokio::test]
async fn an_agent_behind_a_shell_has_the_same_time_to_end() {
    let hosted = Hosted::start(played_in_a_shell(&[("AT_TERM", "slow")]), patient()).await;
    let first = hosted.tell("one").await;
    assert_eq!(hosted.stop("one").await.status, 200);
    assert!(!is_running(&first["pid"]));
    hosted.hear_line("a last word").await;
}

#[tokio::test]
async fn shutting_down_ends_every_process_in_order() {
    let hosted = Hosted::start(played(&[("AT_TERM", "slow")]), patient()).await;
    let (one, two) = tokio::join!(hosted.tell("one"), hosted.tell("two"));
    let Aws { local, client } = hosted.aws;
    let mut notices = local.notices();
    let url = format!("http://{}/", local.address());
    local.shutdown().await;
    assert!(!is_running(&one["pid"]) && !is_running(&two["pid"]));
    let (mut ends, mut last_words) = (0, 0);
    while let Ok(notice) = notices.try_recv() {
        ends += usize::from(matches!(notice, Notice::SessionEnded { why: SessionEnd::ShutDown, .. }));
        last_words += usize::from(matches!(notice, Notice::AgentLine { line, .. } if line == "a last word"));
    }
    assert_eq!((ends, last_words), (2, 2));
    assert!(client.get(url).send().await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn what_an_agent_stores_at_its_end_is_stored() {
    let directory = tempfile::tempdir().expect("a directory");
    let data_directory = Some(directory.path().to_owned());
    let kept = LocalConfig { data_directory, times: patient(), ..config() };
    let hosted = Hosted::of(LocalConfig { agents: vec![played(&[("AT_TERM", "store")])], ..kept.clone() }).await;
    hosted.tell("one").await;
    hosted.aws.local.shutdown().await;
    let aws = Aws::start(kept).await;
    let list = "/memories/local_memory-0000000000/actor/ann/sessions/one";
    let events = aws.post(list, &json!({ "includePayloads": true })).await.json()["events"].clone();
    assert_eq!(events[0]["payload"], json!([{ "blob": "a last word" }]));
}

#[tokio::test]
async fn a_server_that_is_killed_leaves_no_process() {
    const CHILD: &str = "AGENTCORE_LOCAL_TEST_OF_SUDDEN_DEATH";
    // To be killed it has to be a process of its own.
    if std::env::var_os(CHILD).is_some() {
        let hosted = Hosted::start(played(&[]), patient()).await;
        let told = hosted.invoke("one", &order("start_a_child")).await.json();
        println!("\nstarted {told}");
        return std::future::pending().await;
    }
    let mut again = tokio::process::Command::new(std::env::current_exe().expect("this binary"));
    again.args(["--exact", "sessions::a_server_that_is_killed_leaves_no_process", "--nocapture"]).env(CHILD, "1");
    let mut server = again.stdout(Stdio::piped()).kill_on_drop(true).spawn().expect("it runs");
    let mut lines = BufReader::new(server.stdout.take().expect("a pipe")).lines();
    let started = loop {
        let line = lines.next_line().await.expect("a readable pipe").expect("it starts");
        if let Some(told) = line.strip_prefix("started ") {
            break serde_json::from_str::<Value>(told).expect("JSON");
        }
    };
    assert!(is_running(&started["pid"]) && is_running(&started["child"]));
    server.kill().await.expect("it can be killed");
    gone(&started["pid"]).await;
    gone(&started["child"]).await;
}

#[tokio::test]
async fn shutting_down_waits_for_no_process_that_still_starts() {
    let hosted = Hosted::start(played(&[("AT_START", "unhealthy")]), patient()).await;
    let waiting = tokio::spawn(hosted.invocation("one", &order(TELL)).send());
    hosted.hear_line("not yet").await;
    hosted.aws.local.shutdown().await;
    let status = waiting.await.expect("no panic").map(|answer| answer.status().as_u16());
    assert!(matches!(status, Ok(424)), "{status:?}");
}

#[tokio::test]
async fn a_dropped_local_aws_leaves_no_process() {
    let hosted = Hosted::start(played(&[]), patient()).await;
    let told = hosted.invoke("one", &order("start_a_child")).await.json();
    drop(hosted);
    gone(&told["pid"]).await;
    gone(&told["child"]).await;
}

#[tokio::test]
async fn a_configuration_without_agents_hosts_none() {
    let hosted = Hosted::of(LocalConfig { times: patient(), ..config() }).await;
    insta::assert_snapshot!(hosted.invoke("one", &order(TELL)).await.refusal(), @r#"
    404 ResourceNotFoundException
    {"message":"No endpoint or agent found with qualifier 'DEFAULT' for agent 'played'. Agents here: none."}
    "#);
}
