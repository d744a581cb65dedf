//! Text to token ids and back, and which tokens of a conversation are trained.

use crate::error::{DataError, Result};
use crate::template::{template_text, Rendered, Template};
use minijinja::Value;
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

impl Encoded {
    /// A record without tokens.
    #[must_use]
    pub fn empty() -> Self {
        Self { ids: Vec::new(), mask: Vec::new(), n_loss: 0, truncated: false, dropped: false }
    }
}

fn tokenizer_error(e: impl std::fmt::Display) -> DataError {
    DataError::Tokenizer { detail: e.to_string() }
}

impl Tokenizer {
    /// From the bytes of `tokenizer.json` and the template as [`template_text`] gives it; an empty one is ChatML. Both
    /// are bound by the root of the base model: given the bytes whose root was checked, nothing else decides.
    ///
    /// # Errors
    /// `tokenizer` or `template`.
    pub fn new(tokenizer_json: &[u8], template: &str) -> Result<Self> {
        let mut inner = tokenizers::Tokenizer::from_bytes(tokenizer_json).map_err(tokenizer_error)?;
        // Lengths are the recipe's business, not the file's.
        inner.with_truncation(None).map_err(tokenizer_error)?;
        inner.with_padding(None);
        Ok(Self { inner, template: Template::new(template)? })
    }

    /// Tokenizer and template of a model folder.
    ///
    /// # Errors
    /// `io`, `tokenizer` or `template`.
    pub fn from_dir(dir: &Path) -> Result<Self> {
        let file = dir.join("tokenizer.json");
        let json = std::fs::read(&file).map_err(|source| DataError::Io { path: file, source })?;
        Self::new(&json, &template_text(dir)?)
    }

    /// Whether the model has no chat template, so that ChatML stands in: worth a notice.
    #[must_use]
    pub fn is_fallback(&self) -> bool {
        self.template.is_fallback()
    }

    /// Sets the time that templates see: that of the job, milliseconds since 1970.
    #[must_use]
    pub fn with_job_time(mut self, ms: u64) -> Self {
        self.template.set_time(ms);
        self
    }

    /// Rows of the smallest embedding that has one for every token id, added tokens included.
    #[must_use]
    pub fn vocabulary(&self) -> usize {
        let last = self.inner.get_vocab(true).into_values().max();
        last.map_or(0, |id| usize::try_from(id).unwrap_or(usize::MAX).saturating_add(1))
    }

    /// The text of a conversation; with `prompt` also the opening of an answer.
    ///
    /// # Errors
    /// `template`.
    pub fn render(&self, messages: &[Message], prompt: bool) -> Result<String> {
        Ok(self.template.render(&Template::turns(messages), prompt)?.text)
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
    ///
    /// # Errors
    /// `tokenizer`.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.inner.decode(ids, true).map_err(tokenizer_error)
    }

    /// Text of ids as they stand, special tokens included.
    ///
    /// # Errors
    /// `tokenizer`.
    pub fn decode_raw(&self, ids: &[u32]) -> Result<String> {
        self.inner.decode(ids, false).map_err(tokenizer_error)
    }

    /// A decoder for one streamed answer.
    #[must_use]
    pub fn stream(&self) -> Decoder<'_> {
        Decoder { tokenizer: self, ids: Vec::new(), known: 0 }
    }

    /// Byte ranges of the text that are trained, as far as they begin before byte `reach`.
    fn spans(
        &self,
        record: &Record,
        train_on: TrainOn,
        rendered: &Rendered,
        turns: &[Value],
        reach: usize,
    ) -> Result<Vec<Range<usize>>> {
        let (messages, text) = (&record.messages, &rendered.text);
        let last = messages.iter().rposition(|m| m.role == Role::Assistant);
        let mut spans = Vec::new();
        if train_on == TrainOn::All && messages.iter().all(|m| m.weight > 0) {
            spans.push(0..text.len());
            return Ok(spans);
        }
        let wanted = |i: usize, m: &Message| {
            let chosen = match train_on {
                TrainOn::All => true,
                TrainOn::Responses => m.role == Role::Assistant,
                TrainOn::LastResponse => Some(i) == last,
            };
            chosen && m.weight > 0
        };
        // The template says itself what an answer is, when it does so for every one of them.
        if let (false, Some(generated)) = (train_on == TrainOn::All, &rendered.generated) {
            let answers: Vec<(usize, &Message)> =
                messages.iter().enumerate().filter(|(_, m)| m.role == Role::Assistant).collect();
            if answers.len() == generated.len() {
                let trained = answers.into_iter().zip(generated).filter(|((i, m), _)| wanted(*i, m));
                return Ok(trained.map(|(_, span)| span.clone()).collect());
            }
        }
        for (i, m) in messages.iter().enumerate() {
            if !wanted(i, m) {
                continue;
            }
            // What the model writes begins after the opening of an answer.
            let before = turns.get(..i).unwrap_or_default();
            let after = turns.get(..=i).unwrap_or_default();
            let start = match (before.is_empty(), m.role) {
                (true, Role::System | Role::User | Role::Tool) => String::new(),
                (_, role) => self.template.render(before, role == Role::Assistant)?.text,
            };
            // Without this a record of thousands of messages renders all its beginnings, most of which are cut.
            if start.len() >= reach && text.starts_with(&start) {
                break;
            }
            let end = self.template.render(after, false)?.text;
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
        let turns = Template::turns(&record.messages);
        let rendered = self.template.render(&turns, false)?;
        let encoding = self.inner.encode(rendered.text.as_str(), false).map_err(tokenizer_error)?;
        let limit = usize::try_from(options.max_seq_len).unwrap_or(usize::MAX);
        let tokens = encoding.get_ids().len();
        let long = tokens > limit;
        if long && options.overlong == Overlong::Refuse {
            return Err(DataError::Overlong { index: 0, tokens, limit: options.max_seq_len });
        }
        // A span behind the last token that is kept changes no bit.
        let kept = encoding.get_offsets().iter().take(limit);
        let reach = if long { kept.clone().map(|o| o.1).max().unwrap_or(0) } else { usize::MAX };
        let spans = disjoint(self.spans(record, options.train_on, &rendered, &turns, reach)?);
        let trained =
            |from: usize, to: usize| spans.get(spans.partition_point(|s| s.end <= from)).is_some_and(|s| to > s.start);
        let ids: Vec<u32> = encoding.get_ids().iter().take(limit).copied().collect();
        let mask: Vec<u8> = kept.enumerate().map(|(i, (from, to))| u8::from(i > 0 && trained(*from, *to))).collect();
        let n_loss = u32::try_from(mask.iter().filter(|m| **m == 1).count()).unwrap_or(u32::MAX);
        let dropped = long && options.overlong == Overlong::Drop;
        Ok(Encoded { ids, mask, n_loss, truncated: long && !dropped, dropped })
    }
}

/// The same bytes as ascending spans that do not overlap.
///
/// Spans that only touch stay apart, as do empty ones: a token overlaps the result where it overlaps one of `spans`.
fn disjoint(mut spans: Vec<Range<usize>>) -> Vec<Range<usize>> {
    spans.sort_unstable_by_key(|s| (s.start, s.end));
    let mut out: Vec<Range<usize>> = Vec::with_capacity(spans.len());
    for s in spans {
        match out.last_mut() {
            Some(last) if s.start < last.end => last.end = last.end.max(s.end),
            _ => out.push(s),
        }
    }
    out
}

/// Tokens of a stream that may wait for the rest of a character; a character has at most four bytes.
const UNFINISHED: usize = 16;

/// Turns a stream of ids into text; never splits a character.
#[derive(Debug)]
pub struct Decoder<'a> {
    tokenizer: &'a Tokenizer,
    /// The last tokens whose text is out, then those that wait. What a token reads as may depend on those before it.
    ids: Vec<u32>,
    /// How many of `ids` are out.
    known: usize,
}

impl Decoder<'_> {
    /// Text of `ids`, and how much of it is out.
    fn window(&self) -> Result<(String, usize)> {
        let before = self.tokenizer.decode(self.ids.get(..self.known).unwrap_or_default())?;
        Ok((self.tokenizer.decode(&self.ids)?, before.len()))
    }

    /// Adds a token; the text that is now certain, if any.
    ///
    /// # Errors
    /// `tokenizer`.
    pub fn push(&mut self, id: u32) -> Result<Option<String>> {
        self.ids.push(id);
        let (text, shown) = self.window()?;
        let waiting = self.ids.len().saturating_sub(self.known);
        // An unfinished character decodes to the replacement character.
        if text.ends_with('\u{fffd}') && waiting < UNFINISHED {
            return Ok(None);
        }
        let new = text.get(shown..).unwrap_or_default().to_owned();
        if new.is_empty() && waiting < UNFINISHED {
            return Ok(None);
        }
        self.ids.drain(..self.known);
        self.known = self.ids.len();
        Ok((!new.is_empty()).then_some(new))
    }

    /// The rest at the end of the answer.
    ///
    /// # Errors
    /// `tokenizer`.
    pub fn finish(self) -> Result<String> {
        let (text, shown) = self.window()?;
        Ok(text.get(shown..).unwrap_or_default().to_owned())
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
            tok.decode_raw(&ids).unwrap()
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
            if let Some(s) = decoder.push(id).unwrap() {
                assert!(!s.contains('\u{fffd}'));
                got.push_str(&s);
            }
            assert!(decoder.ids.len() <= 2 * UNFINISHED);
        }
        got.push_str(&decoder.finish().unwrap());
        assert_eq!(got, text);
    }

    #[test]
    fn stream_should_go_on_when_a_character_is_never_finished() {
        let tok = tiny();
        // The first byte of a character, again and again, then text.
        let first = tok.ids("é").unwrap();
        assert!(first.len() > 1, "the tiny vocabulary has no token for é");
        let mut decoder = tok.stream();
        let mut got = String::new();
        for id in std::iter::repeat_n(first[0], 100).chain(tok.ids("done").unwrap()) {
            got.push_str(&decoder.push(id).unwrap().unwrap_or_default());
            assert!(decoder.ids.len() <= 2 * UNFINISHED);
        }
        got.push_str(&decoder.finish().unwrap());
        assert!(got.ends_with("done") && got.contains('\u{fffd}'), "{got}");
    }

    #[test]
    fn vocabulary_should_be_that_of_the_embedding_when_the_base_is_the_tiny_one() {
        assert_eq!(tiny().vocabulary(), 512);
    }

    #[test]
    fn mask_should_be_the_same_when_a_longer_record_is_cut() {
        let tok = tiny();
        let mut turns = Vec::new();
        for i in 0..40 {
            turns.push((Role::User, "and?", 1));
            turns.push((Role::Assistant, "naïve é", u8::from(i % 3 > 0)));
        }
        let record = chat(&turns);
        let with = |train_on, max_seq_len| EncodeOptions { train_on, max_seq_len, overlong: Overlong::Truncate };
        for on in [TrainOn::Responses, TrainOn::LastResponse, TrainOn::All] {
            let whole = tok.encode(&record, &with(on, 10_000)).unwrap();
            assert!(!whole.truncated);
            for limit in [1, 7, 64, 65, 66, 67, 300] {
                let cut = tok.encode(&record, &with(on, u32::try_from(limit).unwrap())).unwrap();
                assert!(cut.truncated);
                assert_eq!(
                    (&cut.ids[..], &cut.mask[..]),
                    (&whole.ids[..limit], &whole.mask[..limit]),
                    "{on:?} {limit}"
                );
            }
        }
    }

    #[test]
    fn record_should_be_encoded_in_time_when_it_has_thousands_of_messages() {
        let tok = tiny();
        let turns: Vec<(Role, &str, u8)> =
            (0..6000).map(|i| if i % 2 == 0 { (Role::User, "a", 1) } else { (Role::Assistant, "b", 1) }).collect();
        let began = std::time::Instant::now();
        let e = tok.encode(&chat(&turns), &options(TrainOn::Responses)).unwrap();
        assert!(e.truncated && e.ids.len() == 256 && e.n_loss > 50);
        // All beginnings of this record are hundreds of megabytes of text; those that matter are some kilobytes.
        assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
    }

    #[test]
    fn mask_should_follow_the_template_when_it_marks_what_is_generated() {
        let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/tiny-base");
        let json = std::fs::read(dir.join("tokenizer.json")).unwrap();
        // Not prefix-stable, as templates are that leave earlier thoughts out; the marks tell the answers all the same.
        let source = "{{ messages | length }}{% for m in messages %}{% if m.role == 'assistant' %}\
                      {% generation %}{{ m.content }}!{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}";
        let tok = Tokenizer::new(&json, source).unwrap();
        let record = chat(&[
            (Role::User, "ab", 1),
            (Role::Assistant, "cd", 0),
            (Role::User, "ef", 1),
            (Role::Assistant, "gh", 1),
            (Role::User, "ij", 1),
            (Role::Assistant, "kl", 1),
        ]);
        let trained = |on| {
            let e = tok.encode(&record, &options(on)).unwrap();
            let ids: Vec<u32> = e.ids.iter().zip(&e.mask).filter(|(_, m)| **m == 1).map(|(i, _)| *i).collect();
            tok.decode_raw(&ids).unwrap()
        };
        let all = trained(TrainOn::Responses);
        assert!(all.contains("gh") && all.contains("kl") && !all.contains("cd"), "{all}");
        let last = trained(TrainOn::LastResponse);
        assert!(last.contains("kl") && !last.contains("gh"), "{last}");
    }

    #[test]
    fn spans_should_stay_apart_when_they_only_touch() {
        assert_eq!(disjoint(vec![5..7, 0..3, 3..3, 3..4, 6..9, 7..8]), [0..3, 3..3, 3..4, 5..9]);
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
