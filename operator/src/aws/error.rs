//! What went wrong at AWS, in words for a person and in one word for conditions and metrics.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::display::DisplayErrorContext;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::api::Reason;

/// A failed request: which, why, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AwsError {
    /// The word for conditions, Events and metrics.
    pub reason: Reason,
    /// The IAM action of the request, for example `lambda:ListFunctions`.
    pub action: &'static str,
    /// The sentence for a person.
    pub message: String,
}

/// AWS's own texts are cut here: a proxy's HTML page has no place in a condition.
const LONGEST_DETAIL: usize = 300;

/// The error codes by which AWS asks to slow down.
pub const THROTTLES: [&str; 12] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "LimitExceeded",
    "LimitExceededException",
    "SlowDown",
    "ProvisionedThroughputExceededException",
    "BandwidthLimitExceeded",
];

impl AwsError {
    /// An error of our own making about an answer that cannot be used.
    pub fn new(reason: Reason, action: &'static str, message: impl Into<String>) -> Self {
        Self {
            reason,
            action,
            message: message.into(),
        }
    }

    /// Reads an error of the SDK.
    pub fn from_sdk<E, R>(action: &'static str, error: &SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
        R: std::fmt::Debug + 'static,
    {
        let detail = || shorten(&DisplayErrorContext(error).to_string());
        if let Some(credentials) = credentials_error(error) {
            return Self::from_credentials(credentials);
        }
        match error {
            SdkError::ServiceError(service) => {
                let meta = service.err().meta();
                let code = meta.code().unwrap_or("no error code");
                let text = shorten(meta.message().unwrap_or("no message"));
                Self::from_code(action, code, &text)
            }
            SdkError::TimeoutError(_) => Self::timeout(action),
            SdkError::DispatchFailure(failure) if failure.is_timeout() => Self::timeout(action),
            SdkError::DispatchFailure(_) => Self::new(
                Reason::Unreachable,
                action,
                format!(
                    "{action} could not reach AWS: {}. Check the network, the proxy and the endpoint.",
                    detail()
                ),
            ),
            SdkError::ResponseError(_) => Self::new(
                Reason::InvalidAnswer,
                action,
                format!("{action} got an answer that is not AWS's: {}", detail()),
            ),
            _ => Self::new(
                Reason::InvalidRequest,
                action,
                format!("{action} could not be sent: {}", detail()),
            ),
        }
    }

    fn timeout(action: &'static str) -> Self {
        Self::new(
            Reason::Timeout,
            action,
            format!("{action} was not answered in time"),
        )
    }

    fn from_credentials(error: &CredentialsError) -> Self {
        let text = shorten(&DisplayErrorContext(error).to_string());
        // An assumed role's refusal arrives wrapped in the credentials' failure.
        if text.contains("AccessDenied") {
            return Self::new(
                Reason::AccessDenied,
                "sts:AssumeRole",
                "sts:AssumeRole was denied: the role's trust policy must name the exporter's identity, \
                 and its external id, where it asks for one, must be the stack's",
            );
        }
        Self::new(
            Reason::CredentialsInvalid,
            "sts:GetCallerIdentity",
            format!(
                "no usable AWS credentials: {text}. Check spec.credentials and the pod's identity."
            ),
        )
    }

    fn from_code(action: &'static str, code: &str, text: &str) -> Self {
        let (reason, message) = match code {
            "AccessDenied"
            | "AccessDeniedException"
            | "UnauthorizedOperation"
            | "AuthorizationError"
            | "AuthorizationErrorException" => (
                Reason::AccessDenied,
                format!(
                    "{action} was denied. Allow the action {action} to the exporter's role. AWS says: {text}"
                ),
            ),
            "ExpiredToken"
            | "ExpiredTokenException"
            | "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "MissingAuthenticationToken"
            | "RequestTimeTooSkewed"
            | "RequestExpired"
            | "InvalidAccessKeyId"
            | "OptInRequired" => (
                Reason::CredentialsInvalid,
                format!(
                    "{action}: AWS does not accept the credentials ({code}). Check that they are current, that \
                     the region is enabled for the account, and the clock. AWS says: {text}"
                ),
            ),
            _ if THROTTLES.contains(&code) => (
                Reason::Throttled,
                format!("{action} was throttled by AWS ({code}); it is tried again"),
            ),
            "ResourceNotFoundException" | "NotFoundException" | "ResourceNotFound" => {
                (Reason::NotFound, format!("{action}: {text}"))
            }
            "InternalFailure"
            | "InternalServerError"
            | "InternalServerException"
            | "InternalServiceError"
            | "InternalServiceFault"
            | "InternalServiceException"
            | "ServiceException"
            | "ServiceUnavailable"
            | "ServiceUnavailableException" => (
                Reason::ServerError,
                format!("{action} failed inside AWS ({code}); it is tried again"),
            ),
            // CloudFormation has no code of its own for a stack that is not there.
            "ValidationError" if text.contains("does not exist") => {
                (Reason::NotFound, format!("{action}: {text}"))
            }
            "no error code" => (
                Reason::InvalidAnswer,
                format!("{action} got an answer that is not AWS's"),
            ),
            _ => (
                Reason::InvalidRequest,
                format!("{action} was refused ({code}): {text}"),
            ),
        };
        Self::new(reason, action, message)
    }
}

/// The credentials' failure among the causes of an error, if there is one.
fn credentials_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a CredentialsError> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

fn shorten(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.chars().count() <= LONGEST_DETAIL {
        return text;
    }
    text.chars()
        .take(LONGEST_DETAIL)
        .chain("...".chars())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_names_the_action_to_grant() {
        let error = AwsError::from_code(
            "lambda:ListFunctions",
            "AccessDeniedException",
            "User x is not authorized",
        );
        assert_eq!(error.reason, Reason::AccessDenied);
        assert!(
            error
                .message
                .contains("Allow the action lambda:ListFunctions"),
            "{error}"
        );
    }

    #[test]
    fn a_page_of_html_is_cut_short() {
        let text = shorten(&"<p>proxy</p>\n".repeat(1000));
        assert!(text.len() < 400 && !text.contains('\n'), "{text}");
    }
}
