//! The two shapes, deployed: who makes the keys, whose accounts run the nodes, and everybody who might read.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contract_double::core_stack::{CoreNode, CoreRole, CoreStack, in_network};
use contract_double::deploy::KmsStack;
use contract_double::{Double, Secret};
use policies::{IdentityPolicy, Principal, Request, ResourcePolicy, Target, decide};
use serde_json::{Value, json};

use super::asking::{Thing, call};
use super::stack_sets::{Parameters, StackSets};
use crate::cloudformation::{Properties, Sent};
use crate::stage::Stage;

/// The account of the keys in the central shape.
pub(crate) const KEYS: &str = "111122223333";
/// An account that runs no node.
const NEITHER: &str = "999900001111";
/// The organization that the accounts of the per-account shape are in, and its ARN.
const ORGANIZATION: &str = "o-a1b2c3d4e5";
const ORGANIZATION_ARN: &str = "arn:aws:organizations::999988887777:organization/o-a1b2c3d4e5";
/// The application that has API keys.
const APPLICATION: &str = "wallet";

/// Where somebody is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Where {
    /// In the one account that makes the keys and runs all nodes.
    One,
    /// In the central shape, in an account that runs a node and makes no keys.
    Central,
    /// In the central shape, in the account that makes the keys.
    Keys,
    /// In the per-account shape.
    PerAccount,
}

/// Somebody who tries to read everything.
pub(crate) struct Somebody {
    /// What the table calls him.
    pub(crate) who: &'static str,
    pub(crate) place: Where,
    /// The node in whose account he is.
    pub(crate) home: Option<u32>,
    /// The access key that he acts with; none for who gets none to act with.
    pub(crate) access_key: Option<String>,
}

/// A cluster whose keys are made and whose nodes' stacks are deployed.
pub(crate) struct Shape {
    pub(crate) stage: Stage,
    /// The stacks that make keys: one, or one for each node.
    pub(crate) kms: Vec<KmsStack>,
    /// For each node, the stack that runs it.
    pub(crate) core: Vec<CoreStack>,
    /// Of each node, everything that there is to read, in the order of the columns.
    pub(crate) things: Vec<Vec<Thing>>,
    pub(crate) everybody: Vec<Somebody>,
}

fn role(account: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:role/{name}")
}

/// The account that runs a node.
fn account(index: u32) -> String {
    format!("{}", 200_000_000_000_u64 + u64::from(index))
}

fn stack_id(account: &str, name: &str) -> String {
    format!("arn:aws:cloudformation:us-east-1:{account}:stack/{name}/51af3dc0-da77-11e4-872e-1234567db123")
}

/// The nodes that have a second role: each role takes room in a key's policy, which ends at 34 of them.
fn has_second_role(index: u32) -> bool {
    index < 5
}

/// Who reads a node, as the parameter `ReaderPrincipals` has it.
fn readers(index: u32, account: &str) -> Vec<String> {
    let second = has_second_role(index).then(|| role(account, &format!("tsm-node-{index}-rescue")));
    let all = [role(account, &format!("tsm-node-{index}"))].into_iter().chain(second);
    all.map(|arn| format!("{index}={arn}")).collect()
}

fn everything() -> String {
    let all = json!({"Effect": "Allow", "Action": "*", "Resource": "*"});
    json!({"Version": "2012-10-17", "Statement": [all]}).to_string()
}

/// What the Core Stack's parameters without a default are given, which decides nothing here.
const FILLED: [(&str, &str); 5] = [
    ("SdkDomain", "tsm.example.com"),
    ("HostedZoneId", "Z0123456789ABC"),
    ("CodeBucket", "code"),
    ("NodeArchiveKey", "node.tar.gz"),
    ("NodeArchiveSha256", "00"),
];

/// Whose records are believed, which decides nothing here either.
const PINS: (&str, &str) = ("Pins", "arn:aws:kms:us-east-1:111122223333:key/records=AAAA");

fn joined(indexes: impl IntoIterator<Item = u32>) -> String {
    indexes.into_iter().map(|index| index.to_string()).collect::<Vec<_>>().join(",")
}

impl Shape {
    /// One account makes all keys. With `keys_run_a_node` it runs node 0 too; each other node has an account.
    /// Without, the nodes' stacks are those of `stacks/central.yaml`.
    pub(crate) async fn central(text: &str, nodes: u32, keys_run_a_node: bool) -> Result<Self> {
        let home = |index: u32| if keys_run_a_node && index == 0 { KEYS.to_owned() } else { account(index) };
        let all = joined(0..nodes);
        let readers: Vec<String> = (0..nodes).flat_map(|index| readers(index, &home(index))).collect();
        let accounts: Vec<String> = (0..nodes).map(home).filter(|account| account != KEYS).collect();
        let stage = Stage::with([
            ("Nodes", all.as_str()),
            ("Applications", APPLICATION),
            ("ReaderPrincipals", readers.join(",").as_str()),
            ("ClientPrincipals", format!("{APPLICATION}={}", role(&home(1), "client")).as_str()),
            ("ManagementPrincipals", role(KEYS, "manager").as_str()),
            ("ReaderAccounts", accounts.join(",").as_str()),
            ("ShareDocuments", "true"),
        ])
        .await?;
        make_keys(&stage).await?;
        stage.stack.share_documents(&stage.double)?;
        let mut shape = Self::new(stage);
        if keys_run_a_node {
            for index in 0..nodes {
                let of_keys = home(index) == KEYS;
                let mut parameters = shape.by_hand(0, &[index]);
                if !of_keys {
                    parameters
                        .extend([("KeysAccount".into(), KEYS.into()), ("AllNodes".into(), all.clone())]);
                }
                let core = shape.run_nodes(text, &[index], &home(index), &parameters).await?;
                shape.core.push(core);
            }
        } else {
            let key = shape.kms[0].secrets_key.clone();
            let given = [("KeysAccount", KEYS), ("KmsKeyArn", key.as_str()), PINS];
            let sets = StackSets::of("central.yaml", &accounts, &given)?;
            // What the KMS Stack has been told is what this template says to tell it, and the second roles.
            for entry in sets.output("ReaderPrincipals")?.split(',') {
                ensure!(readers.contains(&entry.to_owned()), "{entry} is no reader");
            }
            ensure!(sets.output("ReaderAccounts")? == accounts.join(","));
            let parameters = sets.parameters("CoreStacks")?;
            for index in 0..nodes {
                let core = shape.run_nodes(text, &[index], &home(index), &parameters[&home(index)]).await?;
                shape.core.push(core);
            }
        }
        shape.gather(nodes, &home)?;
        shape.functions(0, Where::Keys, keys_run_a_node.then_some(0))?;
        if !keys_run_a_node {
            shape.admins(KEYS, Where::Keys, None)?;
        }
        shape.client(&home(1), Where::Central, Some(1))?;
        shape.manager(KEYS, Where::Keys, None)?;
        shape.stranger(Where::Central)?;
        Ok(shape)
    }

    /// One account makes all keys and runs all nodes, with one stack.
    pub(crate) async fn one_account(text: &str, nodes: u32) -> Result<Self> {
        let home = |_| KEYS.to_owned();
        let readers: Vec<String> = (0..nodes).flat_map(|index| readers(index, KEYS)).collect();
        let stage = Stage::with([
            ("Nodes", joined(0..nodes).as_str()),
            ("Applications", APPLICATION),
            ("ReaderPrincipals", readers.join(",").as_str()),
            ("ClientPrincipals", format!("{APPLICATION}={}", role(KEYS, "client")).as_str()),
            ("ManagementPrincipals", role(KEYS, "manager").as_str()),
        ])
        .await?;
        make_keys(&stage).await?;
        let mut shape = Self::new(stage);
        let indexes: Vec<u32> = (0..nodes).collect();
        let parameters = shape.by_hand(0, &indexes);
        let core = shape.run_nodes(text, &indexes, KEYS, &parameters).await?;
        shape.core = vec![core; nodes as usize];
        shape.gather(nodes, &home)?;
        shape.functions(0, Where::One, None)?;
        shape.client(KEYS, Where::One, None)?;
        shape.manager(KEYS, Where::One, None)?;
        shape.stranger(Where::One)?;
        Ok(shape)
    }

    /// Each account makes its own node's keys, and shares that node's record with the others. As many nodes as
    /// `stacks/per-account.yaml` takes are deployed as it says.
    pub(crate) async fn per_account(text: &str, nodes: u32) -> Result<Self> {
        let accounts: Vec<String> = (0..nodes).map(account).collect();
        let has_template = nodes <= 16;
        let mut shape = Self::new(Stage::new().await?);
        shape.kms.clear();
        let sets = |given: &[(&str, &str)]| StackSets::of("per-account.yaml", &accounts, given);
        let kms_template = ("KmsTemplateUrl", "https://code.s3.amazonaws.com/template.expanded.json");
        let of_sets =
            if has_template { sets(&[kms_template])?.parameters("KmsStacks")? } else { BTreeMap::new() };
        for index in 0..nodes {
            shape.make_own_keys(index, of_sets.get(&account(index)).cloned().unwrap_or_default()).await?;
        }
        let mut of_sets = BTreeMap::new();
        if has_template {
            let keys: Vec<_> = shape.kms.iter().map(|kms| kms.secrets_key.clone()).collect();
            let records: Vec<_> = shape.kms.iter().map(|kms| format!("{}=AAAA", kms.record_key)).collect();
            let (keys, records) = (keys.join(","), records.join(","));
            let made = [("KmsKeyArns", keys.as_str()), ("RecordKeys", records.as_str())];
            let given = [kms_template, ("ShareRecordsWith", ORGANIZATION_ARN), made[0], made[1]];
            of_sets = sets(&given)?.parameters("CoreStacks")?;
        }
        for index in 0..nodes {
            let mut parameters = of_sets.remove(&account(index)).unwrap_or_else(|| {
                let mut by_hand = shape.by_hand(index as usize, &[index]);
                by_hand.insert("ShareRecordsWith".into(), ORGANIZATION_ARN.into());
                by_hand
            });
            parameters.retain(|_, value| !value.is_empty());
            let core = shape.run_nodes(text, &[index], &account(index), &parameters).await?;
            core.share_records(shape.double())?;
            shape.double().with(|world| world.join_organization(&account(index), ORGANIZATION));
            shape.core.push(core);
        }
        shape.gather(nodes, &account)?;
        for index in 0..nodes {
            let account = account(index);
            shape.functions(index as usize, Where::PerAccount, Some(index))?;
            shape.client(&account, Where::PerAccount, Some(index))?;
            shape.manager(&account, Where::PerAccount, Some(index))?;
        }
        shape.stranger(Where::PerAccount)?;
        Ok(shape)
    }

    /// Deploys the KMS Stack of one node's account, with what a stack set gives it, and has it make the keys.
    async fn make_own_keys(&mut self, index: u32, mut parameters: Parameters) -> Result<()> {
        let account = account(index);
        let readers = readers(index, &account);
        if let Some(reader) = parameters.get("ReaderPrincipals") {
            ensure!(readers.contains(reader), "{reader} is no reader");
        }
        for (name, value) in [
            ("Nodes", index.to_string()),
            ("Applications", APPLICATION.to_owned()),
            // And the second roles, which a stack set knows nothing of.
            ("ReaderPrincipals", readers.join(",")),
            ("ClientPrincipals", format!("{APPLICATION}={}", role(&account, "client"))),
            ("ManagementPrincipals", role(&account, "manager")),
        ] {
            parameters.insert(name.to_owned(), value);
        }
        let parameters = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let stack = KmsStack::deploy_as(&self.stage.double, &stack_id(&account, "kms"), parameters)?;
        self.stage.move_to(stack.clone()).await?;
        make_keys(&self.stage).await?;
        self.kms.push(stack);
        Ok(())
    }

    fn new(stage: Stage) -> Self {
        let kms = vec![stage.stack.clone()];
        Self { stage, kms, core: Vec::new(), things: Vec::new(), everybody: Vec::new() }
    }

    /// What somebody gives the Core Stack's parameters that have no default, and what decides here.
    fn by_hand(&self, kms: usize, nodes: &[u32]) -> Parameters {
        let key = self.kms[kms].secrets_key.as_str();
        let (nodes, filled) = (joined(nodes.iter().copied()), FILLED.into_iter().chain([PINS]));
        let given = filled.chain([("Nodes", nodes.as_str()), ("KmsKeyArn", key)]);
        given.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    pub(crate) fn double(&self) -> &Double {
        &self.stage.double
    }

    /// The stack that makes a node's keys.
    fn kms_of(&self, index: u32) -> &KmsStack {
        let own = (self.kms.len() > 1).then_some(index as usize);
        &self.kms[own.unwrap_or(0)]
    }

    /// Deploys the Core Stack of some nodes, whose functions make their logins.
    async fn run_nodes(
        &self,
        text: &str,
        indexes: &[u32],
        account: &str,
        parameters: &Parameters,
    ) -> Result<CoreStack> {
        let nodes = joined(indexes.iter().copied());
        ensure!(parameters.get("Nodes") == Some(&nodes), "a stack of other nodes than {nodes}");
        let parameters = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let core = CoreStack::deploy(self.double(), text, &stack_id(account, "core"), parameters)
            .with_context(|| format!("the Core Stack of the nodes {nodes}"))?;
        ensure!(core.nodes.keys().eq(indexes), "a stack of the nodes {:?}", core.nodes.keys());
        for (index, node) in &core.nodes {
            ensure!(node.role.arn == role(account, &format!("tsm-node-{index}")), "{}", node.role.arn);
            let put = json!({
                "SecretId": node.login_secret,
                "ClientRequestToken": "11111111-2222-4333-8444-555555555555",
                "SecretString": json!({"username": "node_a", "password": "of the node"}).to_string(),
            });
            let put = call(self.double(), &node.login_function, "secretsmanager.PutSecretValue", &put);
            put.await?.map_err(|refusal| anyhow::anyhow!("database-login stores nothing: {refusal}"))?;
        }
        Ok(core)
    }

    /// Everything that there is to read of the nodes, and everybody in their accounts.
    fn gather(&mut self, nodes: u32, home: &dyn Fn(u32) -> String) -> Result<()> {
        for index in 0..nodes {
            let things = self.things_of(index).with_context(|| format!("what there is of node {index}"))?;
            self.things.push(things);
            // Where all nodes are in one account, the others' names are taken.
            let is_one = nodes > 1 && home(0) == home(1);
            self.people_of(index, if is_one { nodes } else { (index + 1) % nodes }, &home(index), is_one)?;
        }
        Ok(())
    }

    fn things_of(&self, index: u32) -> Result<Vec<Thing>> {
        let kms = self.kms_of(index);
        let (node, core) = (&self.core[index as usize].nodes[&index], &self.core[index as usize]);
        let secret = |name: &str| -> Result<(Thing, Value)> {
            self.double().with(|world| {
                let secret = world.secret(&kms.place, &format!("keyboot/tsm/node/{index}/{name}"));
                current(secret.with_context(|| format!("there is no {name}"))?)
            })
        };
        let of_arn = |place: &contract_double::Place, arn: &str| -> Result<Thing> {
            self.double().with(|world| {
                let secret = world.secrets(place).find(|secret| secret.arn == arn);
                Ok(current(secret.context("there is no such secret")?)?.0)
            })
        };
        let (p2p, p2p_value) = secret("p2p-key")?;
        let (share, share_value) = secret("share-encryption-password")?;
        let envelope = |value: &Value| -> Result<Thing> {
            Ok(Thing::Sealed {
                key: kms.secrets_key.clone(),
                ciphertext: STANDARD.decode(value["sealed"].as_str().context("no envelope")?)?,
                context: serde_json::from_value(value["context"].clone())?,
            })
        };
        let account = &kms.place.account;
        let of_the_volume = self.double().with(|world| {
            world.encrypt_for_test(&core.storage_key, BTreeMap::new(), b"of the database".to_vec())
        });
        Ok(vec![
            p2p,
            share,
            secret(&format!("api-key/{APPLICATION}"))?.0,
            secret("management-key")?.0,
            envelope(&p2p_value)?,
            envelope(&share_value)?,
            Thing::Document(document(account, &format!("node/{index}/env"))),
            Thing::Document(document(account, &format!("node/{index}/record"))),
            Thing::Document(document(account, "roster/index")),
            of_arn(&core.place, &node.login_secret)?,
            of_arn(&core.place, &node.master_secret)?,
            Thing::Sealed {
                key: core.storage_key.clone(),
                ciphertext: of_the_volume,
                context: BTreeMap::new(),
            },
        ])
    }

    fn is(
        &mut self,
        who: &'static str,
        place: Where,
        home: Option<u32>,
        access_key: impl Into<Option<String>>,
    ) {
        self.everybody.push(Somebody { who, place, home, access_key: access_key.into() });
    }

    /// A role that has this policy.
    fn with_policy(&self, arn: &str, policy: &str) -> Result<String> {
        Ok(self.double().with(|world| world.add_role(arn, &[policy.to_owned()]))?)
    }

    /// A role that is allowed everything, and says of itself that it is a node.
    fn forger(&self, account: &str, index: u32) -> Result<String> {
        let arn = role(account, "forger");
        let key = self.with_policy(&arn, &everything())?;
        let index = index.to_string();
        self.double().with(|world| {
            for (name, value) in [
                ("keyboot:node", index.as_str()),
                ("keyboot:cluster", "keyboot/tsm"),
                ("keyboot:purpose", "p2p-key"),
            ] {
                world.tag_role(&arn, name, value);
            }
        });
        Ok(key)
    }

    fn admins(&mut self, account: &str, place: Where, home: Option<u32>) -> Result<()> {
        let admin = self.with_policy(&role(account, "admin"), &everything())?;
        self.is("an administrator", place, home, admin);
        self.is("the root user", place, home, account.to_owned());
        Ok(())
    }

    /// Everybody in a node's account who is not there for the keys.
    fn people_of(&mut self, index: u32, other: u32, account: &str, is_one: bool) -> Result<()> {
        let home = Some(index);
        let place = match self.kms.as_slice() {
            _ if is_one => Where::One,
            [kms] if kms.place.account == account => Where::Keys,
            [_] => Where::Central,
            _ => Where::PerAccount,
        };
        let core = self.core[index as usize].clone();
        let CoreNode { role: node, instance, login_role, login_function, .. } = core.nodes[&index].clone();
        self.is("node i", place, home, instance.clone());
        self.is("database-login of node i", place, home, login_function);
        // Somebody's own code, put into the nodes' network.
        let [_, used_in] = in_network(&core.network);
        let another = format!("arn:aws:lambda:us-east-1:{account}:function:another");
        let called_by = ("lambda:SourceFunctionArn".to_owned(), another);
        let taken = taken_by(&login_role, &Principal::service("lambda.amazonaws.com"))?
            .then(|| self.double().with(|world| world.add_session(&login_role.arn, [called_by, used_in])));
        self.is("another function that is given database-login's role", place, home, taken.transpose()?);
        self.admins(account, place, home)?;
        // Each of these is allowed everything, and CloudFormation's is whoever deploys.
        let mut powerful = vec![
            ("CloudFormation's role", "deployer".to_owned()),
            ("StackSets' execution role", "AWSCloudFormationStackSetExecutionRole".to_owned()),
            ("another node's name", format!("tsm-node-{other}")),
            ("node i's name under another path", format!("nodes/tsm-node-{index}")),
            ("a name like database-login's", format!("tsm-node-x-{index}-database-login")),
        ];
        if has_second_role(index) {
            powerful.push(("node i's second role", format!("tsm-node-{index}-rescue")));
        }
        for (who, name) in powerful {
            let key = self.with_policy(&role(account, &name), &everything())?;
            self.is(who, place, home, key);
        }
        let forger = self.forger(account, index)?;
        self.is("a role with forged tags", place, home, forger);
        let default = "aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling";
        let scaling = self.with_policy(&role(account, default), &scaling_policy())?;
        self.is("Auto Scaling, for other groups", place, home, scaling);
        let own = core.scaling_role.context("Auto Scaling has no role for these groups")?;
        let scaling = self.with_policy(&own, &scaling_policy())?;
        self.is("Auto Scaling, for the nodes' groups", place, home, scaling);
        self.takers_of(index, &node, place, &core.network)
    }

    /// Whoever might come to act as a node: with what its role then tells of where it is used.
    fn takers_of(&mut self, index: u32, node: &CoreRole, place: Where, network: &str) -> Result<()> {
        let [given_in, used_in] = in_network(network);
        let elsewhere = in_network("vpc-elsewhere");
        let account = node.arn.split(':').nth(4).unwrap_or_default();
        let admin = Principal::role(&role(account, "admin"), "console")?;
        let ec2 = Principal::service("ec2.amazonaws.com");
        let lambda = Principal::service("lambda.amazonaws.com");
        for (who, taker, tells) in [
            ("a new instance under node i's profile", &ec2, vec![given_in.clone(), used_in]),
            ("a new instance under node i's profile, in another network", &ec2, elsewhere.to_vec()),
            ("node i's credentials, used elsewhere", &ec2, vec![given_in]),
            ("whoever takes node i's role on", &admin, Vec::new()),
            ("a function that is given node i's role", &lambda, Vec::new()),
        ] {
            let session = if taken_by(node, taker)? {
                Some(self.double().with(|world| world.add_session(&node.arn, tells))?)
            } else {
                None
            };
            self.is(who, place, Some(index), session);
        }
        let managed = may_be_managed(node)?;
        let instance = self.core[index as usize].nodes[&index].instance.clone();
        self.is("a session of Session Manager on node i", place, Some(index), managed.then_some(instance));
        Ok(())
    }

    /// The functions of a stack that makes keys.
    fn functions(&mut self, kms: usize, place: Where, home: Option<u32>) -> Result<()> {
        for (who, role) in [("node-keys", "NodeKeysRole"), ("key-rotation", "KeyRotationRole")] {
            let key = self.kms[kms].roles.get(role).cloned();
            self.is(who, place, home, key.with_context(|| format!("there is no {role}"))?);
        }
        Ok(())
    }

    fn client(&mut self, account: &str, place: Where, home: Option<u32>) -> Result<()> {
        let key = self.with_policy(&role(account, "client"), &no_documents())?;
        self.is("an application's client", place, home, key);
        Ok(())
    }

    fn manager(&mut self, account: &str, place: Where, home: Option<u32>) -> Result<()> {
        let key = self.with_policy(&role(account, "manager"), &no_documents())?;
        self.is("a manager", place, home, key);
        Ok(())
    }

    fn stranger(&mut self, place: Where) -> Result<()> {
        let key = self.with_policy(&role(NEITHER, "admin"), &everything())?;
        self.is("an administrator of no node's account", place, None, key);
        Ok(())
    }
}

/// A policy that allows every secret and every key: those of the keys' side keep its role to its keys.
fn no_documents() -> String {
    let all = json!({"Effect": "Allow", "Action": ["secretsmanager:*", "kms:*"], "Resource": "*"});
    json!({"Version": "2012-10-17", "Statement": [all]}).to_string()
}

/// Whether Systems Manager's agent may open a session with a node's role (Systems Manager User Guide, "Add
/// Session Manager permissions to an existing IAM role").
fn may_be_managed(node: &CoreRole) -> Result<bool> {
    let account = node.arn.split(':').nth(4).unwrap_or_default();
    let who = Principal::role(&node.arn, "i-0a1b2c3d")?;
    let request = Request::new(who, "ssmmessages:CreateDataChannel", "*");
    let policies = node.policies.iter().map(|policy| IdentityPolicy::from_json(&node.arn, policy));
    let policies = policies.collect::<Result<Vec<_>, _>>()?;
    Ok(decide(&request, &policies, &Target::in_account(account))?.is_allowed())
}

/// Whether somebody who is allowed everything may act as a role, by its trust policy.
fn taken_by(role: &CoreRole, taker: &Principal) -> Result<bool> {
    let trust = ResourcePolicy::trust("the trust policy", &role.trust)?;
    let account = role.arn.split(':').nth(4).unwrap_or_default();
    let everything: Value = serde_json::from_str(&everything())?;
    let everything = [policies::IdentityPolicy::parse("everything", &everything)?];
    let request = Request::new(taker.clone(), "sts:AssumeRole", &role.arn);
    Ok(decide(&request, &everything, &Target::role(account, &trust))?.is_allowed())
}

/// What Auto Scaling's own role may do that comes near a key or a secret: nothing (AWS Managed Policy Reference,
/// `AutoScalingServiceRolePolicy`).
fn scaling_policy() -> String {
    let statement = json!({
        "Effect": "Allow",
        "Action": ["ec2:RunInstances", "ec2:TerminateInstances", "ec2:CreateTags", "ec2:DescribeInstances"],
        "Resource": "*",
    });
    json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

async fn make_keys(stage: &Stage) -> Result<()> {
    let Value::Object(declared) = stage.stack.properties() else { anyhow::bail!("no properties") };
    let answer = stage.carry_out(&Sent::create("create-1", &Properties(declared))).await?;
    ensure!(answer.succeeded(), "{}", answer.reason());
    Ok(())
}

fn document(account: &str, path: &str) -> String {
    format!("arn:aws:ssm:us-east-1:{account}:parameter/keyboot/tsm/{path}")
}

/// The version of a secret that counts, and its value if that is JSON.
fn current(secret: &Secret) -> Result<(Thing, Value)> {
    let version = secret.staged("AWSCURRENT").with_context(|| format!("{} has no value", secret.name))?;
    let thing = Thing::Secret { arn: secret.arn.clone(), version: version.id.clone() };
    let value = secret.text().and_then(|text| serde_json::from_str(text).ok());
    Ok((thing, value.unwrap_or_default()))
}
