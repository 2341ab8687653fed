//! What raises an alarm: for each rule what it tells, beside the nearest that it does not.

use std::collections::BTreeSet;

use policies::event_pattern::call;
use policies::template::Resolved;
use serde_json::{Value, json};

use super::{SCALING_ROLE, STORAGE_KEY, login, master, resolve, role_arn, stack, stack_of, topic};
use crate::asking::HERE;

/// Whether a pattern matches an event; an operator that is not known fails the test that meets it.
fn matches(pattern: &Value, event: &Value) -> bool {
    policies::event_pattern::matches(pattern, event).unwrap()
}

fn with_key(name: &str, who: &Value) -> Value {
    let mut event = call("kms", name, who, &json!({}));
    event["detail"]["resources"] = json!([{"accountId": HERE, "type": "AWS::KMS::Key", "ARN": STORAGE_KEY}]);
    event
}

fn role(name: &str) -> Value {
    json!({"type": "AssumedRole", "accountId": HERE, "sessionContext": {"sessionIssuer": {
        "arn": role_arn(name), "userName": name.rsplit('/').next(),
    }}})
}

fn admin() -> Value {
    role("admin")
}

fn user() -> Value {
    json!({"type": "IAMUser", "accountId": HERE, "arn": format!("arn:aws:iam::{HERE}:user/eve")})
}

/// What a rule tells, and what it leaves alone.
struct Case {
    rule: &'static str,
    told: Vec<Value>,
    quiet: Vec<Value>,
}

fn secrets() -> Vec<Case> {
    let named =
        |name: &str, who: &Value, id: &str| call("secretsmanager", name, who, &json!({"secretId": id}));
    let rotation = |name: &str, secret: &str| {
        json!({
            "source": "aws.secretsmanager",
            "detail-type": "AWS Service Event via CloudTrail",
            "detail": {
                "eventSource": "secretsmanager.amazonaws.com",
                "eventName": name,
                "additionalEventData": {"SecretId": secret},
            },
        })
    };
    let lambda = |name: &str, function: &str, role: &str| {
        call("lambda", name, &admin(), &json!({"functionName": function, "role": role_arn(role)}))
    };
    let (node, function) = (role("tsm-node-0"), role("tsm-node-0-database-login"));
    vec![
        Case {
            rule: "StorageKeyChangedRule",
            told: vec![with_key("PutKeyPolicy", &admin()), with_key("CreateGrant", &user())],
            quiet: vec![with_key("CreateGrant", &role(SCALING_ROLE)), with_key("Decrypt", &admin())],
        },
        Case {
            rule: "StorageKeyDeletedRule",
            told: vec![
                json!({"source": "aws.kms", "detail-type": "KMS CMK Deletion", "resources": [STORAGE_KEY]}),
            ],
            quiet: vec![
                json!({"source": "aws.kms", "detail-type": "KMS CMK Deletion", "resources": ["other"]}),
            ],
        },
        Case {
            rule: "LoginReadRule",
            told: vec![
                named("GetSecretValue", &admin(), "keyboot-storage/tsm/node/0/database-login"),
                named("GetSecretValue", &user(), &login("0")),
                named("GetSecretValue", &admin(), &master("0")),
            ],
            quiet: vec![
                named("GetSecretValue", &node, &login("0")),
                named("GetSecretValue", &function, &master("0")),
                named("GetSecretValue", &admin(), "other/secret"),
            ],
        },
        Case {
            rule: "LoginChangedRule",
            told: vec![
                named("PutResourcePolicy", &admin(), &login("0")),
                named("PutSecretValue", &node, &login("0")),
                call("secretsmanager", "CreateSecret", &user(), &json!({"name": "keyboot-storage/tsm/x"})),
            ],
            quiet: vec![
                named("PutSecretValue", &function, &login("0")),
                named("DeleteSecret", &admin(), "other/secret"),
            ],
        },
        Case {
            rule: "LoginRotationFailedRule",
            told: vec![rotation("RotationFailed", &login("0")), rotation("TestRotationFailed", &login("1"))],
            quiet: vec![rotation("RotationSucceeded", &login("0")), rotation("RotationFailed", &master("0"))],
        },
        Case {
            rule: "LoginFunctionChangedRule",
            told: vec![
                lambda("UpdateFunctionCode20150331v2", "core-LoginFunction0-1ABC", "other"),
                // Another function, in the role of one of these, or of a node.
                lambda("CreateFunction20150331", "other", "tsm-node-0-database-login"),
                lambda("UpdateFunctionConfiguration20150331v2", "other", "tsm-node-1-database-login"),
                lambda("CreateFunction20150331", "other", "tsm-node-0"),
            ],
            quiet: vec![
                lambda("UpdateFunctionCode20150331v2", "other", "other"),
                lambda("CreateFunction20150331", "other", "other"),
                lambda("GetFunction20150331v2", "core-LoginFunction0-1ABC", "other"),
            ],
        },
    ]
}

fn hosts() -> Vec<Case> {
    let launched = |group: &str| {
        json!({
            "source": "aws.autoscaling",
            "detail-type": "EC2 Instance Launch Unsuccessful",
            "detail": {"AutoScalingGroupName": group},
        })
    };
    let ec2 = |name: &str, who: &Value, parameters: &Value| call("ec2", name, who, parameters);
    let profile = json!({"iamInstanceProfile": {"name": "tsm-node-1"}});
    let iam = |name: &str, parameters: &Value| call("iam", name, &admin(), parameters);
    let assume = |who: &Value| call("sts", "AssumeRole", who, &json!({"roleArn": role_arn("tsm-node-0")}));
    let group = |name: &str, group: &str| {
        call("autoscaling", name, &admin(), &json!({"autoScalingGroupName": group}))
    };
    let service = |name: &str| json!({"type": "AWSService", "invokedBy": name});
    vec![
        Case { rule: "GroupActivityRule", told: vec![launched("tsm-node-0")], quiet: vec![launched("web")] },
        Case {
            rule: "NodeProfileUsedRule",
            told: vec![
                ec2("RunInstances", &admin(), &profile),
                ec2("RequestSpotInstances", &user(), &profile),
                // Auto Scaling, for somebody else's group.
                ec2(
                    "RunInstances",
                    &role("aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"),
                    &profile,
                ),
            ],
            quiet: vec![
                ec2("RunInstances", &role(SCALING_ROLE), &profile),
                ec2("RunInstances", &admin(), &json!({"iamInstanceProfile": {"name": "web"}})),
                ec2("DescribeInstances", &admin(), &profile),
            ],
        },
        Case {
            rule: "NodeRoleAssumedRule",
            told: vec![assume(&admin()), assume(&service("ssm.amazonaws.com"))],
            quiet: vec![assume(&service("ec2.amazonaws.com")), assume(&service("lambda.amazonaws.com"))],
        },
        Case {
            rule: "NodeRoleChangedRule",
            told: vec![
                iam("CreateRole", &json!({"roleName": "TSM-node-7"})),
                iam("UpdateAssumeRolePolicy", &json!({"roleName": "tsm-node-0"})),
                iam(
                    "AddRoleToInstanceProfile",
                    &json!({"instanceProfileName": "tsm-node-0", "roleName": "web"}),
                ),
            ],
            quiet: vec![
                iam("GetRole", &json!({"roleName": "tsm-node-0"})),
                iam("CreateRole", &json!({"roleName": "web"})),
            ],
        },
        Case {
            rule: "GroupChangedRule",
            told: vec![
                group("UpdateAutoScalingGroup", "tsm-node-0"),
                group("SuspendProcesses", "tsm-node-1"),
            ],
            quiet: vec![
                group("UpdateAutoScalingGroup", "web"),
                group("DescribeAutoScalingGroups", "tsm-node-0"),
            ],
        },
        Case {
            rule: "HostReachedRule",
            told: vec![
                call("ssm", "StartSession", &admin(), &json!({"target": "i-0a1b2c3d"})),
                call("ssm", "UpdateServiceSetting", &user(), &json!({})),
                ec2("CreateSnapshot", &admin(), &json!({"volumeId": "vol-0a1b2c3d"})),
            ],
            quiet: vec![ec2("DescribeSnapshots", &admin(), &json!({}))],
        },
        Case {
            rule: "LaunchTemplateChangedRule",
            told: vec![ec2("CreateLaunchTemplateVersion", &admin(), &json!({}))],
            quiet: vec![ec2("DescribeLaunchTemplateVersions", &admin(), &json!({}))],
        },
    ]
}

fn surroundings() -> Vec<Case> {
    let rds = |name: &str| call("rds", name, &admin(), &json!({}));
    let trail = |name: &str| call("cloudtrail", name, &admin(), &json!({"name": "trail"}));
    let rule = |name: &str, rule: &str| call("events", name, &admin(), &json!({ "name": rule }));
    vec![
        Case {
            rule: "NetworkChangedRule",
            told: vec![
                call("ec2", "AuthorizeSecurityGroupIngress", &admin(), &json!({})),
                call("ec2", "ModifyVpcEndpoint", &admin(), &json!({})),
                call("elasticloadbalancing", "ModifyListener", &admin(), &json!({})),
            ],
            quiet: vec![call("ec2", "DescribeSecurityGroups", &admin(), &json!({}))],
        },
        Case {
            rule: "DatabaseChangedRule",
            told: vec![rds("ModifyDBInstance"), rds("CreateDBSnapshot"), rds("ModifyDBSnapshotAttribute")],
            quiet: vec![rds("DescribeDBInstances")],
        },
        Case {
            rule: "TrailChangedRule",
            told: vec![trail("StopLogging"), trail("PutEventSelectors")],
            quiet: vec![trail("GetTrailStatus")],
        },
        Case {
            rule: "WatchChangedRule",
            told: vec![
                rule("DisableRule", "core-NodeProfileUsedRule-1ABC"),
                call("events", "PutTargets", &admin(), &json!({"rule": "core-NodeProfileUsedRule-1ABC"})),
                call("sns", "SetTopicAttributes", &admin(), &json!({"topicArn": topic()})),
                call("sns", "AddPermission", &admin(), &json!({"topicArn": topic()})),
                call("sns", "RemovePermission", &admin(), &json!({"topicArn": topic()})),
                call("logs", "DeleteLogGroup", &admin(), &json!({"logGroupName": "core-NodeLogGroup0-1ABC"})),
            ],
            quiet: vec![
                rule("DisableRule", "another-rule"),
                rule("DescribeRule", "core-NodeProfileUsedRule"),
                call("events", "PutTargets", &admin(), &json!({"rule": "another-rule"})),
                call("sns", "AddPermission", &admin(), &json!({"topicArn": "another"})),
            ],
        },
    ]
}

fn of_kind(resolved: &Resolved, kind: &str) -> BTreeSet<String> {
    resolved.resources().filter(|(_, of)| *of == kind).map(|(id, _)| id.to_owned()).collect()
}

#[test]
fn each_rule_tells_what_it_is_for_and_leaves_alone_what_happens_every_day() {
    let resolved = resolve(stack());
    let cases: Vec<_> = secrets().into_iter().chain(hosts()).chain(surroundings()).collect();
    for Case { rule, told, quiet } in &cases {
        let pattern = resolved.resource(rule).unwrap()["EventPattern"].clone();
        for event in told {
            assert!(matches(&pattern, event), "{rule} does not tell {event}");
        }
        for event in quiet {
            assert!(!matches(&pattern, event), "{rule} tells {event}");
        }
    }
    let tested: BTreeSet<_> = cases.iter().map(|case| case.rule.to_owned()).collect();
    assert_eq!(of_kind(&resolved, "AWS::Events::Rule"), tested, "rules that no test reads");
}

/// EventBridge gives a rule read-only events in one state only (EventBridge User Guide, "Receiving read-only
/// management events").
#[test]
fn what_is_read_is_told_too() {
    let resolved = resolve(stack());
    for rule in ["LoginReadRule", "NodeRoleAssumedRule"] {
        let state = &resolved.resource(rule).unwrap()["State"];
        assert_eq!(state, "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS", "{rule}");
    }
}

/// Every rule and alarm speaks to the one topic, whichever it is; four of them see the whole account, and can be left out.
#[test]
fn every_alarm_is_told_to_the_topic() {
    let other = "arn:aws:sns:eu-central-1:111122223333:theirs";
    for (stack, wanted) in [(stack(), topic()), (stack().parameter("AlarmTopicArn", other), other.to_owned())]
    {
        let resolved = resolve(stack);
        for rule in of_kind(&resolved, "AWS::Events::Rule") {
            let targets = &resolved.resource(&rule).unwrap()["Targets"];
            assert_eq!(targets, &json!([{"Id": "topic", "Arn": wanted}]), "{rule}");
        }
        for alarm in of_kind(&resolved, "AWS::CloudWatch::Alarm") {
            assert_eq!(resolved.resource(&alarm).unwrap()["AlarmActions"], json!([wanted]), "{alarm}");
        }
    }
    let all = of_kind(&resolve(stack()), "AWS::Events::Rule");
    let quieter = of_kind(&resolve(stack().parameter("AccountAlarms", "false")), "AWS::Events::Rule");
    let left_out: Vec<_> = all.difference(&quieter).map(String::as_str).collect();
    let wanted =
        ["DatabaseChangedRule", "HostReachedRule", "LaunchTemplateChangedRule", "NetworkChangedRule"];
    assert_eq!(left_out, wanted);
}

/// EventBridge User Guide, "Amazon EventBridge quotas": a pattern has at most 2,048 characters.
#[test]
fn every_pattern_fits_with_long_names() {
    let id = super::STACK.replace("stack/core/", &format!("stack/{}/", "a".repeat(40)));
    let namespace = ["n".repeat(31), "n".repeat(31)].join("/");
    let given = [
        ("Namespace", namespace),
        ("Cluster", "c".repeat(31)),
        ("NodeRolePrefix", "r".repeat(32)),
        ("AlarmTopicArn", format!("arn:aws:sns:eu-central-1:{HERE}:{}", "t".repeat(64))),
    ];
    let stack = given.iter().fold(stack_of(&id), |stack, (name, value)| stack.parameter(name, value));
    let resolved = resolve(stack);
    for rule in of_kind(&resolved, "AWS::Events::Rule") {
        let length = resolved.resource(&rule).unwrap()["EventPattern"].to_string().len();
        assert!(length <= 2048, "{rule}: {length} characters");
    }
}
