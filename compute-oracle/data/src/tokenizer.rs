//! Text to token ids and back, and which tokens of a conversation are trained.

use crate::error::{DataError, Result};
use crate::template::Template;
use std::ops::Range;
use std::path::Path;
use weft_protocol::recipe::{Overlong, Recipe, TrainOn};
use weft_protocol::record::{Message, Record, Role};

/// A model folder's tokenizer and chat template.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    template: Template,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer").finish_non_exhaustive()
    }
}

/// What of a recipe concerns encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodeOptions {
    /// Which messages are trained.
    pub train_on: TrainOn,
    /// Longest record in tokens.
    pub max_seq_len: u32,
    /// What happens to longer ones.
    pub overlong: Overlong,
}

impl EncodeOptions {
    /// Those of a recipe.
    #[must_use]
    pub fn of(recipe: &Recipe) -> Self {
        Self { train_on: recipe.train_on, max_seq_len: recipe.max_seq_len, overlong: recipe.overlong }
    }
}

/// A record as tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Token ids.
    pub ids: Vec<u32>,
    /// 1 where the token is a target; the first is never one.
    pub mask: Vec<u8>,
    /// Number of targets.
    pub n_loss: u32,
    /// It was longer and was cut.
    pub truncated: bool,
    /// It was longer, and the recipe drops such records.
    pub dropped: bool,
}

fn tokenizer_error(e: impl std::fmt::Display) -> DataError {
    DataError::Tokenizer { detail: e.to_string() }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|source| DataError::Io { path: path.to_path_buf(), source })
}

impl Tokenizer {
    /// From the bytes of `tokenizer.json` and the template's text; an empty
    /// template is ChatML.
    ///
    /// # Errors
    /// `tokenizer` or `template`.
    pub fn new(tokenizer_json: &[u8], template: &str) -> Result<Self> {
        Self::with_specials(tokenizer_json, template, "", "")
    }

    /// [`Tokenizer::new`] with the texts of the beginning and end tokens.
    ///
    /// # Errors
    /// `tokenizer` or `template`.
    pub fn with_specials(tokenizer_json: &[u8], template: &str, bos: &str, eos: &str) -> Result<Self> {
        let mut inner = tokenizers::Tokenizer::from_bytes(tokenizer_json).map_err(tokenizer_error)?;
        // Lengths are the recipe's business, not the file's.
        inner.with_truncation(None).map_err(tokenizer_error)?;
        inner.with_padding(None);
        Ok(Self { inner, template: Template::new(template, bos, eos)? })
    }

    /// Tokenizer and template of a model folder.
    ///
    /// # Errors
    /// `io`, `tokenizer` or `template`.
    pub fn from_dir(dir: &Path) -> Result<Self> {
        let json = read(&dir.join("tokenizer.json"))?;
        let config = dir.join("tokenizer_config.json");
        let config: serde_json::Value = if config.exists() {
            serde_json::from_slice(&read(&config)?).map_err(tokenizer_error)?
        } else {
            serde_json::Value::Null
        };
        let file = dir.join("chat_template.jinja");
        let template = if file.exists() {
            String::from_utf8(read(&file)?)
                .map_err(|_| DataError::Template { detail: "chat_template.jinja is not UTF-8".to_owned() })?
        } else {
            match config.get("chat_template") {
                Some(serde_json::Value::String(s)) => s.clone(),
                Some(serde_json::Value::Array(all)) => all
                    .iter()
                    .find(|e| e.get("name").and_then(|n| n.as_str()) == Some("default"))
                    .and_then(|e| e.get("template").and_then(|t| t.as_str()))
                    .unwrap_or_default()
                    .to_owned(),
                _ => String::new(),
            }
        };
        // A special token is a string or an object with `content`.
        let special = |key: &str| {
            let v = config.get(key);
            v.and_then(|v| v.as_str().or_else(|| v.get("content").and_then(|c| c.as_str())))
                .unwrap_or_default()
                .to_owned()
        };
        Self::with_specials(&json, &template, &special("bos_token"), &special("eos_token"))
    }

    /// Sets the time that templates see: that of the job, milliseconds since 1970.
    #[must_use]
    pub fn with_job_time(mut self, ms: u64) -> Self {
        self.template.set_time(ms);
        self
    }

    /// Number of token ids, added ones included.
    #[must_use]
    pub fn vocabulary(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The text of a conversation; with `prompt` also the opening of an answer.
    ///
    /// # Errors
    /// `template`.
    pub fn render(&self, messages: &[Message], prompt: bool) -> Result<String> {
        self.template.render(messages, prompt)
    }

    /// Ids of a conversation with the opening of an answer.
    ///
    /// # Errors
    /// `template` or `tokenizer`.
    pub fn prompt(&self, messages: &[Message]) -> Result<Vec<u32>> {
        self.ids(&self.render(messages, true)?)
    }

    /// Ids of a text as it stands.
    ///
    /// # Errors
    /// `tokenizer`.
    pub fn ids(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.inner.encode(text, false).map_err(tokenizer_error)?.get_ids().to_vec())
    }

    /// Text of ids, special tokens left out.
    #[must_use]
    pub fn decode(&self, ids: &[u32]) -> String {
        self.inner.decode(ids, true).unwrap_or_default()
    }

    /// Text of ids as they stand, special tokens included.
    #[must_use]
    pub fn decode_raw(&self, ids: &[u32]) -> String {
        self.inner.decode(ids, false).unwrap_or_default()
    }

    /// A decoder for one streamed answer.
    #[must_use]
    pub fn stream(&self) -> Decoder<'_> {
        Decoder { tokenizer: self, ids: Vec::new(), shown: 0 }
    }

    /// Byte ranges of the text that are trained.
    fn spans(&self, record: &Record, train_on: TrainOn, text: &str) -> Result<Vec<Range<usize>>> {
        let messages = &record.messages;
        let last = messages.iter().rposition(|m| m.role == Role::Assistant);
        let mut spans = Vec::new();
        if train_on == TrainOn::All && messages.iter().all(|m| m.weight > 0) {
            spans.push(0..text.len());
            return Ok(spans);
        }
        for (i, m) in messages.iter().enumerate() {
            let wanted = match train_on {
                TrainOn::All => true,
                TrainOn::Responses => m.role == Role::Assistant,
                TrainOn::LastResponse => Some(i) == last,
            };
            if !wanted || m.weight == 0 {
                continue;
            }
            // What the model writes begins after the opening of an answer.
            let before = messages.get(..i).unwrap_or_default();
            let after = messages.get(..=i).unwrap_or_default();
            let start = match (before.is_empty(), m.role) {
                (true, Role::System | Role::User | Role::Tool) => String::new(),
                (_, role) => self.render(before, role == Role::Assistant)?,
            };
            let end = self.render(after, false)?;
            if !text.starts_with(&end) || !end.starts_with(&start) {
                return Err(DataError::NotPrefixStable);
            }
            spans.push(start.len()..end.len());
        }
        Ok(spans)
    }

    /// A record as ids and mask. The whole text is encoded once, without
    /// inserting special tokens; a token is trained if it overlaps a trained span.
    ///
    /// # Errors
    /// `template`, `tokenizer`, and `overlong` when the recipe refuses long records.
    pub fn encode(&self, record: &Record, options: &EncodeOptions) -> Result<Encoded> {
        let text = self.render(&record.messages, false)?;
        let spans = self.spans(record, options.train_on, &text)?;
        let encoding = self.inner.encode(text.as_str(), false).map_err(tokenizer_error)?;
        let mut ids = encoding.get_ids().to_vec();
        let mut mask: Vec<u8> = encoding
            .get_offsets()
            .iter()
            .enumerate()
            .map(|(i, (from, to))| u8::from(i > 0 && spans.iter().any(|s| *from < s.end && *to > s.start)))
            .collect();
        let limit = usize::try_from(options.max_seq_len).unwrap_or(usize::MAX);
        let long = ids.len() > limit;
        if long {
            if options.overlong == Overlong::Refuse {
                return Err(DataError::Overlong { index: 0, tokens: ids.len(), limit: options.max_seq_len });
            }
            ids.truncate(limit);
            mask.truncate(limit);
        }
        let n_loss = u32::try_from(mask.iter().filter(|m| **m == 1).count()).unwrap_or(u32::MAX);
        let dropped = long && options.overlong == Overlong::Drop;
        Ok(Encoded { ids, mask, n_loss, truncated: long && !dropped, dropped })
    }
}

/// Turns a stream of ids into text; never splits a character.
#[derive(Debug)]
pub struct Decoder<'a> {
    tokenizer: &'a Tokenizer,
    ids: Vec<u32>,
    shown: usize,
}

impl Decoder<'_> {
    /// Adds a token; the text that is now certain, if any.
    pub fn push(&mut self, id: u32) -> Option<String> {
        self.ids.push(id);
        let text = self.tokenizer.decode(&self.ids);
        // An unfinished character decodes to the replacement character.
        if text.ends_with('\u{fffd}') {
            return None;
        }
        let new = text.get(self.shown..).unwrap_or_default().to_owned();
        self.shown = text.len();
        (!new.is_empty()).then_some(new)
    }

    /// The rest at the end of the answer.
    #[must_use]
    pub fn finish(self) -> String {
        let text = self.tokenizer.decode(&self.ids);
        text.get(self.shown..).unwrap_or_default().to_owned()
    }
}

/// Ends an answer at the first of some strings, across token borders.
#[derive(Clone, Debug, Default)]
pub struct StopStrings {
    stops: Vec<String>,
    held: String,
    stopped: bool,
}

impl StopStrings {
    /// With the given strings; empty ones are ignored.
    #[must_use]
    pub fn new(stops: &[String]) -> Self {
        Self { stops: stops.iter().filter(|s| !s.is_empty()).cloned().collect(), ..Self::default() }
    }

    /// Whether a stop string has been met.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.stopped
    }

    /// Adds text; returns what may be shown: nothing of a stop string, and no
    /// end that might begin one.
    pub fn push(&mut self, text: &str) -> String {
        if self.stopped {
            return String::new();
        }
        self.held.push_str(text);
        if let Some(at) = self.stops.iter().filter_map(|s| self.held.find(s.as_str())).min() {
            self.stopped = true;
            self.held.truncate(at);
            return std::mem::take(&mut self.held);
        }
        let keep = self
            .held
            .char_indices()
            .map(|(i, _)| i)
            .find(|i| {
                let tail = self.held.get(*i..).unwrap_or_default();
                self.stops.iter().any(|s| s.starts_with(tail))
            })
            .unwrap_or(self.held.len());
        let rest = self.held.split_off(keep);
        std::mem::replace(&mut self.held, rest)
    }

    /// What was held back, at the end of the answer.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn tiny() -> Tokenizer {
        let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/tiny-base");
        Tokenizer::from_dir(&dir).unwrap()
    }

    fn options(train_on: TrainOn) -> EncodeOptions {
        EncodeOptions { train_on, max_seq_len: 256, overlong: Overlong::Truncate }
    }

    fn chat(turns: &[(Role, &str, u8)]) -> Record {
        let messages =
            turns.iter().map(|(role, c, weight)| Message { role: *role, content: (*c).to_owned(), weight: *weight });
        Record { messages: messages.collect() }
    }

    #[test]
    fn mask_should_cover_answer_and_end_of_turn_when_training_on_responses() {
        let tok = tiny();
        let record = chat(&[
            (Role::System, "be kind", 1),
            (Role::User, "who?", 1),
            (Role::Assistant, "naïve café", 1),
            (Role::User, "and?", 1),
            (Role::Assistant, "no", 0),
            (Role::User, "then?", 1),
            (Role::Assistant, "yes", 1),
        ]);
        let trained = |on| {
            let e = tok.encode(&record, &options(on)).unwrap();
            assert_eq!(e.mask.len(), e.ids.len());
            assert_eq!(u32::try_from(e.mask.iter().filter(|m| **m == 1).count()).unwrap(), e.n_loss);
            let ids: Vec<u32> = e.ids.iter().zip(&e.mask).filter(|(_, m)| **m == 1).map(|(i, _)| *i).collect();
            tok.decode_raw(&ids)
        };
        assert_eq!(trained(TrainOn::Responses), "naïve café<|end|>yes<|end|>");
        assert_eq!(trained(TrainOn::LastResponse), "yes<|end|>");
        let all = trained(TrainOn::All);
        assert!(all.contains("be kind") && all.contains("then?") && !all.contains("no<|end|>"), "{all}");
    }

    #[test]
    fn first_token_should_never_be_trained_when_training_on_all() {
        let e = tiny().encode(&Record::pair("a", "b"), &options(TrainOn::All)).unwrap();
        assert_eq!(e.mask[0], 0);
        assert!(e.mask[1..].iter().all(|m| *m == 1));
    }

    #[test]
    fn prompt_should_be_the_beginning_of_the_record_when_the_template_is_stable() {
        let tok = tiny();
        let record = Record::pair("one two", "three");
        let whole = tok.encode(&record, &options(TrainOn::Responses)).unwrap();
        let prompt = tok.prompt(&record.messages[..1]).unwrap();
        assert_eq!(&whole.ids[..prompt.len()], &prompt[..]);
        assert_eq!(whole.mask[prompt.len()..].iter().filter(|m| **m == 0).count(), 0);
    }

    #[test]
    fn long_records_should_be_cut_dropped_or_refused_when_the_recipe_says_so() {
        let tok = tiny();
        let record = Record::pair("one two three", &"four five six seven ".repeat(9));
        let run =
            |overlong| tok.encode(&record, &EncodeOptions { train_on: TrainOn::Responses, max_seq_len: 20, overlong });
        let cut = run(Overlong::Truncate).unwrap();
        assert!(cut.truncated && !cut.dropped && cut.ids.len() == 20);
        assert!(run(Overlong::Drop).unwrap().dropped);
        assert!(matches!(run(Overlong::Refuse), Err(DataError::Overlong { limit: 20, .. })));
    }

    #[test]
    fn template_should_be_refused_for_responses_when_it_is_not_prefix_stable() {
        let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/tiny-base");
        let json = std::fs::read(dir.join("tokenizer.json")).unwrap();
        let source = "{{ messages | length }}{% for m in messages %}{{ m.content }}{% endfor %}";
        let tok = Tokenizer::new(&json, source).unwrap();
        let record = Record::pair("a", "b");
        assert!(matches!(tok.encode(&record, &options(TrainOn::Responses)), Err(DataError::NotPrefixStable)));
        assert!(tok.encode(&record, &options(TrainOn::All)).is_ok());
    }

    #[test]
    fn stream_should_give_the_whole_text_when_characters_span_tokens() {
        let tok = tiny();
        let text = "naïve — 😀 done";
        let ids = tok.ids(text).unwrap();
        let mut decoder = tok.stream();
        let mut got = String::new();
        for id in ids {
            if let Some(s) = decoder.push(id) {
                assert!(!s.contains('\u{fffd}'));
                got.push_str(&s);
            }
        }
        got.push_str(&decoder.finish());
        assert_eq!(got, text);
    }

    #[test]
    fn stop_strings_should_end_the_text_when_they_span_pieces() {
        let mut stop = StopStrings::new(&["END".to_owned(), "zz".to_owned()]);
        let mut out = String::new();
        for piece in ["abE", "Nc", "d E", "N", "D more"] {
            out.push_str(&stop.push(piece));
        }
        assert_eq!(out, "abENcd ");
        assert!(stop.stopped());
        let mut open = StopStrings::new(&["END".to_owned()]);
        assert_eq!(open.push("x EN"), "x ");
        assert_eq!(open.finish(), "EN");
    }
}
