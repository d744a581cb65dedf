//! Calls over HTTP to nodes and daemons. Each has a limit: a program that accepts a connection and says nothing must not
//! hold a test up for ever.

use std::time::Duration;

use serde_json::Value;

use crate::{HarnessError, HarnessResult};

/// Longest time of a call on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

fn failed(url: &str) -> impl Fn(reqwest::Error) -> HarnessError + '_ {
    move |e| HarnessError::Http { url: url.to_string(), reason: e.to_string() }
}

/// Each call has a client of its own: a shared one would belong to the runtime of the test that made it.
fn client(url: &str) -> HarnessResult<reqwest::Client> {
    reqwest::Client::builder().timeout(LIMIT).build().map_err(failed(url))
}

/// Reads JSON from an address.
pub(crate) async fn get(url: &str) -> HarnessResult<Value> {
    let answer = client(url)?.get(url).send().await.map_err(failed(url))?;
    answer.json().await.map_err(failed(url))
}

/// Sends JSON to an address and reads the answer.
pub(crate) async fn post(url: &str, body: &Value) -> HarnessResult<Value> {
    let answer = client(url)?.post(url).json(body).send().await.map_err(failed(url))?;
    answer.json().await.map_err(failed(url))
}
