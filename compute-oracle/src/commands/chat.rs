//! `weft chat`: a conversation with a model through a daemon's OpenAI interface.

use std::{
    io::{BufRead, IsTerminal, Write},
    path::Path,
};

use futures::StreamExt;
use serde_json::{json, Value};
use zeroize::Zeroizing;

use super::{daemon_url, http_stream};
use crate::{
    apikey::ApiKey,
    cli::Chat as Args,
    context::Context,
    error::{CliError, CliResult, Exit},
    output::say,
};

/// A question to a daemon.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// Address of the daemon.
    pub url: &'a str,
    /// API key, as text.
    pub key: &'a str,
    /// Model: its number, its id, or `base`.
    pub model: &'a str,
    /// (role, content) of the conversation.
    pub messages: Vec<(String, String)>,
    /// Longest answer in tokens.
    pub max_tokens: u32,
    /// 0 is greedy.
    pub temperature: f32,
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Its text.
    pub text: String,
    /// `stop` or `length`.
    pub finish: String,
    /// Tokens of the conversation.
    pub prompt_tokens: u32,
    /// Tokens of the answer.
    pub completion_tokens: u32,
    /// Id of its receipt.
    pub receipt: Option<String>,
}

fn failed(status: reqwest::StatusCode, body: &Value) -> CliError {
    let error = body.get("error").unwrap_or(body);
    let text = |key: &str| error.get(key).and_then(Value::as_str).unwrap_or_default().to_string();
    let message = text("message");
    let (exit, code, next) = match status.as_u16() {
        401 => (Exit::NotPermitted, "invalid_api_key", "make a key with `weft apikey create`"),
        404 => (Exit::NotFound, "model_not_found", "list the models with `weft model list`"),
        429 => (Exit::Funds, "insufficient_quota", "open or top up a budget: `weft budget open ORACLE AMOUNT`"),
        503 => (Exit::Unreachable, "overloaded", "try again shortly"),
        400 => (Exit::Usage, "bad_request", "correct the request"),
        _ => (Exit::Failed, "daemon", "see the daemon's log"),
    };
    CliError::new(
        exit,
        code,
        if message.is_empty() { format!("the daemon answers {status}: {body}") } else { message },
        next,
    )
}

/// Takes one `data:` line of the stream into the answer; `true` at its end.
fn take(line: &str, answer: &mut Answer, on_text: &mut (dyn FnMut(&str) + Send)) -> CliResult<bool> {
    let Some(data) = line.strip_prefix("data:").map(str::trim) else { return Ok(false) };
    if data == "[DONE]" {
        return Ok(true);
    }
    let chunk: Value = serde_json::from_str(data).map_err(|e| {
        CliError::new(Exit::Failed, "daemon", format!("the stream holds no JSON: {e}"), "use a daemon of this version")
    })?;
    if chunk.get("error").is_some() {
        return Err(failed(reqwest::StatusCode::INTERNAL_SERVER_ERROR, &chunk));
    }
    if let Some(choice) = chunk.pointer("/choices/0") {
        if let Some(text) = choice.pointer("/delta/content").and_then(Value::as_str) {
            answer.text.push_str(text);
            on_text(text);
        }
        if let Some(reason) = choice.get("finish_reason").and_then(Value::as_str) {
            answer.finish = reason.to_string();
        }
    }
    let count = |at: &str| chunk.pointer(at).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
    answer.prompt_tokens = count("/usage/prompt_tokens").unwrap_or(answer.prompt_tokens);
    answer.completion_tokens = count("/usage/completion_tokens").unwrap_or(answer.completion_tokens);
    let receipt =
        ["/weft/receipt/id", "/weft/receipt_id"].iter().find_map(|at| chunk.pointer(at).and_then(Value::as_str));
    if let Some(id) = receipt {
        answer.receipt = Some(id.to_string());
    }
    Ok(false)
}

/// Asks and streams the answer. `on_text` sees each piece as it comes.
pub async fn ask(q: &Question<'_>, on_text: &mut (dyn FnMut(&str) + Send)) -> CliResult<Answer> {
    daemon_url(q.url)?;
    let base = q.url.trim_end_matches('/').trim_end_matches("/v1");
    let url = format!("{base}/v1/chat/completions");
    let messages: Vec<Value> =
        q.messages.iter().map(|(role, content)| json!({ "role": role, "content": content })).collect();
    let body = json!({
        "model": q.model, "messages": messages, "max_tokens": q.max_tokens, "temperature": q.temperature,
        "stream": true, "stream_options": { "include_usage": true },
    });
    let lost = |e: reqwest::Error| {
        CliError::new(
            Exit::Unreachable,
            "daemon_unreachable",
            format!("no daemon answers at {url}: {e}"),
            "start one with `weft serve`, or name another with --url",
        )
    };
    let response = http_stream()?.post(&url).bearer_auth(q.key).json(&body).send().await.map_err(lost)?;
    let status = response.status();
    if !status.is_success() {
        let body: Value = response.json().await.unwrap_or(Value::Null);
        return Err(failed(status, &body));
    }
    let mut answer = Answer {
        receipt: response.headers().get("x-weft-receipt-id").and_then(|h| h.to_str().ok()).map(str::to_string),
        ..Answer::default()
    };
    let mut stream = response.bytes_stream();
    let mut buffer: Vec<u8> = Vec::new();
    while let Some(piece) = stream.next().await {
        buffer.extend_from_slice(&piece.map_err(lost)?);
        // Lines are cut at the byte 0x0A, which no other UTF-8 character contains.
        while let Some(end) = buffer.iter().position(|b| *b == b'\n') {
            let rest = buffer.split_off(end.saturating_add(1));
            let line = std::mem::replace(&mut buffer, rest);
            if take(String::from_utf8_lossy(&line).trim(), &mut answer, on_text)? {
                return Ok(answer);
            }
        }
    }
    if answer.finish.is_empty() {
        return Err(CliError::new(
            Exit::Unreachable,
            "stream_cut",
            "the stream ended before the answer did",
            "the tokens sent are paid; ask again",
        ));
    }
    Ok(answer)
}

/// The API key of a file, else of the environment variable `OPENAI_API_KEY`.
pub fn key(file: Option<&Path>) -> CliResult<Zeroizing<String>> {
    let text = match file {
        Some(path) => std::fs::read_to_string(path).map_err(CliError::io("read", path))?,
        None => std::env::var("OPENAI_API_KEY").map_err(|_| {
            CliError::usage("no API key", "set OPENAI_API_KEY or give --key-file; `weft apikey create` makes one")
        })?,
    };
    let text = Zeroizing::new(text.trim().to_string());
    if ApiKey::parse(&text).is_none() {
        return Err(CliError::usage(
            "this is not a Weft API key: its form or checksum is wrong",
            "check for missing characters",
        ));
    }
    Ok(text)
}

async fn turn(ctx: &Context, args: &Args, key: &str, history: &mut Vec<(String, String)>, prompt: String) -> CliResult {
    history.push(("user".into(), prompt));
    let question = Question {
        url: &args.url,
        key,
        model: &args.model,
        messages: history.clone(),
        max_tokens: args.max_tokens,
        temperature: args.temperature,
    };
    let live = !ctx.out.json;
    let answer = ask(&question, &mut |text| {
        if live {
            // A reader that has gone away is no error.
            let mut out = std::io::stdout().lock();
            let _closed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        }
    })
    .await?;
    if live {
        say("");
    }
    ctx.result(
        &json!({
            "text": answer.text, "finish": answer.finish, "prompt_tokens": answer.prompt_tokens,
            "completion_tokens": answer.completion_tokens, "receipt": answer.receipt,
        }),
        "",
    );
    ctx.out.note(&format!(
        "[{} + {} tokens{}]",
        answer.prompt_tokens,
        answer.completion_tokens,
        answer.receipt.as_ref().map_or_else(String::new, |r| format!(", receipt {r}"))
    ));
    history.push(("assistant".into(), answer.text));
    Ok(())
}

/// Runs the command: one question, or a conversation line by line from standard input.
pub async fn run(ctx: &Context, args: Args) -> CliResult {
    let key = key(args.key_file.as_deref())?;
    let mut history = Vec::new();
    if let Some(prompt) = args.prompt.clone() {
        return turn(ctx, &args, &key, &mut history, prompt).await;
    }
    let terminal = std::io::stdin().is_terminal();
    loop {
        if terminal {
            eprint!("> ");
            std::io::stderr().flush()?;
        }
        let mut line = String::new();
        if std::io::stdin().lock().read_line(&mut line)? == 0 {
            return Ok(());
        }
        let prompt = line.trim();
        if !prompt.is_empty() {
            turn(ctx, &args, &key, &mut history, prompt.to_string()).await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_should_add_up_when_taken_line_by_line() {
        let mut answer = Answer::default();
        let mut seen = String::new();
        for line in [
            r#"data: {"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}"#,
            "",
            ": comment",
            r#"data: {"choices":[{"delta":{"content":"Pa"},"finish_reason":null}]}"#,
            r#"data: {"choices":[{"delta":{"content":"ris"},"finish_reason":"stop"}]}"#,
            r#"data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}"#,
        ] {
            assert!(!take(line, &mut answer, &mut |t| seen.push_str(t)).unwrap());
        }
        assert!(take("data: [DONE]", &mut answer, &mut |_| ()).unwrap());
        assert_eq!((answer.text.as_str(), seen.as_str(), answer.finish.as_str()), ("Paris", "Paris", "stop"));
        assert_eq!((answer.prompt_tokens, answer.completion_tokens), (7, 2));
        let e = take(r#"data: {"error":{"message":"gone"}}"#, &mut answer, &mut |_| ()).unwrap_err();
        assert_eq!(e.cause, "gone");
    }
}
