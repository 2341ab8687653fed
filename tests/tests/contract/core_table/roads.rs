//! What shows who comes by another road: for each rule that the table names, calls as CloudTrail tells them, and
//! the nearest that nobody is to be told of.

use std::collections::BTreeMap;

use contract_double::core_stack::CoreStack;
use contract_double::deploy::KmsStack;
use policies::event_pattern::call;
use serde_json::{Value, json};

use super::wanted::Rule::{self, Core, Kms};

/// What a rule tells, and what it leaves alone.
pub(crate) struct Road {
    pub(crate) told: Vec<Value>,
    pub(crate) quiet: Vec<Value>,
}

/// The stacks that the calls are about, and whose account they are made in.
pub(crate) struct Scene<'a> {
    pub(crate) kms: &'a KmsStack,
    pub(crate) core: &'a CoreStack,
    /// The node that the Core Stack runs.
    pub(crate) node: u32,
}

/// A call to KMS names the key beside its parameters.
fn with_key(name: &str, who: &Value, key: &str) -> Value {
    let mut event = call("kms", name, who, &json!({}));
    event["detail"]["resources"] = json!([{"type": "AWS::KMS::Key", "ARN": key}]);
    event
}

/// A session of a role.
fn session(role: &str) -> Value {
    let account = role.split(':').nth(4).unwrap_or_default();
    let name = role.rsplit('/').next().unwrap_or_default();
    json!({
        "type": "AssumedRole",
        "accountId": account,
        "arn": format!("arn:aws:sts::{account}:assumed-role/{name}/session"),
        "sessionContext": {"sessionIssuer": {
            "type": "Role", "arn": role, "accountId": account, "userName": name,
        }},
    })
}

fn root(account: &str) -> Value {
    json!({"type": "Root", "accountId": account, "arn": format!("arn:aws:iam::{account}:root")})
}

impl Scene<'_> {
    fn admin_of(account: &str) -> Value {
        session(&format!("arn:aws:iam::{account}:role/admin"))
    }

    /// An administrator of the account that makes the keys.
    fn key_admin(&self) -> Value {
        Self::admin_of(&self.kms.place.account)
    }

    /// An administrator of the account that runs the node.
    fn admin(&self) -> Value {
        Self::admin_of(&self.core.place.account)
    }

    fn scaling(&self) -> Value {
        session(self.core.scaling_role.as_deref().unwrap_or_default())
    }

    fn node_role(&self) -> &str {
        &self.core.nodes[&self.node].role.arn
    }

    fn login_role(&self) -> &str {
        &self.core.nodes[&self.node].login_role.arn
    }

    /// Everything that the table's rules are about.
    pub(crate) fn roads(&self) -> BTreeMap<Rule, Road> {
        let roads = self.keys().into_iter().chain(self.logins()).chain(self.hosts()).chain(self.roles());
        roads.map(|(rule, told, quiet)| (rule, Road { told, quiet })).collect()
    }

    fn keys(&self) -> Vec<(Rule, Vec<Value>, Vec<Value>)> {
        let (admin, root) = (self.key_admin(), root(&self.kms.place.account));
        let function = session(&self.kms.role);
        let node = session(self.node_role());
        let secret = format!("keyboot/tsm/node/{}/p2p-key", self.node);
        let named =
            |name: &str, who: &Value| call("secretsmanager", name, who, &json!({ "secretId": secret }));
        // What happens every day in the account of a node, which may be that of the keys.
        let login = &self.core.nodes[&self.node].login_secret;
        let of_login = |name: &str, who: &str| {
            call("secretsmanager", name, &session(who), &json!({ "secretId": login }))
        };
        let record = format!("/keyboot/tsm/node/{}/record", self.node);
        let put = |who: &Value| call("ssm", "PutParameter", who, &json!({ "name": record }));
        let key = &self.kms.secrets_key;
        let on_function = |name: &str| {
            let function = "kms-NodeKeysFunction";
            call("lambda", name, &admin, &json!({ "functionName": function }))
        };
        let given = |name: &str, role: &str| {
            call("lambda", name, &admin, &json!({"functionName": "web", "role": role}))
        };
        let on_role = |name: &str| call("iam", name, &admin, &json!({"roleName": "kms-NodeKeysRole"}));
        vec![
            (
                Kms("KeyChangedRule"),
                vec![with_key("PutKeyPolicy", &admin, key), with_key("CreateGrant", &root, key)],
                vec![with_key("DescribeKey", &admin, key)],
            ),
            (
                Kms("KeyUsedRule"),
                vec![with_key("Decrypt", &admin, key), with_key("Decrypt", &root, key)],
                vec![with_key("Encrypt", &function, key), with_key("Decrypt", &node, key)],
            ),
            (
                Kms("SecretReadRule"),
                vec![
                    named("GetSecretValue", &admin),
                    named("GetSecretValue", &root),
                    named("GetSecretValue", &function),
                ],
                vec![
                    named("GetSecretValue", &node),
                    named("DescribeSecret", &admin),
                    of_login("GetSecretValue", self.node_role()),
                    of_login("GetSecretValue", self.login_role()),
                ],
            ),
            (
                Kms("SecretChangedRule"),
                vec![named("DeleteResourcePolicy", &admin), named("PutSecretValue", &root)],
                vec![named("PutSecretValue", &function), of_login("PutSecretValue", self.login_role())],
            ),
            (Kms("DocumentChangedRule"), vec![put(&admin), put(&root)], vec![put(&function)]),
            (
                Kms("FunctionChangedRule"),
                vec![
                    on_function("UpdateFunctionCode20150331v2"),
                    on_function("UpdateFunctionConfiguration20150331v2"),
                    given("CreateFunction20150331", &self.kms.role),
                ],
                vec![on_function("GetFunction20150331v2"), given("CreateFunction20150331", "web")],
            ),
            (
                Kms("RoleChangedRule"),
                vec![on_role("PutRolePolicy"), on_role("UpdateAssumeRolePolicy")],
                vec![on_role("GetRole")],
            ),
        ]
    }

    fn logins(&self) -> Vec<(Rule, Vec<Value>, Vec<Value>)> {
        let (admin, root) = (self.admin(), root(&self.core.place.account));
        let node = &self.core.nodes[&self.node];
        let (of_node, of_function) = (session(self.node_role()), session(self.login_role()));
        let named = |name: &str, who: &Value, secret: &str| {
            call("secretsmanager", name, who, &json!({ "secretId": secret }))
        };
        let (login, master) = (node.login_secret.as_str(), node.master_secret.as_str());
        let key = &self.core.storage_key;
        let function = |name: &str| {
            let function = format!("core-LoginFunction{}", self.node);
            call("lambda", name, &admin, &json!({ "functionName": function }))
        };
        let given = |name: &str, role: &str| {
            call("lambda", name, &admin, &json!({"functionName": "web", "role": role}))
        };
        let database = |name: &str| call("rds", name, &admin, &json!({"dBInstanceIdentifier": "db"}));
        vec![
            (
                Core("StorageKeyChangedRule"),
                vec![with_key("PutKeyPolicy", &admin, key), with_key("CreateGrant", &admin, key)],
                vec![with_key("CreateGrant", &self.scaling(), key), with_key("DescribeKey", &admin, key)],
            ),
            (
                Core("LoginReadRule"),
                vec![
                    named("GetSecretValue", &admin, login),
                    named("GetSecretValue", &root, master),
                    named("GetSecretValue", &admin, master),
                ],
                vec![
                    named("GetSecretValue", &of_node, login),
                    named("GetSecretValue", &of_function, login),
                    named("GetSecretValue", &of_function, master),
                ],
            ),
            (
                Core("LoginChangedRule"),
                vec![named("DeleteResourcePolicy", &admin, login), named("PutSecretValue", &root, login)],
                vec![named("PutSecretValue", &of_function, login), named("DescribeSecret", &admin, login)],
            ),
            (
                Core("LoginFunctionChangedRule"),
                vec![
                    function("UpdateFunctionCode20150331v2"),
                    function("UpdateFunctionConfiguration20150331v2"),
                    given("CreateFunction20150331", self.login_role()),
                    given("UpdateFunctionConfiguration20150331v2", self.login_role()),
                ],
                vec![function("GetFunction20150331v2"), given("CreateFunction20150331", "web")],
            ),
            (
                Core("DatabaseChangedRule"),
                vec![
                    // Another password of the master user.
                    database("ModifyDBInstance"),
                    database("RestoreDBInstanceToPointInTime"),
                    database("ModifyDBSnapshotAttribute"),
                    database("CreateDBSnapshot"),
                ],
                vec![database("DescribeDBInstances")],
            ),
        ]
    }

    fn hosts(&self) -> Vec<(Rule, Vec<Value>, Vec<Value>)> {
        let admin = self.admin();
        let account = &self.core.place.account;
        let name = format!("tsm-node-{}", self.node);
        let arn = format!("arn:aws:iam::{account}:instance-profile/{name}");
        let run = |who: &Value, parameters: &Value| call("ec2", "RunInstances", who, parameters);
        let by_name = json!({"iamInstanceProfile": {"name": name}});
        let by_arn = json!({"iamInstanceProfile": {"arn": arn}});
        // From a launch template the answer alone tells the profile.
        let from_template = |who: &Value| {
            let mut event = run(who, &json!({"launchTemplate": {"launchTemplateId": "lt-0a1b2c3d"}}));
            event["detail"]["responseElements"] =
                json!({"instancesSet": {"items": [{"iamInstanceProfile": {"arn": arn}}]}});
            event
        };
        let associate = json!({"AssociateIamInstanceProfileRequest": {"IamInstanceProfile": {"Name": name}}});
        let other = json!({"iamInstanceProfile": {"name": "web"}});
        let ssm = |name: &str| call("ssm", name, &admin, &json!({"target": "i-0a1b2c3d"}));
        let ec2 = |name: &str, parameters: &Value| call("ec2", name, &admin, parameters);
        let group = |event: &str, group: &str| {
            call("autoscaling", event, &admin, &json!({ "autoScalingGroupName": group }))
        };
        let service_linked = self.core.scaling_role.as_deref().unwrap_or_default();
        let borrowed = json!({"autoScalingGroupName": "web", "serviceLinkedRoleARN": service_linked});
        let launched = |group: &str| {
            json!({
                "source": "aws.autoscaling",
                "detail-type": "EC2 Instance Launch Successful",
                "detail": {"AutoScalingGroupName": group, "EC2InstanceId": "i-0a1b2c3d"},
            })
        };
        vec![
            (
                Core("NodeProfileUsedRule"),
                vec![
                    run(&admin, &by_name),
                    run(&admin, &by_arn),
                    from_template(&admin),
                    call("ec2", "AssociateIamInstanceProfile", &admin, &associate),
                ],
                // The groups' own instances.
                vec![from_template(&self.scaling()), run(&admin, &other)],
            ),
            (
                Core("HostReachedRule"),
                vec![
                    ssm("StartSession"),
                    ssm("SendCommand"),
                    ec2("ModifyInstanceAttribute", &json!({"instanceId": "i-0a1b2c3d", "userData": "x"})),
                    ec2("CreateSnapshot", &json!({"volumeId": "vol-0a1b2c3d"})),
                ],
                vec![ec2("DescribeInstances", &json!({}))],
            ),
            (
                Core("LaunchTemplateChangedRule"),
                vec![ec2("CreateLaunchTemplateVersion", &json!({})), ec2("ModifyLaunchTemplate", &json!({}))],
                vec![ec2("DescribeLaunchTemplates", &json!({}))],
            ),
            (
                Core("GroupChangedRule"),
                vec![
                    group("UpdateAutoScalingGroup", &name),
                    group("SuspendProcesses", &name),
                    // A group of somebody else's, in the role that the rule about profiles leaves alone.
                    call("autoscaling", "CreateAutoScalingGroup", &admin, &borrowed),
                ],
                vec![group("UpdateAutoScalingGroup", "web"), group("DescribeAutoScalingGroups", &name)],
            ),
            (Core("GroupActivityRule"), vec![launched(&name)], vec![launched("web")]),
        ]
    }

    fn roles(&self) -> Vec<(Rule, Vec<Value>, Vec<Value>)> {
        let admin = self.admin();
        let iam = |event: &str, role: &str| call("iam", event, &admin, &json!({ "roleName": role }));
        let assume = |who: &Value, role: &str| call("sts", "AssumeRole", who, &json!({ "roleArn": role }));
        let by = |service: &str| json!({"type": "AWSService", "invokedBy": service});
        let next = format!("tsm-node-{}", self.node + 1);
        let own = format!("tsm-node-{}", self.node);
        vec![
            (
                Core("NodeRoleChangedRule"),
                vec![
                    iam("UpdateAssumeRolePolicy", &own),
                    iam("PutRolePolicy", &own),
                    iam("AttachRolePolicy", &format!("{own}-database-login")),
                    // Names like a node's or a function's.
                    iam("CreateRole", &next),
                    iam("CreateRole", &format!("tsm-node-x-{}-database-login", self.node)),
                ],
                vec![iam("GetRole", &own), iam("PutRolePolicy", "web")],
            ),
            (
                Core("NodeRoleAssumedRule"),
                vec![assume(&admin, self.node_role()), assume(&admin, self.login_role())],
                vec![
                    assume(&by("ec2.amazonaws.com"), self.node_role()),
                    assume(&by("lambda.amazonaws.com"), self.login_role()),
                    assume(&admin, "arn:aws:iam::111122223333:role/web"),
                ],
            ),
        ]
    }
}
