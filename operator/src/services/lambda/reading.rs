//! Reads functions with as few requests as can be: Lambda's control plane allows 15 a second to
//! everybody in the account together.
//!
//! Where members are known by name (tags, ARNs, CloudFormation), only what is new or was not read for
//! about an hour is read: one by one, or page by page with everybody else's when that takes fewer
//! requests. Where a selector is a pattern, all functions are listed.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationOutput;
use aws_sdk_lambda::types::FunctionConfiguration;
use futures::StreamExt as _;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::discovery::Function;
use crate::api::Reason;
use crate::aws::{AwsError, Clients, Pages};
use crate::exporter::membership::Membership;

const KIND: &str = "AWS::Lambda::Function";
/// How long the settings of a function are taken to be as they were read.
const SETTINGS_LIVE: Duration = Duration::from_hours(1);
/// The same, where only reading it again shows whether the function is still there.
const EXISTENCE_LIVES: Duration = Duration::from_mins(15);
/// How long it is remembered how many pages the account has.
const PAGES_LIVE: Duration = Duration::from_hours(24);
/// Single reads that are under way at once.
const CONCURRENT_READS: usize = 4;

/// What was read in an account and region, for the next look-up.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// By name.
    functions: HashMap<String, Read>,
    /// So many pages all functions of the account take at least, and when that was seen.
    pages: Option<(usize, Instant)>,
}

#[derive(Debug)]
struct Read {
    function: Function,
    due: Instant,
}

impl Read {
    fn new(function: Function, exists: bool) -> Self {
        let lives = if exists {
            SETTINGS_LIVE
        } else {
            EXISTENCE_LIVES
        };
        // What was read together shall not be due together for ever.
        let lives = lives.mul_f64(0.75 + fastrand::f64() / 2.0);
        Self {
            function,
            due: Instant::now() + lives,
        }
    }
}

/// What a round read.
#[derive(Debug, Default)]
pub struct Reading {
    /// The members.
    pub functions: Vec<Function>,
    /// Why some may be missing.
    pub problems: Vec<AwsError>,
    /// What failed although all were found.
    pub lesser: Vec<AwsError>,
}

/// Finds the members.
pub async fn functions(
    aws: &Clients,
    members: &Membership,
    memory: &Memory,
) -> Result<Reading, AwsError> {
    let mut known = memory.0.lock().await;
    let name_of = |arn| name_in(arn, &aws.region);
    let mut lesser = Vec::new();
    if let Some(names) = members.candidates(KIND, name_of) {
        let reading = known.read(aws, members, &names).await?;
        let denied = |problem: &AwsError| problem.reason == Reason::AccessDenied;
        if !reading.problems.iter().any(denied) {
            return Ok(reading);
        }
        // Without the permission to read single functions all are listed, at a higher cost.
        lesser.extend(reading.problems.into_iter().find(denied));
    }
    known.functions.clear();
    Ok(Reading {
        functions: all(aws, members).await?,
        problems: Vec::new(),
        lesser,
    })
}

/// Looks through all functions of the account and region.
async fn all(aws: &Clients, members: &Membership) -> Result<Vec<Function>, AwsError> {
    let belongs = |function: &Function| {
        let name: &str = &function.name;
        members.contains(KIND, name, name, &function.arn)
    };
    let mut found = Vec::new();
    let mut marker = None;
    let mut pages = Pages::of(LIST);
    loop {
        let page = list(aws, marker, &mut pages).await?;
        found.extend(page.functions.into_iter().filter(belongs));
        marker = page.next;
        if marker.is_none() {
            return Ok(found);
        }
    }
}

impl Known {
    async fn read(
        &mut self,
        aws: &Clients,
        members: &Membership,
        names: &BTreeMap<String, bool>,
    ) -> Result<Reading, AwsError> {
        let now = Instant::now();
        self.functions.retain(|name, _| names.contains_key(name));
        self.pages = self
            .pages
            .filter(|(_, seen)| now.saturating_duration_since(*seen) < PAGES_LIVE);
        let mut due: BTreeMap<&str, bool> = names
            .iter()
            .map(|(name, exists)| (name.as_str(), *exists))
            .filter(|(name, _)| self.functions.get(*name).is_none_or(|read| read.due <= now))
            .collect();
        let mut problems = Vec::new();
        let mut marker = None;
        let mut listed = 0;
        let mut pages = Pages::of(LIST);
        while listing_is_cheaper(listed, self.pages.map(|(pages, _)| pages), due.len()) {
            let page = list(aws, marker, &mut pages).await?;
            listed += 1;
            for function in page.functions {
                let name = function.name.to_string();
                if let Some(exists) = names.get(&name) {
                    due.remove(name.as_str());
                    self.functions.insert(name, Read::new(function, *exists));
                }
            }
            marker = page.next;
            if marker.is_none() {
                // All were there: who is still due is gone.
                for name in std::mem::take(&mut due).into_keys() {
                    self.functions.remove(name);
                }
                self.pages = Some((listed, now));
                break;
            }
        }
        if marker.is_some() {
            let before = self.pages.map_or(0, |(pages, _)| pages);
            self.pages = Some((before.max(listed + 1), now));
        }
        let due: Vec<(String, bool)> = due
            .into_iter()
            .map(|(name, exists)| (name.to_owned(), exists))
            .collect();
        let reads = due.into_iter().map(|(name, exists)| async move {
            let answer = configuration(aws, &name).await;
            (name, exists, answer)
        });
        let mut reads = futures::stream::iter(reads).buffer_unordered(CONCURRENT_READS);
        while let Some((name, exists, answer)) = reads.next().await {
            match answer {
                Ok(Some(function)) => {
                    self.functions.insert(name, Read::new(function, exists));
                }
                Ok(None) => {}
                Err(error) if error.reason == Reason::NotFound => {
                    self.functions.remove(&name);
                }
                // What was known of it stays.
                Err(error) => problems.push(error),
            }
        }
        let functions = self.functions.values().map(|read| &read.function);
        let belongs = |function: &&Function| {
            let name: &str = &function.name;
            members.contains(KIND, name, name, &function.arn)
        };
        Ok(Reading {
            functions: functions.filter(belongs).cloned().collect(),
            problems,
            lesser: Vec::new(),
        })
    }
}

/// Whether the next page of the list is a better request than the reading of one function. `pages`
/// is how many there are at least. Unknown, pages are tried for as long as what they cost could
/// still have been worth it: together never more than twice the requests of the better way.
fn listing_is_cheaper(listed: usize, pages: Option<usize>, due: usize) -> bool {
    let left = pages.map_or(1, |pages| pages.saturating_sub(listed).max(1));
    left < due && (listed < due || pages.is_some_and(|pages| pages > listed))
}

struct Page {
    functions: Vec<Function>,
    next: Option<String>,
}

const LIST: &str = "lambda:ListFunctions";

async fn list(aws: &Clients, marker: Option<String>, pages: &mut Pages) -> Result<Page, AwsError> {
    let request = aws.lambda.list_functions().set_marker(marker).send();
    let page = aws.call(LIST, request).await?;
    Ok(Page {
        next: pages.after(page.next_marker())?,
        functions: page.functions().iter().filter_map(Function::new).collect(),
    })
}

/// One function as a list has it.
async fn configuration(aws: &Clients, name: &str) -> Result<Option<Function>, AwsError> {
    let request = aws.lambda.get_function_configuration().function_name(name);
    let GetFunctionConfigurationOutput {
        function_name,
        function_arn,
        runtime,
        timeout,
        memory_size,
        last_modified,
        version,
        vpc_config,
        dead_letter_config,
        tracing_config,
        layers,
        state,
        last_update_status,
        package_type,
        architectures,
        ephemeral_storage,
        snap_start,
        logging_config,
        signing_profile_version_arn,
        capacity_provider_config,
        durable_config,
        ..
    } = aws
        .call("lambda:GetFunctionConfiguration", request.send())
        .await?;
    let configuration = FunctionConfiguration::builder()
        .set_function_name(function_name)
        .set_function_arn(function_arn)
        .set_runtime(runtime)
        .set_timeout(timeout)
        .set_memory_size(memory_size)
        .set_last_modified(last_modified)
        .set_version(version)
        .set_vpc_config(vpc_config)
        .set_dead_letter_config(dead_letter_config)
        .set_tracing_config(tracing_config)
        .set_layers(layers)
        .set_state(state)
        .set_last_update_status(last_update_status)
        .set_package_type(package_type)
        .set_architectures(architectures)
        .set_ephemeral_storage(ephemeral_storage)
        .set_snap_start(snap_start)
        .set_logging_config(logging_config)
        .set_signing_profile_version_arn(signing_profile_version_arn)
        .set_capacity_provider_config(capacity_provider_config)
        .set_durable_config(durable_config)
        .build();
    Ok(Function::new(&configuration))
}

/// The name in the ARN of a function in a region.
fn name_in<'a>(arn: &'a str, region: &str) -> Option<&'a str> {
    let mut parts = arn.splitn(7, ':');
    let (service, of_region) = (parts.nth(2)?, parts.next()?);
    let (kind, name) = (parts.nth(1)?, parts.next()?);
    (service == "lambda" && of_region == region && kind == "function" && !name.contains(':'))
        .then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The requests that a round takes when members lie evenly among all pages.
    fn requests(due: usize, pages: usize, known: Option<usize>) -> usize {
        let (mut listed, mut left) = (0, due);
        while listing_is_cheaper(listed, known, left) {
            listed += 1;
            left = due - due * listed / pages;
            if listed == pages {
                return listed;
            }
        }
        listed + left
    }

    #[test]
    fn the_cheaper_of_pages_and_single_reads_is_taken() {
        // A stack of its own account, a stack among others, one new function.
        assert_eq!(requests(100, 2, None), 2);
        assert_eq!(requests(100, 100, Some(100)), 100);
        assert_eq!(requests(1, 100, None), 1);
        assert_eq!(requests(8, 100, Some(51)), 8);
        assert_eq!(requests(1000, 100, Some(100)), 100);
    }

    #[test]
    fn not_knowing_the_account_costs_at_most_twice_the_better_way() {
        for due in 1..200 {
            for pages in 1..200 {
                let better = due.min(pages);
                let taken = requests(due, pages, None);
                assert!(
                    taken <= 2 * better,
                    "{taken} requests for {due} functions in {pages} pages"
                );
            }
        }
    }

    #[test]
    fn only_functions_of_the_region_are_named() {
        let name = |arn| name_in(arn, "eu-west-1");
        let function = "arn:aws:lambda:eu-west-1:111122223333:function:pay";
        assert_eq!(name(function), Some("pay"));
        assert_eq!(
            name("arn:aws:lambda:us-east-1:111122223333:function:pay"),
            None
        );
        assert_eq!(
            name("arn:aws:dynamodb:eu-west-1:111122223333:table/pay"),
            None
        );
        assert_eq!(name("arn:aws:lambda:eu-west-1:1:function:pay:live"), None);
        assert_eq!(name("nonsense"), None);
    }
}
