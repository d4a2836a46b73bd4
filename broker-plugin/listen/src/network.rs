//! Address ranges, as an operator writes them.

use std::net::IpAddr;
use std::str::FromStr;

/// An IPv4 or IPv6 network, `10.0.0.0/8`, or one address, `10.1.2.3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    /// At most 32 for IPv4 and 128 for IPv6.
    prefix_bits: u8,
}

/// Why a text is not a [`Network`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// What stands before the slash.
    #[error("expected an address, or an address and a prefix length, such as 10.0.0.0/8")]
    Address,
    /// What stands behind the slash.
    #[error("expected a prefix length of 0 to {0} behind the slash")]
    Prefix(u8),
    /// Bits behind the prefix are set: one of the two is a mistake, and we do not guess which.
    #[error("the address has bits set behind its prefix")]
    HostBits,
}

impl Network {
    /// Whether `address` lies in this network. An IPv4 address inside an IPv6 one
    /// (`::ffff:10.1.2.3`) is the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                prefix(u128::from(network.to_bits()) << 96, self.prefix_bits)
                    == prefix(u128::from(address.to_bits()) << 96, self.prefix_bits)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                prefix(network.to_bits(), self.prefix_bits)
                    == prefix(address.to_bits(), self.prefix_bits)
            }
            _ => false,
        }
    }
}

/// The first `bits` of an address that begins at the highest bit.
fn prefix(address: u128, bits: u8) -> u128 {
    address & u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0)
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix_bits) = match text.split_once('/') {
            Some((address, prefix_bits)) => (address, Some(prefix_bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Address)?;
        let (bits, bits_max) = match address {
            IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32),
            IpAddr::V6(address) => (address.to_bits(), 128),
        };
        let prefix_bits = match prefix_bits {
            Some(written) => written.parse().map_err(|_| NetworkError::Prefix(bits_max))?,
            None => bits_max,
        };
        if prefix_bits > bits_max {
            return Err(NetworkError::Prefix(bits_max));
        }
        if prefix(bits, prefix_bits) != bits {
            return Err(NetworkError::HostBits);
        }
        Ok(Self { address, prefix_bits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        network.parse::<Network>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn a_network_holds_its_first_and_last_address_and_none_beside_them() {
        for (network, first, last, before, after) in [
            ("10.4.0.0/14", "10.4.0.0", "10.7.255.255", "10.3.255.255", "10.8.0.0"),
            ("10.1.2.3", "10.1.2.3", "10.1.2.3", "10.1.2.2", "10.1.2.4"),
            ("2001:db8::/33", "2001:db8::", "2001:db8:7fff::ffff", "2001:db7::", "2001:db8:8000::"),
            ("::1", "::1", "::1", "::", "::2"),
        ] {
            assert!(contains(network, first) && contains(network, last), "{network}");
            assert!(!contains(network, before) && !contains(network, after), "{network}");
        }
    }

    #[test]
    fn a_prefix_of_zero_holds_every_address_of_its_family_and_none_of_the_other() {
        assert!(contains("0.0.0.0/0", "255.1.2.3") && contains("::/0", "ffff::1"));
        assert!(!contains("0.0.0.0/0", "::1") && !contains("::/0", "127.0.0.1"));
    }

    #[test]
    fn an_ipv4_address_inside_an_ipv6_one_is_the_ipv4_address() {
        assert!(contains("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(!contains("10.0.0.0/8", "::ffff:11.1.2.3"));
    }

    #[test]
    fn what_is_not_a_network_is_refused_with_the_reason() {
        let refused = |text: &str| text.parse::<Network>().unwrap_err();
        assert_eq!(refused("localhost"), NetworkError::Address);
        assert_eq!(refused("10.0.0.0/33"), NetworkError::Prefix(32));
        assert_eq!(refused("::/129"), NetworkError::Prefix(128));
        assert_eq!(refused("10.0.0.0/"), NetworkError::Prefix(32));
        assert_eq!(refused("10.0.0.1/8"), NetworkError::HostBits);
    }
}
