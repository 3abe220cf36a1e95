//! Free ports for agents. Between looking for one and the agent's listening on it lies a moment in which
//! somebody else might get it, and be pinged in place of the agent and sent its invocations. So a port
//! promised here is promised to nobody else here until its session ends, and it is none of those that the
//! system gives to whoever asks for any: to a server's port 0, and to every connection that is made.

use std::collections::HashSet;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

/// The ports below those that systems give by themselves, where nobody changed that: from 32,768 on Linux
/// (`ip_local_port_range`), from 49,152 on macOS (IANA's dynamic ports).
const NOBODYS: Range<u16> = 20_000..32_768;

/// How many are looked at. On a machine where so many are taken, hardly one is free.
const LOOKS: usize = 100;

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
        self.free_of(NOBODYS)
    }

    fn free_of(&self, range: Range<u16>) -> io::Result<Port> {
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for number in (0..LOOKS).map(|_| any_of(&range)) {
            match TcpListener::bind((Ipv4Addr::LOCALHOST, number)) {
                Ok(_free) if self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(number) => {
                    return Ok(Port { number, ports: self.clone() });
                }
                Ok(_promised) => {}
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

fn any_of(ports: &Range<u16>) -> u16 {
    let span = u64::from(ports.end - ports.start);
    let chosen = Uuid::new_v4().as_u64_pair().1 % span;
    ports.start + u16::try_from(chosen).expect("it is less than the span, which is of 16 bits")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_promised_once_and_is_none_that_systems_give_by_themselves() {
        let ports = Ports::default();
        let promised: Vec<_> = (0..50).map(|_| ports.free().expect("there are free ports")).collect();
        let different: HashSet<_> = promised.iter().map(Port::number).collect();
        assert_eq!(different.len(), promised.len());
        assert!(different.iter().all(|port| NOBODYS.contains(port)), "{different:?}");
    }

    #[test]
    fn a_port_is_promised_to_nobody_while_it_is_taken() {
        let ports = Ports::default();
        let port = ports.free().expect("there are free ports");
        let only = port.number()..port.number() + 1;
        let refused =
            |ports: &Ports| ports.free_of(only.clone()).map(|port| port.number()).map_err(|error| error.kind());

        assert_eq!(refused(&ports), Err(io::ErrorKind::AddrInUse), "it is promised");
        drop(port);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, only.start)).expect("it is free");
        assert_eq!(refused(&ports), Err(io::ErrorKind::AddrInUse), "somebody listens there");
        drop(listener);
        assert_eq!(refused(&ports), Ok(only.start));
    }
}
