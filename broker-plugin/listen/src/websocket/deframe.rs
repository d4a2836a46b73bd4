//! Takes WebSocket frames out of the bytes of a client, in place.
//!
//! Decides what is payload, what must be answered and what ends the connection (RFC 6455, §5 and
//! §7). Payload is unmasked and moved to the front of the caller's buffer as it comes, so that a
//! frame of any size costs no memory here; what is kept between calls is a frame head of up to 14
//! bytes or a control frame of up to 125. Not here: reading and answering (`stream.rs`).

use super::violation::Violation;

/// Bytes of the longest frame head: 2, a 64-bit length, and the mask.
const HEAD_BYTES_MAX: usize = 14;
/// RFC 6455 §5.5: longest payload of a control frame.
pub(super) const CONTROL_BYTES_MAX: usize = 125;

/// Bytes that one vector instruction unmasks.
const BLOCK: usize = 16;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;

/// RFC 6455 §5.2: what a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl Opcode {
    fn of(first: u8) -> Result<Self, Violation> {
        match first & 0x0F {
            0 => Ok(Self::Continuation),
            1 => Ok(Self::Text),
            2 => Ok(Self::Binary),
            8 => Ok(Self::Close),
            9 => Ok(Self::Ping),
            10 => Ok(Self::Pong),
            _ => Err(Violation::Opcode),
        }
    }

    fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// How the client's direction ended. Nothing behind it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The client sent Close, with the code that the answer echoes.
    Closed(Option<u16>),
    /// The client broke the protocol.
    Violated(Violation),
}

/// The state between two reads.
#[derive(Debug)]
pub(super) struct Deframer {
    message_bytes_max: u64,
    /// Bytes of the message whose last frame has not come, or `None` between messages.
    message_bytes: Option<u64>,
    part: Part,
    /// Payload of the last ping. RFC 6455 §5.5.3: earlier ones need no answer.
    pub(super) ping: Option<Vec<u8>>,
    /// Set once and for good.
    pub(super) ending: Option<Ending>,
}

/// What the next byte belongs to.
#[derive(Debug)]
enum Part {
    Head { bytes: [u8; HEAD_BYTES_MAX], len: usize },
    Data { left: u64, mask: Mask },
    Control { opcode: Opcode, left: usize, mask: Mask, payload: Vec<u8> },
}

impl Part {
    const START: Self = Self::Head { bytes: [0; HEAD_BYTES_MAX], len: 0 };
}

/// The mask, rotated so that its first byte is for the next byte.
#[derive(Clone, Copy, Debug)]
struct Mask([u8; 4]);

impl Mask {
    fn remove(&mut self, bytes: &mut [u8]) {
        let mask: [u8; BLOCK] = std::array::from_fn(|at| self.0[at % 4]);
        let (blocks, rest) = bytes.as_chunks_mut();
        let apply = |block: &mut [u8]| {
            block.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
        };
        blocks.iter_mut().for_each(|block: &mut [u8; BLOCK]| apply(block));
        apply(rest);
        self.0.rotate_left(rest.len() % 4);
    }
}

impl Deframer {
    /// `message_bytes_max` bounds a message, all of its frames together.
    pub(super) fn new(message_bytes_max: u64) -> Self {
        Self { message_bytes_max, message_bytes: None, part: Part::START, ping: None, ending: None }
    }

    /// Takes all bytes that arrived. The payload among them is at the front of `bytes`
    /// afterwards; returns how many bytes it is. The rest of `bytes` is without meaning.
    pub(super) fn take(&mut self, bytes: &mut [u8]) -> usize {
        let (mut at, mut payload) = (0, 0);
        while at < bytes.len() && self.ending.is_none() {
            match &mut self.part {
                Part::Head { bytes: head, len } => {
                    head[*len] = bytes[at];
                    *len += 1;
                    at += 1;
                    let (head, len) = (*head, *len);
                    self.part_after_head(&head[..len]).unwrap_or_else(|violation| {
                        self.ending = Some(Ending::Violated(violation));
                    });
                }
                Part::Data { left, mask } => {
                    let taken = shorter(bytes.len() - at, *left);
                    bytes.copy_within(at..at + taken, payload);
                    mask.remove(&mut bytes[payload..payload + taken]);
                    *left -= taken as u64;
                    at += taken;
                    payload += taken;
                    if *left == 0 {
                        self.part = Part::START;
                    }
                }
                Part::Control { left, mask, payload: control, .. } => {
                    let taken = (*left).min(bytes.len() - at);
                    mask.remove(&mut bytes[at..at + taken]);
                    control.extend_from_slice(&bytes[at..at + taken]);
                    *left -= taken;
                    at += taken;
                    self.end_control();
                }
            }
        }
        payload
    }

    /// Moves on when the head is complete; refuses it as soon as it is known to be wrong.
    fn part_after_head(&mut self, head: &[u8]) -> Result<(), Violation> {
        let &[first, second, ref rest @ ..] = head else {
            return Ok(());
        };
        let opcode = Opcode::of(first)?;
        if rest.is_empty() {
            self.check_start(opcode, first, second)?;
        }
        let (length, mask_at) = match second & !MASKED {
            126 => (rest.first_chunk().map(|&length| u64::from(u16::from_be_bytes(length))), 2),
            127 => (rest.first_chunk().map(|&length| u64::from_be_bytes(length)), 8),
            short => (Some(u64::from(short)), 0),
        };
        let mask = rest.get(mask_at..).and_then(<[u8]>::first_chunk);
        let (Some(length), Some(&mask)) = (length, mask) else {
            return Ok(());
        };
        check_shortest(second & !MASKED, length)?;
        self.begin(opcode, first & FIN != 0, length, Mask(mask))
    }

    fn check_start(&self, opcode: Opcode, first: u8, second: u8) -> Result<(), Violation> {
        let is_long = usize::from(second & !MASKED) > CONTROL_BYTES_MAX;
        match opcode {
            // [MQTT-6.0.0-1]
            Opcode::Text => return Err(Violation::Text),
            Opcode::Continuation if self.message_bytes.is_none() => {
                return Err(Violation::Fragment);
            }
            Opcode::Binary if self.message_bytes.is_some() => return Err(Violation::Fragment),
            _ if opcode.is_control() && (is_long || first & FIN == 0) => {
                return Err(Violation::Control);
            }
            _ => (),
        }
        if first & RESERVED != 0 {
            return Err(Violation::Reserved);
        }
        if second & MASKED == 0 { Err(Violation::Unmasked) } else { Ok(()) }
    }

    fn begin(
        &mut self,
        opcode: Opcode,
        is_last: bool,
        length: u64,
        mask: Mask,
    ) -> Result<(), Violation> {
        if opcode.is_control() {
            let left = usize::try_from(length).expect("a control frame has up to 125 bytes");
            self.part = Part::Control { opcode, left, mask, payload: Vec::new() };
            self.end_control();
            return Ok(());
        }
        let message = self.message_bytes.unwrap_or(0).checked_add(length);
        let message = message.filter(|&bytes| bytes <= self.message_bytes_max);
        let message = message.ok_or(Violation::TooLarge)?;
        self.message_bytes = (!is_last).then_some(message);
        // [MQTT-6.0.0-2]: where a frame ends means nothing to the packets.
        self.part = if length == 0 { Part::START } else { Part::Data { left: length, mask } };
        Ok(())
    }

    /// Acts on a control frame that has come completely.
    fn end_control(&mut self) {
        let Part::Control { opcode, left: 0, payload, .. } = &mut self.part else {
            return;
        };
        match opcode {
            Opcode::Close => self.ending = Some(close(payload)),
            Opcode::Ping => self.ping = Some(std::mem::take(payload)),
            _ => (),
        }
        self.part = Part::START;
    }
}

fn shorter(available: usize, left: u64) -> usize {
    usize::try_from(left).map_or(available, |left| left.min(available))
}

/// RFC 6455 §5.2: the length has the shortest form, and its highest bit is 0.
fn check_shortest(form: u8, length: u64) -> Result<(), Violation> {
    let is_shortest = match form {
        126 => length > 125,
        127 => length > u64::from(u16::MAX) && length >> 63 == 0,
        _ => true,
    };
    if is_shortest { Ok(()) } else { Err(Violation::Length) }
}

/// RFC 6455 §5.5.1 and §7.4: no payload, or a code and a text.
fn close(payload: &[u8]) -> Ending {
    let Some((&code, reason)) = payload.split_first_chunk() else {
        let is_empty = payload.is_empty();
        return if is_empty { Ending::Closed(None) } else { Ending::Violated(Violation::Close) };
    };
    let code = u16::from_be_bytes(code);
    let is_sent = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
    if is_sent && str::from_utf8(reason).is_ok() {
        Ending::Closed(Some(code))
    } else {
        Ending::Violated(Violation::Close)
    }
}

#[cfg(test)]
mod tests;
