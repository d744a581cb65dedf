//! What is wrong with data, where, and what to do.

use std::path::PathBuf;

/// An error about records, templates or tokens. [`DataError::code`] is stable.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A line is no record.
    #[error("{file}, line {line}: {detail}")]
    Line {
        /// File name.
        file: String,
        /// Line, counted from 1.
        line: usize,
        /// What is wrong and what to do.
        detail: String,
    },
    /// A field of a record is missing or wrong.
    #[error("{file}, line {line}, field `{field}`: {detail}")]
    Field {
        /// File name.
        file: String,
        /// Line, counted from 1.
        line: usize,
        /// Path of the field.
        field: String,
        /// What is wrong and what to do.
        detail: String,
    },
    /// A file holds no record.
    #[error("{file}: no record; write one JSON object per line")]
    Empty {
        /// File name.
        file: String,
    },
    /// Reading failed.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The tokenizer cannot be used.
    #[error("tokenizer: {detail}")]
    Tokenizer {
        /// The cause.
        detail: String,
    },
    /// The chat template cannot be used, or refused the messages.
    #[error("chat template: {detail}")]
    Template {
        /// The cause.
        detail: String,
    },
    /// Responses cannot be told apart from prompts.
    #[error(
        "chat template: the text of a conversation does not begin with the text of its first messages, \
         so responses have no place in it; train on `all`, or use a template without this"
    )]
    NotPrefixStable,
    /// A record is longer than the recipe allows.
    #[error("record {index}: {tokens} tokens, the recipe's `max_seq_len` is {limit}; raise it, or set `overlong` to truncate or drop")]
    Overlong {
        /// Its place in the job.
        index: usize,
        /// Its length.
        tokens: usize,
        /// The limit.
        limit: u32,
    },
    /// More records, or longer ones, than a job can hold.
    #[error("{detail}")]
    TooLarge {
        /// What.
        detail: String,
    },
}

impl DataError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Line { .. } | Self::Field { .. } | Self::Empty { .. } => "record_invalid",
            Self::Io { .. } => "io",
            Self::Tokenizer { .. } => "tokenizer",
            Self::Template { .. } | Self::NotPrefixStable => "template",
            Self::Overlong { .. } => "overlong",
            Self::TooLarge { .. } => "too_large",
        }
    }
}

/// Shorthand.
pub type Result<T> = std::result::Result<T, DataError>;
