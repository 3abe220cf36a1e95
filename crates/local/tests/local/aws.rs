//! A local AWS on a port of its own, and what it is asked and answers.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use agentcore_local::bedrock::{Bedrock, Brain};
use agentcore_local::engine::Scripted;
use agentcore_local::{Local, LocalConfig, StartError};
use http::{HeaderMap, Method};
use serde_json::Value;

/// Longer than anything takes that happens at all, on a machine that has much else to do.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A local AWS and a client of it.
pub(crate) struct Aws {
    pub(crate) local: Local,
    pub(crate) client: reqwest::Client,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// The scripted Bedrock, which no test here is about.
pub(crate) fn bedrock() -> Bedrock {
    Bedrock::new(Brain::Engine(Arc::new(Scripted)))
}

/// Nothing hosted, nothing on disk, on any free port.
pub(crate) fn config() -> LocalConfig {
    LocalConfig { address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), ..LocalConfig::default() }
}

/// A client that asks nobody on the way.
pub(crate) fn client() -> reqwest::Client {
    // Nothing here is encrypted; the client wants to know how it would be.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().timeout(SOON).build().expect("a client")
}

// === impl Aws ===

impl Aws {
    pub(crate) async fn start(config: LocalConfig) -> Self {
        Self::try_start(config).await.unwrap_or_else(|error| panic!("the local AWS does not start: {error}"))
    }

    pub(crate) async fn try_start(config: LocalConfig) -> Result<Self, StartError> {
        Ok(Self { local: Local::start(config, bedrock()).await?, client: client() })
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.local.address())
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, "").await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, &body.to_string()).await
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: &str) -> Answer {
        Answer::to(self.client.request(method, self.url(path)).body(body.to_owned())).await
    }
}

// === impl Answer ===

impl Answer {
    pub(crate) async fn to(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.unwrap_or_else(|error| panic!("no answer: {error:?}"));
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, body: response.text().await.expect("a body that comes to its end") }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("ASCII"))
    }

    /// The body of a success.
    pub(crate) fn json(&self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// What an SDK makes its exception of: the status, the error's name and the body.
    pub(crate) fn refusal(&self) -> String {
        format!("{} {}\n{}", self.status, self.header("x-amzn-errortype").unwrap_or("-"), self.body)
    }

    /// The status, the error's name and the sentence alone.
    pub(crate) fn sentence(&self) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        let message = body["message"].as_str().unwrap_or_else(|| panic!("no message: {self:?}"));
        format!("{} {}: {message}", self.status, self.header("x-amzn-errortype").unwrap_or("-"))
    }
}
