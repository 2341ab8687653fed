//! Where an answer goes, and whether it may go there.

use std::fmt;

use hyper::Uri;
use zeroize::Zeroizing;

use crate::stack_id::StackId;

/// The pre-signed URL that an event brings, for one answer.
///
/// It is a credential: whoever has it can tell CloudFormation that the operation succeeded. And it
/// comes from the event, so whoever can invoke the function can put another there and have the
/// answer sent to it. Hence it is taken only if it is https, without user information and without a
/// port, and its host is CloudFormation's response bucket in the Region of the event's stack. The
/// bucket is AWS's own: the page "Access CloudFormation using an interface endpoint (AWS
/// `PrivateLink`)" in the CloudFormation user guide names it
/// `cloudformation-custom-resource-response-<region>`, the Region without its dashes. Its host may be
/// written in any way in which S3 can be addressed with the bucket in front, by the pages "Amazon
/// Simple Storage Service endpoints and quotas" in the AWS General Reference and "Virtual hosting of
/// general purpose buckets" in the S3 user guide: a dot or a dash before the Region, dual-stack,
/// FIPS, and for us-east-1 also without a Region. A spelling that a Region does not have leads
/// nowhere, for the names below the suffix are all AWS's; and what stands in a [`StackId`] as a
/// Region has a Region's form, so that it cannot be another endpoint of S3. With the bucket in the
/// path, where S3 takes it too, CloudFormation does not write it, and it is refused.
///
/// It cannot be cloned or shown, and its text is overwritten when it is dropped. Answering consumes
/// it, so there is one answer at most. What is beyond reach are the copies that an HTTP client keeps
/// while it sends.
///
/// ```compile_fail
/// fn needs_clone<T: Clone>() {}
/// needs_clone::<custom_resource::ResponseUrl>();
/// ```
///
/// ```compile_fail
/// fn needs_display<T: std::fmt::Display>() {}
/// needs_display::<custom_resource::ResponseUrl>();
/// ```
pub struct ResponseUrl(Zeroizing<String>);

/// Why a text is not a URL that an answer may be sent to. It never holds the text.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlFault {
    /// Not a URL, or one with a character or a part that no pre-signed URL has.
    #[error("is not a URL")]
    Syntax,
    /// Another scheme than https.
    #[error("is not https")]
    Scheme,
    /// A user name, a password or a port.
    #[error("has user information or a port")]
    Authority,
    /// Another host than that of CloudFormation's response bucket in the stack's Region.
    #[error("does not lead to CloudFormation's response bucket in the stack's Region")]
    Host,
}

impl ResponseUrl {
    /// Takes the URL that came with a stack's event.
    ///
    /// The one parser that reads it is that of the HTTP client, so nothing can be read here as one
    /// host and there as another. Comparison is by exact text: CloudFormation writes host names in
    /// lower case and without a final dot.
    ///
    /// # Errors
    ///
    /// A [`UrlFault`] that says which rule is broken.
    pub fn parse(text: impl Into<String>, stack_id: &StackId) -> Result<Self, UrlFault> {
        let text = Zeroizing::new(text.into());
        let url = read(&text)?;
        check(&url, stack_id)?;
        Ok(Self(text))
    }

    /// The URL for the client that sends the answer.
    ///
    /// # Security
    ///
    /// The result is no longer redacted. It goes into the request and nowhere else.
    pub(crate) fn into_uri(self) -> Result<Uri, UrlFault> {
        read(&self.0)
    }
}

impl fmt::Debug for ResponseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseUrl").finish_non_exhaustive()
    }
}

fn read(text: &str) -> Result<Uri, UrlFault> {
    // The client's parser forgives some of these, and drops a fragment without a word.
    let never_there = |byte: u8| !byte.is_ascii_graphic() || b"\"#<>\\^`{}".contains(&byte);
    if text.bytes().any(never_there) {
        return Err(UrlFault::Syntax);
    }
    text.parse().map_err(|_| UrlFault::Syntax)
}

fn check(url: &Uri, stack_id: &StackId) -> Result<(), UrlFault> {
    let authority = url.authority().ok_or(UrlFault::Syntax)?;
    if is_local_exception(url) {
        return Ok(());
    }
    if url.scheme_str() != Some("https") {
        return Err(UrlFault::Scheme);
    }
    if authority.as_str() != authority.host() {
        return Err(UrlFault::Authority);
    }
    if !is_response_bucket(authority.host(), stack_id) {
        return Err(UrlFault::Host);
    }
    Ok(())
}

fn is_response_bucket(host: &str, stack_id: &StackId) -> bool {
    let region = stack_id.region();
    let bucket = format!("cloudformation-custom-resource-response-{}.", region.replace('-', ""));
    let suffix = format!(".{}", stack_id.partition().dns_suffix());
    let Some(endpoint) = host.strip_prefix(&bucket).and_then(|rest| rest.strip_suffix(&suffix)) else {
        return false;
    };
    let regional = ["s3.", "s3-", "s3.dualstack.", "s3-fips.", "s3-fips.dualstack."];
    regional.iter().any(|spelling| endpoint.strip_prefix(spelling) == Some(region))
        || (region == "us-east-1" && ["s3", "s3-external-1"].contains(&endpoint))
}

/// An emulator's URL: plain http on this machine, on any port.
#[cfg(feature = "local")]
fn is_local_exception(url: &Uri) -> bool {
    let Some(authority) = url.authority() else {
        return false;
    };
    let host = authority.host();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let loopback =
        host == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    url.scheme_str() == Some("http") && loopback && !authority.as_str().contains('@')
}

#[cfg(not(feature = "local"))]
fn is_local_exception(_: &Uri) -> bool {
    false
}
