//! Any bytes, as PROXY headers of both versions: what is read depends on nothing but the header.

#![no_main]

#[path = "../../broker-plugin/listen/src/proxy/header.rs"]
#[expect(dead_code, reason = "whoever reads from the socket needs the rest")]
mod header;
#[path = "../../broker-plugin/listen/src/proxy/tlv.rs"]
mod tlv;

use header::{ProxyError, V2_REST_BYTES_MAX};

/// A TLV that means nothing to a broker.
const NOOP: [u8; 4] = [0x04, 0, 1, 7];

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    version_1(bytes);
    if let Some((&[version, family], rest)) = bytes.split_first_chunk() {
        version_2(version, family, rest);
    }
});

fn version_1(line: &[u8]) {
    let Ok(proxied) = header::v1(line) else { return };
    assert!(line.ends_with(b"\r\n"), "a line without an end");
    assert_eq!(proxied.tls, None);
    if let Some(source) = proxied.source {
        let (ip, port) = (source.ip(), source.port());
        let family = if ip.is_ipv4() { "TCP4" } else { "TCP6" };
        let again = format!("PROXY {family} {ip} {ip} {port} 0\r\n");
        assert_eq!(header::v1(again.as_bytes()), Ok(proxied), "it comes back from its own text");
    }
}

fn version_2(version: u8, family: u8, rest: &[u8]) {
    let Ok(length) = u16::try_from(rest.len()) else { return };
    let [high, low] = length.to_be_bytes();
    let head = match header::v2_head([version, family, high, low]) {
        Ok(head) => head,
        Err(error) => {
            let is_long = rest.len() > V2_REST_BYTES_MAX;
            return assert!(is_long || error != ProxyError::TooLong, "it is not too long");
        }
    };
    assert!(head.rest_bytes == rest.len() && rest.len() <= V2_REST_BYTES_MAX);
    let Ok(proxied) = header::v2_rest(head, rest) else { return };
    let is_proxy = version == 0x21;
    assert!(is_proxy || proxied == header::Proxied::default(), "LOCAL says nothing");
    assert_eq!(proxied.source.is_some(), is_proxy && matches!(family, 0x11 | 0x21));
    let longer = [rest, &NOOP].concat();
    assert_eq!(header::v2_rest(head, &longer), Ok(proxied), "a field that means nothing");
}
