//! The services that Nightjar watches, one room each: its metric table, its discovery.
//!
//! A room offers a `SERVICE` (names, IAM actions, shapes with their metric rows) and a `discover`.
//! One more metric is one more row in a room's table. One more service is one more room, and one
//! more variant of [`ServiceId`] below.

pub mod apigateway;
pub mod dynamodb;
pub mod found;
pub mod lambda;
pub mod listing;
pub mod memory;
pub mod reference;
pub mod table;

use wildmatch::WildMatch;

use crate::api::stack::ServiceSettings;
use crate::aws::{AwsError, Clients, Identity};
use crate::exporter::membership::Membership;
use found::Found;
use memory::Memory;
use table::{Features, Metric, OptionalSet, Service};

/// A watched service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceId {
    /// AWS Lambda.
    Lambda,
    /// Amazon DynamoDB.
    DynamoDb,
    /// Amazon API Gateway.
    ApiGateway,
}

impl ServiceId {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Lambda, Self::DynamoDb, Self::ApiGateway];

    /// What is known about the service at compile time.
    pub const fn service(self) -> &'static Service {
        match self {
            Self::Lambda => &lambda::SERVICE,
            Self::DynamoDb => &dynamodb::SERVICE,
            Self::ApiGateway => &apigateway::SERVICE,
        }
    }

    /// The name in `spec.services`, in labels and in `/status`.
    pub const fn name(self) -> &'static str {
        self.service().name
    }

    /// The files of the service's alerts and recording rules.
    pub const fn rules(self) -> &'static [&'static str] {
        match self {
            Self::Lambda => lambda::RULES,
            Self::DynamoDb => dynamodb::RULES,
            Self::ApiGateway => apigateway::RULES,
        }
    }

    /// The service of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|id| id.name() == name)
    }

    /// Finds the members' resources of this service.
    pub async fn discover(self, look: &Look<'_>) -> Result<Found, AwsError> {
        match self {
            Self::Lambda => lambda::discover(look).await,
            Self::DynamoDb => dynamodb::discover(look).await,
            Self::ApiGateway => apigateway::discover(look).await,
        }
    }
}

/// A look at one service in one account and region.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// The account and region's clients.
    pub aws: &'a Clients,
    /// Whose account it is.
    pub identity: &'a Identity,
    /// What belongs to the stack.
    pub members: &'a Membership,
    /// What the stack wants of the service.
    pub wanted: &'a Wanted,
    /// What was read before and is still good.
    pub memory: &'a Memory,
}

/// What a stack wants of a service.
#[derive(Debug)]
pub struct Wanted {
    sets: Vec<&'static str>,
    excluded: Vec<WildMatch>,
}

impl Wanted {
    /// Of a service with these settings, or with none.
    pub fn new(service: &Service, settings: Option<&ServiceSettings>) -> Self {
        let listed = settings.and_then(|settings| settings.optional.as_ref());
        let wanted = |set: &&OptionalSet| match listed {
            Some(names) => names.iter().any(|name| name == set.name),
            None => set.default,
        };
        let sets = service.optional.iter().filter(wanted);
        let excluded = settings.into_iter().flat_map(|s| &s.exclude_metrics);
        Self {
            sets: sets.map(|set| set.name).collect(),
            excluded: excluded.map(|pattern| WildMatch::new(pattern)).collect(),
        }
    }

    /// Whether an optional set is wanted.
    pub fn set(&self, name: &str) -> bool {
        self.sets.contains(&name)
    }

    /// Whether a row can exist under these features, and is wanted.
    fn row(&self, metric: &Metric, features: Features) -> bool {
        features.contains(metric.needs)
            && !self
                .excluded
                .iter()
                .any(|pattern| pattern.matches(metric.family.name))
    }
}
