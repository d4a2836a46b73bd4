//! Decides the answer to an HTTP request that wants to become a WebSocket (RFC 6455, §4.2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use httparse::{Header, Request};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// RFC 6455 §1.3.
const KEY_SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Header fields that a request may have. Browsers behind two proxies send about 30.
const HEADERS_MAX: usize = 64;
/// [MQTT-6.0.0-4], 3.1.1 [MQTT-6.0.0-4], and what clients of 3.1 call it.
const SUBPROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];

/// Why a request is not upgraded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("this is not an HTTP/1.1 request")]
    NotHttp,
    #[error("the header fields are too many or too long")]
    TooLarge,
    #[error("a WebSocket begins with GET")]
    Method,
    #[error("there is nothing at this path")]
    Path,
    #[error("MQTT is served here over WebSocket: send an upgrade")]
    NoUpgrade,
    #[error("the WebSocket version must be 13")]
    Version,
    #[error("Host, Connection or Sec-WebSocket-Key is missing or wrong")]
    Fields,
    #[error("ask for the WebSocket subprotocol mqtt")]
    Subprotocol,
    #[error("nothing may follow the request before its answer")]
    TooEarly,
}

impl Refusal {
    /// A complete HTTP response; the connection closes behind it.
    pub(super) fn response(self) -> String {
        let (status, fields) = match self {
            Self::NotHttp | Self::Fields | Self::Subprotocol | Self::TooEarly => {
                ("400 Bad Request", "")
            }
            Self::Path => ("404 Not Found", ""),
            Self::Method => ("405 Method Not Allowed", "Allow: GET\r\n"),
            Self::NoUpgrade => ("426 Upgrade Required", "Upgrade: websocket\r\n"),
            Self::Version => {
                ("426 Upgrade Required", "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n")
            }
            Self::TooLarge => ("431 Request Header Fields Too Large", ""),
        };
        let options = if fields.contains("Upgrade") { "close, Upgrade" } else { "close" };
        let body = format!("{self}\n");
        format!(
            "HTTP/1.1 {status}\r\n{fields}Connection: {options}\r\nContent-Type: text/plain\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }
}

/// Reads a complete request head; gives the answer that upgrades the connection.
///
/// The subprotocol is required [MQTT-6.0.0-3].
pub(super) fn answer(head: &[u8], path: &str) -> Result<String, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => (),
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooLarge),
        Ok(httparse::Status::Partial) | Err(_) => return Err(Refusal::NotHttp),
    }
    if request.version != Some(1) {
        return Err(Refusal::NotHttp);
    }
    if request.method != Some("GET") {
        return Err(Refusal::Method);
    }
    let target = request.path.unwrap_or_default();
    if target.split_once('?').map_or(target, |(path, _)| path) != path {
        return Err(Refusal::Path);
    }
    let fields = Fields(request.headers);
    let (key, subprotocol) = (fields.check()?, fields.subprotocol()?);
    Ok(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: {subprotocol}\r\n\r\n",
        accept(key)
    ))
}

struct Fields<'a>(&'a [Header<'a>]);

impl<'a> Fields<'a> {
    /// The value of a field that must not come twice.
    fn once(&self, name: &str) -> Option<&'a str> {
        let mut values = self.values(name);
        values.next().filter(|_| values.next().is_none())
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
        named.filter_map(|header| str::from_utf8(header.value).ok()).map(str::trim)
    }

    /// The members of a field that is a list, over all of its lines.
    fn list(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.values(name).flat_map(|value| value.split(',')).map(str::trim)
    }

    fn lists(&self, name: &str, wanted: &str) -> bool {
        self.list(name).any(|found| found.eq_ignore_ascii_case(wanted))
    }

    /// The key of a request that is an upgrade.
    fn check(&self) -> Result<&'a str, Refusal> {
        if !self.lists("Upgrade", "websocket") {
            return Err(Refusal::NoUpgrade);
        }
        if self.once("Sec-WebSocket-Version") != Some("13") {
            return Err(Refusal::Version);
        }
        let key = self.once("Sec-WebSocket-Key").ok_or(Refusal::Fields)?;
        let is_nonce = STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16);
        let is_complete = self.lists("Connection", "Upgrade") && self.once("Host").is_some();
        if is_nonce && is_complete { Ok(key) } else { Err(Refusal::Fields) }
    }

    fn subprotocol(&self) -> Result<&'static str, Refusal> {
        let is_asked = |known: &&str| self.list("Sec-WebSocket-Protocol").any(|one| one == *known);
        SUBPROTOCOLS.into_iter().find(is_asked).ok_or(Refusal::Subprotocol)
    }
}

/// RFC 6455 §4.2.2: proves that the key was read. SHA-1 protects nothing here.
fn accept(key: &str) -> String {
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{KEY_SUFFIX}").as_bytes());
    STANDARD.encode(hash)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "GET /mqtt HTTP/1.1\r\nHost: broker\r\nUpgrade: websocket\r\n\
        Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Version: 13\r\n\r\n";

    fn with(from: &str, to: &str) -> Result<String, Refusal> {
        assert!(GOOD.contains(from), "{from}");
        answer(GOOD.replace(from, to).as_bytes(), "/mqtt")
    }

    /// The key and its answer are the example of RFC 6455 §1.3.
    #[test]
    fn an_upgrade_is_answered_with_its_key_and_subprotocol() {
        let answer = answer(GOOD.as_bytes(), "/mqtt").unwrap();
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        assert!(answer.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        assert!(answer.contains("Sec-WebSocket-Protocol: mqtt\r\n"));
    }

    /// [MQTT-6.0.0-3], 3.1.1 [MQTT-6.0.0-3]
    #[test]
    fn the_subprotocol_is_mqtt_where_the_client_knows_it_and_else_that_of_3_1() {
        let chosen = |asked: &str| {
            let answer = with("Protocol: mqtt", &format!("Protocol: {asked}"))?;
            Ok(answer.split("Sec-WebSocket-Protocol: ").nth(1).unwrap().trim_end().to_owned())
        };
        assert_eq!(chosen("mqttv3.1"), Ok("mqttv3.1".to_owned()));
        assert_eq!(chosen("mqttv3.1, x, mqtt"), Ok("mqtt".to_owned()));
        assert_eq!(chosen("x\r\nSec-WebSocket-Protocol: mqttv3.1"), Ok("mqttv3.1".to_owned()));
        assert_eq!(chosen("MQTT"), Err(Refusal::Subprotocol));
        assert_eq!(chosen("amqp"), Err(Refusal::Subprotocol));
        assert_eq!(with("Sec-WebSocket-Protocol: mqtt\r\n", ""), Err(Refusal::Subprotocol));
    }

    #[test]
    fn names_are_compared_without_case_and_a_query_is_no_part_of_the_path() {
        assert!(with("Upgrade: websocket", "upgrade: WebSocket").is_ok());
        assert!(with("keep-alive, Upgrade", "upgrade").is_ok());
        assert!(with("/mqtt HTTP", "/mqtt?token=7 HTTP").is_ok());
    }

    #[test]
    fn what_is_no_upgrade_is_refused_with_the_reason() {
        for (from, to, refusal) in [
            ("HTTP/1.1", "HTTP/1.0", Refusal::NotHttp),
            ("GET /mqtt HTTP/1.1", "GET  /mqtt", Refusal::NotHttp),
            ("GET", "POST", Refusal::Method),
            ("/mqtt HTTP", "/mqtt/ HTTP", Refusal::Path),
            ("/mqtt HTTP", "/ HTTP", Refusal::Path),
            ("Upgrade: websocket\r\n", "", Refusal::NoUpgrade),
            ("Upgrade: websocket", "Upgrade: h2c", Refusal::NoUpgrade),
            ("Version: 13", "Version: 8", Refusal::Version),
            ("keep-alive, Upgrade", "keep-alive", Refusal::Fields),
            ("Host: broker\r\n", "", Refusal::Fields),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZQ==", Refusal::Fields),
            ("Host: broker", "Host: broker\r\nSec-WebSocket-Key: b3RoZXI=", Refusal::Fields),
        ] {
            assert_eq!(with(from, to), Err(refusal), "{from} -> {to}");
        }
        let many = "A: b\r\n".repeat(HEADERS_MAX);
        assert_eq!(with("Host:", &format!("{many}Host:")), Err(Refusal::TooLarge));
    }

    #[test]
    fn a_refusal_is_an_http_response_with_a_sentence() {
        let response = Refusal::Version.response();
        assert!(response.starts_with("HTTP/1.1 426 Upgrade Required\r\n"), "{response}");
        assert!(response.contains("Connection: close, Upgrade\r\n"), "{response}");
        assert!(response.contains("Sec-WebSocket-Version: 13\r\n"), "{response}");
        assert!(response.ends_with("\r\n\r\nthe WebSocket version must be 13\n"), "{response}");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0..180_usize) {
            let mut head = GOOD.as_bytes().to_vec();
            head.splice(at..at + 5, bytes);
            let _ = answer(&head, "/mqtt");
        }
    }
}
