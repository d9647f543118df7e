//! The steps over HTTP, and the page's files. Every request passes [`access::check`]; every response forbids the browser
//! to store it, to guess at it, to show it in a frame, and to load anything from elsewhere.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Router, extract::rejection::BytesRejection};
use serde::Serialize;

use crate::web::access::{self, Token};
use crate::web::desk::Desk;
use crate::web::form;
use crate::web::problem::Problem;

/// Greatest body of a request in bytes; a purchase takes a few hundred.
pub const MAX_BODY: usize = 4_096;

const INDEX: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/script.js");
const ICON: &str = include_str!("page/icon.svg");

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
const PLAIN: &str = "text/plain; charset=utf-8";

/// On every response, whatever it says.
const HEADERS: [(HeaderName, HeaderValue); 9] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
             trusted-types 'none'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=()"),
    ),
    (HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex")),
];

/// What the page's server needs.
#[derive(Debug)]
pub struct Site {
    /// The secret part of the page's address.
    pub token: Token,
    /// The port that the page is served at.
    pub port: u16,
    /// The card holder's side.
    pub desk: Desk,
}

/// The page and its steps.
pub fn router(site: Arc<Site>) -> Router {
    // The token's place is free here: the check has compared it, in constant time.
    Router::new()
        .route("/{token}", get(with_slash))
        .route("/{token}/", get(|| file(INDEX, HTML)))
        .route("/{token}/style.css", get(|| file(STYLE, "text/css; charset=utf-8")))
        .route("/{token}/script.js", get(|| file(SCRIPT, "text/javascript; charset=utf-8")))
        .route("/{token}/icon.svg", get(|| file(ICON, "image/svg+xml")))
        .route("/{token}/api/state", get(state))
        .route("/{token}/api/bank", get(look_for_bank).post(start_bank))
        .route("/{token}/api/key", post(make_key))
        .route("/{token}/api/encrypt", post(encrypt))
        .route("/{token}/api/ask", post(ask))
        .route("/{token}/api/decrypt", post(decrypt))
        .fallback(|| async { text(StatusCode::NOT_FOUND, "There is no such page.") })
        .method_not_allowed_fallback(|| async {
            text(StatusCode::METHOD_NOT_ALLOWED, "This address is not asked for in this way.")
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(Arc::clone(&site), guard))
        .with_state(site)
}

async fn guard(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let access = (&site.token, site.port);
    let mut response = match access::check(access, request.method(), request.uri().path(), request.headers())
    {
        Ok(()) => next.run(request).await,
        Err(refusal) => text(StatusCode::FORBIDDEN, &refusal.to_string()),
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, value);
    }
    response
}

async fn file(content: &'static str, kind: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind)], content).into_response()
}

/// The page's own addresses are relative to a folder.
async fn with_slash(State(site): State<Arc<Site>>) -> Redirect {
    Redirect::permanent(&format!("/{}/", site.token.reveal()))
}

async fn state(State(site): State<Arc<Site>>) -> Response {
    step(site, |desk| Ok(desk.state())).await
}

async fn look_for_bank(State(site): State<Arc<Site>>) -> Response {
    step(site, |desk| Ok(desk.look_for_bank())).await
}

async fn start_bank(State(site): State<Arc<Site>>) -> Response {
    step(site, |desk| desk.start_bank().map(|()| desk.state())).await
}

async fn make_key(State(site): State<Arc<Site>>) -> Response {
    step(site, Desk::make_key).await
}

type Content = Result<Bytes, BytesRejection>;

async fn encrypt(State(site): State<Arc<Site>>, headers: HeaderMap, body: Content) -> Response {
    with_body(&headers, body, |body| {
        let form: form::Form = form::read(body)?;
        Ok(step(site, move |desk| desk.encrypt(&form)))
    })
    .await
}

async fn ask(State(site): State<Arc<Site>>, headers: HeaderMap, body: Content) -> Response {
    with_body(&headers, body, |body| {
        let form::Numbered { number } = form::read(body)?;
        Ok(step(site, move |desk| desk.ask(number)))
    })
    .await
}

async fn decrypt(State(site): State<Arc<Site>>, headers: HeaderMap, body: Content) -> Response {
    with_body(&headers, body, |body| {
        let form::Numbered { number } = form::read(body)?;
        Ok(step(site, move |desk| desk.decrypt(number)))
    })
    .await
}

/// Reads a body of JSON that is short enough, then goes on with it.
async fn with_body<F: Future<Output = Response>>(
    headers: &HeaderMap,
    body: Content,
    go_on: impl FnOnce(&[u8]) -> Result<F, Problem>,
) -> Response {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    if kind != Some(JSON.as_bytes()) {
        return text(StatusCode::UNSUPPORTED_MEDIA_TYPE, "A request's body is application/json.");
    }
    match body {
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            let message = format!("A request's body has at most {MAX_BODY} bytes.");
            text(StatusCode::PAYLOAD_TOO_LARGE, &message)
        }
        Err(rejection) => text(rejection.status(), "The request's body did not arrive."),
        Ok(body) => match go_on(&body) {
            Ok(response) => response.await,
            Err(problem) => problem_response(&problem),
        },
    }
}

/// Takes a step on a thread where it may block.
async fn step<T: Serialize + Send + 'static>(
    site: Arc<Site>,
    work: impl FnOnce(&Desk) -> Result<T, Problem> + Send + 'static,
) -> Response {
    match tokio::task::spawn_blocking(move || work(&site.desk)).await {
        Ok(Ok(view)) => json(StatusCode::OK, &view),
        Ok(Err(problem)) => problem_response(&problem),
        // Its message may hold anything, also what should not leave this process.
        Err(_) => problem_response(&Problem::Other("a step broke off".to_owned())),
    }
}

fn problem_response(problem: &Problem) -> Response {
    json(problem.status(), &serde_json::json!({ "problem": problem.view() }))
}

fn json(status: StatusCode, view: &impl Serialize) -> Response {
    match serde_json::to_vec(view) {
        Ok(body) => (status, [(header::CONTENT_TYPE, JSON)], body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn text(status: StatusCode, message: &str) -> Response {
    (status, [(header::CONTENT_TYPE, PLAIN)], Body::from(message.to_owned())).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::FEATURE_NAMES;
    use crate::web::form::GREATEST;

    /// The page's fields, ranges and files are those that the server knows.
    #[test]
    fn the_page_fits_what_the_server_checks() {
        for (index, name) in FEATURE_NAMES.iter().enumerate() {
            assert!(INDEX.contains(&format!("name=\"{name}\"")), "{name}");
            if let Some(greatest) = GREATEST.get(index) {
                assert!(INDEX.contains(&format!("data-greatest=\"{greatest}\"")), "{name}: {greatest}");
            }
        }
        for file in ["style.css", "script.js", "icon.svg"] {
            assert!(INDEX.contains(&format!("\"{file}\"")), "{file}");
        }
    }

    /// What the content security policy would forbid, and what would leave the machine.
    #[test]
    fn the_page_is_self_contained() {
        for (name, file) in [("index.html", INDEX), ("style.css", STYLE), ("script.js", SCRIPT)] {
            for forbidden in
                ["//cdn", "https://", "@import", "url(", "innerHTML", "eval(", "style=", "onclick="]
            {
                assert!(!file.contains(forbidden), "{name}: {forbidden}");
            }
        }
        assert!(!INDEX.contains("<style") && !INDEX.contains("<script>"));
    }
}
