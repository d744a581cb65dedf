//! Records, chat templates, tokens and masks: from lines of text to the data of
//! a run, the same for every daemon that recomputes it.
//!
//! * [`source`]: JSONL files, refused with file, line and field.
//! * [`template`]: the model's own chat template.
//! * [`tokenizer`]: ids, the response mask, prompts, streamed text.
//! * [`job`]: the records of a job: which train, and the data root.
#![cfg_attr(test, allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests may panic"))]

pub mod error;
pub mod job;
pub mod source;
pub mod template;
pub mod tokenizer;

pub use error::{DataError, Result};
pub use job::{JobData, JobRecord, RecordUse};
pub use source::{parse_record, read_jsonl, survey, Records, Survey};
pub use template::{template_text, Template};
pub use tokenizer::{Decoder, EncodeOptions, Encoded, StopStrings, Tokenizer};
