//! Free ports for agents. Between asking the system for one and the agent's listening on it lies a
//! moment in which two sessions might be promised the same, and one of them be pinged in place of the
//! other; a port promised here is promised to nobody else here until its session ends.

use std::collections::HashSet;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

/// The ports promised.
#[derive(Debug, Clone, Default)]
pub(super) struct Ports(Arc<Mutex<HashSet<u16>>>);

/// A promised port; given back when dropped.
#[derive(Debug)]
pub(super) struct Port {
    number: u16,
    ports: Ports,
}

// === impl Ports ===

impl Ports {
    /// Promises a port that is free on loopback now.
    pub(super) fn free(&self) -> io::Result<Port> {
        loop {
            let number = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            if self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(number) {
                return Ok(Port { number, ports: self.clone() });
            }
        }
    }
}

// === impl Port ===

impl Port {
    pub(super) fn number(&self) -> u16 {
        self.number
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.ports.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}
