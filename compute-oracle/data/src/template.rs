//! Chat templates: Jinja as transformers renders it.

use crate::error::{DataError, Result};
use minijinja::value::{from_args, Kwargs, Object, Value, ValueKind};
use minijinja::{syntax::SyntaxConfig, AutoEscape, Environment, Error, ErrorKind, State};
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use weft_protocol::record::Message;

/// ChatML, for models without a template.
const CHATML: &str = "{%- for message in messages -%}{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + \
    '<|im_end|>' + '\\n' -}}{%- endfor -%}{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}";
/// Instructions of one rendering without messages, and more for each of them: far above any template, far below a second.
const FUEL: u64 = 20_000;
/// Instructions of one rendering per message.
const FUEL_PER_MESSAGE: u64 = 1_000;
/// Longest text of one rendering in bytes: far above a record's 256 KiB.
pub const MAX_RENDERED: usize = 16 * 1024 * 1024;
/// Deepest nesting that `tojson` writes.
const MAX_DEPTH: usize = 128;
/// Widest indentation that `tojson` writes.
const MAX_INDENT: usize = 64;
const NAME: &str = "chat";
/// What `{% generation %}` becomes a call of.
const GENERATION: &str = "__generation";

/// The chat template of a model folder as its root binds it: all that decides how a conversation reads.
///
/// The text is that of `chat_template.jinja`, else the string (or the entry named `default`) of
/// `tokenizer_config.json`, else empty, which stands for ChatML. A template that names `bos_token` or `eos_token`
/// reads them from `tokenizer_config.json`, so assignments of both come first in the text.
///
/// # Errors
/// `io`, `tokenizer` for a malformed `tokenizer_config.json`, `template` for one that is no text.
pub fn template_text(dir: &Path) -> Result<String> {
    let read = |path: &Path| std::fs::read(path).map_err(|source| DataError::Io { path: path.to_path_buf(), source });
    let config = dir.join("tokenizer_config.json");
    let config: serde_json::Value = if config.exists() {
        serde_json::from_slice(&read(&config)?)
            .map_err(|e| DataError::Tokenizer { detail: format!("{}: {e}", config.display()) })?
    } else {
        serde_json::Value::Null
    };
    let file = dir.join("chat_template.jinja");
    let template = if file.exists() {
        String::from_utf8(read(&file)?)
            .map_err(|_| DataError::Template { detail: "chat_template.jinja is not UTF-8".to_owned() })?
    } else {
        match config.get("chat_template") {
            None | Some(serde_json::Value::Null) => String::new(),
            Some(serde_json::Value::String(s)) => s.clone(),
            Some(serde_json::Value::Array(all)) => all
                .iter()
                .find(|e| e.get("name").and_then(|n| n.as_str()) == Some("default"))
                .and_then(|e| e.get("template").and_then(|t| t.as_str()))
                .unwrap_or_default()
                .to_owned(),
            Some(_) => {
                let detail = "`chat_template` of tokenizer_config.json is neither a string nor a list".to_owned();
                return Err(DataError::Template { detail });
            }
        }
    };
    // A special token is a string or an object with `content`.
    let special = |key: &str| {
        config
            .get(key)
            .and_then(|v| v.as_str().or_else(|| v.get("content").and_then(|c| c.as_str())))
            .unwrap_or_default()
            .to_owned()
    };
    let (bos, eos) = (special("bos_token"), special("eos_token"));
    Ok(with_special_tokens(&template, &[("bos_token", &bos), ("eos_token", &eos)]))
}

/// A template with the special tokens that it names assigned first; unchanged when it names none of them.
///
/// Each assignment is a line of its own, which `trim_blocks` removes whole: the text behind renders as it would alone.
fn with_special_tokens(template: &str, tokens: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, token) in tokens {
        if token.is_empty() || !template.contains(name) {
            continue;
        }
        text.push_str("{% set ");
        text.push_str(name);
        text.push_str(" = '");
        for c in token.chars() {
            match c {
                '\\' | '\'' => text.extend(['\\', c]),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                c => text.push(c),
            }
        }
        text.push_str("' %}\n");
    }
    text.push_str(template);
    text
}

/// Bytes of the tag at the start of `tag`, which ends with `end` outside of strings and brackets.
fn tag_len(tag: &str, end: &[u8]) -> usize {
    let (mut quote, mut escaped, mut depth) = (None, false, 0usize);
    for (i, pair) in tag.as_bytes().windows(2).enumerate().skip(2) {
        let Some(b) = pair.first().copied() else { break };
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if b == b'\\' => escaped = true,
            Some(q) if b == q => quote = None,
            Some(_) => {}
            None if depth == 0 && pair == end => return i.saturating_add(2),
            None => match b {
                b'\'' | b'"' => quote = Some(b),
                b'(' | b'[' | b'{' => depth = depth.saturating_add(1),
                b')' | b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            },
        }
    }
    tag.len()
}

/// What stands between `{%` and `%}`, without the marks of whitespace control.
fn tag_text(tag: &str) -> &str {
    let inner = tag.strip_prefix("{%").and_then(|t| t.strip_suffix("%}")).unwrap_or_default();
    inner.trim_start_matches(['-', '+']).trim_end_matches(['-', '+']).trim()
}

/// Replaces the tags `{% generation %}` and `{% endgeneration %}` of transformers by a call block; whether there were any.
///
/// Comments, strings and raw blocks are left alone.
fn rewrite_generation(source: &str) -> (String, bool) {
    let mut out = String::with_capacity(source.len());
    let (mut rest, mut raw, mut found) = (source, false, false);
    while let Some(at) = rest.find('{') {
        let (before, tail) = rest.split_at(at);
        out.push_str(before);
        let block = tail.starts_with("{%");
        let len = match tail.as_bytes().get(1) {
            Some(b'%') => tag_len(tail, b"%}"),
            Some(b'#') if !raw => tail.find("#}").map_or(tail.len(), |i| i.saturating_add(2)),
            Some(b'{') if !raw => tag_len(tail, b"}}"),
            _ => 1,
        };
        let (tag, _) = tail.split_at(len);
        let text = if block { tag_text(tag) } else { "" };
        let len = if raw && text != "endraw" { 1 } else { len };
        let (tag, after) = tail.split_at(len);
        match text {
            "raw" => raw = true,
            "endraw" => raw = false,
            _ => {}
        }
        match text {
            "generation" if !raw => {
                out.push_str(&tag.replacen("generation", &format!("call {GENERATION}()"), 1));
                found = true;
            }
            "endgeneration" if !raw => out.push_str(&tag.replacen("endgeneration", "endcall", 1)),
            _ => out.push_str(tag),
        }
        rest = after;
    }
    out.push_str(rest);
    (out, found)
}

/// The text of a rendering as it grows: refused above [`MAX_RENDERED`].
struct Page {
    text: Vec<u8>,
    written: Arc<AtomicUsize>,
}

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.text.len().saturating_add(bytes.len()) > MAX_RENDERED {
            return Err(std::io::Error::other("the text is longer than 16 MiB"));
        }
        self.text.extend_from_slice(bytes);
        self.written.store(self.text.len(), Ordering::Relaxed);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What stands inside `{% generation %}`: where it begins, and its text.
#[derive(Debug)]
struct Generated {
    written: Arc<AtomicUsize>,
    found: Mutex<Vec<(usize, String)>>,
}

impl Object for Generated {
    fn call(self: &Arc<Self>, state: &mut State<'_, '_>, args: &[Value]) -> std::result::Result<Value, Error> {
        let (options,): (Kwargs,) = from_args(args)?;
        let caller: Value = options.get("caller")?;
        options.assert_all_used()?;
        let at = self.written.load(Ordering::Relaxed);
        let text = caller.call(state, &[])?;
        self.found.lock().unwrap_or_else(PoisonError::into_inner).push((at, text.to_string()));
        Ok(text)
    }
}

/// A rendered conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Its text.
    pub text: String,
    /// Bytes that stood inside `{% generation %}`, in order; `None` when the template has no such tag, or one whose
    /// text does not stand where it was made.
    pub generated: Option<Vec<Range<usize>>>,
}

/// A compiled chat template.
#[derive(Debug)]
pub struct Template {
    /// Locked while it renders: the fuel belongs to the environment.
    env: Mutex<Environment<'static>>,
    fallback: bool,
    generation: bool,
}

fn failed(e: &Error) -> DataError {
    let mut detail = e.to_string();
    let mut source = std::error::Error::source(e);
    while let Some(s) = source {
        detail.push_str(": ");
        detail.push_str(&s.to_string());
        source = s.source();
    }
    DataError::Template { detail }
}

/// Python's `json.dumps(value, ensure_ascii=False, indent=…)`.
fn dumps(v: &Value, indent: Option<usize>, depth: usize, out: &mut String) -> std::result::Result<(), Error> {
    if depth > MAX_DEPTH || out.len() > MAX_RENDERED {
        let detail = "tojson: nested deeper than 128 levels, or longer than 16 MiB";
        return Err(Error::new(ErrorKind::BadSerialization, detail));
    }
    let next = depth.saturating_add(1);
    let line = |out: &mut String, depth: usize| {
        if let Some(n) = indent {
            out.push('\n');
            out.push_str(&" ".repeat(n.saturating_mul(depth)));
        }
    };
    let comma = if indent.is_some() { "," } else { ", " };
    let quoted = |s: &str| serde_json::Value::from(s).to_string();
    match v.kind() {
        ValueKind::Undefined | ValueKind::None => out.push_str("null"),
        ValueKind::Bool => out.push_str(if v.is_true() { "true" } else { "false" }),
        ValueKind::Number => out.push_str(&v.to_string()),
        ValueKind::String => out.push_str(&quoted(v.as_str().unwrap_or_default())),
        ValueKind::Map => {
            out.push('{');
            let mut any = false;
            for key in v.try_iter()? {
                if std::mem::replace(&mut any, true) {
                    out.push_str(comma);
                }
                line(out, next);
                out.push_str(&quoted(&key.to_string()));
                out.push_str(": ");
                dumps(&v.get_item(&key)?, indent, next, out)?;
            }
            if any {
                line(out, depth);
            }
            out.push('}');
        }
        ValueKind::Seq | ValueKind::Iterable => {
            out.push('[');
            let mut any = false;
            for x in v.try_iter()? {
                if std::mem::replace(&mut any, true) {
                    out.push_str(comma);
                }
                line(out, next);
                dumps(&x, indent, next, out)?;
            }
            if any {
                line(out, depth);
            }
            out.push(']');
        }
        _ => return Err(Error::new(ErrorKind::BadSerialization, "tojson: the value has no JSON form")),
    }
    Ok(())
}

fn tojson(value: &Value, options: Kwargs) -> std::result::Result<Value, Error> {
    let indent: Option<usize> = options.get("indent")?;
    options.assert_all_used()?;
    if indent.is_some_and(|n| n > MAX_INDENT) {
        return Err(Error::new(ErrorKind::InvalidOperation, "tojson: an indentation of more than 64"));
    }
    let mut out = String::new();
    dumps(value, indent, 0, &mut out)?;
    Ok(Value::from_safe_string(out))
}

/// Year, month, day of a day number since 1970 (Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: i64) -> Option<(i64, i64, i64)> {
    let z = days.checked_add(719_468)?;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = doe
        .checked_sub(doe.checked_div(1460)?)?
        .checked_add(doe.checked_div(36_524)?)?
        .checked_sub(doe.checked_div(146_096)?)?
        .checked_div(365)?;
    let leap = yoe.checked_div(4)?.checked_sub(yoe.checked_div(100)?)?;
    let doy = doe.checked_sub(yoe.checked_mul(365)?.checked_add(leap)?)?;
    let mp = doy.checked_mul(5)?.checked_add(2)?.checked_div(153)?;
    let day = doy.checked_sub(mp.checked_mul(153)?.checked_add(2)?.checked_div(5)?)?.checked_add(1)?;
    let month = if mp < 10 { mp.checked_add(3)? } else { mp.checked_sub(9)? };
    let year = yoe.checked_add(era.checked_mul(400)?)?.checked_add(i64::from(month <= 2))?;
    Some((year, month, day))
}

/// `strftime` of a time in milliseconds since 1970, UTC, for the directives templates use.
fn strftime(ms: u64, format: &str) -> Option<String> {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let s = i64::try_from(ms.checked_div(1000)?).ok()?;
    let (year, month, day) = civil(s.div_euclid(86_400))?;
    let second = s.rem_euclid(86_400);
    let name = MONTHS.get(usize::try_from(month.checked_sub(1)?).ok()?)?;
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match chars.next()? {
            'Y' => out.push_str(&format!("{year:04}")),
            'm' => out.push_str(&format!("{month:02}")),
            'd' => out.push_str(&format!("{day:02}")),
            'B' => out.push_str(name),
            'b' => out.push_str(name.get(..3)?),
            'H' => out.push_str(&format!("{:02}", second.checked_div(3600)?)),
            'M' => out.push_str(&format!("{:02}", second.checked_rem(3600)?.checked_div(60)?)),
            'S' => out.push_str(&format!("{:02}", second.checked_rem(60)?)),
            '%' => out.push('%'),
            _ => return None,
        }
    }
    Some(out)
}

impl Template {
    /// Compiles a template as [`template_text`] gives it; an empty one is ChatML.
    ///
    /// # Errors
    /// `template` with the place of a syntax error.
    pub fn new(source: &str) -> Result<Self> {
        let mut env = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(|e| failed(&e))?;
        env.set_syntax(syntax);
        env.set_auto_escape_callback(|_| AutoEscape::None);
        env.set_recursion_limit(200);
        env.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        env.add_filter("tojson", |v: Value, options: Kwargs| tojson(&v, options));
        env.add_function("raise_exception", |text: String| -> std::result::Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, text))
        });
        let fallback = source.is_empty();
        let (source, generation) = rewrite_generation(if fallback { CHATML } else { source });
        env.add_template_owned(NAME, source).map_err(|e| failed(&e))?;
        let mut this = Self { env: Mutex::new(env), fallback, generation };
        this.set_time(0);
        Ok(this)
    }

    /// Whether the model has no template of its own, so that ChatML stands in.
    #[must_use]
    pub fn is_fallback(&self) -> bool {
        self.fallback
    }

    /// Sets the time that `strftime_now` gives: that of the job, never the clock.
    pub fn set_time(&mut self, ms: u64) {
        let env = self.env.get_mut().unwrap_or_else(PoisonError::into_inner);
        env.add_function("strftime_now", move |format: String| {
            strftime(ms, &format)
                .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "strftime_now: unsupported directive"))
        });
    }

    /// Messages as the template sees them.
    #[must_use]
    pub fn turns(messages: &[Message]) -> Vec<Value> {
        let turn = |m: &Message| minijinja::context! { role => m.role.name(), content => m.content.clone() };
        messages.iter().map(turn).collect()
    }

    /// A conversation's text; with `prompt` also the opening of an answer.
    ///
    /// # Errors
    /// `template` when the template refuses the messages, runs too long or writes too much: the same on every machine.
    pub fn render(&self, turns: &[Value], prompt: bool) -> Result<Rendered> {
        let fuel = u64::try_from(turns.len()).unwrap_or(u64::MAX).saturating_mul(FUEL_PER_MESSAGE).saturating_add(FUEL);
        let written = Arc::new(AtomicUsize::new(0));
        let marks = Arc::new(Generated { written: Arc::clone(&written), found: Mutex::default() });
        let mut page = Page { text: Vec::new(), written };
        {
            let mut env = self.env.lock().unwrap_or_else(PoisonError::into_inner);
            env.set_fuel(Some(fuel));
            let template = env.get_template(NAME).map_err(|e| failed(&e))?;
            let context = minijinja::context! {
                messages => turns.to_vec(),
                add_generation_prompt => prompt,
                __generation => Value::from_dyn_object(Arc::clone(&marks)),
            };
            template.render_captured_to(context, &mut page).map(drop).map_err(|e| failed(&e))?;
        }
        let text = String::from_utf8(page.text)
            .map_err(|_| DataError::Template { detail: "the text is not UTF-8".to_owned() })?;
        let found = std::mem::take(&mut *marks.found.lock().unwrap_or_else(PoisonError::into_inner));
        let place = |(at, part): (usize, String)| {
            let range = at..at.saturating_add(part.len());
            (text.get(range.clone()) == Some(part.as_str())).then_some(range)
        };
        let generated = if self.generation { found.into_iter().map(place).collect() } else { None };
        Ok(Rendered { text, generated })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_protocol::record::Record;

    fn render(source: &str) -> Result<String> {
        let record = Record::pair("a<b> \"q\" é", "yes");
        let source = with_special_tokens(source, &[("bos_token", "<s>"), ("eos_token", "</s>")]);
        Ok(Template::new(&source)?.render(&Template::turns(&record.messages), true)?.text)
    }

    #[test]
    fn template_should_follow_transformers_when_it_uses_python() {
        let cases = [
            ("{% for m in messages %}\n  {% if m.role == 'user' %}\nU {{ m.content }}\n  {% endif %}\n{% endfor %}", "U a<b> \"q\" é\n"),
            ("{{ bos_token }}{{ messages[0]['content'].split(' ')[0].upper() }}", "<s>A<B>"),
            ("{{ messages | tojson }}", "[{\"role\": \"user\", \"content\": \"a<b> \\\"q\\\" é\"}, {\"role\": \"assistant\", \"content\": \"yes\"}]"),
            ("{{ {'a': [1, 2]} | tojson(indent=2) }}", "{\n  \"a\": [\n    1,\n    2\n  ]\n}"),
            ("{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}", "2"),
            ("{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}{{ m.role }}{% endfor %}", "assistant"),
            ("{{ strftime_now('%d %b %Y') }}", "01 Jan 1970"),
        ];
        for (source, want) in cases {
            assert_eq!(render(source).unwrap(), want, "{source}");
        }
        assert!(render("{{ raise_exception('roles must alternate') }}")
            .unwrap_err()
            .to_string()
            .contains("roles must"));
        assert!(render("{% for %}").is_err());
        assert!(render("{% for i in range(1000) %}{% for j in range(10000) %}{% for k in range(10000) %}x{% endfor %}{% endfor %}{% endfor %}").is_err());
        assert!(render("").unwrap().ends_with("<|im_start|>assistant\n"));
    }

    #[test]
    fn strftime_should_give_the_day_when_it_is_a_leap_day() {
        assert_eq!(strftime(1_709_208_000_000, "%Y-%m-%d %H:%M:%S %B").unwrap(), "2024-02-29 12:00:00 February");
    }

    #[test]
    fn special_tokens_should_be_bound_when_the_template_names_them() {
        let text = "  {%- if true %}{{ bos_token }}{% endif %}x";
        assert_eq!(with_special_tokens(text, &[("eos_token", "</s>"), ("bos_token", "")]), text);
        for token in ["<s>", "it's", "a\\b", "l\nr\r", "{% x %}", "é\"", "{{"] {
            let bound = with_special_tokens("{{ bos_token }}", &[("bos_token", token)]);
            assert_ne!(bound, "{{ bos_token }}");
            assert_eq!(render(&bound).unwrap(), token, "{bound}");
        }
        // The lines in front change nothing of what follows: neither its first newline nor its indentation.
        for body in ["\n\nx{{ bos_token }}", "  {% if true %}\ny{% endif %}{{ bos_token }}", " z{{ eos_token }}"] {
            let plain = body.replace("{{ bos_token }}", "<s>").replace("{{ eos_token }}", "</s>");
            assert_eq!(render(body).unwrap(), render(&plain).unwrap(), "{body}");
        }
    }

    #[test]
    fn template_text_should_be_that_of_the_folder_when_tokens_are_not_named() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
        for base in ["base", "tiny-base"] {
            let dir = fixtures.join(base);
            let file = std::fs::read_to_string(dir.join("chat_template.jinja")).unwrap();
            assert_eq!(template_text(&dir).unwrap(), file, "{base}");
        }
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(template_text(dir.path()).unwrap(), "");
        assert!(Template::new("").unwrap().is_fallback() && !Template::new("x").unwrap().is_fallback());
        let config = dir.path().join("tokenizer_config.json");
        let write = |text: &str| std::fs::write(&config, text).unwrap();
        write(
            r#"{"bos_token": {"content": "<s>"}, "chat_template": [{"name": "default", "template": "{{ bos_token }}"}]}"#,
        );
        assert_eq!(template_text(dir.path()).unwrap(), "{% set bos_token = '<s>' %}\n{{ bos_token }}");
        write(r#"{"chat_template": 7}"#);
        assert_eq!(template_text(dir.path()).unwrap_err().code(), "template");
        write("{");
        assert_eq!(template_text(dir.path()).unwrap_err().code(), "tokenizer");
    }

    #[test]
    fn generation_should_be_marked_when_the_template_has_the_tag() {
        let source = "{# {% generation %} #}{% raw %}{% generation %}{% endraw %}{{ '{% generation %}' }}\
            {% for m in messages %}[{{ m.role }}]\
            {%- if m.role == 'assistant' %}{%- generation -%} {{ m.content }}{{ loop.index }}<e>{% endgeneration %}{% else %}{{ m.content }}{% endif %}\
            {% endfor %}";
        let plain = source.replace("{%- generation -%} {{ m", "{{ m").replace("<e>{% endgeneration %}", "<e>");
        let turns = Template::turns(&Record::pair("é{", "yes").messages);
        let got = Template::new(source).unwrap().render(&turns, false).unwrap();
        let want = Template::new(&plain).unwrap().render(&turns, false).unwrap();
        assert_eq!((got.text.as_str(), want.generated), (want.text.as_str(), None));
        let spans = got.generated.unwrap();
        assert_eq!(spans.iter().map(|s| &got.text[s.clone()]).collect::<Vec<_>>(), ["yes2<e>"]);
        // A text that was caught in a variable stands elsewhere: it gives no places.
        let caught = "{% set x %}{% generation %}a{% endgeneration %}{% endset %}bb{{ x }}";
        let caught = Template::new(caught).unwrap().render(&turns, false).unwrap();
        assert_eq!((caught.text.as_str(), caught.generated), ("bba", None));
    }

    #[test]
    fn template_should_be_refused_when_it_is_hostile() {
        let nested = "{% set ns = namespace(x=1) %}{% for i in range(1000) %}{% set ns.x = [ns.x] %}{% endfor %}";
        for (source, want) in [
            (format!("{nested}{{{{ ns.x | tojson }}}}"), "128 levels"),
            (
                "{% set ns = namespace(x='x') %}{% for i in range(25) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}"
                    .to_owned(),
                "16 MiB",
            ),
            (
                "{% set ns = namespace(x='x') %}{% for i in range(22) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}\
                 {% for i in range(9) %}{{ ns.x }}{% endfor %}"
                    .to_owned(),
                "16 MiB",
            ),
            (
                "{% set ns = namespace(x=[1]) %}{% for i in range(40) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}\
                 {{ ns.x | tojson }}"
                    .to_owned(),
                "16 MiB",
            ),
            ("{{ [1] | tojson(indent=9000000000000000000) }}".to_owned(), "indentation"),
            ("{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}".to_owned(), "fuel"),
        ] {
            let e = render(&source).unwrap_err();
            assert_eq!(e.code(), "template");
            assert!(e.to_string().contains(want), "{source}: {e}");
        }
    }
}
