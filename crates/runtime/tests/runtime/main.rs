//! The runtime from outside: a served agent over a real socket, with a model played by the test.

#[cfg(feature = "a2a")]
mod a2a;
#[cfg(feature = "ag-ui")]
mod ag_ui;
mod again;
mod answers;
mod arrivals;
mod failures;
mod faults;
mod hostile;
mod life;
#[cfg(feature = "mcp")]
mod mcp;
mod ping;
mod played;
mod websocket;
