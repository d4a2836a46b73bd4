//! How commands and records are written: for the log and the store, so for good.
//!
//! Numbers are LEB128, text and bytes have their length before them, choices a number. The first byte
//! of a batch and of a record is the version of this format; golden bytes in the tests hold it still.

mod commands;
mod values;

use std::collections::BTreeMap;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Of this format.
pub(super) const VERSION: u8 = 2;

/// Bytes that are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Something that is written and read.
pub(super) trait Wire: Sized {
    fn write(&self, out: &mut BytesMut);

    /// # Errors
    /// [`Malformed`]
    fn read(input: &mut Bytes) -> Result<Self, Malformed>;
}

/// With the version before it.
pub(super) fn encode(value: &impl Wire) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(VERSION);
    value.write(&mut out);
    out.freeze()
}

/// All of `input`, which must have nothing else.
pub(super) fn decode<T: Wire>(input: &[u8]) -> Result<T, Malformed> {
    let mut input = Bytes::copy_from_slice(input);
    if u8::read(&mut input)? != VERSION {
        return Err(Malformed);
    }
    let value = T::read(&mut input)?;
    if input.is_empty() { Ok(value) } else { Err(Malformed) }
}

impl Wire for u8 {
    fn write(&self, out: &mut BytesMut) {
        out.put_u8(*self);
    }

    fn read(input: &mut Bytes) -> Result<Self, Malformed> {
        input.try_get_u8().map_err(|_| Malformed)
    }
}

impl Wire for u64 {
    fn write(&self, out: &mut BytesMut) {
        let mut left = *self;
        while left >= 0x80 {
            out.put_u8((left & 0x7F) as u8 | 0x80);
            left >>= 7;
        }
        out.put_u8((left & 0x7F) as u8);
    }

    fn read(input: &mut Bytes) -> Result<Self, Malformed> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = u8::read(input)?;
            let bits = u64::from(byte & 0x7F);
            if bits.leading_zeros() < shift {
                return Err(Malformed);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }
}

macro_rules! number {
    ($($name:ty),*) => {$(
        impl Wire for $name {
            fn write(&self, out: &mut BytesMut) {
                u64::try_from(*self).expect("64 bits are enough").write(out);
            }

            fn read(input: &mut Bytes) -> Result<Self, Malformed> {
                Self::try_from(u64::read(input)?).map_err(|_| Malformed)
            }
        }
    )*};
}

number!(u16, u32, usize);

impl Wire for bool {
    fn write(&self, out: &mut BytesMut) {
        u8::from(*self).write(out);
    }

    fn read(input: &mut Bytes) -> Result<Self, Malformed> {
        match u8::read(input)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }
}

impl Wire for Bytes {
    fn write(&self, out: &mut BytesMut) {
        self.len().write(out);
        out.extend_from_slice(self);
    }

    fn read(input: &mut Bytes) -> Result<Self, Malformed> {
        let len = usize::read(input)?;
        if len > input.len() {
            return Err(Malformed);
        }
        Ok(input.split_to(len))
    }
}

impl<T: Wire> Wire for Option<T> {
    fn write(&self, out: &mut BytesMut) {
        self.is_some().write(out);
        if let Some(value) = self {
            value.write(out);
        }
    }

    fn read(input: &mut Bytes) -> Result<Self, Malformed> {
        Ok(if bool::read(input)? { Some(T::read(input)?) } else { None })
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    fn write(&self, out: &mut BytesMut) {
        self.0.write(out);
        self.1.write(out);
    }

    fn read(input: &mut Bytes) -> Result<Self, Malformed> {
        Ok((A::read(input)?, B::read(input)?))
    }
}

impl<K: Wire + Ord, V: Wire> Wire for BTreeMap<K, V> {
    fn write(&self, out: &mut BytesMut) {
        self.len().write(out);
        for (key, value) in self {
            key.write(out);
            value.write(out);
        }
    }

    fn read(input: &mut Bytes) -> Result<Self, Malformed> {
        Vec::<(K, V)>::read(input).map(Self::from_iter)
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn write(&self, out: &mut BytesMut) {
        self.len().write(out);
        self.iter().for_each(|value| value.write(out));
    }

    fn read(input: &mut Bytes) -> Result<Self, Malformed> {
        let len = usize::read(input)?;
        // Each value has a byte at least: a length cannot ask for more room than there are bytes.
        if len > input.len() {
            return Err(Malformed);
        }
        (0..len).map(|_| T::read(input)).collect()
    }
}

/// Writes and reads a struct field by field, in the order given.
macro_rules! fields {
    ($name:ty { $($field:ident),* $(,)? }) => {
        impl Wire for $name {
            fn write(&self, out: &mut BytesMut) {
                $(self.$field.write(out);)*
            }

            fn read(input: &mut Bytes) -> Result<Self, Malformed> {
                $(let $field = Wire::read(input)?;)*
                Ok(Self { $($field),* })
            }
        }
    };
}
pub(super) use fields;
