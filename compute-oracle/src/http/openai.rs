//! The OpenAI side of the HTTP API: requests, answers, errors.

use axum::{
    http::{header, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
    Json,
};
use serde::{Deserialize, Serialize};
use serde_json::{json, Value};

use crate::error::{CliError, Exit};

/// An error in OpenAI's form.
#[derive(Debug, Clone)]
pub struct ApiError {
    /// HTTP status.
    pub status: StatusCode,
    /// What happened and what to do.
    pub message: String,
    /// OpenAI's error class.
    pub kind: &'static str,
    /// Request field at fault.
    pub param: Option<String>,
    /// Stable code.
    pub code: &'static str,
    /// Seconds after which a retry makes sense; `None` tells clients not to retry on 409 and 429.
    pub retry_after: Option<u32>,
}

impl ApiError {
    /// A bad request that names the field at fault.
    #[must_use]
    pub fn bad_request(code: &'static str, param: &str, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            message: message.into(),
            kind: "invalid_request_error",
            param: (!param.is_empty()).then(|| param.to_string()),
            code,
            retry_after: None,
        }
    }

    /// No or an unknown API key.
    #[must_use]
    pub fn unauthorised(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            message: message.into(),
            kind: "invalid_request_error",
            param: None,
            code: "invalid_api_key",
            retry_after: None,
        }
    }

    /// A model that this daemon does not serve.
    #[must_use]
    pub fn model_not_found(model: &str) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            message: format!("The model '{model}' is not served here. GET /v1/models lists those that are."),
            kind: "invalid_request_error",
            param: Some("model".into()),
            code: "model_not_found",
            retry_after: None,
        }
    }

    /// A model that is served here and cannot answer now.
    #[must_use]
    pub fn model_unavailable(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            message: message.into(),
            kind: "server_error",
            param: Some("model".into()),
            code: "model_unavailable",
            retry_after: Some(30),
        }
    }

    /// The consumer's budget or limit does not cover the worst case.
    #[must_use]
    pub fn quota(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            message: message.into(),
            kind: "insufficient_quota",
            param: None,
            code: "insufficient_quota",
            retry_after: None,
        }
    }

    /// Too many requests wait.
    #[must_use]
    pub fn overloaded() -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            message: "Too many requests are waiting for the model. Try again shortly.".into(),
            kind: "server_error",
            param: None,
            code: "overloaded",
            retry_after: Some(2),
        }
    }

    /// The node cannot be reached: nothing can be checked or paid now.
    #[must_use]
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            message: message.into(),
            kind: "server_error",
            param: None,
            code: "chain_unreachable",
            retry_after: Some(5),
        }
    }

    /// This daemon has no oracle key: it signs no receipt and serves no model.
    #[must_use]
    pub fn no_oracle() -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            message: "This daemon has no oracle key and serves no model. Its operator starts it with --oracle.".into(),
            kind: "server_error",
            param: None,
            code: "no_oracle_key",
            retry_after: None,
        }
    }

    /// An address or method that the API does not have.
    #[must_use]
    pub fn unknown_address(status: StatusCode, method: &str, path: &str) -> Self {
        Self {
            status,
            message: format!(
                "{method} {path} does not exist. There are GET /v1/models, GET /v1/models/{{id}} and POST /v1/chat/completions."
            ),
            kind: "invalid_request_error",
            param: None,
            code: "unknown_url",
            retry_after: None,
        }
    }

    /// A request body that cannot be taken: too large, or cut off.
    #[must_use]
    pub fn body_refused(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, ..Self::bad_request("body_refused", "", message) }
    }

    /// Something failed on this side.
    #[must_use]
    pub fn internal(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            message: message.into(),
            kind: "server_error",
            param: None,
            code: "internal_error",
            retry_after: None,
        }
    }

    /// As [`ApiError::internal`], or [`ApiError::unavailable`] when the node is away.
    #[must_use]
    pub fn failed(e: impl Into<CliError>) -> Self {
        let e = e.into();
        match e.exit {
            Exit::Unreachable => Self::unavailable(e.to_string()),
            _ => Self::internal(e.to_string()),
        }
    }

    /// The body clients parse.
    #[must_use]
    pub fn body(&self) -> Value {
        json!({ "error": { "message": self.message, "type": self.kind, "param": self.param, "code": self.code } })
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        } else if matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::CONFLICT) {
            headers.insert("x-should-retry", HeaderValue::from_static("false"));
        }
        response
    }
}

/// One chat message of a request. Content may be a string or a list of text parts.
#[derive(Debug, Clone, Deserialize)]
pub struct RequestMessage {
    /// system, user or assistant.
    pub role: String,
    /// Text or parts.
    #[serde(default)]
    pub content: Value,
}

/// `POST /v1/chat/completions`. Unknown fields are ignored, as clients expect.
#[derive(Debug, Clone, Deserialize)]
pub struct ChatRequest {
    /// Model id.
    pub model: String,
    /// The conversation.
    pub messages: Vec<RequestMessage>,
    /// Whether to stream.
    #[serde(default)]
    pub stream: Option<bool>,
    /// Options of a stream.
    #[serde(default)]
    pub stream_options: Option<StreamOptions>,
    /// Longest answer in tokens (older name).
    #[serde(default)]
    pub max_tokens: Option<u32>,
    /// Longest answer in tokens.
    #[serde(default)]
    pub max_completion_tokens: Option<u32>,
    /// 0–2.
    #[serde(default)]
    pub temperature: Option<f32>,
    /// 0–1.
    #[serde(default)]
    pub top_p: Option<f32>,
    /// Number of answers.
    #[serde(default)]
    pub n: Option<u32>,
    /// Seed of the sampler.
    #[serde(default)]
    pub seed: Option<i64>,
    /// Text or list of texts that end an answer.
    #[serde(default)]
    pub stop: Option<Value>,
    /// Not supported: refused by name.
    #[serde(default)]
    pub tools: Option<Value>,
    /// Not supported: refused by name unless "none".
    #[serde(default)]
    pub tool_choice: Option<Value>,
    /// Not supported: refused by name.
    #[serde(default)]
    pub functions: Option<Value>,
    /// Not supported: refused by name.
    #[serde(default)]
    pub logit_bias: Option<Value>,
    /// Only `{"type":"text"}` is supported.
    #[serde(default)]
    pub response_format: Option<Value>,
    /// Not supported: refused by name.
    #[serde(default)]
    pub logprobs: Option<bool>,
    /// Not supported: refused by name unless 0.
    #[serde(default)]
    pub frequency_penalty: Option<f32>,
    /// Not supported: refused by name unless 0.
    #[serde(default)]
    pub presence_penalty: Option<f32>,
}

/// Options of a stream.
#[derive(Debug, Clone, Deserialize)]
pub struct StreamOptions {
    /// Whether the last chunk carries the token counts.
    #[serde(default)]
    pub include_usage: Option<bool>,
}

/// A request after its checks.
#[derive(Debug, Clone)]
pub struct Checked {
    /// (role, content) pairs.
    pub messages: Vec<(String, String)>,
    /// Longest answer in tokens.
    pub max_tokens: u32,
    /// 0 is greedy.
    pub temperature: f32,
    /// Nucleus.
    pub top_p: f32,
    /// Seed; drawn when absent.
    pub seed: Option<u64>,
    /// Texts that end an answer.
    pub stop: Vec<String>,
    /// Whether to stream.
    pub stream: bool,
    /// Whether the stream ends with the token counts.
    pub include_usage: bool,
}

/// Whether a value has the type of its field.
type Fits = fn(&Value) -> bool;

fn whole_number(v: &Value) -> bool {
    v.as_u64().is_some_and(|n| u32::try_from(n).is_ok())
}

/// Fields with a type of their own, what they must be, and whether a value is.
const TYPES: [(&str, &str, Fits); 13] = [
    ("model", "a text", Value::is_string),
    ("messages", "a list of messages", Value::is_array),
    ("stream", "true or false", Value::is_boolean),
    ("stream_options", "an object", Value::is_object),
    ("max_tokens", "a whole number", whole_number),
    ("max_completion_tokens", "a whole number", whole_number),
    ("temperature", "a number", Value::is_number),
    ("top_p", "a number", Value::is_number),
    ("n", "a whole number", whole_number),
    ("seed", "a whole number", Value::is_i64),
    ("logprobs", "true or false", Value::is_boolean),
    ("frequency_penalty", "a number", Value::is_number),
    ("presence_penalty", "a number", Value::is_number),
];

impl ChatRequest {
    /// A request from its JSON. A field of the wrong type is named as clients write it.
    pub fn read(body: Value) -> Result<Self, ApiError> {
        let wrong =
            |param: &str, must: &str| ApiError::bad_request("invalid_value", param, format!("{param} must be {must}."));
        let Value::Object(map) = &body else {
            let message = "The body must be a JSON object with model and messages.";
            return Err(ApiError::bad_request("invalid_value", "", message));
        };
        for name in ["model", "messages"] {
            if map.get(name).is_none_or(Value::is_null) {
                return Err(ApiError::bad_request("missing_required_parameter", name, format!("{name} is missing.")));
            }
        }
        for (name, must, fits) in TYPES {
            if map.get(name).is_some_and(|v| !v.is_null() && !fits(v)) {
                return Err(wrong(name, must));
            }
        }
        for (i, message) in map.get("messages").and_then(Value::as_array).into_iter().flatten().enumerate() {
            if !message.is_object() {
                return Err(wrong(&format!("messages[{i}]"), "an object with role and content"));
            }
            if !message.get("role").is_some_and(Value::is_string) {
                return Err(wrong(&format!("messages[{i}].role"), "one of system, user, assistant"));
            }
        }
        if body.pointer("/stream_options/include_usage").is_some_and(|v| !v.is_boolean()) {
            return Err(wrong("stream_options.include_usage", "true or false"));
        }
        serde_json::from_value(body).map_err(|e| {
            ApiError::bad_request("invalid_value", "", format!("The body is no request for a chat completion: {e}."))
        })
    }

    /// Checks bounds and unsupported features; each refusal names its field.
    pub fn check(&self, default_max: u32, limit_max: u32) -> Result<Checked, ApiError> {
        if self.messages.is_empty() {
            return Err(ApiError::bad_request("invalid_value", "messages", "messages must hold at least one message."));
        }
        for (field, value) in [
            ("tools", self.tools.as_ref()),
            ("functions", self.functions.as_ref()),
            ("logit_bias", self.logit_bias.as_ref()),
            ("tool_choice", self.tool_choice.as_ref().filter(|choice| choice.as_str() != Some("none"))),
        ] {
            if value.is_some_and(is_set) {
                let text = format!("{field} is not supported; leave it out.");
                return Err(ApiError::bad_request("unsupported_parameter", field, text));
            }
        }
        if let Some(format) = &self.response_format {
            if !format.is_null() && format.get("type").and_then(Value::as_str) != Some("text") {
                return Err(ApiError::bad_request(
                    "unsupported_parameter",
                    "response_format",
                    "only response_format {\"type\":\"text\"} is supported.",
                ));
            }
        }
        if self.logprobs == Some(true) {
            return Err(ApiError::bad_request("unsupported_parameter", "logprobs", "logprobs are not supported."));
        }
        if self.n.unwrap_or(1) != 1 {
            return Err(ApiError::bad_request("unsupported_parameter", "n", "only n = 1 is supported."));
        }
        for (field, value) in
            [("frequency_penalty", self.frequency_penalty), ("presence_penalty", self.presence_penalty)]
        {
            if value.is_some_and(|v| v != 0.0) {
                return Err(ApiError::bad_request(
                    "unsupported_parameter",
                    field,
                    format!("{field} is not supported; leave it out, or send 0."),
                ));
            }
        }
        let temperature = self.temperature.unwrap_or(1.0);
        if !(0.0..=2.0).contains(&temperature) {
            return Err(ApiError::bad_request("invalid_value", "temperature", "temperature must lie in 0–2."));
        }
        let top_p = self.top_p.unwrap_or(1.0);
        if !(0.0..=1.0).contains(&top_p) {
            return Err(ApiError::bad_request("invalid_value", "top_p", "top_p must lie in 0–1."));
        }
        // Clients send 0 for "the likeliest token only"; the smallest nucleus holds exactly that one.
        let top_p = top_p.max(f32::MIN_POSITIVE);
        let max_tokens = self.max_completion_tokens.or(self.max_tokens).unwrap_or(default_max);
        if max_tokens == 0 || max_tokens > limit_max {
            return Err(ApiError::bad_request(
                "invalid_value",
                if self.max_completion_tokens.is_some() { "max_completion_tokens" } else { "max_tokens" },
                format!("the longest answer must lie in 1–{limit_max} tokens."),
            ));
        }
        let mut messages = Vec::with_capacity(self.messages.len());
        for (i, m) in self.messages.iter().enumerate() {
            if !matches!(m.role.as_str(), "system" | "developer" | "user" | "assistant") {
                return Err(ApiError::bad_request(
                    "invalid_value",
                    &format!("messages[{i}].role"),
                    format!("role '{}' is not one of system, user, assistant.", m.role),
                ));
            }
            let role = if m.role == "developer" { "system" } else { m.role.as_str() };
            messages.push((role.to_string(), text_of(&m.content, i)?));
        }
        Ok(Checked {
            messages,
            max_tokens,
            temperature,
            top_p,
            seed: self.seed.map(i64::cast_unsigned),
            stop: stops(self.stop.as_ref())?,
            stream: self.stream.unwrap_or(false),
            include_usage: self.stream_options.as_ref().is_some_and(|o| o.include_usage == Some(true)),
        })
    }
}

/// Whether a field says anything: null, an empty list and an empty object do not.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => true,
    }
}

fn text_of(content: &Value, index: usize) -> Result<String, ApiError> {
    match content {
        Value::String(s) => Ok(s.clone()),
        Value::Array(parts) => {
            let mut text = String::new();
            for part in parts {
                match (part.get("type").and_then(Value::as_str), part.get("text").and_then(Value::as_str)) {
                    (Some("text"), Some(t)) => text.push_str(t),
                    _ => {
                        return Err(ApiError::bad_request(
                            "unsupported_parameter",
                            &format!("messages[{index}].content"),
                            "only text parts are supported.",
                        ))
                    }
                }
            }
            Ok(text)
        }
        _ => Err(ApiError::bad_request(
            "invalid_value",
            &format!("messages[{index}].content"),
            "content must be a text or a list of text parts.",
        )),
    }
}

fn stops(stop: Option<&Value>) -> Result<Vec<String>, ApiError> {
    let bad = || ApiError::bad_request("invalid_value", "stop", "stop must be a text or a list of at most 4 texts.");
    let list = match stop {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(s)) => vec![s.clone()],
        Some(Value::Array(a)) => {
            a.iter().map(|v| v.as_str().map(str::to_string).ok_or_else(bad)).collect::<Result<_, _>>()?
        }
        Some(_) => return Err(bad()),
    };
    if list.len() > 4 || list.iter().any(String::is_empty) {
        return Err(bad());
    }
    Ok(list)
}

/// Token counts of an answer.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Tokens of the answer.
    pub completion_tokens: u32,
    /// Their sum.
    pub total_tokens: u32,
}

impl Usage {
    /// Counts with their sum.
    #[must_use]
    pub fn new(prompt_tokens: u32, completion_tokens: u32) -> Self {
        Self { prompt_tokens, completion_tokens, total_tokens: prompt_tokens.saturating_add(completion_tokens) }
    }
}

/// A whole answer.
#[must_use]
pub fn completion(id: &str, created: u64, model: &str, text: &str, finish: &str, usage: Usage, weft: Value) -> Value {
    json!({
        "id": id, "object": "chat.completion", "created": created, "model": model,
        "choices": [{
            "index": 0,
            "message": { "role": "assistant", "content": text, "refusal": null },
            "logprobs": null,
            "finish_reason": finish,
        }],
        "usage": usage,
        "weft": weft,
    })
}

/// One chunk of a stream. `usage` is present (null or counts) when the client asked for it.
#[must_use]
pub fn chunk(id: &str, created: u64, model: &str, choices: Value, usage: Option<Value>) -> Value {
    let mut v = json!({
        "id": id, "object": "chat.completion.chunk", "created": created, "model": model, "choices": choices,
    });
    if let (Some(usage), Some(map)) = (usage, v.as_object_mut()) {
        map.insert("usage".into(), usage);
    }
    v
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(v: Value) -> Result<Checked, ApiError> {
        serde_json::from_value::<ChatRequest>(v).unwrap().check(64, 512)
    }

    #[test]
    fn request_should_pass_when_plain() {
        let c = parse(json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "unknown": 1})).unwrap();
        assert_eq!(c.messages, vec![("user".to_string(), "hi".to_string())]);
        assert_eq!(c.max_tokens, 64);
    }

    #[test]
    fn request_should_pass_when_top_p_and_penalties_are_zero() {
        let c = parse(json!({
            "model": "m", "messages": [{"role": "user", "content": "hi"}], "top_p": 0, "frequency_penalty": 0,
            "presence_penalty": 0.0,
        }))
        .unwrap();
        assert!(c.top_p > 0.0 && c.top_p < 1e-30);
    }

    #[test]
    fn request_should_pass_when_unsupported_fields_say_nothing() {
        let c = parse(json!({
            "model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": [], "tool_choice": "none",
            "functions": null, "logit_bias": {}, "stream": true, "stream_options": {"include_usage": null},
        }))
        .unwrap();
        assert!(c.stream && !c.include_usage);
        let asked = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "tool_choice": null,
            "stream_options": {"include_usage": true}});
        assert!(parse(asked).unwrap().include_usage);
    }

    #[test]
    fn error_should_tell_clients_whether_to_retry() {
        let header = |e: ApiError, name: &str| {
            let value = e.into_response().headers().get(name).cloned();
            value.map(|v| v.to_str().unwrap().to_string())
        };
        assert_eq!(header(ApiError::quota("x"), "x-should-retry").as_deref(), Some("false"));
        assert_eq!(header(ApiError::overloaded(), "retry-after").as_deref(), Some("2"));
        assert_eq!(header(ApiError::model_unavailable("x"), "retry-after").as_deref(), Some("30"));
        let gone = ApiError::failed(weft_chain::ChainError::Unreachable { url: "ws://x".into(), reason: "y".into() });
        assert_eq!(gone.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(header(gone, "retry-after").as_deref(), Some("5"));
        let other = ApiError::failed(weft_chain::ChainError::Incompatible { reason: "y".into() });
        assert_eq!(other.status, StatusCode::INTERNAL_SERVER_ERROR);
    }

    #[test]
    fn request_should_name_the_field_when_its_type_is_wrong() {
        let user = json!([{"role": "user", "content": "hi"}]);
        for (field, value) in [
            ("model", json!(3)),
            ("messages", json!("hi")),
            ("stream", json!("yes")),
            ("stream_options", json!(true)),
            ("max_tokens", json!(-1)),
            ("max_tokens", json!("9")),
            ("temperature", json!("hot")),
            ("seed", json!(1.5)),
        ] {
            let mut body = json!({"model": "m", "messages": user});
            body.as_object_mut().unwrap().insert(field.into(), value);
            let e = ChatRequest::read(body).unwrap_err();
            assert_eq!((e.code, e.param.as_deref()), ("invalid_value", Some(field)));
            assert!(e.message.starts_with(field) && !e.message.contains("u32"), "{}", e.message);
        }
        for (body, param) in [
            (json!({"messages": user}), Some("model")),
            (json!({"model": "m"}), Some("messages")),
            (json!({"model": "m", "messages": [3]}), Some("messages[0]")),
            (json!({"model": "m", "messages": [{"role": 3}]}), Some("messages[0].role")),
            (json!([1]), None),
        ] {
            assert_eq!(ChatRequest::read(body).unwrap_err().param.as_deref(), param);
        }
    }

    #[test]
    fn request_should_name_the_field_when_refused() {
        let user = json!([{"role": "user", "content": "hi"}]);
        for (field, value) in [
            ("tools", json!([{"type": "function"}])),
            ("tool_choice", json!("auto")),
            ("tool_choice", json!({"type": "function"})),
            ("functions", json!([{"name": "f"}])),
            ("logit_bias", json!({"50256": -100})),
            ("response_format", json!({"type": "json_object"})),
            ("temperature", json!(3.0)),
            ("top_p", json!(1.5)),
            ("top_p", json!(-0.1)),
            ("frequency_penalty", json!(0.5)),
            ("presence_penalty", json!(-1)),
            ("max_tokens", json!(100_000)),
            ("stop", json!(["a", "b", "c", "d", "e"])),
            ("n", json!(2)),
        ] {
            let mut body = json!({"model": "m", "messages": user});
            body.as_object_mut().unwrap().insert(field.into(), value);
            assert_eq!(parse(body).unwrap_err().param.as_deref(), Some(field));
        }
        let e = parse(json!({"model": "m", "messages": [{"role": "robot", "content": "hi"}]})).unwrap_err();
        assert_eq!(e.param.as_deref(), Some("messages[0].role"));
        let e = parse(json!({"model": "m", "messages": []})).unwrap_err();
        assert_eq!(e.param.as_deref(), Some("messages"));
    }
}
