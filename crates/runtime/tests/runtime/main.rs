//! The runtime from outside: a served agent over a real socket, with a model played by the test.

mod again;
mod answers;
mod arrivals;
mod failures;
mod life;
#[cfg(feature = "mcp")]
mod mcp;
mod ping;
mod played;
mod websocket;
