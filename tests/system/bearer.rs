//! An agent outside AgentCore that wants tokens: an issuer whose tokens `PyJWT` makes, and callers with good ones and bad ones.

use serde_json::{Value, json};

use crate::agent::{Agent, agent_command};
use crate::foreign::{Script, mcp_python_script};
use crate::local_aws::LocalAws;
use crate::socket::{Answer, Request};

const SESSION: &str = "session-of-many-0123456789-0123456789";

/// An issuer, and the agent that takes its tokens.
struct House {
    issuer: Script,
    agent: Agent,
    _aws: LocalAws,
}

// === impl House ===

impl House {
    fn open(environment: &[(&str, &str)]) -> Self {
        let aws = LocalAws::start();
        let mut issuer = Script::start("PyJWT", mcp_python_script("issuer.py"), &aws.endpoint());
        let discovery = issuer.next()["discovery"].as_str().expect("an address").to_owned();
        issuer.order(json!({ "do": "publish", "key": "rs-1" }));
        issuer.order(json!({ "do": "publish", "key": "es-1" }));
        let mut environment = environment.to_vec();
        environment.push(("JWT_DISCOVERY_URL", &discovery));
        let agent = Agent::start("test_agent", &aws.endpoint(), &environment);
        Self { issuer, agent, _aws: aws }
    }

    fn token(&mut self, key: &str, claims: &Value) -> String {
        self.mint(&json!({ "do": "mint", "key": key, "claims": claims }))
    }

    fn mint(&mut self, order: &Value) -> String {
        self.issuer.order(order.clone())["token"].as_str().expect("a token").to_owned()
    }

    fn say(&self, token: &str, prompt: &str, more: &[(&str, &str)]) -> Answer {
        let authorization = format!("Bearer {token}");
        let mut headers =
            vec![("authorization", authorization.as_str()), ("x-amzn-bedrock-agentcore-runtime-session-id", SESSION)];
        headers.extend(more);
        let body = json!({ "prompt": prompt }).to_string();
        Request::post("/invocations", body.as_bytes()).with(&headers).send(self.agent.port)
    }

    /// What a caller with that token is told, who is turned away.
    fn refused(&self, token: &str) -> String {
        let answer = self.say(token, "Hello", &[]);
        assert_eq!(answer.status, 401, "{}", answer.body);
        assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
        let told: Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_eq!(told["code"], "unauthorized");
        told["error"].as_str().expect("a sentence").to_owned()
    }
}

#[test]
fn who_has_a_token_of_the_issuer_is_let_in_and_nobody_else() {
    let mut house = House::open(&[("JWT_AUDIENCES", "another, vitracka")]);

    let ping = Request::get("/ping").send(house.agent.port);
    assert_eq!(ping.status, 200, "who watches the process has no token");
    let answer = Request::post("/invocations", b"{\"prompt\": \"Hello\"}").send(house.agent.port);
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")), "{}", answer.body);

    for key in ["rs-1", "es-1"] {
        let token = house.token(key, &json!({}));
        assert_eq!(house.say(&token, "Hello", &[]).status, 200, "{key}");
    }

    let good = house.token("rs-1", &json!({}));
    let (head_and_claims, _) = good.rsplit_once('.').expect("a signature");
    let other = house.token("rs-1", &json!({ "sub": "conor" }));
    let (_, others_signature) = other.rsplit_once('.').expect("a signature");
    let bad = [
        house.token("rs-1", &json!({ "exp": 1_700_000_000 })),
        house.token("rs-1", &json!({ "nbf": 4_000_000_000_u64 })),
        house.token("rs-1", &json!({ "aud": "somebody-else" })),
        house.token("rs-1", &json!({ "aud": null })),
        house.token("rs-1", &json!({ "iss": "https://issuer.example" })),
        house.token("rs-1", &json!({ "sub": null })),
        format!("{head_and_claims}.{others_signature}"),
        house.token("rs-unknown", &json!({})),
        house.mint(&json!({ "do": "mint", "key": null, "claims": {} })),
        house.mint(&json!({ "do": "mint", "key": "rs-1", "with_public": true, "claims": {} })),
        "no.token.at-all".to_owned(),
    ];
    let told: Vec<String> = bad.iter().map(|token| house.refused(token)).collect();
    insta::assert_snapshot!(told.join("\n"));

    let (status, log) = house.agent.end();
    assert!(status.success());
    assert!(!log.contains(&good) && !log.contains(head_and_claims), "a token is in the log: {log}");
}

#[test]
fn the_caller_is_the_tokens_subject_whatever_a_header_says() {
    let mut house = House::open(&[("JWT_AUDIENCES", "vitracka")]);
    let [aoife, conor] = ["aoife", "conor"].map(|subject| house.token("rs-1", &json!({ "sub": subject })));

    house.say(&aoife, "My name is Aoife.", &[]);

    let as_aoife = [("x-amzn-bedrock-agentcore-runtime-user-id", "aoife")];
    let answer = house.say(&conor, "What is my name?", &as_aoife);
    assert!(answer.status == 200 && !answer.body.contains("Aoife"), "{}", answer.body);
    let answer = house.say(&aoife, "What is my name?", &[("x-amzn-bedrock-agentcore-runtime-user-id", "conor")]);
    assert!(answer.body.contains("Aoife"), "{}", answer.body);
}

#[test]
fn tokens_may_be_for_certain_clients_and_keys_may_change() {
    let mut house = House::open(&[("JWT_CLIENTS", "the-app")]);

    let no_client = house.token("rs-1", &json!({}));
    assert_eq!(house.refused(&no_client), "the token is none that this agent takes: it was issued to another client");
    for name in ["client_id", "azp"] {
        let token = house.token("rs-1", &json!({ name: "the-app", "aud": null }));
        assert_eq!(house.say(&token, "Hello", &[]).status, 200, "{name}");
    }

    // The issuer signs with a new key, which nobody has seen before.
    house.issuer.order(json!({ "do": "publish", "key": "rs-2" }));
    let token = house.token("rs-2", &json!({ "client_id": "the-app" }));
    assert_eq!(house.say(&token, "Hello", &[]).status, 200);

    // Whoever invents keys does not make the issuer work.
    for made_up in ["rs-3", "rs-4", "rs-5"] {
        let token = house.token(made_up, &json!({ "client_id": "the-app" }));
        house.refused(&token);
    }
    assert_eq!(house.issuer.order(json!({ "do": "asked" })), json!({ "keys": 3 }), "first, for rs-2, for rs-3");
}

#[test]
fn an_agent_that_is_to_be_closed_does_not_start_open() {
    let refused = |environment: &[(&str, &str)]| {
        let mut command = agent_command("test_agent", "http://127.0.0.1:9", environment);
        let output = command.env("PORT", "0").output().expect("it starts");
        assert!(!output.status.success(), "it serves");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        said.lines().last().expect("a reason").to_owned()
    };
    let discovery = ("JWT_DISCOVERY_URL", "https://issuer.example/.well-known/openid-configuration");
    let sentences = [
        refused(&[discovery]),
        refused(&[
            ("JWT_DISCOVERY_URL", "http://issuer.example/.well-known/openid-configuration"),
            ("JWT_CLIENTS", "app"),
        ]),
        refused(&[("JWT_DISCOVERY_URL", "https://issuer.example/keys"), ("JWT_CLIENTS", "app")]),
        refused(&[discovery, ("JWT_CLIENTS", "app"), ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9")]),
    ];
    insta::assert_snapshot!(sentences.join("\n"));
}

#[test]
fn without_keys_a_caller_is_asked_to_come_again() {
    let aws = LocalAws::start();
    let nobody = format!("http://127.0.0.1:{}/.well-known/openid-configuration", crate::process::free_port());
    let environment = [("JWT_DISCOVERY_URL", nobody.as_str()), ("JWT_CLIENTS", "app")];
    let agent = Agent::start("test_agent", &aws.endpoint(), &environment);
    let token = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ.e30.AAAA";
    let headers = [("authorization", format!("bearer {token}"))];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = Request::post("/invocations", b"{}").with(&headers).send(agent.port);
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")), "{}", answer.body);
}
