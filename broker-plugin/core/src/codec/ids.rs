//! The number that only the wire knows. It is never zero.

use std::num::NonZeroU16;

/// Topic Alias (5.0 §3.3.2.3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicAlias(NonZeroU16);

impl TopicAlias {
    /// `None` for zero [MQTT-3.3.2-8].
    #[must_use]
    pub fn new(alias: u16) -> Option<Self> {
        NonZeroU16::new(alias).map(Self)
    }

    /// 1 to 65,535.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0.get()
    }
}

#[cfg(test)]
mod tests {
    use super::TopicAlias;

    /// [MQTT-3.3.2-8]
    #[test]
    fn zero_is_no_alias() {
        assert_eq!(TopicAlias::new(0), None);
    }
}
