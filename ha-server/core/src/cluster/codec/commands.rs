//! Batches of commands.

use bytes::{Bytes, BytesMut};

use super::{Malformed, Wire, decode, encode, fields};
use crate::cluster::command::{Asked, Batch, Command};
use crate::cluster::limits::StateLimits;

fields!(Batch { time, commands });
fields!(Asked { broker, number });
fields!(StateLimits {
    sessions_max,
    subscriptions_max,
    queue_messages_max,
    queue_bytes_max,
    filter_messages_max,
    store_bytes_max,
    retained_max,
    retained_bytes_max,
});

impl Batch {
    /// As the log has it.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        encode(self)
    }

    /// From the log.
    ///
    /// # Errors
    /// [`Malformed`]
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        decode(bytes)
    }
}

/// Numbers each command, and writes and reads its fields in the order given.
macro_rules! commands {
    ($($number:literal => $name:ident { $($field:ident),* }),* $(,)?) => {
        impl Wire for Command {
            fn write(&self, out: &mut BytesMut) {
                match self {
                    $(Self::$name { $($field),* } => {
                        let number: u8 = $number;
                        number.write(out);
                        $($field.write(out);)*
                    })*
                    Self::Configure(limits) => {
                        CONFIGURE.write(out);
                        limits.write(out);
                    }
                    Self::Share(strategies) => {
                        SHARE.write(out);
                        strategies.write(out);
                    }
                    Self::Raise(level) => {
                        RAISE.write(out);
                        level.write(out);
                    }
                }
            }

            fn read(input: &mut Bytes) -> Result<Self, Malformed> {
                match u8::read(input)? {
                    $($number => Ok(Self::$name { $($field: Wire::read(input)?),* }),)*
                    CONFIGURE => Wire::read(input).map(Self::Configure),
                    SHARE => Wire::read(input).map(Self::Share),
                    RAISE => Wire::read(input).map(Self::Raise),
                    _ => Err(Malformed),
                }
            }
        }
    };
}

const CONFIGURE: u8 = 20;
const SHARE: u8 = 21;
const RAISE: u8 = 22;

commands!(
    1 => Join { name, incarnation },
    2 => Leave { broker },
    3 => Open { asked, open },
    4 => Close { asked, session, cause, progress, lifetime },
    5 => Subscribe { asked, session, given_upto, subscriptions },
    6 => Unsubscribe { asked, session, given_upto, subscriptions },
    7 => Publish { broker, number, exchange, message },
    8 => Release { asked, session, packet_id },
    9 => Progress { asked, session, progress },
    10 => Begin { session, offsets },
    11 => Expire { at_most },
    12 => Sweep { at_most },
    13 => Pass { asked },
    // 20 to 22 are above.
    23 => Forget { session },
    24 => WillsReceived { upto },
);
