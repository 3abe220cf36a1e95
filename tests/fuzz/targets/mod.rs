//! What is done with bytes from outside, and what must hold whatever they are.
//!
//! Each [`Target`] takes any bytes and panics where something is wrong. libFuzzer calls them through `../program.rs`
//! for as long as one lets it; `cargo test` calls them with the inputs that were kept (`../corpus`). To add one, write
//! a file here and name it in [`ALL`].

mod a2a;
mod ag_ui;
mod answer;
mod aws;
mod headers;
mod history;
mod local_aws;
mod mcp_client;
mod mcp_server;
mod model;
mod payload;
mod sentinel;
mod served;
mod settings;
mod websocket;
mod yes;

/// Something that reads what others wrote.
pub(crate) struct Target {
    /// Its name, which its corpus has as well.
    pub(crate) name: &'static str,
    /// Does with the bytes what is done with such bytes, and panics where that should not have come of it.
    pub(crate) run: fn(&[u8]),
}

/// All of them.
pub(crate) const ALL: &[Target] = &[
    Target { name: "a2a", run: a2a::run },
    Target { name: "ag_ui", run: ag_ui::run },
    Target { name: "headers", run: headers::run },
    Target { name: "history", run: history::run },
    Target { name: "local_aws", run: local_aws::run },
    Target { name: "mcp_client", run: mcp_client::run },
    Target { name: "mcp_server", run: mcp_server::run },
    Target { name: "model", run: model::run },
    Target { name: "payload", run: payload::run },
    Target { name: "sentinel", run: sentinel::run },
    Target { name: "settings", run: settings::run },
    Target { name: "websocket", run: websocket::run },
];
