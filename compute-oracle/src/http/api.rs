//! `/api/v1`: the daemon's own side.

use std::sync::Arc;

use axum::{
    extract::{
        rejection::{PathRejection, QueryRejection},
        Path, Query, State,
    },
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    Json,
};
use codec::Decode;
use serde::Deserialize;
use serde_json::{json, Value};
use weft_chain::{
    models,
    oracles::{self, OracleStatus},
    rewards,
};
use weft_protocol::{receipt::Receipt, sum_tree};

use super::problem;
use crate::{
    daemon::App,
    error::{CliError, Exit},
    keys,
    serving::{blocking, owner_leaves},
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

/// Why the chain gives this account no work.
fn unfit(me: &[u8; 32], status: Option<OracleStatus>) -> Option<String> {
    let who = keys::address(me);
    match status {
        None => Some(format!("{who} is no oracle. Next: `weft oracle register`")),
        Some(OracleStatus::Chilled) => {
            Some(format!("{who} is chilled and takes nothing new. Next: `weft oracle resume`"))
        }
        Some(OracleStatus::Jailed { until }) => Some(format!("{who} is jailed until block {until}")),
        Some(OracleStatus::Active) => None,
    }
}

/// `GET /health/ready`.
pub async fn ready(State(app): State<Arc<App>>) -> Response {
    let mut reasons = Vec::new();
    match app.client.finalised().await {
        Ok(state) => {
            if let Some(signer) = &app.signer {
                let me = signer.public_key().0;
                match oracles::oracle(&state, &me).await {
                    Ok(found) => reasons.extend(unfit(&me, found.map(|o| o.status))),
                    Err(e) => reasons.push(e.to_string()),
                }
            }
        }
        Err(e) => reasons.push(e.to_string()),
    }
    if app.serving.as_ref().is_some_and(|s| s.bases().next().is_none()) {
        reasons.push(
            "there is no base model: nothing can be trained or answered. Next: name its folder with --base".into(),
        );
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

/// An address with a part of the wrong form.
fn malformed(cause: &str) -> Response {
    problem(StatusCode::BAD_REQUEST, "malformed_address", cause, "correct the address")
}

/// Whether this daemon knows a run: as its work, or from its log.
async fn known_run(app: &App, id: u32) -> Result<bool, CliError> {
    Ok(app.db.job(id).await?.is_some() || !app.db.events(&format!("job/{id}"), 0, 1).await?.is_empty())
}

/// Where to go on.
#[derive(Deserialize)]
pub struct After {
    /// Number of the last event known.
    #[serde(default)]
    after: i64,
}

/// `GET /api/v1/runs/{id}/events?after=`.
pub async fn run_events(
    State(app): State<Arc<App>>,
    id: Result<Path<u32>, PathRejection>,
    after: Result<Query<After>, QueryRejection>,
) -> Response {
    let Ok(Path(id)) = id else { return malformed("a run is named by the number of its job") };
    let Ok(Query(q)) = after else { return malformed("`after` is the number of an event") };
    match known_run(&app, id).await {
        Ok(true) => {}
        Ok(false) => {
            let cause = format!("this daemon has no part in a run of job {id}");
            return problem(StatusCode::NOT_FOUND, "not_found", &cause, "see /api/v1/runs for those it has");
        }
        Err(e) => return failed(e),
    }
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
pub async fn receipt(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
) -> Response {
    let Ok(Path(id)) = id else { return malformed("the id of a receipt is hex") };
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
pub async fn proof(State(app): State<Arc<App>>, path: Result<Path<(u32, String)>, PathRejection>) -> Response {
    let Ok(Path((model, account))) = path else { return malformed("a model is named by its number") };
    match proofs(&app, model, &account).await {
        Ok(v) => Json(v).into_response(),
        Err(e) => failed(e),
    }
}

async fn proofs(app: &App, model: u32, account: &str) -> Result<Value, CliError> {
    let who = keys::parse_account(account)?;
    // Anybody may ask: what waits here costs nothing.
    let _turn = app.proofs.acquire().await.map_err(|e| {
        CliError::new(Exit::Failed, "internal", format!("no proof is put together: {e}"), "restart the daemon")
    })?;
    let state = app.client.finalised().await?;
    let m = models::model(&state, model).await?.ok_or_else(|| state.missing(format!("model {model}")))?;
    let store = app.store.clone();
    let parts = blocking(move || owner_leaves(&store, &m)).await?;
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
    fn daemon_should_say_why_it_gets_no_work() {
        let said = |status| unfit(&[1; 32], status).unwrap_or_default();
        assert!(said(None).contains("is no oracle"));
        assert!(said(Some(OracleStatus::Chilled)).contains("chilled"));
        assert!(said(Some(OracleStatus::Jailed { until: 9 })).contains("block 9"));
        assert_eq!(said(Some(OracleStatus::Active)), "");
    }

    #[test]
    fn receipt_should_belong_to_the_key_that_paid_alone() {
        assert!(paid_by("aa/bb/3", Some("bb")));
        for other in [None, Some("aa"), Some("3"), Some("b"), Some("")] {
            assert!(!paid_by("aa/bb/3", other), "{other:?}");
        }
        assert!(!paid_by("aa", None), "no key is no match for a channel without one");
    }
}
