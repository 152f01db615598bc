//! The values of both kinds of files.

use std::fmt;
use std::time::Duration;

use kafka_wire::{ApiKey, ErrorCode, VersionRange};
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

/// `"Produce"`, however it is capitalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Api(pub(super) ApiKey);

impl TryFrom<String> for Api {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let mut keys = (0..MAX_API).map(ApiKey);
        let found = keys.find(|key| key.name().eq_ignore_ascii_case(&name));
        found.map(Self).ok_or_else(|| {
            format!("there is no API named {name:?}: expected one like \"Produce\" or \"Metadata\"")
        })
    }
}

/// `"250ms"`, `"1.5s"`, `"2m"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Time(pub(super) Duration);

impl TryFrom<String> for Time {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let seconds = match text.get(digits.len()..) {
            Some("us") => 1e-6,
            Some("ms") => 1e-3,
            Some("s") => 1.0,
            Some("m") => 60.0,
            Some("h") => 3600.0,
            _ => f64::NAN,
        };
        let number = digits.trim().parse::<f64>().unwrap_or(f64::NAN);
        Duration::try_from_secs_f64(number * seconds)
            .map(Self)
            .map_err(|_| format!("{text:?} is no time: expected one like \"250ms\", \"1.5s\" or \"2m\""))
    }
}

/// One time, or a list of the shortest and the longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times(pub(super) Duration, pub(super) Duration);

impl<'de> Deserialize<'de> for Times {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Times;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time like \"250ms\", or the shortest and the longest, like [\"1s\", \"2s\"]")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Times, E> {
                let Time(time) = Time::try_from(text.to_owned()).map_err(E::custom)?;
                Ok(Times(time, time))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Times, A::Error> {
                let mut next =
                    |at| list.next_element::<Time>()?.ok_or_else(|| de::Error::invalid_length(at, &self));
                let (Time(shortest), Time(longest)) = (next(0)?, next(1)?);
                if longest < shortest || list.next_element::<de::IgnoredAny>()?.is_some() {
                    return Err(de::Error::custom(format_args!("expected {}", Expected)));
                }
                Ok(Times(shortest, longest))
            }
        }

        struct Expected;

        impl fmt::Display for Expected {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("two times, the shorter one first")
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// `"NOT_LEADER_OR_FOLLOWER"`, or any number, also one that nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code(pub(super) ErrorCode);

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl Visitor<'_> for Either {
            type Value = Code;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an error code: Kafka's name for it, like \"NOT_ENOUGH_REPLICAS\", or a number")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Code, E> {
                let mut codes = ErrorCode::ALL.iter().copied();
                let found = codes.find(|code| code.name().eq_ignore_ascii_case(name));
                found.map(Code).ok_or_else(|| E::invalid_value(de::Unexpected::Str(name), &self))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Code, E> {
                let code = i16::try_from(number);
                code.map(|code| Code(ErrorCode(code)))
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(number), &self))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// `"3-7"` or `"5"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Versions(pub(super) VersionRange);

impl TryFrom<String> for Versions {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (oldest, newest) = text.split_once('-').unwrap_or((&text, &text));
        match (oldest.trim().parse(), newest.trim().parse()) {
            (Ok(oldest), Ok(newest)) if oldest <= newest => Ok(Self(VersionRange::new(oldest, newest))),
            _ => Err(format!("{text:?} is no range of versions: expected one like \"3-7\", or \"5\"")),
        }
    }
}

/// From 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "f64")]
pub(super) struct Probability(pub(super) f64);

impl TryFrom<f64> for Probability {
    type Error = String;

    fn try_from(number: f64) -> Result<Self, String> {
        if (0.0..=1.0).contains(&number) {
            Ok(Self(number))
        } else {
            Err(format!("{number} is no probability: expected 0 to 1"))
        }
    }
}

/// Keys of APIs that have a name are below this one.
const MAX_API: i16 = 128;
