//! The HTTP client for calls that leave this process: to a model server, or to the real Bedrock.

use std::time::Duration;

use reqwest::{Client, Url};

/// How long to wait for a connection; a server that is there accepts at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client for `base`. Proxies of the environment are not asked for what is on this machine.
pub(crate) fn client_for(base: &Url) -> Result<Client, reqwest::Error> {
    // Fails only when the process has a provider already, and then that one serves.
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder().connect_timeout(CONNECT_TIMEOUT);
    let builder = if is_local(base) {
        builder.no_proxy()
    } else {
        builder
    };
    builder.build()
}

fn is_local(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        host == "localhost"
            || host
                .trim_matches(['[', ']'])
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    })
}
