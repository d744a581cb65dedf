//! Decimal numbers of recipes and shapes: exact, canonical, no floating point.

use alloc::string::String;
use codec::{Decode, DecodeWithMemTracking, Encode, Error, Input, MaxEncodedLen};
use core::{cmp::Ordering, fmt};
use scale_info::TypeInfo;

/// Smallest exponent.
pub const MIN_EXP: i8 = -22;

/// `mantissa · 10^exp10` with −22 ≤ exp10 ≤ 0.
///
/// Canonical: the mantissa is not divisible by 10 unless exp10 is 0, and zero is {0, 0}; anything else does not decode.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Encode, TypeInfo, MaxEncodedLen)]
pub struct Dec {
    mantissa: u32,
    exp10: i8,
}

impl Dec {
    /// Zero, which switches many recipe fields off.
    pub const ZERO: Self = Self { mantissa: 0, exp10: 0 };
    /// One.
    pub const ONE: Self = Self { mantissa: 1, exp10: 0 };

    /// `mantissa · 10^exp10`, brought into canonical form; `None` when no canonical form holds the value.
    pub const fn new(mantissa: u32, exp10: i8) -> Option<Self> {
        if mantissa == 0 {
            return Some(Self::ZERO);
        }
        let (mut m, mut e) = (mantissa, exp10);
        while e < 0 && m.is_multiple_of(10) {
            m /= 10;
            e = e.saturating_add(1);
        }
        while e > 0 {
            m = match m.checked_mul(10) {
                Some(m) => m,
                None => return None,
            };
            e = e.saturating_sub(1);
        }
        if e < MIN_EXP {
            return None;
        }
        Some(Self { mantissa: m, exp10: e })
    }

    /// The mantissa.
    pub const fn mantissa(&self) -> u32 {
        self.mantissa
    }

    /// The exponent of ten, −22 to 0.
    pub const fn exp10(&self) -> i8 {
        self.exp10
    }

    /// Whether the value is zero.
    pub const fn is_zero(&self) -> bool {
        self.mantissa == 0
    }

    /// The value in units of 10^−22: exact, below 2^106.
    pub const fn scaled(&self) -> u128 {
        let up = self.exp10.saturating_sub(MIN_EXP).unsigned_abs();
        // At most 2^32 · 10^22: no saturation can happen.
        widen(self.mantissa).saturating_mul(10u128.saturating_pow(up_to_u32(up)))
    }

    /// Reads `0.0002`, `2e-4`, `3`, `1.5E3`. No sign, no blanks.
    pub fn parse(text: &str) -> Option<Self> {
        let (digits, exp) = match text.find(['e', 'E']) {
            Some(at) => (text.get(..at)?, text.get(at.checked_add(1)?..)?.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() || (digits.contains('.') && fraction.is_empty()) {
            return None;
        }
        let fraction = fraction.trim_end_matches('0');
        let mut mantissa: u64 = 0;
        for c in whole.chars().chain(fraction.chars()) {
            mantissa = mantissa.checked_mul(10)?.checked_add(u64::from(c.to_digit(10)?))?;
        }
        let mut exp = exp.checked_sub(i32::try_from(fraction.len()).ok()?)?;
        if mantissa == 0 {
            return Some(Self::ZERO);
        }
        while exp < 0 && mantissa.is_multiple_of(10) {
            mantissa /= 10;
            exp = exp.checked_add(1)?;
        }
        while exp > 0 {
            mantissa = mantissa.checked_mul(10)?;
            exp = exp.checked_sub(1)?;
        }
        Self::new(u32::try_from(mantissa).ok()?, i8::try_from(exp).ok()?)
    }
}

const fn widen(x: u32) -> u128 {
    let [a, b, c, d] = x.to_le_bytes();
    u128::from_le_bytes([a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
}

const fn up_to_u32(x: u8) -> u32 {
    u32::from_le_bytes([x, 0, 0, 0])
}

impl PartialOrd for Dec {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Dec {
    fn cmp(&self, other: &Self) -> Ordering {
        self.scaled().cmp(&other.scaled())
    }
}

impl Decode for Dec {
    fn decode<I: Input>(input: &mut I) -> Result<Self, Error> {
        let (mantissa, exp10) = <(u32, i8)>::decode(input)?;
        let canonical = if mantissa == 0 {
            exp10 == 0
        } else {
            (MIN_EXP..=0).contains(&exp10) && (exp10 == 0 || mantissa % 10 != 0)
        };
        if canonical {
            Ok(Self { mantissa, exp10 })
        } else {
            Err(Error::from("Dec is not canonical"))
        }
    }
}

impl DecodeWithMemTracking for Dec {}

impl Default for Dec {
    fn default() -> Self {
        Self::ZERO
    }
}

impl fmt::Display for Dec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.exp10 == 0 {
            write!(f, "{}", self.mantissa)
        } else {
            write!(f, "{}e{}", self.mantissa, self.exp10)
        }
    }
}

impl fmt::Debug for Dec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Dec {
    /// Plain decimal digits without an exponent, as JSON of other programs likes them: `0.0002`.
    pub fn to_plain(&self) -> String {
        let places = usize::from(self.exp10.unsigned_abs());
        let digits = alloc::format!("{:0width$}", self.mantissa, width = places.saturating_add(1));
        let cut = digits.len().saturating_sub(places);
        match (digits.get(..cut), digits.get(cut..)) {
            (Some(whole), Some("")) => String::from(whole),
            (Some(whole), Some(fraction)) => alloc::format!("{whole}.{fraction}"),
            _ => digits,
        }
    }
}

#[cfg(feature = "std")]
mod json {
    use super::Dec;
    use alloc::string::{String, ToString};
    use core::fmt;
    use serde::{de, Deserialize, Deserializer, Serialize, Serializer};

    impl Serialize for Dec {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_str(&self.to_string())
        }
    }

    struct DecVisitor;

    /// What `serde_json` calls the only key of a number with a fraction, when a crate of the same build asks it to keep
    /// the digits as they were written.
    const DIGITS: &str = "$serde_json::private::Number";

    impl<'de> de::Visitor<'de> for DecVisitor {
        type Value = Dec;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a decimal number of at most nine digits and 22 places, such as 0.0002 or \"2e-4\"")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Dec, E> {
            Dec::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
        }

        fn visit_u64<E: de::Error>(self, value: u64) -> Result<Dec, E> {
            self.visit_str(&value.to_string())
        }

        fn visit_i64<E: de::Error>(self, value: i64) -> Result<Dec, E> {
            self.visit_str(&value.to_string())
        }

        fn visit_f64<E: de::Error>(self, value: f64) -> Result<Dec, E> {
            // The shortest text that reads back as this number is what the person wrote.
            self.visit_str(&alloc::format!("{value:e}"))
        }

        fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Dec, A::Error> {
            match map.next_key::<String>()? {
                Some(key) if key == DIGITS => self.visit_str(&map.next_value::<String>()?),
                _ => Err(de::Error::invalid_type(de::Unexpected::Map, &self)),
            }
        }
    }

    impl<'de> Deserialize<'de> for Dec {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_any(DecVisitor)
        }
    }
}
