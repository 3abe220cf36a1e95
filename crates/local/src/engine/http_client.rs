//! The HTTP client for calls that leave this process: to a model server, or to the real Bedrock.

use std::error::Error;
use std::time::Duration;

use reqwest::{Client, Url};

/// How long to wait for a connection; a server that is there accepts at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client for `base`. Proxies of the environment are not asked for what is on this machine.
pub(crate) fn client_for(base: &Url) -> Result<Client, reqwest::Error> {
    // Fails only when the process has a provider already, and then that one serves.
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder().connect_timeout(CONNECT_TIMEOUT);
    let builder = if is_local(base) { builder.no_proxy() } else { builder };
    builder.build()
}

/// An error and what caused it, in one line; the first sentence of each, without what repeats.
pub(crate) fn causes_of(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    let mut sentences: Vec<String> = Vec::new();
    for cause in causes {
        let text = cause.to_string();
        let line = text.lines().next().unwrap_or_default();
        let sentence = line.split(". ").next().unwrap_or(line).trim_end_matches('.');
        if !sentences.iter().any(|known| known.contains(sentence)) {
            sentences.push(sentence.to_owned());
        }
    }
    sentences.join(": ")
}

fn is_local(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        host == "localhost"
            || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}
