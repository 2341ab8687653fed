//! The condition keys that AWS knows.

/// The global keys (IAM User Guide, "AWS global condition context keys"), in lower case. One that
/// ends in a slash is followed by the key of a tag.
const GLOBAL: [&str; 50] = [
    "aws:assumedroot",
    "aws:calledvia",
    "aws:calledviafirst",
    "aws:calledvialast",
    "aws:chatbotsourcearn",
    "aws:currenttime",
    "aws:ec2instancesourceprivateipv4",
    "aws:ec2instancesourcevpc",
    "aws:epochtime",
    "aws:federatedprovider",
    "aws:multifactorauthage",
    "aws:multifactorauthpresent",
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalisawsservice",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:principalservicename",
    "aws:principalservicenameslist",
    "aws:principaltag/",
    "aws:principaltype",
    "aws:referer",
    "aws:requestedregion",
    "aws:requesttag/",
    "aws:resourceaccount",
    "aws:resourceorgid",
    "aws:resourceorgpaths",
    "aws:resourcetag/",
    "aws:securetransport",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceidentity",
    "aws:sourceip",
    "aws:sourceorgid",
    "aws:sourceorgpaths",
    "aws:sourceowner",
    "aws:sourcevpc",
    "aws:sourcevpcarn",
    "aws:sourcevpce",
    "aws:tagkeys",
    "aws:tokenissuetime",
    "aws:useragent",
    "aws:userid",
    "aws:username",
    "aws:viaawsservice",
    "aws:vpceaccount",
    "aws:vpceorgid",
    "aws:vpceorgpaths",
    "aws:vpcesourceip",
    "aws:vpcsourceip",
];

/// Keys that a request can have several values of: they take `ForAllValues:` or `ForAnyValue:`.
///
/// IAM User Guide, "AWS global condition context keys", *Value type*; Service Authorization
/// Reference, keys of type `ArrayOf…`.
const SEVERAL_VALUES: [&str; 10] = [
    "aws:calledvia",
    "aws:principalorgpaths",
    "aws:principalservicenameslist",
    "aws:resourceorgpaths",
    "aws:sourceorgpaths",
    "aws:tagkeys",
    "aws:vpceorgpaths",
    "kms:encryptioncontextkeys",
    "kms:grantoperations",
    "kms:resourcealiases",
];

/// What can be put into a policy by `${…}`: keys whose value this crate or its caller can know.
const VARIABLES: [&str; 12] = [
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalorgid",
    "aws:principaltag/",
    "aws:principaltype",
    "aws:requestedregion",
    "aws:requesttag/",
    "aws:resourceaccount",
    "aws:resourcetag/",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:username",
];

/// Whether a condition can name this key: a global one that there is, or one of a service, which
/// is the service's to know.
pub(crate) fn is_key(key: &str) -> bool {
    match key.split_once(':') {
        Some((prefix, _)) if prefix.eq_ignore_ascii_case("aws") => is_among(&GLOBAL, key),
        Some((prefix, name)) => {
            !name.is_empty()
                && !prefix.is_empty()
                && prefix.bytes().all(|b| b == b'-' || b.is_ascii_alphanumeric())
        }
        None => false,
    }
}

/// Whether `${…}` can name this key.
pub(crate) fn is_variable(key: &str) -> bool {
    is_among(&VARIABLES, key)
}

/// Whether a request can have several values of this key.
pub(crate) fn has_several_values(key: &str) -> bool {
    is_among(&SEVERAL_VALUES, key)
}

fn is_among(keys: &[&str], key: &str) -> bool {
    let key = key.to_lowercase();
    keys.iter().any(|known| match known.strip_suffix('/') {
        Some(_) => key.strip_prefix(known).is_some_and(|tag| !tag.is_empty()),
        None => key == *known,
    })
}
