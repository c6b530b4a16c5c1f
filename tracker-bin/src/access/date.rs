//! The end of a rule, as text.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// A text that is no date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a date such as 2026-12-31, the last day of the rule, or a time such as 2026-12-31T18:00:00Z"
)]
pub(crate) struct ParseDateError;

const DAY: i64 = 86_400;
const DATE_LEN: usize = "2026-12-31".len();

/// Parses a date or a time of RFC 3339, to seconds since 1970. A date means the end of that day, in UTC: a rule with
/// `until=2026-12-31` applies on that day too.
pub(crate) fn parse(text: &str) -> Result<u64, ParseDateError> {
    let seconds = if text.len() == DATE_LEN {
        let date = text.parse::<Date>().and_then(|date| date.to_zoned(TimeZone::UTC));
        date.map(|midnight| midnight.timestamp().as_second() + DAY)
    } else {
        text.parse::<Timestamp>().map(Timestamp::as_second)
    };
    u64::try_from(seconds.map_err(|_| ParseDateError)?).map_err(|_| ParseDateError)
}

/// The end of a rule, in seconds since 1970, as [`parse`] reads it: a date if it is the end of a day.
pub(crate) fn text(unix: u64) -> String {
    let end = time(unix);
    match Timestamp::from_second(end.as_second() - DAY) {
        Ok(day) if day.as_second() >= 0 && day.as_second() % DAY == 0 => {
            day.to_zoned(TimeZone::UTC).date().to_string()
        }
        _ => end.to_string(),
    }
}

/// A moment in seconds since 1970, in the form of RFC 3339.
pub(crate) fn time_text(unix: u64) -> String {
    time(unix).to_string()
}

/// In whole seconds. Times after the year 9999 become the last one of it.
fn time(unix: u64) -> Timestamp {
    let time = i64::try_from(unix).ok().and_then(|unix| Timestamp::from_second(unix).ok());
    time.or_else(|| Timestamp::from_second(Timestamp::MAX.as_second()).ok()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // The seconds are from `date --utc --date=... +%s`.
    #[test]
    fn parses_and_writes_dates_and_times() {
        for (given, seconds, written) in [
            ("2026-12-31", 1_798_761_600, "2026-12-31"),
            ("2027-01-01T00:00:00Z", 1_798_761_600, "2026-12-31"),
            ("2026-12-31T18:00:00Z", 1_798_740_000, "2026-12-31T18:00:00Z"),
            ("2026-12-31T18:00:00+02:00", 1_798_732_800, "2026-12-31T16:00:00Z"),
            ("2024-02-29", 1_709_251_200, "2024-02-29"),
            ("1970-01-01", 86_400, "1970-01-01"),
            ("1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00Z"),
        ] {
            assert_eq!(parse(given), Ok(seconds), "{given}");
            assert_eq!(text(seconds), written);
        }
        assert!(text(u64::MAX).starts_with("9999-12-"));
        assert_eq!(time_text(1_798_761_600), "2027-01-01T00:00:00Z", "a moment is no end of a day");
    }

    #[test]
    fn refuses_other_texts() {
        for given in [
            "",
            "tomorrow",
            "2026-02-30",
            "2026-13-01",
            "31.12.2026",
            "2026-12-31T18:00",
            "1969-12-30",
            "2026-12-3x",
        ] {
            assert_eq!(parse(given), Err(ParseDateError), "{given}");
        }
    }

    proptest! {
        #[test]
        fn any_time_survives_its_text_form(seconds in 0..200_000_000_000u64) {
            prop_assert_eq!(parse(&text(seconds)), Ok(seconds));
        }

        #[test]
        fn any_text_is_parsed_or_refused(text: String) {
            let _ = parse(&text);
        }
    }
}
