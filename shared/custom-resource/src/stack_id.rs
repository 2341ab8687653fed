//! The ARN of a stack, which also says in which partition and Region the answer is waited for.

use std::fmt;
use std::str::FromStr;

/// A part of AWS with its own accounts, endpoints and names.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Partition {
    /// `aws`: the commercial Regions.
    Aws,
    /// `aws-cn`: China.
    AwsCn,
    /// `aws-us-gov`: AWS `GovCloud` (US).
    AwsUsGov,
}

impl Partition {
    /// The partition's name as it stands in ARNs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::AwsCn => "aws-cn",
            Self::AwsUsGov => "aws-us-gov",
        }
    }

    /// What the names of the partition's endpoints end in.
    #[must_use]
    pub fn dns_suffix(self) -> &'static str {
        match self {
            Self::Aws | Self::AwsUsGov => "amazonaws.com",
            Self::AwsCn => "amazonaws.com.cn",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Aws, Self::AwsCn, Self::AwsUsGov].into_iter().find(|known| known.as_str() == name)
    }

    /// Whether a name is that of a Region of the partition, there already or yet to come: two
    /// letters of a country or continent, a place in it, and a number (AWS General Reference, "AWS
    /// service endpoints").
    ///
    /// It is not enough that a name could stand in a host's: S3 has endpoints such as
    /// `s3-external-1` and `s3-accelerate`, and below those a bucket may be anybody's.
    fn has_region(self, name: &str) -> bool {
        let letter = |byte: u8| byte.is_ascii_lowercase();
        let (area, rest) = match name.strip_prefix("us-gov-") {
            Some(rest) => ("us-gov", rest),
            None => name.split_once('-').unwrap_or_default(),
        };
        let area_is_its_own = match self {
            Self::Aws => area != "cn" && consists_of(area, 2..=2, letter),
            Self::AwsCn => area == "cn",
            Self::AwsUsGov => area == "us-gov",
        };
        let Some([place, number]) = exactly(rest.split('-')) else { return false };
        area_is_its_own
            && consists_of(place, 1..=24, letter)
            && consists_of(number, 1..=2, |byte| byte.is_ascii_digit())
    }
}

/// The id of a stack: `arn:<partition>:cloudformation:<region>:<account>:stack/<name>/<uuid>`.
///
/// The Region becomes part of a host name and the whole text part of an answer, so every part has
/// its alphabet and its bound; nothing is taken on trust.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct StackId {
    text: String,
    partition: Partition,
    region: String,
    account: String,
    name: String,
    uuid: String,
}

impl StackId {
    /// The whole ARN, exactly as it was delivered.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The partition.
    #[must_use]
    pub fn partition(&self) -> Partition {
        self.partition
    }

    /// The Region, for example `eu-central-1`.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The 12 digits of the account that the stack is in.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The name of the stack, which another stack may have had before it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What tells this stack from every other that had its name.
    #[must_use]
    pub fn uuid(&self) -> &str {
        &self.uuid
    }
}

impl FromStr for StackId {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fault = Malformed { expected: "the ARN of a stack" };
        let [arn, partition, service, region, account, resource] = exactly(text.split(':')).ok_or(fault)?;
        let [kind, name, uuid] = exactly(resource.split('/')).ok_or(fault)?;
        let partition = Partition::from_name(partition).ok_or(fault)?;
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let sound = arn == "arn"
            && service == "cloudformation"
            && kind == "stack"
            && partition.has_region(region)
            && consists_of(account, 12..=12, |byte| byte.is_ascii_digit())
            && consists_of(name, 1..=128, word)
            && consists_of(uuid, 1..=64, word);
        if !sound {
            return Err(fault);
        }
        Ok(Self {
            text: text.to_owned(),
            partition,
            region: region.to_owned(),
            account: account.to_owned(),
            name: name.to_owned(),
            uuid: uuid.to_owned(),
        })
    }
}

impl fmt::Display for StackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A text that is not what it should be. It never holds the text.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not {expected}")]
pub struct Malformed {
    pub(crate) expected: &'static str,
}

/// The parts, if there are `N` of them and no more.
fn exactly<'a, const N: usize>(mut parts: impl Iterator<Item = &'a str>) -> Option<[&'a str; N]> {
    let mut found = [""; N];
    for place in &mut found {
        *place = parts.next()?;
    }
    parts.next().is_none().then_some(found)
}

/// Whether a text has a length in bytes, and nothing but bytes, that are allowed.
pub(crate) fn consists_of(
    text: &str,
    length: std::ops::RangeInclusive<usize>,
    allowed: impl Fn(u8) -> bool,
) -> bool {
    length.contains(&text.len()) && text.bytes().all(allowed)
}
