//! Ports that only the host itself should reach.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Host;
use crate::doctor::finding::{Fault, Report};

/// The ports that are asked about, and whose they are by default.
pub(crate) const PRIVATE: [(u16, &str); 8] = [
    (8200, "Vault's API"),
    (8545, "an execution client's JSON-RPC"),
    (8546, "an execution client's JSON-RPC by WebSocket"),
    (8548, "op-batcher's administration"),
    (8551, "an execution client's Engine API"),
    (9000, "Web3Signer's"),
    (9001, "Web3Signer's metrics"),
    (9545, "op-node's JSON-RPC"),
];

/// Whose port it is by default, where it is one of those.
pub(crate) fn owner_of(port: u16) -> Option<&'static str> {
    PRIVATE.iter().find(|(private, _)| *private == port).map(|(_, owner)| *owner)
}

/// Something that listens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    /// Whose it is.
    user: u32,
}

impl Host {
    pub(super) fn ports(&self, report: &mut Report) {
        let listeners = match self.listeners() {
            Ok(listeners) => listeners,
            Err(error) => return report.not_seen("what listens", format!("/proc/net/tcp: {error}")),
        };
        for Listener { address, user } in listeners {
            let Some(owner) = owner_of(address.port()) else { continue };
            let ip = address.ip().to_canonical();
            if ip.is_loopback() {
                continue;
            }
            let reach = if ip.is_unspecified() { "all addresses" } else { "an address that is not loopback" };
            let seen =
                format!("port {}, by default {owner}, listens on {reach} (user {user})", address.port());
            report.found(Fault::PortOpen, SocketAddr::new(ip, address.port()).to_string(), seen);
        }
    }

    pub(super) fn listeners(&self) -> io::Result<Vec<Listener>> {
        let mut text = self.read("proc/net/tcp")?;
        // Without IPv6 there is none.
        text.push_str(&self.read("proc/net/tcp6").unwrap_or_default());
        Ok(text.lines().filter_map(Listener::parse).collect())
    }
}

impl Listener {
    /// A line of `/proc/net/tcp` (proc(5)): number, own address, other address, state, …, user.
    fn parse(line: &str) -> Option<Self> {
        /// `TCP_LISTEN` (`include/net/tcp_states.h`).
        const LISTEN: &str = "0A";
        let mut fields = line.split_whitespace();
        let (ip, port) = fields.nth(1)?.split_once(':')?;
        if fields.nth(1)? != LISTEN {
            return None;
        }
        let address = SocketAddr::new(ip_of(ip)?, u16::from_str_radix(port, 16).ok()?);
        Some(Self { address, user: fields.nth(3)?.parse().ok()? })
    }
}

/// An address as the kernel writes it: words of 32 bits, each as a number in the machine's own order.
fn ip_of(text: &str) -> Option<IpAddr> {
    let word = |place: usize| {
        let digits = text.get(place..place + 8)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    match text.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let mut bytes = [0; 16];
            for (place, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(place * 8)?);
            }
            Some(IpAddr::V6(Ipv6Addr::from(bytes)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::planted::{Planted, listening};

    fn found(addresses: &[&str]) -> Vec<String> {
        let host = Planted::clean();
        let addresses: Vec<SocketAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        let of = |is_of: fn(&SocketAddr) -> bool| {
            let lines = addresses.iter().filter(|address| is_of(address)).map(|address| listening(*address));
            format!("  sl  local_address rem_address   st …\n{}", lines.collect::<String>())
        };
        host.write("proc/net/tcp", &of(SocketAddr::is_ipv4));
        host.write("proc/net/tcp6", &of(SocketAddr::is_ipv6));
        let report = host.look();
        assert!(report.findings.iter().all(|finding| finding.fault == Fault::PortOpen));
        report.findings.into_iter().map(|finding| finding.place).collect()
    }

    #[test]
    fn ports_are_private_on_loopback_only() {
        assert_eq!(found(&["127.0.0.1:8545", "[::1]:8200", "127.0.0.53:9000", "0.0.0.0:22"]), [""; 0]);
        assert_eq!(found(&["[::ffff:127.0.0.1]:9000"]), [""; 0]);
        for open in
            ["0.0.0.0:8545", "[::]:8200", "10.0.0.7:9000", "192.0.2.1:9001", "[fd00::1]:8551", "0.0.0.0:9545"]
        {
            assert_eq!(found(&[open]), [open]);
        }
        assert_eq!(found(&["[::ffff:10.0.0.7]:9000"]), ["10.0.0.7:9000"]);
    }

    #[test]
    fn connections_are_no_listeners() {
        let host = Planted::clean();
        let line = listening("0.0.0.0:8545".parse().unwrap()).replace(" 0A ", " 01 ");
        host.write("proc/net/tcp", &line);
        assert_eq!(host.look().findings.len(), 0);
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let host = Planted::clean();
        host.remove("proc/net/tcp");
        let report = host.look();
        assert_eq!((report.findings.len(), report.status()), (0, 2));
        assert_eq!(report.unseen.first().unwrap().what, "what listens");
    }
}
