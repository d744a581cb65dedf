//! Canonical records: their JSON line, normalised form, id and leaf.

use crate::{
    hash::{h, raw_hash, tag, Hash},
    merkle, AccountId,
};
use alloc::{string::String, vec::Vec};
use codec::{Decode, DecodeWithMemTracking, Encode, Error, Input, MaxEncodedLen};
use core::fmt::{self, Write};
use scale_info::TypeInfo;
use unicase::UniCase;
use unicode_normalization::UnicodeNormalization;

/// Longest record: bytes of its canonical line.
pub const MAX_RECORD_BYTES: usize = 256 * 1024;

/// Who speaks.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen,
)]
pub enum Role {
    /// Instructions to the model.
    #[codec(index = 0)]
    System,
    /// A person.
    #[codec(index = 1)]
    User,
    /// The model: what is trained.
    #[codec(index = 2)]
    Assistant,
    /// A tool's result.
    #[codec(index = 3)]
    Tool,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::System, Self::User, Self::Assistant, Self::Tool];

    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }

    /// The role of a JSON name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// One message of a record.
///
/// A weight above 1 does not decode: the canonical line could not say it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, TypeInfo)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// The text, UTF-8.
    pub content: String,
    /// 1, or 0 when an assistant message is not trained.
    pub weight: u8,
}

impl Decode for Message {
    fn decode<I: Input>(input: &mut I) -> Result<Self, Error> {
        let (role, content, weight) = <(Role, String, u8)>::decode(input)?;
        if weight > 1 {
            return Err(Error::from("the weight of a message is neither 0 nor 1"));
        }
        Ok(Self { role, content, weight })
    }
}

impl DecodeWithMemTracking for Message {}

/// A canonical record: what is hashed, committed and rendered.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Record {
    /// Messages in order.
    pub messages: Vec<Message>,
}

/// Why a line is not the canonical line of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LineError {
    /// The text differs from the canonical form at this byte.
    Unexpected(usize),
    /// No such role; the byte where it stands.
    Role(usize),
    /// The line is longer than [`MAX_RECORD_BYTES`].
    TooLong,
    /// The record holds no message.
    Empty,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unexpected(at) => write!(f, "not a canonical record: unexpected text at byte {at}"),
            Self::Role(at) => {
                write!(f, "unknown role at byte {at}: use system, user, assistant or tool")
            }
            Self::TooLong => write!(f, "longer than {MAX_RECORD_BYTES} bytes"),
            Self::Empty => f.write_str("no message"),
        }
    }
}

impl core::error::Error for LineError {}

/// Appends a JSON string with the escapes of Python's `json.dumps(ensure_ascii=False)`.
pub(crate) fn push_json_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            // Writing to a String cannot fail.
            c if c < ' ' => write!(out, "\\u{:04x}", u32::from(c)).unwrap_or_default(),
            c => out.push(c),
        }
    }
    out.push('"');
}

impl Record {
    /// A user message and the assistant's answer: the form of prompt and completion.
    pub fn pair(prompt: &str, completion: &str) -> Self {
        let message = |role, content| Message { role, content: String::from(content), weight: 1 };
        Self { messages: alloc::vec![message(Role::User, prompt), message(Role::Assistant, completion)] }
    }

    /// The record's bytes: `{"messages":[{"role":…,"content":…}]}` on one line, without line feed.
    pub fn canonical_line(&self) -> String {
        let mut out = String::from("{\"messages\":[");
        for (index, message) in self.messages.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            out.push_str("{\"role\":\"");
            out.push_str(message.role.name());
            out.push_str("\",\"content\":");
            push_json_string(&mut out, &message.content);
            if message.weight == 0 {
                out.push_str(",\"weight\":0");
            }
            out.push('}');
        }
        out.push_str("]}");
        out
    }

    /// Reads a canonical line; anything that [`Record::canonical_line`] would write differently is refused.
    pub fn parse_line(line: &str) -> Result<Self, LineError> {
        if line.len() > MAX_RECORD_BYTES {
            return Err(LineError::TooLong);
        }
        let mut reader = Reader { text: line, at: 0 };
        reader.expect("{\"messages\":[")?;
        let mut messages = Vec::new();
        if reader.take("]}") {
            return Err(LineError::Empty);
        }
        loop {
            reader.expect("{\"role\":\"")?;
            let at = reader.at;
            let role = Role::ALL.into_iter().find(|role| reader.take(role.name())).ok_or(LineError::Role(at))?;
            reader.expect("\",\"content\":")?;
            let content = reader.string()?;
            let weight = u8::from(!reader.take(",\"weight\":0"));
            reader.expect("}")?;
            messages.push(Message { role, content, weight });
            if !reader.take(",") {
                break;
            }
        }
        reader.expect("]}")?;
        if reader.at == line.len() {
            Ok(Self { messages })
        } else {
            Err(LineError::Unexpected(reader.at))
        }
    }

    /// Roles and normalised contents, whose SCALE encoding the record's id binds.
    pub fn normalised(&self) -> Vec<(Role, String)> {
        self.messages.iter().map(|message| (message.role, normalise(&message.content))).collect()
    }

    /// `H("weft.rid", key, normalised record)`; the key is 32 zero bytes, or a private Datanet's secret.
    pub fn id(&self, key: &Hash) -> Hash {
        h(&tag::RECORD_ID, &(key, self.normalised()))
    }

    /// `H("weft.rlf", record_id, H("weft.raw", bytes))`.
    pub fn leaf(&self, key: &Hash) -> Hash {
        leaf(&self.id(key), self.canonical_line().as_bytes())
    }
}

/// Leaf of a record from its id and bytes.
pub fn leaf(record_id: &Hash, bytes: &[u8]) -> Hash {
    h(&tag::RECORD_LEAF, &(record_id, raw_hash(bytes)))
}

/// Root of a contribution: MR of its records' leaves in order.
pub fn contribution_root(records: &[Record], key: &Hash) -> Hash {
    let leaves: Vec<Hash> = records.iter().map(|record| record.leaf(key)).collect();
    merkle::root(&leaves)
}

/// A contribution's blob: the canonical lines in order, a line feed after each.
pub fn contribution_blob(records: &[Record]) -> String {
    let mut out = String::new();
    for record in records {
        out.push_str(&record.canonical_line());
        out.push('\n');
    }
    out
}

/// What a contributor commits: `H("weft.ctb", datanet, root, salt, account)`.
pub fn commitment(datanet: u32, root: &Hash, salt: &Hash, account: &AccountId) -> Hash {
    h(&tag::CONTRIBUTION, &(datanet, root, salt, account))
}

/// Place of a record in the evaluation split: `H("weft.spl", snapshot root, record_id)`, lowest first.
pub fn split_hash(snapshot_root: &Hash, record_id: &Hash) -> Hash {
    h(&tag::EVAL_SPLIT, &(snapshot_root, record_id))
}

/// NFKC, full case folding, NFKC, runs of White_Space to one space, trimmed.
pub fn normalise(text: &str) -> String {
    let once: String = text.nfkc().collect();
    let folded = UniCase::unicode(once).to_folded_case();
    let mut out = String::with_capacity(folded.len());
    let mut gap = false;
    for c in folded.nfkc() {
        if c.is_whitespace() {
            gap = true;
            continue;
        }
        if gap && !out.is_empty() {
            out.push(' ');
        }
        gap = false;
        out.push(c);
    }
    out
}

/// Reads canonical JSON without allocation but for strings.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn advance(&mut self, bytes: usize) {
        self.at = self.at.saturating_add(bytes);
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.advance(token.len());
        }
        found
    }

    fn expect(&mut self, token: &str) -> Result<(), LineError> {
        if self.take(token) {
            Ok(())
        } else {
            Err(LineError::Unexpected(self.at))
        }
    }

    fn string(&mut self) -> Result<String, LineError> {
        self.expect("\"")?;
        let mut out = String::new();
        loop {
            let at = self.at;
            let c = self.rest().chars().next().ok_or(LineError::Unexpected(at))?;
            match c {
                '"' => {
                    self.advance(1);
                    return Ok(out);
                }
                '\\' => out.push(self.escape().ok_or(LineError::Unexpected(at))?),
                c if c < ' ' => return Err(LineError::Unexpected(at)),
                c => {
                    self.advance(c.len_utf8());
                    out.push(c);
                }
            }
        }
    }

    /// One escape, only where and as the writer would use it.
    fn escape(&mut self) -> Option<char> {
        let rest = self.rest();
        let (c, bytes) = match rest.as_bytes().get(1)? {
            b'"' => ('"', 2),
            b'\\' => ('\\', 2),
            b'n' => ('\n', 2),
            b'r' => ('\r', 2),
            b't' => ('\t', 2),
            b'b' => ('\u{8}', 2),
            b'f' => ('\u{c}', 2),
            b'u' => {
                let digits = rest.get(2..6)?;
                let c = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
                let plain = c < ' ' && !matches!(c, '\n' | '\r' | '\t' | '\u{8}' | '\u{c}');
                if !plain || digits.bytes().any(|b| b.is_ascii_uppercase() || b == b'+') {
                    return None;
                }
                (c, 6)
            }
            _ => return None,
        };
        self.advance(bytes);
        Some(c)
    }
}
