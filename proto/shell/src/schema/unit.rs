//! Sizes and times as people write them: `64K`, `1 MiB`, `250ms`, `2s`.

/// Largest first, so that [`show`] finds the shortest form. All are binary, as in other brokers.
const SIZES: Units = &[
    (1 << 30, &["GiB", "GB", "G"]),
    (1 << 20, &["MiB", "MB", "M"]),
    (1 << 10, &["KiB", "KB", "K"]),
    (1, &["bytes", "B", ""]),
];

const TIMES: Units = &[(3_600_000, &["h"]), (60_000, &["min"]), (1_000, &["s"]), (1, &["ms", ""])];

/// Factor, and the suffixes that mean it; the first one is used in messages.
type Units = &'static [(u64, &'static [&'static str])];

/// A size in bytes, or `None` when it is none or does not fit.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    parse(text, SIZES)
}

/// A time in milliseconds, or `None` when it is none or does not fit.
pub(crate) fn millis(text: &str) -> Option<u64> {
    parse(text, TIMES)
}

pub(crate) fn show_bytes(bytes: u64) -> String {
    show(bytes, SIZES)
}

pub(crate) fn show_millis(millis: u64) -> String {
    show(millis, TIMES)
}

fn parse(text: &str, units: Units) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, suffix) = text.split_at(digits);
    let means = |names: &[&str]| names.iter().any(|n| n.eq_ignore_ascii_case(suffix.trim_start()));
    let &(factor, _) = units.iter().find(|(_, names)| means(names))?;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

fn show(amount: u64, units: Units) -> String {
    let fits = |&&(factor, _): &&(u64, _)| amount >= factor && amount.is_multiple_of(factor);
    let (factor, names) = units.iter().find(fits).unwrap_or(&units[units.len() - 1]);
    format!("{} {}", amount / factor, names[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_and_without_suffix() {
        let written = ["65536", "64K", "64k", "64 KiB", "64kb", "65536 B"];
        assert!(written.iter().all(|text| bytes(text) == Some(65_536)));
        assert_eq!((bytes("1M"), bytes("2GiB")), (Some(1 << 20), Some(2 << 30)));
    }

    #[test]
    fn times_are_read_with_and_without_suffix() {
        assert_eq!(
            (millis("250"), millis("250ms"), millis("2s")),
            (Some(250), Some(250), Some(2_000))
        );
        assert_eq!((millis("3 min"), millis("1H")), (Some(180_000), Some(3_600_000)));
    }

    #[test]
    fn what_is_no_amount_is_none() {
        for text in ["", "K", "-1", "1.5s", "1 2", "1KK", "99999999999999999999", "99999999999999G"]
        {
            assert_eq!((bytes(text), millis(text)), (None, None), "{text}");
        }
    }

    #[test]
    fn amounts_are_shown_in_the_largest_unit_that_divides_them() {
        assert_eq!(show_bytes(1_048_576), "1 MiB");
        assert_eq!(show_bytes(1_048_577), "1048577 bytes");
        assert_eq!(show_millis(0), "0 ms");
        assert_eq!(show_millis(90_000), "90 s");
    }
}
