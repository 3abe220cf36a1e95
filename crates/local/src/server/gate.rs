//! Who may come in. The port asks nobody for a signature, so a web page in this machine's browser must
//! not reach it: neither under a name that its owner points to 127.0.0.1 (DNS rebinding; the `Host`
//! header tells), nor across origins with a request that browsers send unasked (`Origin` tells).

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{StatusCode, Uri};

use crate::aws_error::AwsError;
use crate::config::Exposure;

/// The hosts by which the server may be called.
#[derive(Debug)]
pub(super) struct Gate {
    exposure: Exposure,
    allowed_hosts: Vec<String>,
}

/// Lets a request in or refuses it.
pub(super) async fn check(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Result<Response, AwsError> {
    gate.admit(&request)?;
    Ok(next.run(request).await)
}

// === impl Gate ===

impl Gate {
    pub(super) fn new(exposure: Exposure, allowed_hosts: Vec<String>) -> Self {
        Self { exposure, allowed_hosts }
    }

    fn admit(&self, request: &Request) -> Result<(), AwsError> {
        let host = called_host(request);
        if !host.as_deref().is_some_and(|host| self.allows(host)) {
            let named = host.unwrap_or_else(|| "not one host".to_owned());
            return Err(refused(format!("The Host header names {named}; call this server as localhost or 127.0.0.1.")));
        }
        let Some(origin) = request.headers().get(ORIGIN) else { return Ok(()) };
        let from = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
        if from.as_ref().and_then(Uri::host).is_some_and(|host| self.allows(host)) {
            return Ok(());
        }
        Err(refused("Web pages of other origins may not call this server.".to_owned()))
    }

    fn allows(&self, host: &str) -> bool {
        let host = host.trim_matches(['[', ']']);
        let address = host.parse::<IpAddr>();
        host.eq_ignore_ascii_case("localhost")
            || self.allowed_hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host))
            // Rebinding needs a name; an address is no name.
            || address.is_ok_and(|address| address.is_loopback() || self.exposure == Exposure::Anyone)
    }
}

/// The host a request was sent to; HTTP/2 has it in the URI. Whoever names two means another one than whoever reads.
fn called_host(request: &Request) -> Option<String> {
    let mut named = request.headers().get_all(HOST).iter();
    let (first, second) = (named.next(), named.next());
    if second.is_some() {
        return None;
    }
    if let Some(host) = request.uri().host() {
        return Some(host.to_owned());
    }
    let authority: Authority = first?.to_str().ok()?.parse().ok()?;
    Some(authority.host().to_owned())
}

fn refused(message: String) -> AwsError {
    AwsError::new(StatusCode::FORBIDDEN, "AccessDeniedException", message)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn admitted(gate: &Gate, headers: &[(&str, &str)]) -> bool {
        let request = headers.iter().fold(Request::builder(), |request, (name, value)| request.header(*name, *value));
        gate.admit(&request.body(Body::empty()).expect("the test's request is one")).is_ok()
    }

    #[test]
    fn loopback_is_called_by_its_own_names_only() {
        let gate = Gate::new(Exposure::LoopbackOnly, vec!["host.docker.internal".to_owned()]);
        for host in
            ["localhost", "LOCALHOST:4570", "127.0.0.1:4570", "127.0.0.1", "[::1]:4570", "host.docker.internal:1"]
        {
            assert!(admitted(&gate, &[("host", host)]), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:4570", "192.168.1.7", "", "[::1"]
        {
            assert!(!admitted(&gate, &[("host", host)]), "{host}");
        }
        assert!(!admitted(&gate, &[]), "no host");
        assert!(!admitted(&gate, &[("host", "localhost"), ("host", "evil.example")]), "two hosts");
    }

    #[test]
    fn pages_of_other_origins_stay_out() {
        let gate = Gate::new(Exposure::LoopbackOnly, Vec::new());
        let with_origin = |origin| admitted(&gate, &[("host", "127.0.0.1:4570"), ("origin", origin)]);
        assert!(with_origin("http://localhost:3000"));
        assert!(!with_origin("https://evil.example"));
        assert!(!with_origin("null"));
    }

    #[test]
    fn other_machines_are_let_in_by_address_when_that_was_asked_for() {
        let gate = Gate::new(Exposure::Anyone, Vec::new());
        assert!(admitted(&gate, &[("host", "192.168.1.7:4570")]));
        assert!(!admitted(&gate, &[("host", "evil.example")]));
    }
}
