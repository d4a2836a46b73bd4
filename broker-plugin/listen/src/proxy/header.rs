//! Decides what a PROXY header says. Source: the PROXY protocol specification of HAProxy, §2.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::tlv;

/// The 12 bytes that begin a header of version 2.
pub(super) const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// What begins a header of version 1.
pub(super) const V1_START: &[u8] = b"PROXY ";
/// The longest line of version 1, its line end included.
pub(super) const V1_BYTES_MAX: usize = 107;
/// Longest rest of a version 2 header: addresses and TLVs. A subject and a unique id need hundreds
/// of bytes; 4 KiB leave room for what clouds add.
pub(super) const V2_REST_BYTES_MAX: usize = 4096;

/// What a header says about the client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Proxied {
    /// The client's address. `None`: the load balancer speaks for itself (a health check), or
    /// does not know.
    pub(crate) source: Option<SocketAddr>,
    /// Whether the load balancer ended a TLS connection, and whose. `None`: it says nothing.
    pub(crate) tls: Option<ProxiedTls>,
}

/// The TLS connection between client and load balancer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProxiedTls {
    /// Common name of the client certificate that the load balancer verified.
    pub(crate) common_name: Option<String>,
}

/// Why a header is refused; the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProxyError {
    #[error("a PROXY header is required from this peer, and there is none")]
    Missing,
    #[error("the PROXY header is malformed")]
    Malformed,
    #[error("the PROXY header is longer than {V2_REST_BYTES_MAX} bytes")]
    TooLong,
}

/// Reads a whole line of version 1, `\r\n` included.
pub(super) fn v1(line: &[u8]) -> Result<Proxied, ProxyError> {
    let line = line.strip_suffix(b"\r\n").and_then(|line| line.strip_prefix(V1_START));
    let line = str::from_utf8(line.ok_or(ProxyError::Malformed)?);
    let mut words = line.map_err(|_| ProxyError::Malformed)?.split(' ');
    let mut word = || words.next().ok_or(ProxyError::Malformed);
    let family = word()?;
    if family == "UNKNOWN" {
        return Ok(Proxied::default());
    }
    let (source, destination) = (address(word()?)?, address(word()?)?);
    let source_port = port(word()?)?;
    port(word()?)?;
    let is_family = match family {
        "TCP4" => source.is_ipv4() && destination.is_ipv4(),
        "TCP6" => source.is_ipv6() && destination.is_ipv6(),
        _ => false,
    };
    if !is_family || words.next().is_some() {
        return Err(ProxyError::Malformed);
    }
    Ok(Proxied { source: Some(SocketAddr::new(source, source_port)), tls: None })
}

fn address(word: &str) -> Result<IpAddr, ProxyError> {
    word.parse().map_err(|_| ProxyError::Malformed)
}

/// Decimal, without a sign or leading zeros.
fn port(word: &str) -> Result<u16, ProxyError> {
    let port: u16 = word.parse().map_err(|_| ProxyError::Malformed)?;
    if port.to_string() == word { Ok(port) } else { Err(ProxyError::Malformed) }
}

/// The fixed part of version 2 behind the signature.
#[derive(Clone, Copy, Debug)]
pub(super) struct V2Head {
    command: Command,
    family: Family,
    /// Bytes that follow: at most [`V2_REST_BYTES_MAX`].
    pub(super) rest_bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Local,
    Proxy,
}

#[derive(Clone, Copy, Debug)]
enum Family {
    Unspecified,
    Ipv4,
    Ipv6,
    Unix,
}

impl Family {
    fn address_bytes(self) -> usize {
        match self {
            Self::Unspecified => 0,
            Self::Ipv4 => 12,
            Self::Ipv6 => 36,
            Self::Unix => 216,
        }
    }
}

/// Reads version and command, family and length. UDP never comes over a TCP port.
pub(super) fn v2_head([version, family, high, low]: [u8; 4]) -> Result<V2Head, ProxyError> {
    let command = match version {
        0x20 => Command::Local,
        0x21 => Command::Proxy,
        _ => return Err(ProxyError::Malformed),
    };
    let family = match family {
        0x11 => Family::Ipv4,
        0x21 => Family::Ipv6,
        0x31 => Family::Unix,
        0x00 => Family::Unspecified,
        // The family of a LOCAL header must be ignored.
        _ if command == Command::Local => Family::Unspecified,
        _ => return Err(ProxyError::Malformed),
    };
    let rest_bytes = usize::from(u16::from_be_bytes([high, low]));
    if rest_bytes > V2_REST_BYTES_MAX {
        return Err(ProxyError::TooLong);
    }
    Ok(V2Head { command, family, rest_bytes })
}

/// Reads addresses and TLVs. A checksum TLV is not checked: TCP has checked the bytes.
pub(super) fn v2_rest(head: V2Head, rest: &[u8]) -> Result<Proxied, ProxyError> {
    if head.command == Command::Local {
        return Ok(Proxied::default());
    }
    let (addresses, tlvs) =
        rest.split_at_checked(head.family.address_bytes()).ok_or(ProxyError::Malformed)?;
    let source = match head.family {
        Family::Unspecified | Family::Unix => None,
        Family::Ipv4 => {
            let (ip, port) = source::<4>(addresses);
            Some(SocketAddr::new(Ipv4Addr::from(ip).into(), port))
        }
        Family::Ipv6 => {
            let (ip, port) = source::<16>(addresses);
            Some(SocketAddr::new(Ipv6Addr::from(ip).to_canonical(), port))
        }
    };
    Ok(Proxied { source, tls: tlv::tls(tlvs)? })
}

/// The source of an address block: source and destination address of `N` bytes, then both ports.
fn source<const N: usize>(addresses: &[u8]) -> ([u8; N], u16) {
    let ip = addresses.first_chunk().expect("the block was cut to the size of its family");
    let port = addresses[2 * N..].first_chunk().expect("the ports follow two addresses");
    (*ip, u16::from_be_bytes(*port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn v2(version: u8, family: u8, rest: &[u8]) -> Result<Proxied, ProxyError> {
        let [high, low] = u16::try_from(rest.len()).unwrap().to_be_bytes();
        v2_rest(v2_head([version, family, high, low])?, rest)
    }

    fn from(address: &str) -> Result<Proxied, ProxyError> {
        Ok(Proxied { source: Some(address.parse().unwrap()), tls: None })
    }

    #[test]
    fn version_1_names_the_client_or_says_that_it_is_unknown() {
        assert_eq!(v1(b"PROXY TCP4 192.0.2.1 192.0.2.9 4711 1883\r\n"), from("192.0.2.1:4711"));
        assert_eq!(v1(b"PROXY TCP6 2001:db8::1 ::1 65535 0\r\n"), from("[2001:db8::1]:65535"));
        assert_eq!(v1(b"PROXY UNKNOWN\r\n"), Ok(Proxied::default()));
        assert_eq!(v1(b"PROXY UNKNOWN ffff::1 ::1 1 2\r\n"), Ok(Proxied::default()));
    }

    #[test]
    fn version_1_is_strict() {
        for line in [
            "PROXY TCP4 192.0.2.1 192.0.2.9 4711 1883\n",
            "PROXY TCP4 192.0.2.1 192.0.2.9 4711\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.9 4711 1883 7\r\n",
            "PROXY TCP4  192.0.2.1 192.0.2.9 4711 1883\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.9 +711 1883\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.9 0711 1883\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.9 65536 1883\r\n",
            "PROXY TCP4 ::1 ::2 4711 1883\r\n",
            "PROXY TCP6 192.0.2.1 ::2 4711 1883\r\n",
            "PROXY UDP4 192.0.2.1 192.0.2.9 4711 1883\r\n",
            "PROXY \r\n",
        ] {
            assert_eq!(v1(line.as_bytes()), Err(ProxyError::Malformed), "{line}");
        }
    }

    #[test]
    fn version_2_names_the_client_of_either_family() {
        let ipv4 = [192, 0, 2, 1, 192, 0, 2, 9, 0x12, 0x67, 7, 91];
        assert_eq!(v2(0x21, 0x11, &ipv4), from("192.0.2.1:4711"));
        let mut ipv6 = [0; 36];
        ipv6[..16].copy_from_slice(&"2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
        ipv6[32..].copy_from_slice(&[0x12, 0x67, 7, 91]);
        assert_eq!(v2(0x21, 0x21, &ipv6), from("[2001:db8::1]:4711"));
    }

    #[test]
    fn version_2_may_speak_for_itself_or_know_no_address() {
        assert_eq!(v2(0x20, 0x00, &[]), Ok(Proxied::default()));
        assert_eq!(v2(0x20, 0xFF, &[1, 2, 3]), Ok(Proxied::default()));
        assert_eq!(v2(0x21, 0x00, &[]), Ok(Proxied::default()));
        assert_eq!(v2(0x21, 0x31, &[0; 216]), Ok(Proxied::default()));
    }

    #[test]
    fn version_2_is_strict_about_version_command_family_and_length() {
        assert_eq!(v2(0x11, 0x11, &[0; 12]), Err(ProxyError::Malformed));
        assert_eq!(v2(0x22, 0x11, &[0; 12]), Err(ProxyError::Malformed));
        assert_eq!(v2(0x21, 0x12, &[0; 12]), Err(ProxyError::Malformed));
        assert_eq!(v2(0x21, 0x11, &[0; 11]), Err(ProxyError::Malformed));
        assert_eq!(v2(0x21, 0x11, &[0; 13]), Err(ProxyError::Malformed));
        assert_eq!(v2(0x20, 0x00, &[0; V2_REST_BYTES_MAX]), Ok(Proxied::default()));
        assert_eq!(v2(0x20, 0x00, &[0; V2_REST_BYTES_MAX + 1]), Err(ProxyError::TooLong));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(
            head in any::<[u8; 4]>(), rest in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let _ = v1(&rest);
            if let Ok(head) = v2_head([0x21, head[1], head[2], head[3]]) {
                let _ = v2_rest(head, &rest);
            }
        }
    }
}
