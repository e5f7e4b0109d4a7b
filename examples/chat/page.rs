//! The page and what it loads, all of it in the program.

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::routing::get;

const FILES: [(&str, &str, &str); 7] = [
    ("/", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/style.css", "text/css; charset=utf-8", include_str!("page/style.css")),
    ("/dom.js", "text/javascript; charset=utf-8", include_str!("page/dom.js")),
    ("/nodes.js", "text/javascript; charset=utf-8", include_str!("page/nodes.js")),
    ("/proof.js", "text/javascript; charset=utf-8", include_str!("page/proof.js")),
    ("/socket.js", "text/javascript; charset=utf-8", include_str!("page/socket.js")),
    ("/chat.js", "text/javascript; charset=utf-8", include_str!("page/chat.js")),
];

/// Nothing from anywhere else is ever loaded or run.
const POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:";

/// Serves the page.
pub(crate) fn routes() -> Router {
    FILES.into_iter().fold(Router::new(), |router, (path, kind, text)| {
        let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache"), (CONTENT_SECURITY_POLICY, POLICY)];
        router.route(path, get(async move || (headers, text)))
    })
}
