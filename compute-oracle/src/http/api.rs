//! `/api/v1`: the daemon's own side.

use std::sync::Arc;

use axum::{
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    Json,
};
use codec::Decode;
use serde::Deserialize;
use serde_json::{json, Value};
use weft_chain::{models, rewards};
use weft_protocol::{receipt::Receipt, sum_tree};

use super::problem;
use crate::{
    daemon::App,
    error::{CliError, Exit},
    keys,
    serving::owner_leaves,
};

fn failed(e: impl Into<CliError>) -> Response {
    let e = e.into();
    let status = match e.exit {
        Exit::Usage => StatusCode::BAD_REQUEST,
        Exit::NotPermitted => StatusCode::FORBIDDEN,
        Exit::NotFound => StatusCode::NOT_FOUND,
        Exit::Unreachable => StatusCode::SERVICE_UNAVAILABLE,
        Exit::Resources => StatusCode::INSUFFICIENT_STORAGE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    problem(status, e.code, &e.cause, &e.next)
}

/// `GET /health/ready`.
pub async fn ready(State(app): State<Arc<App>>) -> Response {
    let mut reasons = Vec::new();
    if let Err(e) = app.client.finalised().await {
        reasons.push(e.to_string());
    }
    if let Err(e) = app.store.check_space(16 << 20) {
        reasons.push(e.to_string());
    }
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": reasons.is_empty(), "reasons": reasons }))).into_response()
}

/// `GET /api/v1/system`.
pub async fn system(State(app): State<Arc<App>>) -> Response {
    let head = app.progress.last_head();
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "genesis": hex::encode(app.client.genesis()),
        "node": app.client.url(),
        "oracle": app.signer.as_ref().map(|s| keys::address(&s.public_key().0)),
        "finalised": head.map(|h| json!({ "number": h.number, "hash": hex::encode(h.hash) })),
    }))
    .into_response()
}

/// `GET /api/v1/runs`: the runs in which this daemon has a part, each with its newest event.
pub async fn runs(State(app): State<Arc<App>>) -> Response {
    let live = app.progress.live();
    match app.db.jobs().await {
        Ok(jobs) => {
            let list: Vec<Value> = jobs
                .iter()
                .map(|j| json!({ "job": j.run, "role": j.role, "phase": j.phase, "last": live.get(&j.run) }))
                .collect();
            Json(json!({ "data": list })).into_response()
        }
        Err(e) => failed(e),
    }
}

/// Where to go on.
#[derive(Deserialize)]
pub struct After {
    /// Number of the last event known.
    #[serde(default)]
    after: i64,
}

/// `GET /api/v1/runs/{id}/events?after=`.
pub async fn run_events(State(app): State<Arc<App>>, Path(id): Path<u32>, Query(q): Query<After>) -> Response {
    match app.db.events(&format!("job/{id}"), q.after, 1000).await {
        Ok(events) => {
            let list: Vec<Value> = events
                .iter()
                .map(
                    |e| json!({ "seq": e.seq, "event": serde_json::from_str::<Value>(&e.body).unwrap_or(Value::Null) }),
                )
                .collect();
            Json(json!({ "data": list })).into_response()
        }
        Err(e) => failed(e),
    }
}

/// `GET /api/v1/receipts/{id}`, for the API key that paid for the answer.
pub async fn receipt(State(app): State<Arc<App>>, headers: HeaderMap, Path(id): Path<String>) -> Response {
    let key = match super::chat::key_of(&headers) {
        Ok(key) => key.pair().map(|pair| hex::encode(pair.public_key().0)),
        Err(e) => return problem(e.status, e.code, &e.message, "send the API key that asked the question"),
    };
    // A receipt of somebody else looks like none: ids say nothing about who asked what.
    let found =
        app.db.receipt_of(&id).await.map(|found| found.filter(|(channel, ..)| paid_by(channel, key.as_deref())));
    match found {
        Ok(Some((_, encoded, signature))) => match Receipt::decode(&mut encoded.as_slice()) {
            Ok(r) => Json(json!({
                "receipt": super::chat::receipt_json(&r, None),
                "encoded": hex::encode(encoded),
                "signature": hex::encode(signature),
            }))
            .into_response(),
            Err(e) => problem(StatusCode::INTERNAL_SERVER_ERROR, "corrupt", &e.to_string(), "restore the database"),
        },
        Ok(None) => problem(
            StatusCode::NOT_FOUND,
            "not_found",
            "there is no receipt of this id for this API key here",
            "ask the daemon that answered, with the key that asked",
        ),
        Err(e) => failed(e),
    }
}

/// Whether an API key, by its public half in hex, pays on a channel `consumer/key/model`.
fn paid_by(channel: &str, key: Option<&str>) -> bool {
    key.is_some() && channel.split('/').nth(1) == key
}

/// `GET /api/v1/settlements/{model}/proof/{account}`: the account's leaves of a model with their paths, and what each
/// settled epoch owes on them.
pub async fn proof(State(app): State<Arc<App>>, Path((model, account)): Path<(u32, String)>) -> Response {
    match proofs(&app, model, &account).await {
        Ok(v) => Json(v).into_response(),
        Err(e) => failed(e),
    }
}

async fn proofs(app: &App, model: u32, account: &str) -> Result<Value, CliError> {
    let who = keys::parse_account(account, app.client.is_development())?;
    let state = app.client.finalised().await?;
    let m = models::model(&state, model).await?.ok_or_else(|| state.missing(format!("model {model}")))?;
    let parts = owner_leaves(&app.store, &m)?;
    let epochs = rewards::settled_epochs(&state, model).await?;
    let mut leaves = Vec::new();
    for (part, list) in (0u32..).zip(&parts) {
        for (index, leaf) in (0u32..).zip(list) {
            if leaf.owner != who {
                continue;
            }
            let path = usize::try_from(index).ok().and_then(|i| sum_tree::proof(list, i)).unwrap_or_default();
            let mut due = Vec::new();
            for epoch in epochs.iter().copied() {
                if let Some(status) = rewards::claim_status(&state, model, epoch, part, index, leaf.paid).await? {
                    due.push(json!({ "epoch": epoch, "due": status.due.to_string(), "claimed": status.claimed }));
                }
            }
            leaves.push(json!({
                "part": part, "index": index, "datanet": leaf.datanet, "records": leaf.records,
                "paid": leaf.paid.to_string(), "pos": leaf.pos.to_string(), "neg": leaf.neg.to_string(),
                "leaf": hex::encode(codec::Encode::encode(leaf)), "path": hex::encode(codec::Encode::encode(&path)),
                "epochs": due,
            }));
        }
    }
    Ok(json!({ "model": model, "account": keys::address(&who), "leaves": leaves }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipt_should_belong_to_the_key_that_paid_alone() {
        assert!(paid_by("aa/bb/3", Some("bb")));
        for other in [None, Some("aa"), Some("3"), Some("b"), Some("")] {
            assert!(!paid_by("aa/bb/3", other), "{other:?}");
        }
        assert!(!paid_by("aa", None), "no key is no match for a channel without one");
    }
}
