//! The HTTP API.

pub mod api;
pub mod chat;
pub mod openai;

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{header, HeaderName, HeaderValue, Method, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
    routing::{get, post},
    Json, Router,
};
use serde_json::json;

use crate::daemon::App;

/// All routes.
pub fn router(app: Arc<App>) -> Router {
    // The clock of the daemon starts here, not at the first question for it.
    let _seconds = chat::started();
    Router::new()
        .route("/health", get(|| async { Json(json!({ "status": "alive" })) }))
        .route("/health/ready", get(api::ready))
        .route("/version", get(|| async { Json(json!({ "name": "weft", "version": env!("CARGO_PKG_VERSION") })) }))
        .route("/v1/models", get(chat::models))
        .route("/v1/models/{id}", get(chat::model))
        .route("/v1/chat/completions", post(chat::completions))
        .route("/api/v1/system", get(api::system))
        .route("/api/v1/runs", get(api::runs))
        .route("/api/v1/runs/{id}/events", get(api::run_events))
        .route("/api/v1/receipts/{id}", get(api::receipt))
        .route("/api/v1/settlements/{model}/proof/{account}", get(api::proof))
        .fallback(|request: Request| async move { no_route(&request, StatusCode::NOT_FOUND) })
        .method_not_allowed_fallback(
            |request: Request| async move { no_route(&request, StatusCode::METHOD_NOT_ALLOWED) },
        )
        .layer(axum::extract::DefaultBodyLimit::max(1 << 20))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&app), guard))
        .with_state(app)
}

/// No such address, or no such method there: in OpenAI's form under `/v1`, else as a problem.
fn no_route(request: &Request, status: StatusCode) -> Response {
    let path = request.uri().path();
    if path == "/v1" || path.starts_with("/v1/") {
        return openai::ApiError::unknown_address(status, request.method().as_str(), path).into_response();
    }
    let (code, cause) = if status == StatusCode::METHOD_NOT_ALLOWED {
        ("method_not_allowed", format!("{path} does not take {}", request.method()))
    } else {
        ("not_found", format!("there is no address {path}"))
    };
    problem(status, code, &cause, "see /version and the README")
}

/// An error in the form of RFC 9457.
pub fn problem(status: StatusCode, code: &str, cause: &str, next: &str) -> Response {
    let mut response = (
        status,
        Json(json!({ "type": "about:blank", "title": code, "status": status.as_u16(), "code": code, "cause": cause, "next": next })),
    )
        .into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}

/// The host that a request is for; `None` without one, or with several that a proxy may read otherwise than we do.
fn host_of(request: &Request) -> Option<&str> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(only), None) => only.to_str().ok().filter(|h| !h.is_empty()),
        (None, _) => request.uri().authority().map(axum::http::uri::Authority::as_str),
        (Some(_), Some(_)) => None,
    }
}

/// `Host` must be known (rebinding), and every answer carries a request id. `/v1` allows any origin, without cookies.
async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let Some(host) = host_of(&request) else {
        return problem(
            StatusCode::BAD_REQUEST,
            "host_missing",
            "a request carries exactly one header Host",
            "send one, with the address of this daemon",
        );
    };
    let name = host.rsplit_once(':').filter(|(_, p)| p.bytes().all(|b| b.is_ascii_digit())).map_or(host, |(n, _)| n);
    let listen = app.config.server.listen.rsplit_once(':').map_or("", |(n, _)| n);
    let known = |h: &str| h.eq_ignore_ascii_case(name);
    if !known(listen) && !app.config.server.allowed_hosts.iter().any(|h| known(h)) {
        return problem(
            StatusCode::FORBIDDEN,
            "host_not_allowed",
            &format!("this daemon does not answer for the host '{name}'"),
            "add it to server.allowed_hosts",
        );
    }
    let open = request.uri().path().starts_with("/v1/");
    let id = uuid::Uuid::new_v4().to_string();
    let mut response = if open && request.method() == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    if open {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        // The asterisk covers what clients add for themselves; it never covers authorization, which must be named.
        headers
            .insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("authorization, content-type, *"));
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, OPTIONS"));
        headers.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static("x-request-id, x-weft-receipt-id, retry-after, x-should-retry"),
        );
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_should_be_there_exactly_once() {
        let ask = |hosts: &[&str]| {
            let mut request = axum::http::Request::builder().uri("/health");
            for host in hosts {
                request = request.header(header::HOST, *host);
            }
            host_of(&request.body(axum::body::Body::empty()).unwrap()).map(str::to_string)
        };
        assert_eq!(ask(&["LocalHost:8000"]).as_deref(), Some("LocalHost:8000"));
        let none: &[&str] = &[];
        for bad in [none, &[""], &["localhost", "localhost"]] {
            assert_eq!(ask(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn unknown_address_should_answer_in_the_form_of_its_interface() {
        let ask = |path: &str, status| {
            let request = axum::http::Request::builder().uri(path).body(axum::body::Body::empty()).unwrap();
            let response = no_route(&request, status);
            let kind = response.headers().get(header::CONTENT_TYPE).map(|h| h.to_str().unwrap().to_string());
            (response.status(), kind.unwrap_or_default())
        };
        for status in [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED] {
            assert_eq!(ask("/v1/embeddings", status), (status, "application/json".to_string()));
            assert_eq!(ask("/api/v1/none", status), (status, "application/problem+json".to_string()));
        }
    }
}
