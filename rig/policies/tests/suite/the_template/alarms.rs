//! What raises an alarm: for each rule what it tells, beside the nearest that it does not.

use std::collections::BTreeSet;

use policies::event_pattern::call;
use policies::template::{Resolved, Stack};
use policies::{Context, Principal, Request, ResourcePolicy, Target, decide};
use serde_json::{Value, json};

use super::{RECORD_KEY, SECRETS_KEY, assert_not_allowed, resolve, role_arn, secret, stack};
use crate::asking::HERE;

/// A call to KMS names the key beside its parameters.
fn with_key(name: &str, who: &Value, key: &str) -> Value {
    let mut event = call("kms", name, who, &json!({"encryptionContext": {"keyboot:node": "0"}}));
    event["detail"]["resources"] = json!([{"accountId": HERE, "type": "AWS::KMS::Key", "ARN": key}]);
    event
}

fn role(name: &str) -> Value {
    json!({"type": "AssumedRole", "accountId": HERE, "sessionContext": {"sessionIssuer": {"arn": role_arn(name)}}})
}

fn function() -> Value {
    role("NodeKeysRole")
}

fn rotation() -> Value {
    role("KeyRotationRole")
}

fn admin() -> Value {
    role("admin")
}

fn user() -> Value {
    json!({"type": "IAMUser", "accountId": HERE, "arn": format!("arn:aws:iam::{HERE}:user/eve")})
}

/// Whether a pattern matches an event; an operator that is not known fails the test that meets it.
fn matches(pattern: &Value, event: &Value) -> bool {
    policies::event_pattern::matches(pattern, event).unwrap()
}

fn pattern(resolved: &Resolved, rule: &str) -> Value {
    resolved.resource(rule).unwrap()["EventPattern"].clone()
}

/// What a rule tells, and what it leaves alone.
struct Case {
    rule: &'static str,
    told: Vec<Value>,
    quiet: Vec<Value>,
}

const OTHER_KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/another";

fn keys() -> [Case; 3] {
    let deleted = |key: &str| json!({"source": "aws.kms", "detail-type": "KMS CMK Deletion", "resources": [key], "detail": {"key-id": "x"}});
    [
        Case {
            rule: "KeyChangedRule",
            told: ["CreateGrant", "DisableKey", "PutKeyPolicy", "ReplicateKey", "ScheduleKeyDeletion"]
                .into_iter()
                .flat_map(|name| [with_key(name, &admin(), SECRETS_KEY), with_key(name, &user(), RECORD_KEY)])
                .collect(),
            quiet: vec![
                with_key("PutKeyPolicy", &admin(), OTHER_KEY),
                with_key("DescribeKey", &admin(), SECRETS_KEY),
                with_key("Sign", &function(), RECORD_KEY),
            ],
        },
        Case {
            rule: "KeyDeletedRule",
            told: vec![deleted(SECRETS_KEY), deleted(RECORD_KEY)],
            quiet: vec![deleted(OTHER_KEY)],
        },
        Case {
            rule: "KeyUsedRule",
            told: vec![
                with_key("Decrypt", &admin(), SECRETS_KEY),
                with_key("Decrypt", &user(), SECRETS_KEY),
                with_key("GenerateDataKey", &role("node-2"), SECRETS_KEY),
                with_key("Sign", &role("UnansweredRole"), RECORD_KEY),
                with_key("Sign", &role("SchedulerRole"), RECORD_KEY),
            ],
            quiet: vec![
                with_key("Decrypt", &function(), SECRETS_KEY),
                with_key("Sign", &function(), RECORD_KEY),
                with_key("Sign", &rotation(), RECORD_KEY),
                with_key("Encrypt", &rotation(), SECRETS_KEY),
                with_key("GenerateDataKey", &rotation(), SECRETS_KEY),
                with_key("GenerateDataKeyPairWithoutPlaintext", &rotation(), SECRETS_KEY),
                with_key("Decrypt", &role("node-0"), SECRETS_KEY),
                with_key("Decrypt", &role("node-1"), SECRETS_KEY),
                with_key("Decrypt", &admin(), OTHER_KEY),
                // Another account is let in by a policy of the key.
                with_key("Decrypt", &json!({"type": "AWSAccount", "accountId": "444455556666"}), SECRETS_KEY),
            ],
        },
    ]
}

fn stored() -> [Case; 3] {
    let named =
        |name: &str, who: &Value, id: &str| call("secretsmanager", name, who, &json!({"secretId": id}));
    let (mine, foreign) = ("keyboot/tsm/node/0/p2p-key", "keyboots/p2p-key");
    let ssm = |name: &str, who: &Value, parameters: &Value| call("ssm", name, who, parameters);
    let record = "/keyboot/tsm/node/0/record";
    let record_arn = format!("arn:aws:ssm:eu-central-1:{HERE}:parameter{record}");
    [
        Case {
            rule: "SecretReadRule",
            told: vec![
                named("GetSecretValue", &admin(), mine),
                named("GetSecretValue", &user(), &secret(mine)),
                // Those who make what they may not read, too: they never try.
                named("GetSecretValue", &function(), mine),
                named("GetSecretValue", &rotation(), &secret(mine)),
                named("GetSecretValue", &role("UnansweredRole"), mine),
            ],
            quiet: vec![
                named("GetSecretValue", &role("node-0"), &secret(mine)),
                named("GetSecretValue", &admin(), foreign),
                named("DescribeSecret", &admin(), mine),
            ],
        },
        Case {
            rule: "SecretChangedRule",
            told: [
                "PutResourcePolicy",
                "DeleteResourcePolicy",
                "DeleteSecret",
                "PutSecretValue",
                "TagResource",
                "RotateSecret",
                "CancelRotateSecret",
                "UpdateSecretVersionStage",
            ]
            .into_iter()
            .flat_map(|name| [named(name, &admin(), mine), named(name, &user(), &secret(mine))])
            .chain([call("secretsmanager", "CreateSecret", &admin(), &json!({"name": mine}))])
            .chain([named("PutSecretValue", &role("SchedulerRole"), mine)])
            .collect(),
            quiet: vec![
                named("PutResourcePolicy", &function(), &secret(mine)),
                named("RotateSecret", &function(), mine),
                named("CancelRotateSecret", &function(), mine),
                named("PutSecretValue", &rotation(), &secret(mine)),
                named("UpdateSecretVersionStage", &rotation(), &secret(mine)),
                call("secretsmanager", "CreateSecret", &function(), &json!({"name": mine})),
                named("DeleteSecret", &admin(), foreign),
                named("DescribeSecret", &admin(), mine),
            ],
        },
        Case {
            rule: "DocumentChangedRule",
            told: vec![
                ssm("PutParameter", &admin(), &json!({"name": record})),
                ssm("DeleteParameter", &user(), &json!({"name": record})),
                ssm("DeleteParameters", &admin(), &json!({"names": ["/other", record]})),
                ssm(
                    "AddTagsToResource",
                    &admin(),
                    &json!({"resourceType": "Parameter", "resourceId": record}),
                ),
                ssm("PutResourcePolicy", &admin(), &json!({"resourceArn": record_arn})),
            ],
            quiet: vec![
                ssm("PutParameter", &function(), &json!({"name": record})),
                ssm("DeleteParameters", &function(), &json!({"names": [record]})),
                ssm("PutParameter", &rotation(), &json!({"name": record})),
                ssm("PutParameter", &rotation(), &json!({"name": "/keyboot/tsm/node/0/lease"})),
                ssm("LabelParameterVersion", &rotation(), &json!({"name": "/keyboot/tsm/node/0/p2p-key"})),
                ssm("PutParameter", &admin(), &json!({"name": "/keyboots/record"})),
                ssm("GetParameters", &admin(), &json!({"names": [record]})),
            ],
        },
    ]
}

fn surroundings() -> [Case; 4] {
    let iam = |name: &str, role: &str| call("iam", name, &admin(), &json!({"roleName": role}));
    let policy = |name: &str| {
        let arn = format!("arn:aws:iam::{HERE}:policy/{name}");
        call("iam", "CreatePolicyVersion", &admin(), &json!({"policyArn": arn}))
    };
    let on_function =
        |name: &str, function: &str| call("lambda", name, &admin(), &json!({"functionName": function}));
    let with_role = |name: &str, role: &str| {
        call("lambda", name, &admin(), &json!({"functionName": "another", "role": role_arn(role)}))
    };
    let trail = |name: &str| call("cloudtrail", name, &admin(), &json!({"name": "trail"}));
    let schedule = |name: &str, parameters: &Value| call("scheduler", name, &admin(), parameters);
    let group = "ScheduleGroup";
    let arn = format!("arn:aws:lambda:eu-central-1:{HERE}:function:NodeKeysFunction");
    [
        Case {
            rule: "RoleChangedRule",
            told: [
                "UpdateAssumeRolePolicy",
                "PutRolePolicy",
                "AttachRolePolicy",
                "DeleteRolePermissionsBoundary",
                "DeleteRolePolicy",
            ]
            .into_iter()
            .flat_map(|name| {
                ["NodeKeysRole", "unansweredrole", "KeyRotationRole", "SchedulerRole"]
                    .map(|role| iam(name, role))
            })
            .chain([policy("keyboot-NodeReader0-1ABC"), policy("keyboot-NodeKeysRotationPolicy-1ABC")])
            .collect(),
            quiet: vec![
                iam("PutRolePolicy", "another"),
                iam("GetRole", "NodeKeysRole"),
                policy("another-NodeReader0-1ABC"),
            ],
        },
        Case {
            rule: "FunctionChangedRule",
            told: vec![
                on_function("UpdateFunctionCode20150331v2", "NodeKeysFunction"),
                on_function("UpdateFunctionConfiguration20150331v2", &arn),
                on_function("UpdateFunctionConfiguration20150331v2", "UnansweredFunction:$LATEST"),
                on_function("AddPermission20150331v2", &format!("{HERE}:function:UnansweredFunction")),
                on_function("PutFunctionEventInvokeConfig", "NodeKeysFunction"),
                on_function("DeleteFunction20150331", "NodeKeysFunction"),
                on_function("UpdateFunctionCode20150331v2", "KeyRotationFunction"),
                on_function("RemovePermission20150331v2", "KeyRotationFunction"),
                // Without a run kept free for it, nothing rotates.
                on_function("PutFunctionConcurrency20171031", "KeyRotationFunction"),
                // Another function, in the role of one of these.
                with_role("CreateFunction20150331", "NodeKeysRole"),
                with_role("UpdateFunctionConfiguration20150331v2", "KeyRotationRole"),
            ],
            quiet: vec![
                on_function("UpdateFunctionCode20150331v2", "another"),
                with_role("CreateFunction20150331", "another"),
                on_function("GetFunctionConfiguration20150331v2", "NodeKeysFunction"),
            ],
        },
        Case {
            rule: "ScheduleChangedRule",
            told: vec![
                // Whatever is left of its name.
                schedule("DeleteSchedule", &json!({"name": "k-RetirementSchedul-1ABC", "groupName": group})),
                schedule("UpdateSchedule", &json!({"Name": "k-NodeP2pKeySchedu-1ABC", "GroupName": group})),
                schedule("DeleteScheduleGroup", &json!({"name": group})),
                schedule("DeleteScheduleGroup", &json!({"Name": group})),
            ],
            quiet: vec![
                schedule("DeleteSchedule", &json!({"name": "keyboot-mine", "groupName": "another"})),
                // One that names no group is of the default one.
                schedule("UpdateSchedule", &json!({"Name": "keyboot-mine"})),
                schedule("DeleteScheduleGroup", &json!({"name": "another"})),
                schedule("GetSchedule", &json!({"name": "keyboot-mine", "groupName": group})),
                schedule("GetScheduleGroup", &json!({"name": group})),
            ],
        },
        Case {
            rule: "TrailChangedRule",
            told: vec![trail("StopLogging"), trail("DeleteTrail"), trail("PutEventSelectors")],
            quiet: vec![trail("GetTrailStatus"), trail("StartLogging")],
        },
    ]
}

/// What would tell less: a rule, an alarm, a log or the topic that is changed.
fn watch() -> Case {
    Case {
        rule: "WatchChangedRule",
        told: vec![
            call("events", "DisableRule", &admin(), &json!({"name": "keyboot-KeyChangedRule-1ABC"})),
            call("events", "RemoveTargets", &admin(), &json!({"rule": "keyboot-KeyChangedRule-1ABC"})),
            call(
                "monitoring",
                "DeleteAlarms",
                &admin(),
                &json!({"alarmNames": ["keyboot-NodeKeysErrorsAlarm-1"]}),
            ),
            call("logs", "DeleteLogGroup", &admin(), &json!({"logGroupName": "NodeKeysLogGroup"})),
            call("logs", "DeleteLogStream", &admin(), &json!({"logGroupName": "KeyRotationLogGroup"})),
            call("events", "PutTargets", &admin(), &json!({"rule": "keyboot-KeyChangedRule-1ABC"})),
            call("sns", "SetTopicAttributes", &admin(), &json!({"topicArn": topic()})),
            call("sns", "AddPermission", &admin(), &json!({"topicArn": topic()})),
            call("sns", "RemovePermission", &admin(), &json!({"topicArn": topic()})),
            call("sns", "Unsubscribe", &admin(), &json!({"subscriptionArn": format!("{}:1", topic())})),
        ],
        quiet: vec![
            call("events", "DisableRule", &admin(), &json!({"name": "another-rule"})),
            call("logs", "DeleteLogGroup", &admin(), &json!({"logGroupName": "another"})),
            call("sns", "Publish", &admin(), &json!({"topicArn": topic()})),
            call("sns", "AddPermission", &admin(), &json!({"topicArn": "another"})),
        ],
    }
}

/// What Secrets Manager tells of itself (Secrets Manager User Guide, "AWS CloudTrail entries for Secrets
/// Manager").
fn rotations() -> Case {
    let event = |name: &str, secret: &str| {
        json!({
            "source": "aws.secretsmanager",
            "detail-type": "AWS Service Event via CloudTrail",
            "detail": {
                "eventSource": "secretsmanager.amazonaws.com",
                "eventName": name,
                "requestParameters": null,
                "additionalEventData": {"SecretId": secret},
            },
        })
    };
    let mine = secret("keyboot/tsm/node/0/api-key/default");
    Case {
        rule: "RotationFailedRule",
        told: vec![event("RotationFailed", &mine), event("TestRotationFailed", &mine)],
        quiet: vec![
            event("RotationStarted", &mine),
            event("RotationSucceeded", &mine),
            event("RotationFailed", &secret("keyboots/node/0/api-key/default")),
            event("RotationFailed", &mine.replace(HERE, "444455556666")),
            call("secretsmanager", "RotateSecret", &admin(), &json!({"secretId": mine})),
        ],
    }
}

fn topic() -> String {
    format!("arn:aws:sns:eu-central-1:{HERE}:AlarmTopic")
}

fn cases() -> Vec<Case> {
    keys().into_iter().chain(stored()).chain(surroundings()).chain([watch(), rotations()]).collect()
}

#[test]
fn each_rule_tells_what_it_is_for_and_leaves_the_function_alone() {
    let resolved = resolve(stack());
    for Case { rule, told, quiet } in cases() {
        let pattern = pattern(&resolved, rule);
        for event in told {
            assert!(matches(&pattern, &event), "{rule} does not tell {event}");
        }
        for event in quiet {
            assert!(!matches(&pattern, &event), "{rule} tells {event}");
        }
    }
    let tested: BTreeSet<_> = cases().iter().map(|case| case.rule.to_owned()).collect();
    assert_eq!(of_kind(&resolved, "AWS::Events::Rule"), tested, "rules that no case is about");
}

/// Reading is told to a rule in this state only (EventBridge User Guide, "Receiving read-only
/// management events from AWS services").
#[test]
fn the_rules_about_reading_are_given_read_only_events() {
    let resolved = resolve(stack());
    for rule in of_kind(&resolved, "AWS::Events::Rule") {
        let reads = ["KeyUsedRule", "SecretReadRule"].contains(&rule.as_str());
        let wanted = if reads { "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS" } else { "ENABLED" };
        assert_eq!(resolved.resource(&rule).unwrap()["State"], wanted, "{rule}");
    }
}

#[test]
fn expected_readers_are_named_with_wildcards_or_are_those_who_may_read() {
    let read = |who: &Value| with_key("Decrypt", who, SECRETS_KEY);
    let read_secret = |who: &Value| {
        let id = json!({"secretId": "keyboot/tsm/node/0/p2p-key"});
        call("secretsmanager", "GetSecretValue", who, &id)
    };
    let all = resolve(
        stack()
            .parameter("ClientPrincipals", &format!("default={}", role_arn("client")))
            .parameter("ManagementPrincipals", &role_arn("manager")),
    );
    for quiet in [role("node-0"), role("node-1"), role("client"), role("manager")] {
        assert!(!matches(&pattern(&all, "KeyUsedRule"), &read(&quiet)), "{quiet}");
        assert!(!matches(&pattern(&all, "SecretReadRule"), &read_secret(&quiet)), "{quiet}");
    }
    // They use the key, and read nothing.
    for quiet in [function(), rotation()] {
        assert!(!matches(&pattern(&all, "KeyUsedRule"), &read(&quiet)), "{quiet}");
        assert!(matches(&pattern(&all, "SecretReadRule"), &read_secret(&quiet)), "{quiet}");
    }
    assert!(matches(&pattern(&all, "KeyUsedRule"), &read(&role("default"))), "an application's name");
    let named =
        resolve(stack().parameter("ExpectedReaders", &format!("{},{}", role_arn("tsm-*"), role_arn("api"))));
    let nobody = resolve(Stack::new(super::STACK).unwrap());
    let use_of = |event: &dyn Fn(&Value) -> Value, rule: &str, functions_are_told: bool| {
        let (named, nobody) = (pattern(&named, rule), pattern(&nobody, rule));
        for quiet in [role("tsm-node-0"), role("api")] {
            assert!(!matches(&named, &event(&quiet)), "{rule}: {quiet}");
        }
        for told in [role("node-0"), role("apis"), admin(), user()] {
            assert!(matches(&named, &event(&told)), "{rule}: {told}");
        }
        assert!(matches(&nobody, &event(&role("node-0"))), "{rule}");
        for function in [function(), rotation()] {
            assert_eq!(matches(&named, &event(&function)), functions_are_told, "{rule}: {function}");
            assert_eq!(matches(&nobody, &event(&function)), functions_are_told, "{rule}: {function}");
        }
    };
    use_of(&read, "KeyUsedRule", false);
    use_of(&read_secret, "SecretReadRule", true);
}

/// EventBridge User Guide, "Amazon EventBridge quotas": a pattern has at most 2,048 characters.
#[test]
fn every_pattern_fits_with_long_names() {
    let name = "a".repeat(40);
    let id = super::STACK.replace("stack/keyboot/", &format!("stack/{name}/"));
    let readers: Vec<_> = (0..20)
        .map(|index| format!("{index}={}", role_arn(&format!("builder-vault-node-{index}"))))
        .collect();
    let namespace = [&"n".repeat(31), &"n".repeat(31)].map(String::as_str).join("/");
    let stack = Stack::new(&id)
        .unwrap()
        .parameter("Namespace", &namespace)
        .parameter("ReaderPrincipals", &readers.join(","));
    let resolved = resolve(stack);
    for rule in of_kind(&resolved, "AWS::Events::Rule") {
        let length = pattern(&resolved, &rule).to_string().len();
        assert!(length <= 2048, "{rule}: {length} characters");
    }
}

/// CloudWatch and EventBridge reach the topic, and its key is no other's.
#[test]
fn services_publish_to_the_topic_under_its_own_key() {
    let resolved = resolve(stack());
    let policy = &resolved.resource("AlarmTopicPolicy").unwrap()["PolicyDocument"];
    let policy = ResourcePolicy::parse("AlarmTopicPolicy", policy).unwrap();
    let key = &resolved.resource("AlarmKey").unwrap()["KeyPolicy"];
    let key = ResourcePolicy::parse("AlarmKey", key).unwrap();
    let tls = |value: &str| Context::new().with("aws:SecureTransport", value);
    let from = |account: &str| tls("true").with("aws:SourceAccount", account);
    let publish = |service: &str, context: Context| {
        let request = Request::new(Principal::service(service), "sns:Publish", &topic()).with(context);
        decide(&request, &[], &Target::in_account(HERE).with_policy(&policy)).unwrap()
    };
    let seal = |service: &str, action: &str, context: Context| {
        let request = Request::new(Principal::service(service), action, SECRETS_KEY).with(context);
        decide(&request, &[], &Target::kms_key(HERE, &key)).unwrap()
    };
    assert!(publish("events.amazonaws.com", tls("true")).is_allowed());
    assert!(publish("cloudwatch.amazonaws.com", from(HERE)).is_allowed());
    assert_not_allowed(&publish("cloudwatch.amazonaws.com", from("444455556666")), "another account's alarm");
    assert_not_allowed(&publish("s3.amazonaws.com", from(HERE)), "another service");
    assert!(!publish("events.amazonaws.com", tls("false")).is_allowed(), "without TLS");
    for action in ["kms:Decrypt", "kms:GenerateDataKey"] {
        assert!(seal("events.amazonaws.com", action, Context::new()).is_allowed());
        assert!(seal("cloudwatch.amazonaws.com", action, from(HERE)).is_allowed());
        assert_not_allowed(
            &seal("cloudwatch.amazonaws.com", action, from("444455556666")),
            "another account's",
        );
        assert_not_allowed(&seal("s3.amazonaws.com", action, from(HERE)), "another service");
    }
    assert_eq!(resolved.resource("AlarmTopic").unwrap()["KmsMasterKeyId"], "AlarmKey");
    let theirs = resolve(stack().parameter("AlarmTopicArn", "arn:aws:sns:eu-central-1:111122223333:theirs"));
    for gone in ["AlarmKey", "AlarmTopic", "AlarmTopicPolicy"] {
        assert!(theirs.resource(gone).is_err(), "{gone} beside a topic that is there");
    }
}

/// Every rule and alarm speaks to the one topic, whichever it is.
#[test]
fn every_alarm_is_told_to_the_topic() {
    let other = "arn:aws:sns:eu-central-1:111122223333:theirs";
    for (stack, wanted) in [(stack(), topic()), (stack().parameter("AlarmTopicArn", other), other.to_owned())]
    {
        let resolved = resolve(stack.parameter("AlarmEmail", "ops@example.org"));
        for rule in of_kind(&resolved, "AWS::Events::Rule") {
            assert_eq!(
                resolved.resource(&rule).unwrap()["Targets"],
                json!([{"Id": "topic", "Arn": wanted}]),
                "{rule}"
            );
        }
        let alarms = of_kind(&resolved, "AWS::CloudWatch::Alarm");
        assert!(alarms.len() >= 13, "{alarms:?}");
        for alarm in alarms {
            let properties = resolved.resource(&alarm).unwrap();
            assert_eq!(properties["AlarmActions"], json!([wanted]), "{alarm}");
            assert_eq!(properties["TreatMissingData"], "notBreaching", "{alarm}");
        }
        assert_eq!(resolved.resource("AlarmSubscription").unwrap()["TopicArn"], wanted.as_str());
        assert_eq!(resolved.output("AlarmTopicArn"), Ok(json!(wanted)));
    }
    assert!(resolve(stack()).resource("AlarmSubscription").is_err(), "a subscription of nobody");
}

/// Every function is watched for failures, for want of room, and for the time that it takes; and where an
/// event is given up, somebody learns of it.
#[test]
fn every_function_is_watched() {
    let resolved = resolve(stack());
    let watched: BTreeSet<(String, String)> = of_kind(&resolved, "AWS::CloudWatch::Alarm")
        .iter()
        .map(|alarm| {
            let properties = resolved.resource(alarm).unwrap();
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (text(&properties["Dimensions"][0]["Value"]), text(&properties["MetricName"]))
        })
        .collect();
    for function in ["NodeKeysFunction", "UnansweredFunction", "KeyRotationFunction"] {
        for metric in ["Errors", "Throttles", "Duration"] {
            assert!(watched.contains(&(function.to_owned(), metric.to_owned())), "{function}: {metric}");
        }
    }
    for (function, metric) in
        [("NodeKeysFunction", "DestinationDeliveryFailures"), ("KeyRotationFunction", "AsyncEventsDropped")]
    {
        assert!(watched.contains(&(function.to_owned(), metric.to_owned())), "{function}: {metric}");
    }
    for (alarm, function) in [
        ("NodeKeysDurationAlarm", "NodeKeysFunction"),
        ("UnansweredDurationAlarm", "UnansweredFunction"),
        ("KeyRotationDurationAlarm", "KeyRotationFunction"),
    ] {
        let timeout = resolved.resource(function).unwrap()["Timeout"].as_u64().unwrap();
        let threshold = resolved.resource(alarm).unwrap()["Threshold"].as_u64().unwrap();
        assert_eq!(threshold, timeout * 900, "{alarm}: nine tenths of the Timeout, in milliseconds");
    }
}

fn of_kind(resolved: &Resolved, kind: &str) -> BTreeSet<String> {
    resolved.resources().filter(|(_, of)| *of == kind).map(|(id, _)| id.to_owned()).collect()
}
