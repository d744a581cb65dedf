//! `/v1`: models and chat completions, paid by vouchers.

use std::{
    convert::Infallible,
    sync::{Arc, LazyLock},
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    extract::{
        rejection::{BytesRejection, PathRejection},
        Path, State,
    },
    http::{header, HeaderMap, HeaderName, HeaderValue},
    response::{
        sse::{Event, Sse},
        IntoResponse, Response,
    },
    Json,
};
use bytes::Bytes;
use serde_json::{json, Value};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use weft_chain::system;
use weft_protocol::{
    economics::answer_fee,
    hash::Hash,
    receipt::{salted, Receipt, BASE_MODEL},
    run::CLASS_CPU_F32,
};

use super::openai::{self, ApiError, ChatRequest, Usage};
use crate::{
    apikey::ApiKey,
    daemon::App,
    error::CliError,
    pay::Ticket,
    serving::{base_id, Answer, Found, Loaded, Piece, Serving},
};

/// The API key of a request.
pub(super) fn key_of(headers: &HeaderMap) -> Result<ApiKey, ApiError> {
    let text = headers
        .get(header::AUTHORIZATION)
        .and_then(|h| h.to_str().ok())
        .and_then(bearer)
        .ok_or_else(|| ApiError::unauthorised("Send your API key as 'Authorization: Bearer sk-weft-…'."))?;
    ApiKey::parse(text.trim()).ok_or_else(|| {
        ApiError::unauthorised(
            "This is not a Weft API key: its form or checksum is wrong. Check for missing characters.",
        )
    })
}

/// What follows the scheme `Bearer`, which is written in any case (RFC 9110, section 11.1).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, rest) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(rest)
}

fn serving(app: &App) -> Result<Arc<Serving>, ApiError> {
    app.serving.clone().ok_or_else(ApiError::no_oracle)
}

async fn authorised(app: &App, headers: &HeaderMap) -> Result<(weft_chain::State, ApiKey, [u8; 32]), ApiError> {
    // Without an oracle there is no budget that a key could spend: the key is not at fault.
    serving(app)?;
    let key = key_of(headers)?;
    let public =
        key.pair().map(|p| p.public_key().0).ok_or_else(|| ApiError::unauthorised("The key's seed is invalid."))?;
    let state = app.client.finalised().await.map_err(ApiError::failed)?;
    app.payments.known(&state, &public).await?;
    Ok((state, key, public))
}

fn model_object(loaded_id: &str, created: u64, parent: Option<&str>, weft: Value) -> Value {
    let mut v = json!({ "id": loaded_id, "object": "model", "created": created, "owned_by": "weft", "weft": weft });
    if let (Some(parent), Some(map)) = (parent, v.as_object_mut()) {
        map.insert("parent".into(), parent.into());
        map.insert("root".into(), parent.into());
    }
    v
}

/// Unix time in seconds at which this daemon started: since then it serves its base models.
pub(super) fn started() -> u64 {
    static AT: LazyLock<u64> = LazyLock::new(|| now_ms() / 1000);
    *AT
}

/// Unix time of a block in seconds; by the length of a slot where the node has forgotten the block's state.
async fn time_of(app: &App, state: &weft_chain::State, block: u32) -> Result<u64, ApiError> {
    if let Ok(then) = app.client.at(block).await {
        if let Ok(ms) = system::timestamp_ms(&then).await {
            return Ok(ms / 1000);
        }
    }
    let now = system::timestamp_ms(state).await.map_err(ApiError::failed)?;
    let slot = system::slot_ms(state).await.map_err(ApiError::failed)?;
    let since = slot.saturating_mul(state.head.number.saturating_sub(block).into());
    Ok(now.saturating_sub(since) / 1000)
}

async fn list(app: &App, state: &weft_chain::State) -> Result<Vec<Value>, ApiError> {
    let serving = serving(app)?;
    let mut data: Vec<Value> = serving
        .bases()
        .map(|b| {
            model_object(
                &base_id(&b.base_root),
                started(),
                None,
                json!({ "base_root": hex::encode(b.base_root), "price": "0" }),
            )
        })
        .collect();
    for (id, m) in serving.listed(state).await.map_err(ApiError::failed)? {
        let base = base_id(&m.base);
        let (_, price) =
            weft_chain::models::price_in_force(state, id, m.price_version).await.map_err(ApiError::failed)?;
        data.push(model_object(
            &model_id(&m, id),
            time_of(app, state, m.minted).await?,
            Some(&base),
            json!({
                "model": id, "job": m.job, "owner": crate::keys::address(&m.owner.0),
                "price_input": price.input.to_string(), "price_output": price.output.to_string(),
                "attribution": "training weights",
            }),
        ));
    }
    Ok(data)
}

fn model_id(m: &weft_chain::models::Model, id: u32) -> String {
    let owner = crate::keys::address(&m.owner.0);
    format!("ft:{}:{}:job-{}:{id}", base_id(&m.base), owner.get(..8).unwrap_or_default(), m.job)
}

/// `GET /v1/models`.
pub async fn models(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, ApiError> {
    let (state, _, _) = authorised(&app, &headers).await?;
    Ok(Json(json!({ "object": "list", "data": list(&app, &state).await? })).into_response())
}

/// `GET /v1/models/{id}`.
pub async fn model(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path(id) = id.map_err(|e| ApiError::bad_request("invalid_value", "model", e.body_text()))?;
    let (state, _, _) = authorised(&app, &headers).await?;
    let found = list(&app, &state).await?.into_iter().find(|m| names(&id, m));
    Ok(Json(found.ok_or_else(|| ApiError::model_not_found(&id))?).into_response())
}

/// Whether a request's model name means this object of the list. A tuned model is identified by its number alone, as in
/// a chat request; what stands before it is for people.
fn names(id: &str, object: &Value) -> bool {
    let number = object.pointer("/weft/model").and_then(Value::as_u64);
    match id.rsplit(':').next().and_then(|n| n.parse::<u32>().ok()) {
        Some(wanted) => number == Some(u64::from(wanted)),
        None => {
            let root = object.pointer("/weft/base_root").and_then(Value::as_str);
            object.get("id").and_then(Value::as_str) == Some(id)
                || root.is_some_and(|root| id == "base" || id.strip_prefix("0x").unwrap_or(id) == root)
        }
    }
}

/// A reservation, given back when dropped: before an answer, because there is none, or because it is in a voucher now.
struct Reserved {
    app: Arc<App>,
    ticket: Ticket,
    given_back: bool,
}

impl Reserved {
    /// Gives it back before anything else happens: the client's next request counts on it.
    async fn give_back(&mut self) {
        self.app.payments.release(&self.ticket).await;
        self.given_back = true;
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if !self.given_back {
            let (app, ticket) = (Arc::clone(&self.app), self.ticket.clone());
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move { app.payments.release(&ticket).await });
            }
        }
    }
}

/// Everything that signing the receipt needs.
struct Bill {
    app: Arc<App>,
    key: ApiKey,
    reserved: Reserved,
    loaded: Loaded,
    head: weft_chain::Head,
    request_bytes: Vec<u8>,
    id: [u8; 16],
}

impl Bill {
    /// Signs receipt and voucher for what was sent, in a task of its own: a client that leaves meanwhile stops nothing.
    async fn settle(self, answer: String, tokens_in: u32, tokens_out: u32) -> Result<Value, CliError> {
        let task = tokio::spawn(async move {
            let mut bill = self;
            let done = bill.sign(&answer, tokens_in, tokens_out).await;
            bill.reserved.give_back().await;
            done
        });
        task.await.unwrap_or_else(|e| {
            let cause = format!("the answer could not be signed: {e}");
            Err(CliError::new(crate::error::Exit::Failed, "internal", cause, "report this with the log"))
        })
    }

    async fn sign(&self, answer: &str, tokens_in: u32, tokens_out: u32) -> Result<Value, CliError> {
        let internal = |what: &str| CliError::new(crate::error::Exit::Failed, "internal", what, "report this");
        let signer = self.app.signer.as_ref().ok_or_else(|| internal("no oracle key"))?;
        let pair = self.key.pair().ok_or_else(|| internal("no key pair"))?;
        let ticket = &self.reserved.ticket;
        let (mut salt, price) = ([0u8; 32], ticket.price);
        rand::fill(&mut salt);
        let fee = if self.loaded.number.is_some() {
            answer_fee(tokens_in.into(), tokens_out.into(), price.input, price.output)
                .ok_or_else(|| internal("the fee overflows"))?
        } else {
            0
        };
        let model = self.loaded.number.unwrap_or(BASE_MODEL);
        let receipt = Receipt {
            version: weft_protocol::receipt::VERSION,
            genesis: self.app.client.genesis(),
            id: self.id,
            // Numbered where it is stored.
            index: 0,
            oracle: signer.public_key().0,
            class: CLASS_CPU_F32.as_bytes().to_vec(),
            model,
            model_commitment: self.loaded.commitment,
            base_root: self.loaded.base_root,
            request: salted(&salt, &self.request_bytes),
            answer: salted(&salt, answer.as_bytes()),
            tokens_in,
            tokens_out,
            price_version: ticket.price_version,
            price_in: price.input,
            price_out: price.output,
            fee,
            split: self.loaded.split,
            method: self.loaded.method,
            attribution: self.loaded.attribution,
            top: self.loaded.top.clone(),
            block: self.head.number,
            block_hash: self.head.hash,
            time: now_ms(),
        };
        let receipt = self.app.payments.settle(ticket, &pair, signer, receipt).await?;
        Ok(receipt_json(&receipt, Some(&salt)))
    }
}

/// A receipt as clients see it.
#[must_use]
pub fn receipt_json(r: &Receipt, salt: Option<&Hash>) -> Value {
    let mut v = json!({
        "id": hex::encode(r.id), "index": r.index, "oracle": crate::keys::address(&r.oracle),
        "class": String::from_utf8_lossy(&r.class), "model": (r.model != BASE_MODEL).then_some(r.model),
        "model_commitment": hex::encode(r.model_commitment), "base_root": hex::encode(r.base_root),
        "tokens_in": r.tokens_in, "tokens_out": r.tokens_out, "price_version": r.price_version,
        "price_input": r.price_in.to_string(), "price_output": r.price_out.to_string(), "fee": r.fee.to_string(),
        "split": r.split, "attribution_method": r.method,
        "attribution": "training weights: how the run's records moved its probe loss, not this answer",
        "top_contributors": r.top.iter().map(|(who, ppm)| json!({ "account": crate::keys::address(who), "ppm": ppm })).collect::<Vec<_>>(),
        "block": r.block, "block_hash": hex::encode(r.block_hash), "time_ms": r.time,
        "hash": hex::encode(r.hash()),
    });
    if let (Some(salt), Some(map)) = (salt, v.as_object_mut()) {
        map.insert("salt".into(), hex::encode(salt).into());
    }
    v
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

/// A request from its bytes. They are kept as they came: the receipt's hash is over them.
fn parse(body: &[u8]) -> Result<ChatRequest, ApiError> {
    let value = serde_json::from_slice(body).map_err(|e| {
        let place = format!("the fault is in line {}, column {}", e.line(), e.column());
        ApiError::bad_request("invalid_json", "", format!("The body is not JSON: {place}."))
    })?;
    ChatRequest::read(value)
}

/// `POST /v1/chat/completions`.
pub async fn completions(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let (state, key, public) = authorised(&app, &headers).await?;
    let body = body.map_err(|e| ApiError::body_refused(e.status(), e.body_text()))?;
    let request = parse(&body)?;
    let serving = serving(&app)?;
    let found = serving.find(&state, &request.model).await?;
    // However short the name that was asked for, the answer carries the whole one.
    let name = match &found {
        Found::Base(loaded) => base_id(&loaded.base_root),
        Found::Tuned(id, m, _) => model_id(m, *id),
    };
    let base = Arc::clone(found.base());
    let context = base.base.shape().context;
    let limit = app.config.limits.max_tokens.min(context);
    let mut checked = request.check(limit.min(256), limit)?;
    let most = checked.max_tokens;
    let wished = request.max_tokens.is_some() || request.max_completion_tokens.is_some();
    if !wished {
        // Without a wish the answer may fill what the context leaves: one token must fit.
        checked.max_tokens = 1;
    }
    let prompt = serving.tokens(&base, &checked).await?;
    let tokens_in = u32::try_from(prompt.len()).unwrap_or(u32::MAX);
    if !wished {
        checked.max_tokens = most.min(context.saturating_sub(tokens_in)).max(1);
    }
    let priced = match found.priced() {
        None => None,
        Some((id, newest)) => {
            let (version, price) =
                weft_chain::models::price_in_force(&state, id, newest).await.map_err(ApiError::failed)?;
            Some((id, price, version))
        }
    };
    let ticket = app.payments.reserve(&state, &public, priced, tokens_in, checked.max_tokens).await?;
    let reserved = Reserved { app: Arc::clone(&app), ticket, given_back: false };
    // Only now: who cannot pay makes this daemon load nothing.
    let loaded = serving.load(&state, found).await?;
    let id = *uuid::Uuid::new_v4().as_bytes();
    let bill = Bill {
        app: Arc::clone(&app),
        key,
        reserved,
        loaded: loaded.clone(),
        head: state.head,
        request_bytes: body.to_vec(),
        id,
    };
    let answer = serving.ask(loaded, prompt, checked.clone())?;
    let mut response = if checked.stream {
        stream(bill, answer, name, checked.include_usage, tokens_in)
    } else {
        whole(bill, answer, &name, tokens_in).await?
    };
    if let Ok(value) = HeaderValue::from_str(&hex::encode(id)) {
        response.headers_mut().insert(HeaderName::from_static("x-weft-receipt-id"), value);
    }
    Ok(response)
}

/// A model that ends without a word about it.
const NO_END: &str = "The model stopped in the middle of the answer. Try again; the daemon's log says why.";

async fn whole(bill: Bill, mut answer: Answer, model: &str, tokens_in: u32) -> Result<Response, ApiError> {
    let mut text = String::new();
    let (reason, tokens_out) = loop {
        match answer.pieces.recv().await {
            Some(Piece::Text(t, _)) => text.push_str(&t),
            Some(Piece::End(r, _, out)) => break (r, out),
            // Nothing was sent, so that nothing is billed.
            Some(Piece::Failed(e)) => return Err(ApiError::internal(e)),
            None => return Err(ApiError::internal(NO_END)),
        }
    };
    let id = format!("chatcmpl-{}", hex::encode(bill.id));
    let receipt = bill.settle(text.clone(), tokens_in, tokens_out).await.map_err(ApiError::failed)?;
    let usage = Usage::new(tokens_in, tokens_out);
    let body = openai::completion(&id, now_ms() / 1000, model, &text, reason, usage, json!({ "receipt": receipt }));
    Ok(Json(body).into_response())
}

fn stream(bill: Bill, answer: Answer, model: String, include_usage: bool, tokens_in: u32) -> Response {
    let (send, events) = mpsc::unbounded_channel::<Result<Event, Infallible>>();
    // A task of its own: when the client goes away, what was sent is still paid and signed.
    tokio::spawn(pump(bill, answer, model, include_usage, tokens_in, send));
    let mut response = Sse::new(UnboundedReceiverStream::new(events)).into_response();
    response.headers_mut().insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

async fn pump(
    bill: Bill,
    mut answer: Answer,
    model: String,
    include_usage: bool,
    tokens_in: u32,
    send: mpsc::UnboundedSender<Result<Event, Infallible>>,
) {
    let id = format!("chatcmpl-{}", hex::encode(bill.id));
    let created = now_ms() / 1000;
    let null = include_usage.then_some(Value::Null);
    let event = |v: Value| Ok(Event::default().data(v.to_string()));
    let delta = |d: Value, finish: Value| {
        event(openai::chunk(
            &id,
            created,
            &model,
            json!([{ "index": 0, "delta": d, "logprobs": null, "finish_reason": finish }]),
            null.clone(),
        ))
    };
    let _client_gone = send.send(delta(json!({ "role": "assistant", "content": "" }), Value::Null));
    let (mut text, mut tokens_out) = (String::new(), 0u32);
    let ended: Result<&str, String> = loop {
        let piece = tokio::select! {
            piece = answer.pieces.recv() => piece,
            // Nobody reads on: what was sent is paid, and the model is free for the next request at once.
            () = send.closed() => {
                answer.cancel();
                break Ok("stop");
            }
        };
        match piece {
            Some(Piece::Text(t, tokens)) => {
                if send.send(delta(json!({ "content": t }), Value::Null)).is_err() {
                    answer.cancel();
                    break Ok("stop");
                }
                text.push_str(&t);
                tokens_out = tokens;
            }
            Some(Piece::End(r, _, out)) => {
                tokens_out = out;
                break Ok(r);
            }
            Some(Piece::Failed(e)) => break Err(e),
            None => break Err(NO_END.into()),
        }
    };
    let (reason, failed) = match ended {
        Ok(reason) => (reason, None),
        Err(e) => ("stop", Some(ApiError::internal(e).body())),
    };
    if text.is_empty() && (failed.is_some() || send.is_closed()) {
        // No text was sent, so that nothing is billed.
        if let Some(body) = failed {
            let _client_gone = send.send(event(body));
        }
        return;
    }
    let receipt = match bill.settle(text, tokens_in, tokens_out).await {
        Ok(receipt) => receipt,
        Err(e) => {
            let _client_gone = send.send(event(ApiError::failed(e).body()));
            return;
        }
    };
    if let Some(mut body) = failed {
        if let Some(map) = body.as_object_mut() {
            map.insert("weft".into(), json!({ "receipt": receipt }));
        }
        let _client_gone = send.send(event(body));
        return;
    }
    let mut last = openai::chunk(
        &id,
        created,
        &model,
        json!([{ "index": 0, "delta": {}, "logprobs": null, "finish_reason": reason }]),
        null.clone(),
    );
    if let Some(map) = last.as_object_mut() {
        map.insert("weft".into(), json!({ "receipt": receipt }));
    }
    let _client_gone = send.send(event(last));
    if include_usage {
        let usage = serde_json::to_value(Usage::new(tokens_in, tokens_out)).unwrap_or(Value::Null);
        let _client_gone = send.send(event(openai::chunk(&id, created, &model, json!([]), Some(usage))));
    }
    let _client_gone = send.send(Ok(Event::default().data("[DONE]")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_should_be_identified_by_its_number_alone() {
        let tuned = json!({ "id": "ft:base-00aa:5Grwva:job-7:3", "weft": { "model": 3 } });
        let base = json!({ "id": "base-00aa", "weft": { "base_root": "00aabb" } });
        for name in ["3", "ft:base-00aa:5Grwva:job-7:3", "ft:renamed:3"] {
            assert!(names(name, &tuned) && !names(name, &base), "{name}");
        }
        for name in ["base", "base-00aa", "00aabb", "0x00aabb"] {
            assert!(names(name, &base) && !names(name, &tuned), "{name}");
        }
        assert!(!names("4", &tuned) && !names("", &base));
    }

    #[test]
    fn key_should_be_found_when_the_scheme_is_written_in_any_case() {
        for header in ["Bearer sk", "bearer sk", "BEARER sk"] {
            assert_eq!(bearer(header), Some("sk"), "{header}");
        }
        for header in ["sk", "Basic sk", "Bearersk", ""] {
            assert_eq!(bearer(header), None, "{header}");
        }
    }

    #[test]
    fn request_should_be_refused_by_kind_when_it_does_not_parse() {
        assert_eq!(parse(b"{").unwrap_err().code, "invalid_json");
        assert_eq!(parse(br#"{"model": 3, "messages": []}"#).unwrap_err().code, "invalid_value");
        assert_eq!(parse(br#"{"model": "3", "messages": []}"#).unwrap().model, "3");
    }
}
