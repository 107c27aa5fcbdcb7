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
use http_body_util::Limited;

use super::clock::Clock;
use super::error::THROTTLES;
use super::keys::Signers;
use super::pace::Pace;

tokio::task_local! {
    /// What goes with the request that this task is sending.
    pub static UNDER: Under;
}

/// What goes with a request.
#[derive(Clone, Debug)]
pub struct Under {
    /// What its attempts keep to.
    pub pace: Pace,
    /// What its answer sets.
    pub clock: Clock,
    /// Where it is noted which key signed it.
    pub signers: Signers,
}

/// A client whose attempts keep to what they are [`UNDER`].
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
        let Ok(Under {
            pace,
            clock,
            signers,
        }) = UNDER.try_with(Clone::clone)
        else {
            return connector.call(request);
        };
        signers.note(request.headers().get("authorization"));
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
            let response = limited(connector.call(request).await?);
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

/// No answer of AWS is as long: more of it is not read.
const LONGEST_BODY: u64 = 64 << 20;

/// Lets the reading of a body fail where it is longer than any of AWS's is; at once if it says so itself.
fn limited(mut response: HttpResponse) -> HttpResponse {
    let body = response.take_body();
    let most = match body.content_length() {
        Some(length) if length > LONGEST_BODY => 0,
        _ => LONGEST_BODY,
    };
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    *response.body_mut() = SdkBody::from_body_1_x(Limited::new(body, most));
    response
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

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use aws_smithy_runtime_api::http::StatusCode;

    use super::*;

    fn answer(body: SdkBody) -> HttpResponse {
        HttpResponse::new(StatusCode::try_from(200).unwrap(), body)
    }

    async fn read(response: HttpResponse) -> Result<usize, String> {
        let body = ByteStream::new(response.into_body());
        let collected = body.collect().await.map_err(|error| format!("{error:?}"));
        Ok(collected?.into_bytes().len())
    }

    /// A body that says how long it is, and of which only the first byte comes.
    struct Announced(u64);

    impl hyper::body::Body for Announced {
        type Data = hyper::body::Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
            let first = hyper::body::Bytes::from_static(b" ");
            let more = std::mem::take(&mut self.0) > 0;
            Poll::Ready(more.then(|| Ok(hyper::body::Frame::data(first))))
        }

        fn size_hint(&self) -> hyper::body::SizeHint {
            hyper::body::SizeHint::with_exact(self.0)
        }
    }

    #[tokio::test]
    async fn a_body_is_read_whole_but_not_without_end() {
        assert_eq!(read(limited(answer(SdkBody::from("abc")))).await, Ok(3));
        for (length, is_read) in [(LONGEST_BODY, true), (LONGEST_BODY + 1, false)] {
            let announced = SdkBody::from_body_1_x(Announced(length));
            let read = read(limited(answer(announced))).await;
            assert_eq!(read.is_ok(), is_read, "{length}: {read:?}");
        }
        let megabyte = hyper::body::Bytes::from(vec![b' '; 1 << 20]);
        let chunk = move || Ok::<_, std::io::Error>(hyper::body::Frame::data(megabyte.clone()));
        let endless = futures::stream::repeat_with(chunk);
        let endless = SdkBody::from_body_1_x(http_body_util::StreamBody::new(endless));
        assert!(read(limited(answer(endless))).await.is_err());
    }
}
