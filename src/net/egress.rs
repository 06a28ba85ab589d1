//! Where requests may go: public addresses over https, so that no address from a bank's answer reaches the inside.
//! Simulated banks and a program's own pages on this machine are let in by name, never by default.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::error::Unsent;

/// Which addresses may be reached. It is asked twice: about the URL, and about what its host name resolves to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Egress(Reach);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Public,
    PublicAndLoopback,
    LoopbackAlone,
    Inside,
}

/// The marker by which a refusal is found again inside the errors of the HTTP stack.
#[derive(Debug, thiserror::Error)]
#[error("the address is outside the egress policy")]
pub(crate) struct Refused;

impl Egress {
    /// Public unicast addresses alone.
    pub const fn public() -> Self {
        Self(Reach::Public)
    }

    /// Loopback too: simulated banks, tests. Private networks stay out of reach.
    pub const fn loopback_allowed() -> Self {
        Self(Reach::PublicAndLoopback)
    }

    /// This machine and nothing else, over plain http as well as https: a program that opens its own pages.
    pub const fn plain_loopback() -> Self {
        Self(Reach::LoopbackAlone)
    }

    /// Private networks and loopback too, over https alone: a server that the settings name, never one that an outsider's
    /// answer names.
    pub const fn inside() -> Self {
        Self(Reach::Inside)
    }

    /// Whether a URL may be asked for at all, as far as it can be told before its host is resolved.
    pub fn admits(self, url: &Url) -> bool {
        self.check(url).is_ok()
    }

    /// Whether requests may go out without TLS. Never beyond loopback.
    pub(crate) fn permits_plain(self) -> bool {
        self.0 == Reach::LoopbackAlone
    }

    /// Judges a URL as it will be dialled, after its host was normalised (`127.1` is 127.0.0.1).
    pub(crate) fn check(self, url: &Url) -> Result<(), Unsent> {
        let scheme_fits = url.scheme() == "https" || (url.scheme() == "http" && self.permits_plain());
        if !scheme_fits || !url.username().is_empty() || url.password().is_some() {
            return Err(Unsent::Egress);
        }
        let fits = match url.host() {
            Some(Host::Domain(_)) => true,
            Some(Host::Ipv4(address)) => self.permits(address.into()),
            Some(Host::Ipv6(address)) => self.permits(address.into()),
            None => false,
        };
        if fits { Ok(()) } else { Err(Unsent::Egress) }
    }

    /// Whether an address may be dialled.
    pub(crate) fn permits(self, address: IpAddr) -> bool {
        if address.to_canonical().is_loopback() {
            return self.0 != Reach::Public;
        }
        match address {
            _ if self.0 == Reach::LoopbackAlone => false,
            IpAddr::V4(address) if self.0 == Reach::Inside && address.is_private() => true,
            IpAddr::V6(address) if self.0 == Reach::Inside && address.is_unique_local() => true,
            IpAddr::V4(address) => is_public_v4(address),
            IpAddr::V6(address) => is_public_v6(address),
        }
    }
}

/// Not one of the special-purpose blocks of RFC 6890 and its registry.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a, b, c) == (192, 0, 0)
        || (a, b, c) == (192, 88, 99)
        || (a == 198 && (18..20).contains(&b))
        || a >= 224;
    !special
}

/// Global unicast (2000::/3), without the blocks that tunnel to IPv4 or are only for documents.
fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(inner) = address.to_ipv4_mapped() {
        return is_public_v4(inner);
    }
    let [a, b, ..] = address.segments();
    let global = a & 0xe000 == 0x2000;
    let tunnels = a == 0x2002 || (a, b) == (0x2001, 0);
    let documents = (a, b) == (0x2001, 0xdb8) || a == 0x3fff;
    global && !tunnels && !documents
}

/// Resolves through the system and refuses the whole answer when any of its addresses is out of bounds: a name that
/// points both ways is an attack or a mistake.
pub(crate) struct GuardedResolver(pub(crate) Egress);

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let egress = self.0;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if found.iter().all(|address| egress.permits(address.ip())) {
                Ok(Box::new(found.into_iter()) as Addrs)
            } else {
                Err(Refused.into())
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_are_out_of_reach() {
        let inside = [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.168.1.1",
            "198.18.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "ff02::1",
            "2001:db8::1",
            "2002:a00:1::",
            "2001::1",
        ];
        for text in inside {
            let address: IpAddr = text.parse().unwrap();
            assert!(!Egress::public().permits(address), "{text}");
            assert!(!Egress::loopback_allowed().permits(address), "{text}");
        }
        for text in ["1.1.1.1", "100.63.255.255", "100.128.0.0", "172.32.0.1", "198.20.0.1", "2606:4700::1111"] {
            assert!(Egress::public().permits(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn loopback_is_a_choice() {
        for text in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            let address: IpAddr = text.parse().unwrap();
            assert!(!Egress::public().permits(address), "{text}");
            assert!(Egress::loopback_allowed().permits(address), "{text}");
            assert!(Egress::plain_loopback().permits(address), "{text}");
        }
    }

    #[test]
    fn a_server_that_the_settings_name_may_be_inside_but_never_without_tls() {
        let judge = |text: &str| Egress::inside().check(&Url::parse(text).unwrap());
        for text in ["https://10.0.0.1/", "https://[fd12::1]/", "https://127.0.0.1/", "https://1.1.1.1/"] {
            assert_eq!(judge(text), Ok(()), "{text}");
        }
        for text in ["http://10.0.0.1/", "http://127.0.0.1/", "https://169.254.169.254/", "https://0.0.0.0/"] {
            assert_eq!(judge(text), Err(Unsent::Egress), "{text}");
        }
    }

    #[test]
    fn without_tls_nothing_but_this_machine_is_in_reach() {
        let judge = |egress: Egress, text: &str| egress.check(&Url::parse(text).unwrap());
        for text in ["http://localhost:8080/", "http://127.0.0.1/", "http://[::1]/", "https://127.0.0.1/"] {
            assert_eq!(judge(Egress::plain_loopback(), text), Ok(()), "{text}");
        }
        for text in ["http://1.1.1.1/", "https://1.1.1.1/", "http://10.0.0.1/", "http://[fd12::1]/", "ftp://localhost/"]
        {
            assert_eq!(judge(Egress::plain_loopback(), text), Err(Unsent::Egress), "{text}");
        }
        for egress in [Egress::public(), Egress::loopback_allowed()] {
            assert_eq!(judge(egress, "http://localhost:8080/"), Err(Unsent::Egress));
        }
        // A name is judged by what it resolves to.
        assert!(!Egress::plain_loopback().permits("1.1.1.1".parse().unwrap()));
    }

    #[test]
    fn urls_are_judged_as_they_will_be_dialled() {
        for text in [
            "http://bank.example/",
            "https://user@bank.example/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://[::1]/",
            "https://10.0.0.1:8443/",
        ] {
            assert_eq!(Egress::public().check(&Url::parse(text).unwrap()), Err(Unsent::Egress), "{text}");
        }
        assert_eq!(Egress::public().check(&Url::parse("https://bank.example/").unwrap()), Ok(()));
    }
}
