//! The SDK clients of one account and region, and how they are called.

use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls;
use aws_smithy_runtime_api::client::http::{SharedHttpClient, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::keys::{Owners, Signers};
use super::pace::Paces;
use super::transport::{Paced, UNDER, Under};
use super::{AwsError, Clock, credentials};
use crate::api::Reason;
use crate::exporter::telemetry::Telemetry;

/// Attempts of one request.
const ATTEMPTS: u32 = 3;

/// The HTTP client of all requests, through the proxy that the environment names (`HTTPS_PROXY`,
/// `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`): the SDK's own has none. As there, requests with the same
/// timeouts share connections.
fn http_client() -> SharedHttpClient {
    let connectors = Mutex::new(HashMap::new());
    http_client_fn(move |settings, components| {
        let timeouts = (settings.connect_timeout(), settings.read_timeout());
        let mut connectors = connectors.lock().expect("no panic while the map is held");
        let connector = connectors.entry(timeouts).or_insert_with(|| {
            let mut builder = aws_smithy_http_client::Connector::builder()
                .proxy_config(ProxyConfig::from_env())
                .connector_settings(settings.clone());
            builder.set_sleep_impl(components.sleep_impl());
            let ring = tls::rustls_provider::CryptoMode::Ring;
            SharedHttpConnector::new(builder.tls_provider(tls::Provider::Rustls(ring)).build())
        });
        connector.clone()
    })
}

/// What all accounts share: the HTTP client, timeouts, retries and the base credentials.
#[derive(Clone, Debug)]
pub struct Connector {
    base: SdkConfig,
    timeout: Duration,
    telemetry: Telemetry,
}

impl Connector {
    /// Reads the process's environment as every AWS program does: endpoint, proxy, credentials.
    /// `keys` is a folder with static keys that go before them, one file for each variable.
    /// `timeout` is for one attempt of a request.
    pub async fn new(timeout: Duration, keys: Option<PathBuf>, telemetry: Telemetry) -> Self {
        let http = http_client();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(timeout / 4)
            .operation_attempt_timeout(timeout)
            .operation_timeout(timeout * ATTEMPTS)
            .build();
        let loader = move || {
            aws_config::defaults(BehaviorVersion::latest())
                .http_client(http.clone())
                .timeout_config(timeouts.clone())
                .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
                // An attempt has an end, and an answer that came in drops until then was late, not wrong.
                .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
                // Every target names its own; this one only keeps the SDK from asking the instance for one.
                .region(Region::from_static("us-east-1"))
                .app_name(AppName::new("nightjar").expect("the name has only allowed characters"))
        };
        let base = credentials::configuration(loader, keys, timeout).await;
        Self {
            base,
            timeout,
            telemetry,
        }
    }

    /// The same, with its requests counted elsewhere.
    #[must_use]
    pub fn metered_by(&self, telemetry: Telemetry) -> Self {
        Self {
            telemetry,
            ..self.clone()
        }
    }

    /// Clients for one account and region.
    pub async fn connect(&self, region: &str, role: Option<&AssumedRole<'_>>) -> Clients {
        let region = Region::new(region.to_owned());
        let mut config = self.base.to_builder().region(region.clone()).build();
        if let Some(role) = role {
            let mut provider = AssumeRoleProvider::builder(role.arn)
                .session_name("nightjar")
                .region(region.clone())
                .configure(&config);
            if let Some(id) = role.external_id {
                provider = provider.external_id(id);
            }
            let provider = provider.build().await;
            config = config
                .to_builder()
                .credentials_provider(
                    aws_credential_types::provider::SharedCredentialsProvider::new(provider),
                )
                .identity_cache(
                    aws_config::identity::IdentityCache::lazy()
                        .load_timeout(self.timeout)
                        .build(),
                )
                .build();
        }
        // Below the credentials' own requests, which draw from no pace.
        if let Some(http) = config.http_client() {
            config = config.to_builder().http_client(Paced(http)).build();
        }
        Clients {
            region: region.as_ref().to_owned(),
            cloudwatch: aws_sdk_cloudwatch::Client::new(&config),
            lambda: aws_sdk_lambda::Client::new(&config),
            dynamodb: aws_sdk_dynamodb::Client::new(&config),
            apigateway: aws_sdk_apigateway::Client::new(&config),
            apigatewayv2: aws_sdk_apigatewayv2::Client::new(&config),
            autoscaling: aws_sdk_applicationautoscaling::Client::new(&config),
            tagging: aws_sdk_resourcegroupstagging::Client::new(&config),
            cloudformation: aws_sdk_cloudformation::Client::new(&config),
            sts: aws_sdk_sts::Client::new(&config),
            telemetry: self.telemetry.clone(),
            paces: Paces::default(),
            clock: Clock::default(),
            signers: Signers::default(),
            owners: Owners::default(),
            patience: self.timeout / 4,
        }
    }
}

/// A role to assume.
#[derive(Clone, Copy, Debug)]
pub struct AssumedRole<'a> {
    /// Its ARN.
    pub arn: &'a str,
    /// What its trust policy asks for, if anything.
    pub external_id: Option<&'a str>,
}

/// Who we are at AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The account's number.
    pub account_id: String,
    /// `aws`, `aws-cn`, `aws-us-gov` ...
    pub partition: String,
}

/// The clients of one account and region.
#[derive(Clone, Debug)]
pub struct Clients {
    /// The region.
    pub region: String,
    /// CloudWatch.
    pub cloudwatch: aws_sdk_cloudwatch::Client,
    /// Lambda's control plane.
    pub lambda: aws_sdk_lambda::Client,
    /// DynamoDB's control plane.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// REST APIs.
    pub apigateway: aws_sdk_apigateway::Client,
    /// HTTP APIs.
    pub apigatewayv2: aws_sdk_apigatewayv2::Client,
    /// What scales by itself.
    pub autoscaling: aws_sdk_applicationautoscaling::Client,
    /// Tags of all services.
    pub tagging: aws_sdk_resourcegroupstagging::Client,
    /// CloudFormation stacks.
    pub cloudformation: aws_sdk_cloudformation::Client,
    sts: aws_sdk_sts::Client,
    telemetry: Telemetry,
    paces: Paces,
    clock: Clock,
    /// What signed the requests of these clients.
    signers: Signers,
    /// Whose keys are, of all that were made of the same clients.
    owners: Owners,
    /// How long it is waited to learn whose keys are.
    patience: Duration,
}

const WHOSE: &str = "sts:GetCallerIdentity";

impl Clients {
    /// What time it is there.
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Sends a request: in its turn, counted, and with an error that names the IAM action.
    pub fn call<T, E, R>(
        &self,
        action: &'static str,
        request: impl Future<Output = Result<T, SdkError<E, R>>>,
    ) -> impl Future<Output = Result<T, AwsError>>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug + 'static,
    {
        self.call_weighing(action, 1.0, request)
    }

    /// The same for a request that counts for so many.
    pub async fn call_weighing<T, E, R>(
        &self,
        action: &'static str,
        weight: f64,
        request: impl Future<Output = Result<T, SdkError<E, R>>>,
    ) -> Result<T, AwsError>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug + 'static,
    {
        let pace = self.paces.of(action).weighing(weight);
        pace.take().await;
        let under = Under {
            pace,
            clock: self.clock.clone(),
            signers: self.signers.clone(),
        };
        let answer = UNDER
            .scope(under, request)
            .await
            .map_err(|error| AwsError::from_sdk(action, &error));
        let failure = answer.as_ref().err().map(|error| error.reason);
        self.telemetry.aws_request(action, &self.region, failure);
        answer
    }

    /// Counts what a call of `GetMetricData` is billed as, and what it was for.
    pub fn billed(&self, metrics: u64, purpose: &'static str) {
        self.telemetry.billed(metrics, purpose);
    }

    /// The same clients, by which no request was signed yet.
    #[must_use]
    pub fn afresh(&self) -> Self {
        Self {
            signers: Signers::default(),
            ..self.clone()
        }
    }

    /// Asks AWS whose credentials these are. Needs no permission.
    pub async fn identity(&self) -> Result<Identity, AwsError> {
        let alone = self.afresh();
        let answer = alone
            .call(WHOSE, alone.sts.get_caller_identity().send())
            .await?;
        let unusable = || {
            AwsError::new(
                Reason::InvalidAnswer,
                WHOSE,
                format!("{WHOSE} got an answer without an account"),
            )
        };
        let account_id = answer.account().ok_or_else(unusable)?.to_owned();
        let partition = answer
            .arn()
            .and_then(|arn| arn.split(':').nth(1))
            .unwrap_or("aws")
            .to_owned();
        let identity = Identity {
            account_id,
            partition,
        };
        if let Some(key) = alone.signers.all().pop() {
            self.owners.note(key, identity.clone());
        }
        Ok(identity)
    }

    /// Fails unless the credentials are that account's now. Waits a few seconds for AWS at most.
    pub async fn are_of(&self, identity: &Identity) -> Result<(), AwsError> {
        let error = match tokio::time::timeout(self.patience, self.identity()).await {
            Ok(Ok(now)) if now == *identity => return Ok(()),
            Ok(Ok(now)) => {
                let error = not_of(identity, &now);
                self.telemetry
                    .aws_request_failed(WHOSE, &self.region, error.reason);
                return Err(error);
            }
            Ok(Err(error)) => error,
            Err(_) => {
                let reason = Reason::Timeout;
                self.telemetry
                    .aws_request(WHOSE, &self.region, Some(reason));
                let message = format!("{WHOSE} got no answer within {:?}", self.patience);
                AwsError::new(reason, WHOSE, message)
            }
        };
        Err(AwsError::new(
            error.reason,
            WHOSE,
            format!(
                "the credentials have changed, and AWS does not say whose they are now: nothing is read until it says \
                 that they are account {}'s. {}",
                identity.account_id, error.message
            ),
        ))
    }

    /// Fails unless all that was read by these clients, since they were made [afresh](Self::afresh), was read with keys
    /// of that account. AWS is asked about keys that are new.
    pub async fn were_of(&self, identity: &Identity) -> Result<(), AwsError> {
        let keys = self.signers.all();
        let owner = |key: &String| self.owners.of(key);
        if keys.iter().any(|key| owner(key).is_none()) {
            self.are_of(identity).await?;
        }
        for key in &keys {
            match owner(key) {
                Some(owner) if owner == *identity => {}
                Some(other) => return Err(not_of(identity, &other)),
                None => {
                    let message = "the credentials changed twice while they were used: what was read with them is read \
                                   again";
                    let message = message.to_owned();
                    return Err(AwsError::new(Reason::CredentialsInvalid, WHOSE, message));
                }
            }
        }
        Ok(())
    }
}

fn not_of(was: &Identity, is: &Identity) -> AwsError {
    let (was, is) = (&was.account_id, &is.account_id);
    AwsError::new(
        Reason::CredentialsInvalid,
        WHOSE,
        format!(
            "the credentials are those of account {is} now, and what is published is of account {was}: nothing is read \
             until they are {was}'s again. If {is} is to be watched instead, restart the exporter's pods: its counters \
             begin at 0."
        ),
    )
}
