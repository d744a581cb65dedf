//! Chat templates: Jinja as transformers renders it.

use crate::error::{DataError, Result};
use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{syntax::SyntaxConfig, AutoEscape, Environment, Error, ErrorKind};
use weft_protocol::record::Message;

/// ChatML, for models without a template.
const CHATML: &str = "{%- for message in messages -%}{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + \
    '<|im_end|>' + '\\n' -}}{%- endfor -%}{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}";
/// Instructions of one rendering: far above any template, far below a minute.
const FUEL: u64 = 10_000_000;
const NAME: &str = "chat";

/// A compiled chat template.
#[derive(Debug)]
pub struct Template {
    env: Environment<'static>,
    bos: String,
    eos: String,
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
    /// Compiles a template; an empty one is ChatML. `bos` and `eos` are the
    /// texts of those tokens.
    ///
    /// # Errors
    /// `template` with the place of a syntax error.
    pub fn new(source: &str, bos: &str, eos: &str) -> Result<Self> {
        let mut env = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(|e| failed(&e))?;
        env.set_syntax(syntax);
        env.set_auto_escape_callback(|_| AutoEscape::None);
        env.set_fuel(Some(FUEL));
        env.set_recursion_limit(200);
        env.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        env.add_filter("tojson", |v: Value, options: Kwargs| tojson(&v, options));
        env.add_function("raise_exception", |text: String| -> std::result::Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, text))
        });
        let source = if source.is_empty() { CHATML } else { source };
        env.add_template_owned(NAME, source.to_owned()).map_err(|e| failed(&e))?;
        let mut this = Self { env, bos: bos.to_owned(), eos: eos.to_owned() };
        this.set_time(0);
        Ok(this)
    }

    /// Sets the time that `strftime_now` gives: that of the job, never the clock.
    pub fn set_time(&mut self, ms: u64) {
        self.env.add_function("strftime_now", move |format: String| {
            strftime(ms, &format)
                .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "strftime_now: unsupported directive"))
        });
    }

    /// The text of a conversation; with `prompt` also the opening of an answer.
    ///
    /// # Errors
    /// `template` when the template refuses the messages.
    pub fn render(&self, messages: &[Message], prompt: bool) -> Result<String> {
        let turns: Vec<Value> = messages
            .iter()
            .map(|m| minijinja::context! { role => m.role.name(), content => m.content.clone() })
            .collect();
        let template = self.env.get_template(NAME).map_err(|e| failed(&e))?;
        template
            .render(minijinja::context! {
                messages => turns,
                add_generation_prompt => prompt,
                bos_token => self.bos.clone(),
                eos_token => self.eos.clone(),
            })
            .map_err(|e| failed(&e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_protocol::record::Record;

    fn render(source: &str) -> Result<String> {
        let record = Record::pair("a<b> \"q\" é", "yes");
        Template::new(source, "<s>", "</s>")?.render(&record.messages, true)
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
}
