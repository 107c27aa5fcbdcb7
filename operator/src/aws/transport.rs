//! The HTTP client under the SDK: each attempt of a request passes here, so that the SDK's own
//! retries keep to the pace too, and a throttle is felt even when the next attempt succeeds.

use std::time::Instant;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;

use super::clock::Clock;
use super::error::THROTTLES;
use super::pace::Pace;

tokio::task_local! {
    /// The pace of the request that this task is sending, and the clock that its answer sets.
    pub static UNDER: (Pace, Clock);
}

/// A client whose attempts keep to the pace that they are [`UNDER`], and whose answers set the clock.
#[derive(Debug)]
pub struct Paced(pub SharedHttpClient);

impl HttpClient for Paced {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(PacedConnector(self.0.http_connector(settings, components)))
    }
}

#[derive(Debug)]
struct PacedConnector(SharedHttpConnector);

impl HttpConnector for PacedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connector = self.0.clone();
        let Ok((pace, clock)) = UNDER.try_with(Clone::clone) else {
            return connector.call(request);
        };
        // The first attempt had its place before the SDK's clocks began to run.
        let retry = request
            .headers()
            .get("amz-sdk-request")
            .is_some_and(|attempt| !attempt.starts_with("attempt=1;") && attempt != "attempt=1");
        HttpConnectorFuture::new(async move {
            if retry {
                pace.take().await;
            }
            let sent = Instant::now();
            let response = connector.call(request).await?;
            let headers = response.headers();
            clock.note(sent, headers.get("date"), headers.get("age").is_some());
            if response.status().is_success() {
                return Ok(response);
            }
            let (response, throttled) = look(response).await?;
            if throttled {
                pace.throttled();
            }
            Ok(response)
        })
    }
}

/// Whether a refusal is a throttle. Its error code is in a header or in the body, each service's
/// protocol has its own place for it.
async fn look(mut response: HttpResponse) -> Result<(HttpResponse, bool), ConnectorError> {
    let body = ByteStream::new(response.take_body())
        .collect()
        .await
        .map_err(|error| ConnectorError::io(error.into()))?
        .into_bytes();
    let in_header = response
        .headers()
        .get("x-amzn-errortype")
        .is_some_and(is_throttle);
    let throttled = response.status().as_u16() == 429
        || in_header
        || is_throttle(&String::from_utf8_lossy(&body));
    *response.body_mut() = SdkBody::from(body);
    Ok((response, throttled))
}

fn is_throttle(text: &str) -> bool {
    THROTTLES.iter().any(|code| text.contains(code))
}
