//! The Core Stack, deployed into a double as far as it says who may do what: its roles with their policies,
//! its key, and the secrets of its databases, as the repository's template says.
//!
//! CloudFormation is played with the rights of an administrator of the account: what he may not do, fails here
//! as it would there.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, ensure};
use policies::template::{Resolved, Stack as Resolving, Template};
use policies::{Share, SharedWith};
use serde_json::{Value, json};

use crate::deploy::{patterns, shares};
use crate::double::Double;
use crate::error::Answer;
use crate::identities::Caller;
use crate::kms::{KeySpec, NewKey};
use crate::place::Place;
use crate::random;
use crate::secrets;
use crate::stacks::name_in;
use crate::world::World;

/// The logical id of the key.
const STORAGE_KEY: &str = "StorageKey";
/// The role with whose rights the stack is made.
const DEPLOYER: &str = "deployer";
const ROLE: &str = "AWS::IAM::Role";
const SECRET: &str = "AWS::SecretsManager::Secret";
const DATABASE: &str = "AWS::RDS::DBInstance";

/// The Core Stack of the repository's template.
#[derive(Clone, Debug)]
pub struct CoreStack {
    /// Where it is.
    pub place: Place,
    /// Its id.
    pub stack_id: String,
    /// The ARN of the key that its databases and their secrets are encrypted with.
    pub storage_key: String,
    /// Its nodes, by their indexes.
    pub nodes: BTreeMap<u32, CoreNode>,
    /// All its roles, by their logical ids.
    pub roles: BTreeMap<String, CoreRole>,
    /// The id of its network.
    pub network: String,
    /// The role in which Auto Scaling starts its instances, if it has one of its own.
    pub scaling_role: Option<String>,
    /// What Resource Access Manager shares once the records are there: ARN, and with whom.
    pub shares: Vec<(String, Vec<String>)>,
    /// The patterns of its rules of EventBridge, by their logical ids.
    pub patterns: BTreeMap<String, Value>,
}

/// What the stack has of one node.
#[derive(Clone, Debug)]
pub struct CoreNode {
    /// The role of its instance.
    pub role: CoreRole,
    /// The access key of its instance, which is in the stack's network.
    pub instance: String,
    /// The role of the function that makes its database login.
    pub login_role: CoreRole,
    /// The access key of this function.
    pub login_function: String,
    /// The ARN of the secret with this login.
    pub login_secret: String,
    /// The ARN of the secret with the database's master login.
    pub master_secret: String,
}

/// A role of the stack.
#[derive(Clone, Debug)]
pub struct CoreRole {
    /// Its ARN.
    pub arn: String,
    /// The access key that acts as it.
    pub access_key: String,
    /// Its trust policy.
    pub trust: Value,
    /// The texts of its policies.
    pub policies: Vec<String>,
}

impl CoreStack {
    /// The template's text.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn text() -> anyhow::Result<String> {
        let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../stacks/core.yaml");
        std::fs::read_to_string(template).context("reading the Core Stack's template")
    }

    /// Deploys a template's text under an id, which tells account, Region and name.
    ///
    /// # Errors
    ///
    /// When the text is no template, when a policy in it cannot be evaluated, or when whoever deploys it may
    /// not make what is in it.
    pub fn deploy<'a>(
        double: &Double,
        text: &str,
        stack_id: &str,
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> anyhow::Result<Self> {
        let template = Template::read(text)?;
        let (place, _) = Place::of_arn(stack_id, "cloudformation").context("not a stack's id")?;
        let stack = Resolving::new(stack_id).context("not a stack's id")?;
        let stack = parameters.into_iter().fold(stack, |stack, (name, value)| stack.parameter(name, value));
        double.with(|world| Deployment::begin(world, &template, place, stack_id, stack)?.run())
    }

    /// CloudFormation makes the stack's shares. An organization is named by its ARN, an account by its id.
    ///
    /// # Errors
    ///
    /// When a record is not there, or cannot be shared.
    pub fn share_records(&self, double: &Double) -> anyhow::Result<()> {
        for (record, with) in &self.shares {
            let with = with.iter().map(|with| match with.rsplit_once('/') {
                Some((_, organization)) => SharedWith::Organization(organization.to_owned()),
                None => SharedWith::Account(with.clone()),
            });
            let share = Share::parameter(record, with.collect());
            double.with(|world| world.share(share)).with_context(|| format!("sharing {record}"))?;
        }
        Ok(())
    }
}

/// A deployment under way.
struct Deployment<'a> {
    world: &'a mut World,
    template: &'a Template,
    place: Place,
    stack_id: &'a str,
    stack: Resolving,
    /// The resources, by logical id, with their types.
    kinds: Vec<(String, String)>,
    deployer: Caller,
}

impl<'a> Deployment<'a> {
    fn begin(
        world: &'a mut World,
        template: &'a Template,
        place: Place,
        stack_id: &'a str,
        stack: Resolving,
    ) -> anyhow::Result<Self> {
        let kinds = template.resolve(&stack)?;
        let kinds = kinds.resources().map(|(id, kind)| (id.to_owned(), kind.to_owned())).collect();
        let deployer = format!("arn:{}:iam::{}:role/{DEPLOYER}", place.partition(), place.account);
        let everything = json!({"Effect": "Allow", "Action": "*", "Resource": "*"});
        let everything = json!({"Version": "2012-10-17", "Statement": [everything]}).to_string();
        world.add_role(&deployer, &[everything])?;
        let via = ("aws:CalledVia".to_owned(), "cloudformation.amazonaws.com".to_owned());
        let key = world.add_session(&deployer, [via])?;
        let deployer = world.identities.caller(&key, &place.region, 0).context("there is no deployer")?;
        Ok(Self { world, template, place, stack_id, stack, kinds, deployer })
    }

    /// Makes what depends on nothing first: names, roles, the key, secrets, then the roles' policies.
    fn run(mut self) -> anyhow::Result<CoreStack> {
        self.name_everything();
        let roles = self.name_roles()?;
        let storage_key = self.key()?;
        let logins = self.secrets()?;
        let masters = self.databases(&storage_key)?;
        self.resource_policies()?;
        let roles = self.policies(roles)?;
        let resolved = self.resolved()?;
        let (patterns, shares) = (patterns(&resolved)?, shares(&resolved)?);
        let network = self.ids("AWS::EC2::VPC").first().map(|id| self.physical_id(id)).unwrap_or_default();
        let nodes = self.nodes(&resolved, &roles, &logins, &masters, &network)?;
        let scaling_role = self.ids("AWS::IAM::ServiceLinkedRole").first().map(|id| {
            let properties = resolved.resource(id)?;
            let arn = service_linked_role(&properties, self.place.partition(), &self.place.account);
            arn.context("a role of no service")
        });
        let scaling_role = scaling_role.transpose()?;
        let (place, stack_id) = (self.place, self.stack_id.to_owned());
        Ok(CoreStack { place, stack_id, storage_key, nodes, roles, network, scaling_role, shares, patterns })
    }

    fn resolved(&self) -> anyhow::Result<Resolved> {
        Ok(self.template.resolve(&self.stack)?)
    }

    /// The logical ids of one type.
    fn ids(&self, kind: &str) -> Vec<String> {
        let of_kind = self.kinds.iter().filter(|(_, of)| of == kind);
        of_kind.map(|(id, _)| id.clone()).collect()
    }

    /// The id of a resource whose name decides nothing.
    fn physical_id(&self, id: &str) -> String {
        format!("{}-{id}", name_in(self.stack_id))
    }

    fn knows(&mut self, id: &str, reference: &str, attributes: &[(&str, &str)]) {
        let stack = self.stack.clone().physical_id(id, reference);
        let attributes = attributes.iter();
        self.stack = attributes.fold(stack, |stack, (name, value)| stack.attribute(id, name, *value));
    }

    /// What `Ref` and `GetAtt` give, made up where it decides nothing.
    fn name_everything(&mut self) {
        for (id, kind) in self.kinds.clone() {
            let physical_id = self.physical_id(&id);
            let arn =
                |service: &str, resource: &str| self.place.arn(service, &resource.replace('*', &physical_id));
            let attribute = |name: &'static str, value: String| vec![(name, value)];
            let attributes = match kind.as_str() {
                "AWS::Lambda::Function" => attribute("Arn", arn("lambda", "function:*")),
                "AWS::Logs::LogGroup" => attribute("Arn", arn("logs", "log-group:*:*")),
                "AWS::Events::Rule" => attribute("Arn", arn("events", "rule/*")),
                "AWS::EC2::SecurityGroup" => attribute("GroupId", format!("sg-{id}")),
                "AWS::EC2::LaunchTemplate" => attribute("LatestVersionNumber", "1".to_owned()),
                "AWS::RDS::DBSubnetGroup" => Vec::new(),
                DATABASE => vec![
                    ("DBInstanceArn", arn("rds", "db:*")),
                    ("DbiResourceId", format!("db-{}", id.to_uppercase())),
                    ("Endpoint.Address", format!("{id}.rds.amazonaws.com").to_lowercase()),
                    ("Endpoint.Port", "5432".to_owned()),
                ],
                "AWS::IAM::InstanceProfile" => {
                    let (partition, account) = (self.place.partition(), &self.place.account);
                    attribute("Arn", format!("arn:{partition}:iam::{account}:instance-profile/{physical_id}"))
                }
                _ => attribute("Arn", arn("some", "*")),
            };
            let reference = match kind.as_str() {
                "AWS::SNS::Topic" => arn("sns", "*"),
                _ => physical_id.clone(),
            };
            let attributes: Vec<_> = attributes.iter().map(|(name, value)| (*name, value.as_str())).collect();
            self.knows(&id, &reference, &attributes);
        }
    }

    /// Gives the roles their names, and gives their ARNs.
    fn name_roles(&mut self) -> anyhow::Result<BTreeMap<String, String>> {
        let mut arns = BTreeMap::new();
        let (partition, account) = (self.place.partition(), self.place.account.clone());
        for id in self.ids(ROLE) {
            self.knows(&id, &self.physical_id(&id), &[("Arn", "")]);
        }
        for secret in self.ids(SECRET) {
            self.knows(&secret, "", &[("Id", "")]);
        }
        for database in self.ids(DATABASE) {
            self.stack = self.stack.clone().attribute(&database, "MasterUserSecret.SecretArn", "");
        }
        let resolved = self.resolved()?;
        for id in self.ids(ROLE) {
            let properties = resolved.resource(&id)?;
            let made_up = self.physical_id(&id);
            let name = properties["RoleName"].as_str().unwrap_or(&made_up);
            let path = properties["Path"].as_str().unwrap_or("/");
            let arn = format!("arn:{partition}:iam::{account}:role{path}{name}");
            self.world.add_role(&arn, &[])?;
            self.knows(&id, name, &[("Arn", &arn)]);
            arns.insert(id, arn);
        }
        for id in self.ids("AWS::IAM::ServiceLinkedRole") {
            let arn = service_linked_role(&resolved.resource(&id)?, partition, &account)
                .with_context(|| format!("{id} is a role of a service that is not known here"))?;
            let name = arn.rsplit('/').next().unwrap_or_default().to_owned();
            self.world.add_role(&arn, &[])?;
            self.knows(&id, &name, &[]);
        }
        Ok(arns)
    }

    fn key(&mut self) -> anyhow::Result<String> {
        let resolved = self.resolved()?;
        let mut storage_key = None;
        for id in self.ids("AWS::KMS::Key") {
            let policy = resolved.policy(&id, "KeyPolicy")?.to_string();
            let new = NewKey::new(KeySpec::SymmetricDefault, policy);
            let arn = self.world.create_key(&self.place, new).with_context(|| format!("making {id}"))?;
            let key_id = self.world.key(&arn).map(|key| key.id.clone()).unwrap_or_default();
            self.knows(&id, &key_id, &[("Arn", &arn), ("KeyId", &key_id)]);
            if id == STORAGE_KEY {
                storage_key = Some(arn);
            }
        }
        storage_key.with_context(|| format!("the template has no key {STORAGE_KEY}"))
    }

    fn call(&mut self, operation: &str, input: Value) -> Answer {
        secrets::carry_out(self.world, &self.deployer.clone(), operation, input)
    }

    /// Makes the secrets, and gives their ARNs by their names.
    fn secrets(&mut self) -> anyhow::Result<BTreeMap<String, String>> {
        let mut made = BTreeMap::new();
        let resolved = self.resolved()?;
        for id in self.ids(SECRET) {
            let properties = resolved.resource(&id)?;
            ensure!(properties["GenerateSecretString"].is_null(), "{id} has a value of CloudFormation's");
            let mut input = json!({ "Name": properties["Name"] });
            for property in ["Description", "KmsKeyId", "Tags"] {
                if !properties[property].is_null() {
                    input[property] = properties[property].clone();
                }
            }
            let answer = self.call("CreateSecret", input).with_context(|| format!("making {id}"))?;
            let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
            let (arn, name) = (text("ARN"), text("Name"));
            self.knows(&id, &arn, &[("Id", &arn)]);
            made.insert(name, arn);
        }
        Ok(made)
    }

    /// Lets RDS make the secrets of its master users, and gives their ARNs by the databases' logical ids.
    fn databases(&mut self, storage_key: &str) -> anyhow::Result<BTreeMap<String, String>> {
        let mut made = BTreeMap::new();
        let resolved = self.resolved()?;
        for id in self.ids(DATABASE) {
            let properties = resolved.resource(&id)?;
            ensure!(
                properties["ManageMasterUserPassword"] == true
                    || properties["ManageMasterUserPassword"] == "true",
                "the password of {id}'s master user is somebody's"
            );
            let key = properties["MasterUserSecret"]["KmsKeyId"].as_str();
            let key = key.with_context(|| format!("the master secret of {id} has no key"))?;
            ensure!(
                storage_key.ends_with(key),
                "the master secret of {id} is under {key}, which is not the storage key"
            );
            let name = format!("rds!db-{}", random::uuid());
            let value = json!({"username": "postgres", "password": "of the master"}).to_string();
            let master = secrets::made_by_rds(self.world, &self.deployer, &name, storage_key, value)
                .with_context(|| format!("RDS makes the master secret of {id}"))?;
            self.stack = self.stack.clone().attribute(&id, "MasterUserSecret.SecretArn", master.as_str());
            made.insert(id, master);
        }
        Ok(made)
    }

    fn resource_policies(&mut self) -> anyhow::Result<()> {
        let resolved = self.resolved()?;
        for id in self.ids("AWS::SecretsManager::ResourcePolicy") {
            let properties = resolved.resource(&id)?;
            let block = properties["BlockPublicPolicy"] == true || properties["BlockPublicPolicy"] == "true";
            let input = json!({
                "SecretId": properties["SecretId"],
                "ResourcePolicy": properties["ResourcePolicy"].to_string(),
                "BlockPublicPolicy": block,
            });
            self.call("PutResourcePolicy", input).with_context(|| format!("putting {id}"))?;
        }
        Ok(())
    }

    /// Gives the roles their policies.
    fn policies(&mut self, arns: BTreeMap<String, String>) -> anyhow::Result<BTreeMap<String, CoreRole>> {
        let resolved = self.resolved()?;
        let mut attached: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for kind in ["AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy"] {
            for id in self.ids(kind) {
                let properties = resolved.resource(&id)?;
                let roles = properties["Roles"].as_array().cloned();
                let roles = roles.unwrap_or_else(|| vec![properties["RoleName"].clone()]);
                for role in roles {
                    let role = role.as_str().with_context(|| format!("policy {id} is for {role}"))?;
                    let document = properties["PolicyDocument"].to_string();
                    attached.entry(role.to_owned()).or_default().push(document);
                }
            }
        }
        let mut made = BTreeMap::new();
        for (id, arn) in arns {
            let properties = resolved.resource(&id)?;
            for unread in ["ManagedPolicyArns", "PermissionsBoundary"] {
                ensure!(properties[unread].is_null(), "{id} has {unread}, which is not read here");
            }
            let name = arn.rsplit('/').next().unwrap_or_default();
            let mut policies = attached.remove(name).unwrap_or_default();
            let inline = properties["Policies"].as_array().into_iter().flatten();
            policies.extend(inline.map(|policy| policy["PolicyDocument"].to_string()));
            let access_key =
                self.world.add_role(&arn, &policies).with_context(|| format!("the policies of {id}"))?;
            let trust = properties["AssumeRolePolicyDocument"].clone();
            made.insert(id, CoreRole { arn, access_key, trust, policies });
        }
        ensure!(attached.is_empty(), "policies for roles that the template does not make: {attached:?}");
        Ok(made)
    }

    /// Puts together what is of one node: a function is told which secrets are its own.
    fn nodes(
        &mut self,
        resolved: &Resolved,
        roles: &BTreeMap<String, CoreRole>,
        logins: &BTreeMap<String, String>,
        masters: &BTreeMap<String, String>,
        network: &str,
    ) -> anyhow::Result<BTreeMap<u32, CoreNode>> {
        let mut nodes = BTreeMap::new();
        for id in self.ids("AWS::Lambda::Function") {
            let properties = resolved.resource(&id)?;
            let told = &properties["Environment"]["Variables"];
            let Some(login_secret) = told["LOGIN_SECRET_ARN"].as_str() else { continue };
            let (name, _) = logins
                .iter()
                .find(|(_, arn)| *arn == login_secret)
                .with_context(|| format!("{id} is told of {login_secret}"))?;
            let index = name.split("/node/").nth(1).and_then(|rest| rest.split('/').next());
            let index: u32 = index.and_then(|index| index.parse().ok()).context("a secret of no node")?;
            let master_secret = told["MASTER_SECRET_ARN"].as_str().unwrap_or_default();
            ensure!(
                masters.values().any(|arn| arn == master_secret),
                "{id} is told of the master secret {master_secret}"
            );
            let of_arn = |arn: &str| roles.values().find(|role| role.arn == arn).cloned();
            let login_role = properties["Role"].as_str().and_then(of_arn);
            let login_role = login_role.with_context(|| format!("{id} has no role"))?;
            let role = roles.get(&format!("NodeRole{index}")).cloned();
            let role = role.with_context(|| format!("node {index} has no role"))?;
            let function = self.place.arn("lambda", &format!("function:{}", self.physical_id(&id)));
            let function = ("lambda:SourceFunctionArn".to_owned(), function);
            let [_, used_in] = in_network(network);
            let login_function = self.world.add_session(&login_role.arn, [function, used_in])?;
            let instance = self.world.add_session(&role.arn, in_network(network))?;
            let node = CoreNode {
                role,
                instance,
                login_role,
                login_function,
                login_secret: login_secret.to_owned(),
                master_secret: master_secret.to_owned(),
            };
            ensure!(nodes.insert(index, node).is_none(), "two functions for node {index}");
        }
        ensure!(nodes.len() == logins.len() && nodes.len() == masters.len(), "nodes without a function");
        Ok(nodes)
    }
}

/// The ARN of the role that a service makes for itself (Amazon EC2 Auto Scaling User Guide, "Service-linked roles for
/// Amazon EC2 Auto Scaling").
fn service_linked_role(properties: &Value, partition: &str, account: &str) -> Option<String> {
    let name = match properties["AWSServiceName"].as_str()? {
        "autoscaling.amazonaws.com" => "AWSServiceRoleForAutoScaling",
        _ => return None,
    };
    let service = properties["AWSServiceName"].as_str()?;
    let suffix = properties["CustomSuffix"].as_str().map(|suffix| format!("_{suffix}")).unwrap_or_default();
    Some(format!("arn:{partition}:iam::{account}:role/aws-service-role/{service}/{name}{suffix}"))
}

/// What every call of an instance in a network tells: its credentials were given to it there, and it goes by the
/// network's endpoints (IAM User Guide, "AWS global condition context keys", `aws:Ec2InstanceSourceVpc`, `aws:SourceVpc`).
#[must_use]
pub fn in_network(network: &str) -> [(String, String); 2] {
    ["aws:Ec2InstanceSourceVpc", "aws:SourceVpc"].map(|key| (key.to_owned(), network.to_owned()))
}
