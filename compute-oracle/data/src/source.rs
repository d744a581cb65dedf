//! Records from JSONL: chat (`messages`) or `prompt` and `completion`.

use crate::error::{DataError, Result};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::io::{BufRead, Read};
use std::path::PathBuf;
use weft_protocol::record::{Message, Record, Role, MAX_RECORD_BYTES};

/// Longest line in bytes.
pub const MAX_LINE_BYTES: u64 = 1024 * 1024;

/// The records of a stream, one line at a time; blank lines are skipped. It ends after the first error.
#[derive(Debug)]
pub struct Records<R> {
    name: String,
    reader: R,
    line: usize,
    raw: Vec<u8>,
    any: bool,
    over: bool,
}

impl<R: BufRead> Records<R> {
    /// Reads `reader`; `name` stands in errors.
    #[must_use]
    pub fn new(name: &str, reader: R) -> Self {
        Self { name: name.to_owned(), reader, line: 0, raw: Vec::new(), any: false, over: false }
    }

    /// The next record; `None` at the end.
    fn read(&mut self) -> Result<Option<Record>> {
        loop {
            self.raw.clear();
            self.line = self.line.saturating_add(1);
            let mut limited = self.reader.by_ref().take(MAX_LINE_BYTES.saturating_add(1));
            let got = limited
                .read_until(b'\n', &mut self.raw)
                .map_err(|source| DataError::Io { path: PathBuf::from(&self.name), source })?;
            if got == 0 {
                return if self.any { Ok(None) } else { Err(DataError::Empty { file: self.name.clone() }) };
            }
            let bad =
                |detail: &str| DataError::Line { file: self.name.clone(), line: self.line, detail: detail.to_owned() };
            if u64::try_from(got).is_ok_and(|n| n > MAX_LINE_BYTES) {
                return Err(bad("longer than 1 MiB; split the record"));
            }
            let text = std::str::from_utf8(&self.raw).map_err(|_| bad("not UTF-8; save the file as UTF-8"))?;
            let text = if self.line == 1 { text.trim_start_matches('\u{feff}') } else { text };
            if !text.trim().is_empty() {
                self.any = true;
                return parse_record(&self.name, self.line, text).map(Some);
            }
        }
    }
}

impl<R: BufRead> Iterator for Records<R> {
    type Item = Result<Record>;

    /// # Errors
    /// `record_invalid` with file, line and field; also for a stream without a record. `io`.
    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let next = self.read().transpose();
        self.over = !matches!(next, Some(Ok(_)));
        next
    }
}

/// All records of a stream, in order; blank lines are skipped. `name` stands in errors.
///
/// # Errors
/// `record_invalid` with file, line and field at the first bad line; `io`.
pub fn read_jsonl(name: &str, reader: impl BufRead) -> Result<Vec<Record>> {
    Records::new(name, reader).collect()
}

/// What a stream holds, good and bad.
#[derive(Debug, Default)]
pub struct Survey {
    /// The records, each with its line.
    pub records: Vec<(usize, Record)>,
    /// What is wrong, in the order of the lines.
    pub errors: Vec<DataError>,
    /// Keys that nothing reads, each with the first line that has it: a slip of the pen such as `weigth`.
    pub unread: BTreeMap<String, usize>,
}

/// Reads a stream past its bad lines, until `most` of them are found.
pub fn survey(name: &str, reader: impl BufRead, most: usize) -> Survey {
    let mut found = Survey::default();
    let mut records = Records::new(name, reader);
    while found.errors.len() < most {
        match records.read() {
            Ok(None) => break,
            Ok(Some(record)) => {
                for key in unread_keys(&records.raw) {
                    found.unread.entry(key).or_insert(records.line);
                }
                found.records.push((records.line, record));
            }
            Err(e) => {
                // After a line that is cut off, or a stream that fails, nothing is at its place.
                let cut = usize::try_from(MAX_LINE_BYTES).is_ok_and(|longest| records.raw.len() > longest);
                let over = cut || matches!(e, DataError::Io { .. } | DataError::Empty { .. });
                found.errors.push(e);
                if over {
                    break;
                }
            }
        }
    }
    found
}

/// Keys of a line that is a record which nothing reads; `id` and `name` are common and mean nothing here.
fn unread_keys(raw: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(raw);
    let Ok(Value::Object(map)) = serde_json::from_str::<Value>(text.trim_start_matches('\u{feff}')) else {
        return Vec::new();
    };
    let top = ["messages", "prompt", "completion", "tools", "functions", "id"];
    let inner = ["role", "content", "weight", "name", "tool_calls", "function_call"];
    let mut keys: Vec<String> = map.keys().filter(|k| !top.contains(&k.as_str())).cloned().collect();
    for message in map.get("messages").and_then(Value::as_array).into_iter().flatten() {
        let foreign = message.as_object().into_iter().flat_map(Map::keys).filter(|k| !inner.contains(&k.as_str()));
        keys.extend(foreign.cloned());
    }
    keys
}

struct At<'a> {
    file: &'a str,
    line: usize,
}

impl At<'_> {
    fn line(&self, detail: impl Into<String>) -> DataError {
        DataError::Line { file: self.file.to_owned(), line: self.line, detail: detail.into() }
    }

    fn field(&self, field: impl Into<String>, detail: impl Into<String>) -> DataError {
        DataError::Field { file: self.file.to_owned(), line: self.line, field: field.into(), detail: detail.into() }
    }

    fn text(&self, map: &Map<String, Value>, key: &str, path: &str) -> Result<String> {
        match map.get(key) {
            Some(Value::String(s)) => Ok(s.clone()),
            Some(_) => Err(self.field(path, "must be a string")),
            None => Err(self.field(path, "is missing")),
        }
    }
}

/// One line as a record.
///
/// # Errors
/// `record_invalid` with `file`, `line` and field.
pub fn parse_record(file: &str, line: usize, text: &str) -> Result<Record> {
    let at = At { file, line };
    let value: Value = serde_json::from_str(text).map_err(|e| {
        // The library counts from the start of this line: its own position would be a second one.
        let text = e.to_string();
        let why = text.rsplit_once(" at line ").map_or(text.as_str(), |(why, _)| why);
        at.line(format!("not JSON (column {}): {why}", e.column()))
    })?;
    let Value::Object(map) = value else { return Err(at.line("not a JSON object; write one object per line")) };
    if let Some(key) = ["tools", "functions"].into_iter().find(|k| map.get(*k).is_some_and(|v| !v.is_null())) {
        return Err(at.field(key, "tool definitions have no place in a record; remove them"));
    }
    let record = match (map.get("messages"), map.contains_key("prompt"), map.contains_key("completion")) {
        (Some(messages), false, false) => Record { messages: chat(&at, messages)? },
        (None, true, true) => {
            let (prompt, completion) = (at.text(&map, "prompt", "prompt")?, at.text(&map, "completion", "completion")?);
            Record::pair(&prompt, &completion)
        }
        (None, true, false) => return Err(at.field("completion", "is missing")),
        (None, false, true) => return Err(at.field("prompt", "is missing")),
        (None, false, false) => {
            return Err(
                at.line("no `messages`, and no `prompt` and `completion`; see the formats in `weft data check --help`")
            )
        }
        (Some(_), ..) => return Err(at.line("both `messages` and `prompt` or `completion`; keep one form")),
    };
    let trained = |m: &Message| m.role == Role::Assistant && m.weight > 0 && !m.content.trim().is_empty();
    if !record.messages.iter().any(trained) {
        let field = if map.contains_key("messages") { "messages" } else { "completion" };
        return Err(at.field(field, "nothing to learn: it needs an assistant message with text and without weight 0"));
    }
    let size = record.canonical_line().len();
    if size > MAX_RECORD_BYTES {
        return Err(at.line(format!("the record has {size} bytes, the limit is {MAX_RECORD_BYTES}; split it")));
    }
    Ok(record)
}

fn chat(at: &At<'_>, messages: &Value) -> Result<Vec<Message>> {
    let Value::Array(list) = messages else { return Err(at.field("messages", "must be a list")) };
    if list.is_empty() {
        return Err(at.field("messages", "is empty"));
    }
    list.iter()
        .enumerate()
        .map(|(i, m)| {
            let path = |key: &str| format!("messages[{i}].{key}");
            let Value::Object(m) = m else { return Err(at.field(format!("messages[{i}]"), "must be an object")) };
            if let Some(key) =
                ["tool_calls", "function_call"].into_iter().find(|k| m.get(*k).is_some_and(|v| !v.is_null()))
            {
                return Err(at.field(path(key), "tool calls have no place in a record; remove the message"));
            }
            let role = at.text(m, "role", &path("role"))?;
            let role = Role::from_name(&role)
                .ok_or_else(|| at.field(path("role"), format!("`{role}` is not system, user, assistant or tool")))?;
            let weight = match m.get("weight") {
                None | Some(Value::Null) => 1,
                Some(v) => match v.as_u64() {
                    Some(0) => 0,
                    Some(1) => 1,
                    _ => return Err(at.field(path("weight"), "must be 0 or 1")),
                },
            };
            Ok(Message { role, content: at.text(m, "content", &path("content"))?, weight })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Vec<Record>> {
        read_jsonl("a.jsonl", text.as_bytes())
    }

    #[test]
    fn records_should_be_read_when_both_forms_are_mixed() {
        let text = "\u{feff}{\"prompt\":\"a\",\"completion\":\"b\"}\n\n\
                    {\"id\":7,\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"content\":\"y\",\"weight\":1}]}\r\n";
        let got = read(text).unwrap();
        assert_eq!(got, vec![Record::pair("a", "b"), Record::pair("x", "y")]);
    }

    #[test]
    fn records_should_come_one_by_one_when_a_later_line_is_bad() {
        let text = "{\"prompt\":\"a\",\"completion\":\"b\"}\n{\n{\"prompt\":\"c\",\"completion\":\"d\"}\n";
        let mut records = Records::new("a.jsonl", text.as_bytes());
        assert_eq!(records.next().unwrap().unwrap(), Record::pair("a", "b"));
        assert_eq!(records.next().unwrap().unwrap_err().code(), "record_invalid");
        assert!(records.next().is_none());
    }

    #[test]
    fn errors_should_name_line_and_field_when_a_line_is_bad() {
        let good = "{\"prompt\":\"a\",\"completion\":\"b\"}\n";
        for (bad, want) in [
            ("{", "line 2: not JSON"),
            ("[1]", "line 2: not a JSON object"),
            ("{\"prompt\":\"a\"}", "line 2, field `completion`: is missing"),
            ("{\"prompt\":1,\"completion\":\"b\"}", "line 2, field `prompt`: must be a string"),
            ("{\"prompt\":\"a\",\"completion\":\" \"}", "field `completion`: nothing to learn"),
            ("{\"messages\":[]}", "field `messages`: is empty"),
            ("{\"messages\":[{\"role\":\"bot\",\"content\":\"x\"}]}", "field `messages[0].role`: `bot`"),
            ("{\"messages\":[{\"role\":\"user\"}]}", "field `messages[0].content`: is missing"),
            ("{\"messages\":[{\"role\":\"assistant\",\"content\":\"x\",\"weight\":2}]}", "messages[0].weight"),
            ("{\"messages\":[{\"role\":\"assistant\",\"content\":\"x\",\"tool_calls\":[]}]}", "tool calls"),
            ("{\"text\":\"x\"}", "line 2: no `messages`"),
        ] {
            let e = read(&format!("{good}{bad}\n")).unwrap_err();
            assert!(e.to_string().contains(want), "{e} should contain {want}");
            assert_eq!(e.code(), "record_invalid");
        }
        assert!(matches!(read("\n"), Err(DataError::Empty { .. })));
        let long = format!("{{\"prompt\":\"a\",\"completion\":\"{}\"}}", "b".repeat(300 * 1024));
        assert!(read(&long).unwrap_err().to_string().contains("the limit is 262144"));
        let longer = "x".repeat(1024 * 1024 + 5);
        assert!(read(&longer).unwrap_err().to_string().contains("longer than 1 MiB"));
        assert!(read_jsonl("b", &[0xff, 0xfe][..]).unwrap_err().to_string().contains("UTF-8"));
    }

    #[test]
    fn survey_should_go_past_bad_lines_and_name_keys_that_nothing_reads() {
        let good = "{\"prompt\":\"a\",\"completion\":\"b\"}\n";
        let slip = "{\"messages\":[{\"role\":\"assistant\",\"content\":\"x\",\"weigth\":0}]}\n";
        let text = format!("{{\n{good}[1]\n\n{slip}{slip}");
        let found = survey("a.jsonl", text.as_bytes(), 20);
        assert_eq!(found.records.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 5, 6]);
        assert_eq!(found.errors.len(), 2);
        assert!(!found.errors[0].to_string().contains(" at line "), "{}", found.errors[0]);
        assert_eq!(found.unread, BTreeMap::from([("weigth".to_string(), 5)]));
        assert_eq!(survey("a.jsonl", "{\n{\n{\n".as_bytes(), 2).errors.len(), 2);
    }

    proptest! {
        #[test]
        fn canonical_lines_should_read_back_when_written(prompt in ".{0,40}", answer in "[^\\s].{0,40}") {
            let record = Record::pair(&prompt, &answer);
            let line = record.canonical_line();
            prop_assert_eq!(read(&line).unwrap(), vec![record.clone()]);
            prop_assert_eq!(Record::parse_line(&line).unwrap(), record);
        }
    }
}
