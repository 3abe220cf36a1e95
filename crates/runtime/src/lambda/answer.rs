//! How an answer goes back: as what `Invoke` returns, or in the two forms of HTTP. Each waits for the
//! turn to be stored, because after its end the process stands still.

use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;

use aws_lambda_events::encodings::Body as EnvelopeBody;
use aws_lambda_events::event::apigw::ApiGatewayV2httpResponse;
use axum::body::Bytes;
use axum::http::header::RETRY_AFTER;
use axum::response::Response;
use futures::stream::{self, Stream, StreamExt as _};
use http_body_util::BodyExt as _;
use lambda_runtime::{Diagnostic, FunctionResponse, MetadataPrelude, StreamResponse};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

/// An answer in one piece, or as it comes.
pub(super) type Reply = FunctionResponse<Box<RawValue>, Frames>;

type Frames = Pin<Box<dyn Stream<Item = Result<Bytes, axum::Error>> + Send>>;

/// What `Invoke` returns: the answer, or an error in Lambda's form.
pub(super) async fn direct(response: Response, stored: impl Future<Output = ()>) -> Result<Reply, Diagnostic> {
    let status = response.status();
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = whole(response, stored).await?;
    if status.is_success() {
        return serde_json::from_str(&body).map(FunctionResponse::BufferedResponse).map_err(unusable);
    }
    Err(refusal(&serde_json::from_str(&body).unwrap_or_default(), retry_after.as_deref()))
}

/// What a function URL or API Gateway makes an HTTP answer of.
pub(super) async fn buffered(response: Response, stored: impl Future<Output = ()>) -> Result<Reply, Diagnostic> {
    let mut envelope = ApiGatewayV2httpResponse::default();
    envelope.status_code = response.status().as_u16().into();
    envelope.headers = response.headers().clone();
    envelope.body = Some(EnvelopeBody::Text(whole(response, stored).await?));
    to_raw_value(&envelope).map(FunctionResponse::BufferedResponse).map_err(unusable)
}

/// What a function URL in the mode `RESPONSE_STREAM` passes on as it comes.
pub(super) fn streamed(response: Response, stored: impl Future<Output = ()> + Send + 'static) -> Reply {
    let (head, body) = response.into_parts();
    let metadata_prelude = MetadataPrelude { status_code: head.status, headers: head.headers, cookies: Vec::new() };
    // Not the answer's last piece but the stream's end ends the invocation.
    let end = stream::once(stored).filter_map(|()| async { None });
    let stream: Frames = Box::pin(body.into_data_stream().chain(end));
    FunctionResponse::StreamingResponse(StreamResponse { metadata_prelude, stream })
}

async fn whole(response: Response, stored: impl Future<Output = ()>) -> Result<String, Diagnostic> {
    let body = response.into_body().collect().await.map_err(unusable)?.to_bytes();
    stored.await;
    String::from_utf8(body.into()).map_err(unusable)
}

fn refusal(body: &Value, retry_after: Option<&str>) -> Diagnostic {
    let member = |name: &str| body[name].as_str();
    let mut sentence = member("error").unwrap_or("The agent failed unexpectedly.").to_owned();
    if let Some(details) = member("details") {
        sentence = format!("{sentence}: {details}");
    }
    if let Some(seconds) = retry_after {
        sentence = format!("{sentence} (retry after {seconds} s)");
    }
    Diagnostic { error_type: member("code").unwrap_or("internal_error").to_owned(), error_message: sentence }
}

/// The routes answer in JSON; anything else is a defect of ours.
fn unusable(error: impl Display) -> Diagnostic {
    tracing::error!(error_type = "LambdaAnswer", error = %error, "an answer could not be passed on");
    Diagnostic { error_type: "internal_error".into(), error_message: "The agent failed unexpectedly.".into() }
}
