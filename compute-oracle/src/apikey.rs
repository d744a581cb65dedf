//! API keys: `sk-weft-` + base62 of a 32-byte sr25519 seed (43 characters) + base62 checksum (6 characters).
//!
//! The checksum is the first four bytes of blake2b-256 over the seed: a mistyped key is refused before anything is
//! looked up.

use subxt_signer::sr25519::Keypair;
use weft_protocol::hash::{blake2_256, Hash};

const PREFIX: &str = "sk-weft-";
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const SEED_CHARS: usize = 43;
const CHECK_CHARS: usize = 6;

/// A parsed API key.
pub struct ApiKey {
    seed: [u8; 32],
}

impl ApiKey {
    /// Makes a new key.
    #[must_use]
    pub fn generate() -> Self {
        let mut seed = [0u8; 32];
        rand::fill(&mut seed);
        Self { seed }
    }

    /// Reads a key as a client sends it; `None` when it is malformed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let body = text.strip_prefix(PREFIX)?;
        if body.len() != SEED_CHARS + CHECK_CHARS || !body.is_ascii() {
            return None;
        }
        let (seed_text, check_text) = body.split_at(SEED_CHARS);
        let seed: [u8; 32] = decode(seed_text, 32)?.try_into().ok()?;
        (encode(&checksum(&seed), CHECK_CHARS) == check_text).then_some(Self { seed })
    }

    /// The text shown to the user, once.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{PREFIX}{}{}", encode(&self.seed, SEED_CHARS), encode(&checksum(&self.seed), CHECK_CHARS))
    }

    /// The key pair that signs vouchers; `None` cannot happen for 32 bytes, and is no reason to panic.
    #[must_use]
    pub fn pair(&self) -> Option<Keypair> {
        Keypair::from_secret_key(self.seed).ok()
    }

    /// What a daemon may store of a key: the hash of its text.
    #[must_use]
    pub fn fingerprint(&self) -> Hash {
        blake2_256(self.text().as_bytes())
    }
}

impl Drop for ApiKey {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.seed);
    }
}

fn checksum(seed: &[u8; 32]) -> Vec<u8> {
    blake2_256(seed).iter().take(4).copied().collect()
}

/// Big-endian bytes to base62 of a fixed width.
fn encode(bytes: &[u8], width: usize) -> String {
    let mut digits = vec![0u32; width];
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in digits.iter_mut().rev() {
            let value = digit.saturating_mul(256).saturating_add(carry);
            *digit = value % 62;
            carry = value / 62;
        }
    }
    digits
        .iter()
        .filter_map(|d| usize::try_from(*d).ok().and_then(|d| ALPHABET.get(d)))
        .map(|b| char::from(*b))
        .collect()
}

/// Base62 of a fixed width to `len` big-endian bytes; `None` when a character is foreign or the value is too large.
fn decode(text: &str, len: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0u8; len];
    for c in text.bytes() {
        let mut carry = u32::try_from(ALPHABET.iter().position(|a| *a == c)?).ok()?;
        for byte in bytes.iter_mut().rev() {
            let value = u32::from(*byte).saturating_mul(62).saturating_add(carry);
            *byte = u8::try_from(value % 256).ok()?;
            carry = value / 256;
        }
        if carry != 0 {
            return None;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn key_should_parse_equal_when_printed(seed: [u8; 32]) {
            let key = ApiKey { seed };
            let text = key.text();
            prop_assert_eq!(text.len(), PREFIX.len() + 49);
            prop_assert_eq!(ApiKey::parse(&text).unwrap().seed, seed);
        }

        #[test]
        fn key_should_be_refused_when_one_character_differs(seed: [u8; 32], at in 8usize..57, by in 1usize..62) {
            let mut text = ApiKey { seed }.text().into_bytes();
            let old = ALPHABET.iter().position(|a| *a == text[at]).unwrap();
            text[at] = ALPHABET[(old + by) % 62];
            let text = String::from_utf8(text).unwrap();
            // The seed's own 43 characters hold 256.02 bits: a change may land on an equal checksum once in 2^32.
            prop_assert!(ApiKey::parse(&text).is_none());
        }
    }
}
