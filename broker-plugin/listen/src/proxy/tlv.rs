//! Decides what the type-length-value fields of a version 2 header say about TLS; others are
//! skipped. Source: the PROXY protocol specification, §2.2.

use super::header::{ProxiedTls, ProxyError};

const TYPE_SSL: u8 = 0x20;
const SUBTYPE_SSL_CN: u8 = 0x22;
/// The client reached the load balancer over TLS.
const CLIENT_SSL: u8 = 0x01;
/// The client showed a certificate on this connection, or in the TLS session that it resumed.
const CLIENT_CERTIFICATE: u8 = 0x02 | 0x04;

/// The TLS connection that the fields describe, if they do.
pub(super) fn tls(mut fields: &[u8]) -> Result<Option<ProxiedTls>, ProxyError> {
    let mut found = None;
    while let Some((kind, value)) = next(&mut fields)? {
        if kind == TYPE_SSL {
            found = ssl(value)?;
        }
    }
    Ok(found)
}

fn ssl(value: &[u8]) -> Result<Option<ProxiedTls>, ProxyError> {
    let (&[client, v0, v1, v2, v3], mut fields) =
        value.split_first_chunk().ok_or(ProxyError::Malformed)?;
    let is_verified = [v0, v1, v2, v3] == [0; 4] && client & CLIENT_CERTIFICATE != 0;
    let mut common_name = None;
    while let Some((kind, value)) = next(&mut fields)? {
        if kind == SUBTYPE_SSL_CN && is_verified {
            let value = str::from_utf8(value).map_err(|_| ProxyError::Malformed)?;
            common_name = Some(value.to_owned());
        }
    }
    Ok((client & CLIENT_SSL != 0).then_some(ProxiedTls { common_name }))
}

/// Cuts off the next field; a truncated one is malformed.
fn next<'a>(fields: &mut &'a [u8]) -> Result<Option<(u8, &'a [u8])>, ProxyError> {
    if fields.is_empty() {
        return Ok(None);
    }
    let (&[kind, high, low], rest) = fields.split_first_chunk().ok_or(ProxyError::Malformed)?;
    let bytes = usize::from(u16::from_be_bytes([high, low]));
    let (value, rest) = rest.split_at_checked(bytes).ok_or(ProxyError::Malformed)?;
    *fields = rest;
    Ok(Some((kind, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(kind: u8, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(value.len()).unwrap().to_be_bytes();
        [&[kind], &length[..], value].concat()
    }

    fn ssl_field(client: u8, verify: u8, fields: &[u8]) -> Vec<u8> {
        field(TYPE_SSL, &[&[client, 0, 0, 0, verify], fields].concat())
    }

    fn named(name: &str) -> Option<ProxiedTls> {
        Some(ProxiedTls { common_name: Some(name.to_owned()) })
    }

    #[test]
    fn the_common_name_counts_only_when_a_certificate_was_shown_and_verified() {
        let name = field(SUBTYPE_SSL_CN, b"meter-7");
        assert_eq!(tls(&ssl_field(0x03, 0, &name)), Ok(named("meter-7")));
        assert_eq!(tls(&ssl_field(0x05, 0, &name)), Ok(named("meter-7")));
        assert_eq!(tls(&ssl_field(0x01, 0, &name)), Ok(Some(ProxiedTls::default())));
        assert_eq!(tls(&ssl_field(0x03, 1, &name)), Ok(Some(ProxiedTls::default())));
    }

    #[test]
    fn tls_without_a_certificate_is_known_as_such_and_no_tls_is_none() {
        assert_eq!(tls(&ssl_field(0x01, 0, &[])), Ok(Some(ProxiedTls::default())));
        assert_eq!(tls(&ssl_field(0x00, 0, &[])), Ok(None));
        assert_eq!(tls(&[]), Ok(None));
    }

    #[test]
    fn other_fields_are_skipped_before_and_behind() {
        let version = field(0x21, b"TLSv1.3");
        let inner = [version.clone(), field(SUBTYPE_SSL_CN, b"a"), version].concat();
        let fields = [field(0x05, b"id"), ssl_field(0x03, 0, &inner), field(0xEA, &[0; 40])];
        assert_eq!(tls(&fields.concat()), Ok(named("a")));
    }

    #[test]
    fn truncated_fields_and_names_that_are_no_text_are_malformed() {
        for fields in [
            vec![TYPE_SSL],
            vec![0x05, 0, 2, 1],
            field(TYPE_SSL, &[1, 0, 0, 0]),
            ssl_field(0x03, 0, &[SUBTYPE_SSL_CN, 0, 1]),
            ssl_field(0x03, 0, &field(SUBTYPE_SSL_CN, &[0xFF])),
        ] {
            assert_eq!(tls(&fields), Err(ProxyError::Malformed), "{fields:?}");
        }
    }
}
