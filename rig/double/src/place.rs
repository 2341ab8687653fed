//! Where a thing is: an account and a Region, and the names that follow from them.

/// An account and a Region. Nothing of one place is seen in another, but by its ARN.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Place {
    /// The account's 12 digits.
    pub account: String,
    /// The Region's name.
    pub region: String,
}

impl Place {
    /// A place by its account and Region.
    pub fn new(account: impl Into<String>, region: impl Into<String>) -> Self {
        Self { account: account.into(), region: region.into() }
    }

    /// The partition, as the Region's name tells it.
    #[must_use]
    pub fn partition(&self) -> &'static str {
        partition_of(&self.region)
    }

    /// The domain of the partition's services, as `AWS::URLSuffix` has it.
    #[must_use]
    pub fn url_suffix(&self) -> &'static str {
        if self.partition() == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" }
    }

    /// The ARN of a thing here.
    #[must_use]
    pub fn arn(&self, service: &str, resource: &str) -> String {
        format!("arn:{}:{service}:{}:{}:{resource}", self.partition(), self.region, self.account)
    }

    /// Takes an ARN apart: its place, and what follows it. `None` for another service's.
    pub(crate) fn of_arn<'a>(arn: &'a str, service: &str) -> Option<(Self, &'a str)> {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        match parts.as_slice() {
            ["arn", partition, named, region, account, resource]
                if *named == service && *partition == partition_of(region) =>
            {
                Some((Self::new(*account, *region), resource))
            }
            _ => None,
        }
    }
}

/// The partition of a Region (AWS General Reference, "AWS service endpoints").
pub(crate) fn partition_of(region: &str) -> &'static str {
    match region {
        _ if region.starts_with("cn-") => "aws-cn",
        _ if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}
