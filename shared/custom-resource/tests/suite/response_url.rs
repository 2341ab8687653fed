//! Where an answer may go.

use custom_resource::{ResponseUrl, StackId, UrlFault};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::FileFailurePersistence;

const BUCKET: &str = "cloudformation-custom-resource-response";

fn stack_in(partition: &str, region: &str) -> StackId {
    format!("arn:{partition}:cloudformation:{region}:123456789012:stack/s/1").parse().unwrap()
}

fn frankfurt() -> StackId {
    stack_in("aws", "eu-central-1")
}

/// A stack in each of some Regions: the first of all, the oldest but one, newer ones, and those of
/// the other partitions.
const REGIONS: &[(&str, &str)] = &[
    ("aws", "us-east-1"),
    ("aws", "eu-west-1"),
    ("aws", "eu-central-1"),
    ("aws", "ap-southeast-4"),
    ("aws", "ca-west-1"),
    ("aws", "il-central-1"),
    ("aws-cn", "cn-north-1"),
    ("aws-cn", "cn-northwest-1"),
    ("aws-us-gov", "us-gov-east-1"),
    ("aws-us-gov", "us-gov-west-1"),
];

/// The hosts of CloudFormation's bucket in a Region, written out: the endpoints of the page "Amazon
/// Simple Storage Service endpoints and quotas" in the AWS General Reference, and the older ones
/// with a dash or without a Region, of the page "Virtual hosting of general purpose buckets" in the
/// S3 user guide.
fn hosts(partition: &str, region: &str) -> Vec<String> {
    let bucket = format!("cloudformation-custom-resource-response-{}", region.replace('-', ""));
    let suffix = if partition == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" };
    let mut hosts: Vec<_> = ["s3.", "s3-", "s3.dualstack.", "s3-fips.", "s3-fips.dualstack."]
        .iter()
        .map(|endpoint| format!("{bucket}.{endpoint}{region}.{suffix}"))
        .collect();
    if region == "us-east-1" {
        hosts.push(format!("{bucket}.s3.amazonaws.com"));
        hosts.push(format!("{bucket}.s3-external-1.amazonaws.com"));
    }
    hosts
}

#[test]
fn every_spelling_of_the_bucket_is_taken() {
    for (partition, region) in REGIONS {
        for host in hosts(partition, region) {
            for path in ["", "/", "/key?a=b&c=d%2Fe", "/arn%3Aaws|Thing|id?X-Amz-Signature=ab%2B=", "?x=y"] {
                // RFC 3986, section 3.1: a scheme's case means nothing.
                for scheme in ["https", "HTTPS", "Https"] {
                    let text = format!("{scheme}://{host}{path}");
                    assert!(
                        ResponseUrl::parse(text.as_str(), &stack_in(partition, region)).is_ok(),
                        "{text}"
                    );
                }
            }
        }
    }
}

/// As they were seen in events.
#[test]
fn what_cloudformation_sends_is_taken() {
    for (partition, region, host) in [
        ("aws", "us-east-1", "-useast1.s3.us-east-1.amazonaws.com"),
        ("aws", "us-east-1", "-useast1.s3-us-east-1.amazonaws.com"),
        ("aws", "us-east-1", "-useast1.s3.amazonaws.com"),
        ("aws", "eu-west-1", "-euwest1.s3-eu-west-1.amazonaws.com"),
        ("aws", "eu-central-1", "-eucentral1.s3.eu-central-1.amazonaws.com"),
        ("aws-cn", "cn-north-1", "-cnnorth1.s3.cn-north-1.amazonaws.com.cn"),
        ("aws-us-gov", "us-gov-west-1", "-usgovwest1.s3-us-gov-west-1.amazonaws.com"),
    ] {
        for query in [
            "AWSAccessKeyId=AKIDEXAMPLE&Expires=1767225600&Signature=c2lnbmF0dXJl%2Fx%3D",
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20260101T000000Z&X-Amz-SignedHeaders=host\
             &X-Amz-Expires=7200&X-Amz-Credential=AKIDEXAMPLE%2F20260101%2Feu-west-1%2Fs3%2Faws4_request\
             &X-Amz-Signature=0123456789abcdef",
        ] {
            let text = format!("https://{BUCKET}{host}/arn%3Aaws%3Acloudformation%7CThing%7Cid?{query}");
            assert!(ResponseUrl::parse(text.as_str(), &stack_in(partition, region)).is_ok(), "{text}");
        }
    }
}

#[test]
fn no_stack_is_answered_in_another_region_or_partition() {
    for stack in REGIONS {
        for bucket in REGIONS {
            for host in hosts(bucket.0, bucket.1) {
                let text = format!("https://{host}/key");
                let taken = ResponseUrl::parse(text.as_str(), &stack_in(stack.0, stack.1)).is_ok();
                assert_eq!(taken, stack == bucket, "{stack:?}: {text}");
            }
        }
        // The right Region's bucket under the other suffix.
        for host in hosts(stack.0, stack.1) {
            let other = match host.strip_suffix(".cn") {
                Some(without) => without.to_owned(),
                None => format!("{host}.cn"),
            };
            let fault = ResponseUrl::parse(format!("https://{other}/key"), &stack_in(stack.0, stack.1));
            assert_eq!(fault.unwrap_err(), UrlFault::Host, "{other}");
        }
    }
}

/// S3 has endpoints that look as if a Region were in them. Below them a bucket of the right name may
/// be anybody's.
#[test]
fn an_endpoint_that_is_no_region_makes_no_region() {
    for region in [
        "external-1",
        "external-2",
        "accelerate",
        "website-us-east-1",
        "fips-us-gov-west-1",
        "us-standard",
        "accesspoint",
        "control",
        "r-w",
    ] {
        for partition in ["aws", "aws-cn", "aws-us-gov"] {
            let text = format!("arn:{partition}:cloudformation:{region}:123456789012:stack/s/1");
            assert!(text.parse::<StackId>().is_err(), "{text}");
        }
    }
}

/// The bucket in the path: S3 knows that spelling too, and CloudFormation does not use it.
#[test]
fn a_bucket_in_the_path_is_refused() {
    for (partition, region) in REGIONS {
        for host in hosts(partition, region) {
            let (bucket, endpoint) = host.split_once('.').unwrap();
            let text = format!("https://{endpoint}/{bucket}/key");
            let fault = ResponseUrl::parse(text.as_str(), &stack_in(partition, region)).unwrap_err();
            assert_eq!(fault, UrlFault::Host, "{text}");
        }
    }
}

/// A Region, and a host that is one of its bucket's or looks like it.
fn look_alike() -> impl Strategy<Value = ((&'static str, &'static str), String)> {
    let good = (select(REGIONS), any::<Index>()).prop_map(|(region, index)| {
        let hosts = hosts(region.0, region.1);
        (region, hosts[index.index(hosts.len())].clone())
    });
    let place = prop_oneof![1 => Just(None), 1 => Just(Some(true)), 2 => Just(Some(false))];
    let edit = (place, any::<Index>(), select(WORDS), 0..4_usize);
    let edits = prop::collection::vec(edit, 0..4);
    (good, edits, select(REPLACEMENTS)).prop_map(|((region, mut host), edits, (from, to))| {
        host = host.replacen(&from.replace("REGION", region.1), to, 1);
        for (place, at, word, cut) in edits {
            let places: Vec<_> = host.char_indices().map(|(at, _)| at).chain([host.len()]).collect();
            let at = match place {
                Some(true) => 0,
                Some(false) => at.index(places.len()),
                None => places.len() - 1,
            };
            let end = (at + cut).min(places.len() - 1);
            host.replace_range(places[at]..places[end], word);
        }
        (region, host)
    })
}

/// What is found in a host, and what is put in its place; mostly nothing is.
const REPLACEMENTS: &[(&str, &str)] = &[
    ("", ""),
    ("", ""),
    ("", ""),
    ("", ""),
    (".REGION", ""),
    ("-REGION", ""),
    ("REGION", "us-east-1"),
    ("s3", "S3"),
    ("amazonaws", "AmazonAWS"),
    (".amazonaws.com", ""),
    ("cloudformation-custom-resource-response", "my-bucket"),
];

/// What is put into a host, or in place of some of it.
#[rustfmt::skip]
const WORDS: &[&str] = &[
    "", "a", "1", "-", ".", "..", "cn", ".cn", ".evil", "evil-", "evil.example", "amazonaws.com", "s3", "s3.",
    "dualstack.", "us-east-1", "eu-central-1", "cloudformation", "xn--", "@", ":", ":443", ":80@", "/", "//",
    "\\", "?", "#", "[", "]", "%2e", "%40", "%00", "\t", " ", "\u{430}", "\u{3002}", "\u{ff0e}",
];

/// Where a URL that begins so would lead: the text between the slashes and what ends it, read
/// without any parser's help.
fn authority(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once("://")?;
    scheme.eq_ignore_ascii_case("https").then(|| rest.split(['/', '?']).next().unwrap_or(rest))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 4096,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::default()
    })]

    /// Nothing is taken but what begins with `https://` and one of the documented hosts, and that is.
    #[test]
    fn what_is_taken_is_a_documented_host_and_nothing_else(
        scheme in prop_oneof![3 => select(vec!["https", "HTTPS"]), 1 => select(vec!["http", "ftp", "httpss", ""])],
        (of_host, host) in look_alike(),
        rest in "(|/|/[!-~]{0,20}|\\?[!-~]{0,20}|[!-~]{1,8})",
        elsewhere in prop_oneof![3 => Just(None), 1 => select(REGIONS).prop_map(Some)],
    ) {
        let text = format!("{scheme}://{host}{rest}");
        let (partition, region) = elsewhere.unwrap_or(of_host);
        let hosts = hosts(partition, region);
        let leads_there = authority(&text).is_some_and(|found| hosts.iter().any(|host| host == found));
        let writable = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"#<>\\^`{}".contains(&byte));
        let result = ResponseUrl::parse(text.as_str(), &stack_in(partition, region));
        prop_assert_eq!(result.is_ok(), leads_there && writable, "{}: {:?}", text, result);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::default()
    })]

    /// Whatever the text.
    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        prop_assert!(ResponseUrl::parse(text, &frankfurt()).is_err());
    }
}

#[test]
fn every_other_host_is_refused() {
    let good = format!("{BUCKET}-eucentral1.s3.eu-central-1.amazonaws.com");
    for host in [
        // Another Region, in whole or in part.
        format!("{BUCKET}-euwest1.s3.eu-west-1.amazonaws.com"),
        format!("{BUCKET}-euwest1.s3.eu-central-1.amazonaws.com"),
        format!("{BUCKET}-eucentral1.s3.eu-west-1.amazonaws.com"),
        format!("{BUCKET}-eu-central-1.s3.eu-central-1.amazonaws.com"),
        // Without a Region, which is us-east-1's alone.
        format!("{BUCKET}-eucentral1.s3.amazonaws.com"),
        format!("{BUCKET}-useast1.s3.amazonaws.com"),
        format!("{BUCKET}-eucentral1.s3-external-1.amazonaws.com"),
        // Another partition's suffix.
        format!("{BUCKET}-eucentral1.s3.eu-central-1.amazonaws.com.cn"),
        format!("{BUCKET}-eucentral1.s3.eu-central-1.amazonaws.eu"),
        // Anyone's bucket, and another of CloudFormation's.
        "my-bucket.s3.eu-central-1.amazonaws.com".to_owned(),
        "cloudformation-waitcondition-eu-central-1.s3.eu-central-1.amazonaws.com".to_owned(),
        format!("{BUCKET}-eucentral1-x.s3.eu-central-1.amazonaws.com"),
        format!("x{good}"),
        format!("x.{good}"),
        format!("{BUCKET}-eucentral1.x.s3.eu-central-1.amazonaws.com"),
        // Other things in S3 and beside it.
        "s3.eu-central-1.amazonaws.com".to_owned(),
        "eu-central-1.amazonaws.com".to_owned(),
        format!("{BUCKET}-eucentral1.s3-website.eu-central-1.amazonaws.com"),
        format!("{BUCKET}-eucentral1.s3-website-eu-central-1.amazonaws.com"),
        format!("{BUCKET}-eucentral1.s3-accesspoint.eu-central-1.amazonaws.com"),
        format!("{BUCKET}-eucentral1.s3-accelerate.amazonaws.com"),
        format!("{BUCKET}-eucentral1.s3.execute-api.eu-central-1.amazonaws.com"),
        format!("{BUCKET}-eucentral1.eu-central-1.amazonaws.com"),
        format!("{BUCKET}-eucentral1.s3eu-central-1.amazonaws.com"),
        format!("{BUCKET}-eucentral1..s3.eu-central-1.amazonaws.com"),
        // Look-alikes.
        format!("{good}.evil.example"),
        format!("{good}evil.example"),
        good.replace("amazonaws.com", "amazonaws.com.evil.example"),
        good.replace("amazonaws.com", "amazonaws.co"),
        good.replace("amazonaws.com", "amaz0naws.com"),
        good.replace(".amazonaws", "-amazonaws"),
        "evil.example".to_owned(),
        "xn--mazonaws-2fg.com".to_owned(),
        // Another writing of the same host.
        format!("{good}."),
        good.to_uppercase(),
        good.replace("amazonaws", "AmazonAWS"),
        // Addresses.
        "127.0.0.1".to_owned(),
        "localhost".to_owned(),
        "169.254.169.254".to_owned(),
        "2130706433".to_owned(),
        "0x7f.1".to_owned(),
        "[::1]".to_owned(),
        "[::ffff:127.0.0.1]".to_owned(),
    ] {
        let text = format!("https://{host}/key?{good}");
        let fault = ResponseUrl::parse(text.as_str(), &frankfurt()).unwrap_err();
        assert_eq!(fault, UrlFault::Host, "{text}");
    }
}

#[test]
fn every_other_way_of_going_astray_is_refused() {
    let good = format!("{BUCKET}-eucentral1.s3.eu-central-1.amazonaws.com");
    for (text, expected) in [
        (format!("http://{good}/x"), UrlFault::Scheme),
        (format!("ftp://{good}/x"), UrlFault::Scheme),
        (format!("httpss://{good}/x"), UrlFault::Scheme),
        (format!("https://user@{good}/x"), UrlFault::Authority),
        (format!("https://user:password@{good}/x"), UrlFault::Authority),
        (format!("https://@{good}/x"), UrlFault::Authority),
        (format!("https://{good}@evil.example/x"), UrlFault::Authority),
        (format!("https://{good}%40evil.example/x"), UrlFault::Syntax),
        (format!("https://{good}:443/x"), UrlFault::Authority),
        (format!("https://{good}:8443/x"), UrlFault::Authority),
        (format!("https://{good}:/x"), UrlFault::Authority),
        (format!("https://{good}:443@evil.example/x"), UrlFault::Authority),
        (format!("https://evil.example/https://{good}/x"), UrlFault::Host),
        (format!("https://evil.example/..//{good}/x"), UrlFault::Host),
        (format!("https://evil.example?{good}"), UrlFault::Host),
        (format!("https://evil.example\\@{good}/x"), UrlFault::Syntax),
        (format!("https://evil.example#@{good}/x"), UrlFault::Syntax),
        (format!("https://{good}/x#fragment"), UrlFault::Syntax),
        (format!("https://{good}\\x"), UrlFault::Syntax),
        (format!("https:\\\\{good}\\x"), UrlFault::Syntax),
        (format!("https://{good}/x\r\nHost: evil.example"), UrlFault::Syntax),
        (format!("https://{good}/x y"), UrlFault::Syntax),
        (format!("https://{good}/\u{0}"), UrlFault::Syntax),
        (format!(" https://{good}/x"), UrlFault::Syntax),
        (format!("https://{good}/x\n"), UrlFault::Syntax),
        (format!("https://{good}/ä"), UrlFault::Syntax),
        (format!("https://{}/x", good.replace('a', "а")), UrlFault::Syntax),
        (format!("https://{}/x", good.replace('.', "。")), UrlFault::Syntax),
        (format!("https:/{good}/x"), UrlFault::Syntax),
        (format!("https:{good}/x"), UrlFault::Syntax),
        (format!("https:///{good}/x"), UrlFault::Syntax),
        (format!("//{good}/x"), UrlFault::Syntax),
        (format!("{good}/x"), UrlFault::Syntax),
        (good.clone(), UrlFault::Scheme),
        ("/x".to_owned(), UrlFault::Syntax),
        ("*".to_owned(), UrlFault::Syntax),
        ("https://".to_owned(), UrlFault::Syntax),
        (String::new(), UrlFault::Syntax),
        // The client's parser takes 65,534 bytes.
        (format!("https://{good}/{}", "x".repeat(65_535)), UrlFault::Syntax),
        ("data:text/plain,x".to_owned(), UrlFault::Syntax),
        ("file:///dev/stdout".to_owned(), UrlFault::Syntax),
    ] {
        let fault = ResponseUrl::parse(text.as_str(), &frankfurt()).unwrap_err();
        assert_eq!(fault, expected, "{text:?}");
    }
}

#[test]
fn debug_shows_nothing() {
    let text = format!("https://{BUCKET}-eucentral1.s3.eu-central-1.amazonaws.com/key?Signature=secret");
    let url = ResponseUrl::parse(text, &frankfurt()).unwrap();
    assert_eq!(format!("{url:?}"), "ResponseUrl { .. }");
    assert_eq!(format!("{url:#?}"), "ResponseUrl { .. }");
}

#[cfg(not(feature = "local"))]
#[test]
fn this_machine_is_no_place_for_an_answer() {
    for text in ["http://127.0.0.1:4566/x", "http://localhost:4566/x", "http://[::1]:4566/x"] {
        assert_eq!(ResponseUrl::parse(text, &frankfurt()).unwrap_err(), UrlFault::Scheme, "{text}");
    }
}

#[cfg(feature = "local")]
#[test]
fn an_emulator_on_this_machine_may_be_answered() {
    for text in [
        "http://127.0.0.1:4566/x",
        "http://127.1.2.3/x",
        "http://localhost:4566/_cfn/token?x=y",
        "http://[::1]:4566/x",
    ] {
        assert!(ResponseUrl::parse(text, &frankfurt()).is_ok(), "{text}");
    }
    for text in [
        "http://192.0.2.1:4566/x",
        "http://[2001:db8::1]/x",
        "http://localhost.evil.example/x",
        "http://127.0.0.1.evil.example/x",
        "http://127.0.0.1@evil.example/x",
        "http://user@127.0.0.1:4566/x",
        "http://evil.example@127.0.0.1:4566/x",
        "http://2130706433/x",
        "http://0.0.0.0:4566/x",
        "https://127.0.0.1:4566/x",
        "https://localhost/x",
        "ftp://127.0.0.1/x",
    ] {
        assert!(ResponseUrl::parse(text, &frankfurt()).is_err(), "{text}");
    }
}
