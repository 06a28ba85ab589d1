//! Who is at the other end: the address of a connection, or the one that a trusted proxy passes on.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use ipnet::IpNet;

/// Longest `User-Agent` that is passed on to a bank, in bytes.
pub(crate) const USER_AGENT_BYTES_MAX: usize = 512;
/// Where a proxy notes who asked it, the last one last.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The networks of a list; `None` when one of them is not a network. A bare address is a network of one.
pub fn networks(list: &[String]) -> Option<Vec<IpNet>> {
    list.iter().map(|text| text.parse::<IpNet>().ok().or_else(|| Some(text.parse::<IpAddr>().ok()?.into()))).collect()
}

/// The client's address. What a header says is believed from the trusted proxies alone, and of its list only what they
/// wrote themselves: from the end to the first address that is none of theirs. `None` where the listener does not pass
/// the connection's address on.
pub(crate) fn address(parts: &Parts, trusted: &[IpNet]) -> Option<IpAddr> {
    let ConnectInfo(peer) = parts.extensions.get::<ConnectInfo<SocketAddr>>()?;
    Some(behind(peer.ip().to_canonical(), &parts.headers, trusted))
}

fn behind(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let mut client = peer;
    let lines: Vec<&str> =
        headers.get_all(FORWARDED_FOR).iter().map(|line| line.to_str().unwrap_or_default()).collect();
    let mut noted = lines.iter().rev().flat_map(|line| line.rsplit(',')).map(str::trim);
    while trusted.iter().any(|network| network.contains(&client)) {
        match noted.next().and_then(|text| text.parse::<IpAddr>().ok()) {
            Some(before) => client = before.to_canonical(),
            // Nothing more, or nothing that is an address: the last one that is known counts.
            None => break,
        }
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        let trusted: Vec<String> = trusted.iter().map(|text| (*text).to_owned()).collect();
        behind(peer.parse().unwrap(), &headers, &networks(&trusted).unwrap()).to_string()
    }

    #[test]
    fn a_header_is_believed_as_far_as_trusted_proxies_wrote_it() {
        let proxies = ["10.0.0.0/8", "fd00::1"];
        for (peer, forwarded, trusted, expected) in [
            ("198.51.100.7", &["203.0.113.9"][..], &[][..], "198.51.100.7"),
            ("198.51.100.7", &["203.0.113.9"], &proxies, "198.51.100.7"),
            ("10.1.1.1", &["203.0.113.9"], &proxies, "203.0.113.9"),
            ("10.1.1.1", &["1.1.1.1, 203.0.113.9"], &proxies, "203.0.113.9"),
            ("10.1.1.1", &["1.1.1.1, 203.0.113.9, 10.2.2.2"], &proxies, "203.0.113.9"),
            ("10.1.1.1", &["1.1.1.1", "203.0.113.9"], &proxies, "203.0.113.9"),
            ("fd00::1", &["2001:db8::5"], &proxies, "2001:db8::5"),
            ("10.1.1.1", &["unknown"], &proxies, "10.1.1.1"),
            ("10.1.1.1", &[], &proxies, "10.1.1.1"),
        ] {
            assert_eq!(client(peer, forwarded, trusted), expected, "{peer} {forwarded:?}");
        }
    }

    #[test]
    fn a_network_is_written_as_one_or_as_an_address() {
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(networks(&list(&["192.0.2.7", "2001:db8::/32"])).map(|networks| networks.len()), Some(2));
        for wrong in ["", "192.0.2.0/33", "somewhere", "192.0.2"] {
            assert_eq!(networks(&list(&[wrong])), None, "{wrong}");
        }
    }
}
