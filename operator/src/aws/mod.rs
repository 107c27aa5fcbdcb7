//! AWS: clients, credentials, pace and error classes. The only place that builds SDK clients, and
//! the only way to call one: [`Clients::call`] meters every request and names what failed.

mod clients;
mod clock;
mod credentials;
mod error;
mod keys;
mod pace;
mod pages;
mod probe;
mod transport;

pub use clients::{AssumedRole, Clients, Connector, Identity};
pub use clock::Clock;
pub use error::AwsError;
pub use pace::{Quota, quota_of, weight};
pub use pages::Pages;
