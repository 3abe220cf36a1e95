//! The local AWS from outside: HTTP on a loopback port, and an agent that does what it is told.

mod aws;
mod hosted;

mod door;
mod memory;
mod server;
mod sessions;
mod traces;
