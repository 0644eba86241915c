//! Errors, told as problem documents (RFC 9457).

use axum::{
    Json,
    extract::rejection::JsonRejection,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    title: &'static str,
    detail: String,
}

impl Problem {
    pub(crate) fn invalid_view(detail: String) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, title: "This cannot be drawn", detail }
    }

    pub(crate) fn internal(detail: &impl ToString) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, title: "The drawing failed", detail: detail.to_string() }
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self { status: rejection.status(), title: "The request body was not understood", detail: rejection.body_text() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let document = json!({
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let content_type = [(header::CONTENT_TYPE, "application/problem+json")];
        (self.status, content_type, Json(document)).into_response()
    }
}
