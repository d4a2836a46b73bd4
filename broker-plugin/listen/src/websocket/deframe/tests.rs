use proptest::prelude::*;

use super::*;

const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

fn masked(payload: &[u8]) -> Vec<u8> {
    payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect()
}

/// A frame with its first byte as given and the shortest length.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u16::try_from(payload.len()) {
        Ok(length @ ..=125) => frame.push(MASKED | u8::try_from(length).unwrap()),
        Ok(length) => {
            frame.push(MASKED | 126);
            frame.extend(length.to_be_bytes());
        }
        Err(_) => {
            frame.push(MASKED | 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    [frame, MASK.to_vec(), masked(payload)].concat()
}

fn binary(payload: &[u8]) -> Vec<u8> {
    frame(0x82, payload)
}

/// What comes out when the bytes arrive in pieces of `piece`.
fn deframe(deframer: &mut Deframer, bytes: &[u8], piece: usize) -> Vec<u8> {
    let mut payload = Vec::new();
    for piece in bytes.chunks(piece) {
        let mut piece = piece.to_vec();
        let length = deframer.take(&mut piece);
        payload.extend_from_slice(&piece[..length]);
    }
    payload
}

fn ending_of(bytes: &[u8]) -> Option<Ending> {
    let mut deframer = Deframer::new(1000);
    deframe(&mut deframer, bytes, bytes.len());
    deframer.ending
}

fn violation_of(bytes: &[u8]) -> Violation {
    match ending_of(bytes) {
        Some(Ending::Violated(violation)) => violation,
        other => panic!("{bytes:02x?}: {other:?}"),
    }
}

#[test]
fn frames_of_every_length_form_are_one_stream_however_they_arrive() {
    let payloads = [0, 1, 5, 125, 126, 65_535, 65_536].map(|length| vec![0x5A; length]);
    let bytes = payloads.iter().flat_map(|payload| binary(payload)).collect::<Vec<_>>();
    for piece in [1, 2, 3, 7, 1000, bytes.len()] {
        let mut deframer = Deframer::new(1 << 20);
        assert!(deframe(&mut deframer, &bytes, piece) == payloads.concat(), "pieces of {piece}");
        assert_eq!(deframer.ending, None);
    }
}

#[test]
fn a_ping_between_the_fragments_of_a_message_disturbs_neither() {
    let bytes =
        [frame(0x02, b"ab"), frame(0x89, b"hello"), frame(0x00, b"c"), frame(0x80, b"d")].concat();
    for piece in [1, bytes.len()] {
        let mut deframer = Deframer::new(4);
        assert_eq!(deframe(&mut deframer, &bytes, piece), b"abcd");
        assert_eq!(deframer.ping.as_deref(), Some(&b"hello"[..]));
        assert_eq!(deframer.ending, None);
    }
}

#[test]
fn a_message_may_be_as_large_as_the_limit_and_no_larger_in_one_frame_or_many() {
    assert_eq!(ending_of(&binary(&[0; 1000])), None);
    assert_eq!(violation_of(&binary(&[0; 1001])[..8]), Violation::TooLarge);
    let fragments = |last: &[u8]| [frame(0x02, &[0; 999]), frame(0x80, last)].concat();
    assert_eq!(ending_of(&fragments(&[0])), None);
    assert_eq!(violation_of(&fragments(&[0; 2])), Violation::TooLarge);
    assert_eq!(ending_of(&[binary(&[0; 999]), binary(&[0; 999])].concat()), None);
}

/// [MQTT-6.0.0-1], 3.1.1 [MQTT-6.0.0-1]
#[test]
fn a_text_frame_ends_the_connection_and_the_payload_before_it_is_kept() {
    let mut deframer = Deframer::new(1000);
    let bytes = [binary(b"before"), frame(0x81, b"text"), binary(b"behind")].concat();
    assert_eq!(deframe(&mut deframer, &bytes, bytes.len()), b"before");
    assert_eq!(deframer.ending, Some(Ending::Violated(Violation::Text)));
    assert_eq!(Violation::Text.code(), 1003);
}

#[test]
fn what_rfc_6455_forbids_is_a_violation() {
    assert_eq!(violation_of(&[0x82, 0x05]), Violation::Unmasked);
    assert_eq!(violation_of(&[0xC2, 0x85]), Violation::Reserved);
    assert_eq!(violation_of(&[0x83, 0x85]), Violation::Opcode);
    assert_eq!(violation_of(&[0x8B, 0x85]), Violation::Opcode);
    assert_eq!(violation_of(&[0x80, 0x85]), Violation::Fragment);
    assert_eq!(violation_of(&[frame(0x02, b"a"), binary(b"b")].concat()), Violation::Fragment);
    assert_eq!(violation_of(&[0x09, 0x80]), Violation::Control);
    assert_eq!(violation_of(&[0x89, 0xFE]), Violation::Control);
    assert_eq!(violation_of(&[0x82, 0xFE, 0, 125, 1, 2, 3, 4]), Violation::Length);
    let long_form = |length: u64| [&[0x82, 0xFF], &length.to_be_bytes()[..], &MASK].concat();
    assert_eq!(violation_of(&long_form(65_535)), Violation::Length);
    assert_eq!(violation_of(&long_form(1 << 63)), Violation::Length);
    assert_eq!(violation_of(&long_form(65_536)), Violation::TooLarge);
}

#[test]
fn a_close_is_taken_with_its_code_and_a_malformed_one_is_a_violation() {
    let close = |payload: &[u8]| ending_of(&frame(0x88, payload));
    let malformed = Some(Ending::Violated(Violation::Close));
    assert_eq!(close(&[]), Some(Ending::Closed(None)));
    assert_eq!(close(&[0x03, 0xE8]), Some(Ending::Closed(Some(1000))));
    assert_eq!(close(&[0x0F, 0xA0, b'b', b'y', b'e']), Some(Ending::Closed(Some(4000))));
    assert_eq!(close(&[0x03]), malformed);
    assert_eq!(close(&[0x03, 0xEE]), malformed, "1006 is never sent");
    assert_eq!(close(&[0x03, 0xE8, 0xFF]), malformed, "the reason is not UTF-8");
}

proptest! {
    #[test]
    fn no_bytes_panic_and_how_they_arrive_does_not_matter(
        bytes in prop::collection::vec(any::<u8>(), 1..400), piece in 1..40_usize,
    ) {
        let (mut whole, mut pieces) = (Deframer::new(1000), Deframer::new(1000));
        let length = bytes.len();
        let expected = deframe(&mut whole, &bytes, length);
        prop_assert_eq!(deframe(&mut pieces, &bytes, piece), expected);
        prop_assert_eq!(whole.ending, pieces.ending);
        prop_assert_eq!(whole.ping, pieces.ping);
    }
}
