//! What people and scripts see: plain text or JSON, amounts in WEFT, questions before signing.

use std::io::{IsTerminal, Write};

use serde_json::Value;

use crate::error::{CliError, CliResult};

pub use weft_protocol::economics::WEFT;

/// How a command talks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Output {
    /// One JSON object, or one per line, on standard output.
    pub json: bool,
    /// No progress and no notes.
    pub quiet: bool,
    /// Sign without asking.
    pub yes: bool,
    /// Show what would be signed and stop.
    pub dry_run: bool,
    /// No colours, whatever the terminal can do.
    pub no_color: bool,
}

impl Output {
    /// Prints the result: `value` for scripts, `text` for people.
    pub fn result(&self, value: &Value, text: &str) {
        if self.json {
            say(&value.to_string());
        } else if !text.is_empty() {
            say(text.trim_end());
        }
    }

    /// A note for people, on standard error.
    pub fn note(&self, text: &str) {
        if !self.quiet && !self.json {
            eprintln!("{text}");
        }
    }

    /// A failure that the command survives, on standard error. `--quiet` does not silence it.
    pub fn warn(&self, e: &CliError) {
        if self.json {
            eprintln!("{}", e.problem());
        } else {
            eprintln!("warning: {e}");
        }
    }

    /// Shows what is about to be signed. Whoever is asked sees it always, and so does who only looks, except in the JSON
    /// of `--dry-run`, which holds it.
    pub fn announce(&self, text: &str) {
        let said_elsewhere = if self.dry_run { self.json } else { self.yes };
        if said_elsewhere {
            self.note(text);
        } else {
            eprintln!("{text}");
        }
    }

    /// Whether colours may be printed.
    #[must_use]
    pub const fn colours(&self) -> bool {
        !self.no_color
    }

    /// Asks before signing. Without a terminal `--yes` is required.
    pub fn confirm(&self, question: &str) -> CliResult<bool> {
        if self.yes {
            return Ok(true);
        }
        if !std::io::stdin().is_terminal() {
            return Err(CliError::usage(
                "nobody can answer: standard input is not a terminal",
                "add --yes to sign without asking",
            ));
        }
        eprint!("{question} [y/N] ");
        std::io::stderr().flush()?;
        let mut line = String::new();
        std::io::stdin().read_line(&mut line)?;
        Ok(matches!(line.trim(), "y" | "Y" | "yes"))
    }
}

/// A line on standard output. A reader that has gone away, as `head` does, is no error.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _closed = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// An amount in WEFT, exact: `1.5 WEFT`.
#[must_use]
pub fn weft(units: u128) -> String {
    let whole = units / WEFT;
    let rest = units % WEFT;
    if rest == 0 {
        return format!("{whole} WEFT");
    }
    let digits = format!("{rest:012}");
    format!("{whole}.{} WEFT", digits.trim_end_matches('0'))
}

/// Reads an amount: a decimal number of WEFT, or whole units with the suffix `u`.
pub fn parse_amount(text: &str) -> Result<u128, String> {
    let text = text.trim();
    let help = || format!("'{text}' is not an amount; write 1.5 for WEFT, or 1500000000000u for smallest units");
    if let Some(units) = text.strip_suffix('u') {
        return units.parse().map_err(|_| help());
    }
    let number = text.strip_suffix("WEFT").unwrap_or(text).trim_end();
    let (whole, rest) = number.split_once('.').unwrap_or((number, ""));
    if rest.len() > 12 || !rest.bytes().all(|b| b.is_ascii_digit()) || (whole.is_empty() && rest.is_empty()) {
        return Err(help());
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| help())? };
    let rest: u128 = format!("{rest:0<12}").parse().map_err(|_| help())?;
    whole.checked_mul(WEFT).and_then(|w| w.checked_add(rest)).ok_or_else(help)
}

/// A number with its noun: `1 claim`, `2 claims`.
#[must_use]
pub fn counted(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// The name of a variant as scripts read it: `OnRequest` becomes `on_request`.
#[must_use]
pub fn snake(variant: &str) -> String {
    let mut text = String::with_capacity(variant.len());
    // What it carries stands in keys of its own.
    for c in variant.chars().take_while(char::is_ascii_alphanumeric) {
        if c.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(c.to_ascii_lowercase());
    }
    text
}

/// Short hex of a hash for people.
#[must_use]
pub fn short(hash: &[u8; 32]) -> String {
    let text = hex::encode(hash);
    format!("0x{}…{}", text.get(..8).unwrap_or_default(), text.get(56..).unwrap_or_default())
}

/// Full hex of a hash.
#[must_use]
pub fn full(hash: &[u8; 32]) -> String {
    format!("0x{}", hex::encode(hash))
}

/// Reads a 32-byte hash in hex.
pub fn parse_hash(text: &str) -> Result<[u8; 32], String> {
    let mut hash = [0u8; 32];
    hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut hash)
        .map(|()| hash)
        .map_err(|e| format!("'{text}' is not 32 bytes of hex: {e}"))
}

/// A table with aligned columns; the first row is the header.
#[must_use]
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| rows.iter().filter_map(|r| r.get(c)).map(|s| s.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, w) in row.iter().zip(&widths) {
            let pad = w.saturating_sub(cell.chars().count());
            let number = cell.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+');
            if number {
                line.push_str(&" ".repeat(pad));
                line.push_str(cell);
            } else {
                line.push_str(cell);
                line.push_str(&" ".repeat(pad));
            }
            line.push_str("  ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn amount_should_read_equal_when_printed(units: u128) {
            prop_assert_eq!(parse_amount(&weft(units)).unwrap(), units);
            let raw = format!("{}u", units);
            prop_assert_eq!(parse_amount(&raw).unwrap(), units);
        }
    }

    #[test]
    fn words_should_fit_number_and_spelling() {
        assert_eq!((counted(1, "claim"), counted(2, "claim")), ("1 claim".into(), "2 claims".into()));
        assert_eq!((snake("OnRequest"), snake("Open")), ("on_request".into(), "open".into()));
    }

    #[test]
    fn amount_should_be_refused_when_malformed() {
        for bad in ["", ".", "1.2.3", "-1", "1e3", "1.0000000000001", "x"] {
            assert!(parse_amount(bad).is_err(), "{bad}");
        }
    }
}
