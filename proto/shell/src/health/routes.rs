//! The three answers, and those for questions that are none.

use std::{fmt, sync::Arc};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::{encoding::text::encode, registry::Registry};

use super::{Health, Liveness, state::Readiness};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics of the process; clones share them.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    refresh: Arc<dyn Fn() + Send + Sync>,
}

impl Metrics {
    /// Shows what is registered.
    pub fn new(registry: impl Into<Arc<Registry>>) -> Self {
        Self { registry: registry.into(), refresh: Arc::new(|| ()) }
    }

    /// Calls `refresh` before each answer, to bring gauges up to date. It must not block.
    pub fn refreshed_by(self, refresh: impl Fn() + Send + Sync + 'static) -> Self {
        Self { refresh: Arc::new(refresh), ..self }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("registry", &self.registry).finish_non_exhaustive()
    }
}

pub(super) fn routes(health: Health, metrics: Metrics) -> Router {
    let health_routes =
        Router::new().route("/livez", get(livez)).route("/readyz", get(readyz)).with_state(health);
    Router::new()
        .route("/metrics", get(show_metrics))
        .with_state(metrics)
        .merge(health_routes)
        .fallback(|| async { (StatusCode::NOT_FOUND, "known: /livez /readyz /metrics\n") })
        .method_not_allowed_fallback(|| async {
            (StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n")
        })
}

async fn livez(State(health): State<Health>) -> Response {
    match health.liveness() {
        Liveness::Alive => "ok".into_response(),
        Liveness::Stuck(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason).into_response(),
    }
}

async fn readyz(State(health): State<Health>) -> Response {
    let (readiness, report) = health.readiness();
    let status = match readiness {
        Readiness::Ready => StatusCode::OK,
        Readiness::Unready => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(report)).into_response()
}

async fn show_metrics(State(metrics): State<Metrics>) -> Response {
    (metrics.refresh)();
    let mut page = String::new();
    match encode(&mut page, &metrics.registry) {
        Ok(()) => ([(CONTENT_TYPE, OPEN_METRICS)], page).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "a metric cannot be shown\n").into_response(),
    }
}
