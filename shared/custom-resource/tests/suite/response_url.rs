//! Where an answer may go.

use custom_resource::{ResponseUrl, StackId, UrlFault};

const BUCKET: &str = "cloudformation-custom-resource-response";

fn stack_in(partition: &str, region: &str) -> StackId {
    format!("arn:{partition}:cloudformation:{region}:123456789012:stack/s/1").parse().unwrap()
}

fn frankfurt() -> StackId {
    stack_in("aws", "eu-central-1")
}

#[test]
fn every_spelling_of_the_bucket_is_taken() {
    for (partition, region, host) in [
        ("aws", "eu-central-1", "-eucentral1.s3.eu-central-1.amazonaws.com"),
        ("aws", "eu-central-1", "-eucentral1.s3-eu-central-1.amazonaws.com"),
        ("aws", "eu-central-1", "-eucentral1.s3.dualstack.eu-central-1.amazonaws.com"),
        ("aws", "ca-central-1", "-cacentral1.s3-fips.ca-central-1.amazonaws.com"),
        ("aws", "us-west-2", "-uswest2.s3-fips.dualstack.us-west-2.amazonaws.com"),
        ("aws", "us-east-1", "-useast1.s3.us-east-1.amazonaws.com"),
        ("aws", "us-east-1", "-useast1.s3-us-east-1.amazonaws.com"),
        ("aws", "us-east-1", "-useast1.s3.amazonaws.com"),
        ("aws", "us-east-1", "-useast1.s3-external-1.amazonaws.com"),
        ("aws", "ap-southeast-4", "-apsoutheast4.s3.ap-southeast-4.amazonaws.com"),
        ("aws-cn", "cn-north-1", "-cnnorth1.s3.cn-north-1.amazonaws.com.cn"),
        ("aws-cn", "cn-northwest-1", "-cnnorthwest1.s3.dualstack.cn-northwest-1.amazonaws.com.cn"),
        ("aws-us-gov", "us-gov-west-1", "-usgovwest1.s3.us-gov-west-1.amazonaws.com"),
        ("aws-us-gov", "us-gov-west-1", "-usgovwest1.s3-us-gov-west-1.amazonaws.com"),
        ("aws-us-gov", "us-gov-east-1", "-usgoveast1.s3-fips.us-gov-east-1.amazonaws.com"),
    ] {
        for path in ["/", "/key?a=b&c=d%2Fe", "/arn%3Aaws%3Acf|Thing|id?X-Amz-Signature=ab%2B=", "?x=y"] {
            let text = format!("https://{BUCKET}{host}{path}");
            assert!(ResponseUrl::parse(text.as_str(), &stack_in(partition, region)).is_ok(), "{text}");
        }
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
fn another_partition_has_another_suffix() {
    let text = format!("https://{BUCKET}-cnnorth1.s3.cn-north-1.amazonaws.com/x");
    assert_eq!(ResponseUrl::parse(text, &stack_in("aws-cn", "cn-north-1")).unwrap_err(), UrlFault::Host);
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
        (format!("https://{good}/{}", "x".repeat(70_000)), UrlFault::Syntax),
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
