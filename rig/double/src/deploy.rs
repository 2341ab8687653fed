//! The KMS Stack, deployed into a double: what CloudFormation would have made before it asks for the
//! keys, as the repository's template says.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, ensure};
use policies::template::{Resolved, Stack as Resolving, Template};
use policies::{Share, SharedWith};
use serde_json::{Value, json};

use crate::double::Double;
use crate::kms::{KeySpec, NewKey};
use crate::place::Place;
use crate::stacks::{Resource, Stack, name_in};
use crate::world::World;

/// The stack that is deployed unless another is named.
pub const STACK_ID: &str =
    "arn:aws:cloudformation:us-east-1:111122223333:stack/kms/51af3dc0-da77-11e4-872e-1234567db123";
/// The logical ids of what tests ask for.
const KEYS: &str = "Keys";
const SECRETS_KEY: &str = "SecretsKey";
const RECORD_KEY: &str = "RecordKey";
const ROLE: &str = "NodeKeysRole";
const FUNCTION: &str = "NodeKeysFunction";
const ROTATION_ROLE: &str = "KeyRotationRole";
const ROTATION_FUNCTION: &str = "KeyRotationFunction";
/// What the logical ids of the nodes' policies begin with.
const NODE_READER: &str = "NodeReader";

/// The KMS Stack of the repository's template.
#[derive(Clone, Debug)]
pub struct KmsStack {
    /// Where it is.
    pub place: Place,
    /// Its id.
    pub stack_id: String,
    /// The role of node-keys.
    pub role: String,
    /// The access key that acts as this role.
    pub access_key: String,
    /// The access keys of all the template's roles, by their logical ids.
    pub roles: BTreeMap<String, String>,
    /// The ARN of the key that encrypts secrets.
    pub secrets_key: String,
    /// The ARN of the key that signs records.
    pub record_key: String,
    /// The access keys of the nodes' roles, by the nodes' indexes.
    pub nodes: BTreeMap<u32, String>,
    /// The patterns of its rules of EventBridge, by their logical ids.
    pub patterns: BTreeMap<String, Value>,
    /// What Resource Access Manager shares once the resource `Keys` is there: ARN and accounts.
    pub shares: Vec<(String, Vec<String>)>,
    endpoint: String,
    /// What the template tells node-keys, and what it tells key-rotation, by their environments.
    told: BTreeMap<String, String>,
    told_rotation: BTreeMap<String, String>,
    properties: Value,
}

impl KmsStack {
    /// Deploys the stack with parameters other than the template's defaults. The resource `Keys` has
    /// not been asked for yet. Each node has a role, [`KmsStack::node_role`], with its reader policy; the
    /// key policy lets it read only if the parameter `ReaderPrincipals` names it: [`KmsStack::readers`].
    ///
    /// # Errors
    ///
    /// When the template cannot be read, or when a policy in it cannot be evaluated.
    pub fn deploy<'a>(
        double: &Double,
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> anyhow::Result<Self> {
        Self::deploy_as(double, STACK_ID, parameters)
    }

    /// The same under another id, which tells account, Region and name. A stack of this id that is
    /// deployed already is updated: its keys stay.
    ///
    /// # Errors
    ///
    /// As [`KmsStack::deploy`].
    pub fn deploy_as<'a>(
        double: &Double,
        stack_id: &str,
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> anyhow::Result<Self> {
        let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../template.yaml");
        let template = std::fs::read_to_string(template).context("reading the template")?;
        let template = Template::read(&template)?;
        let (place, _) = Place::of_arn(stack_id, "cloudformation").context("not a stack's id")?;
        let mut stack = Resolving::new(stack_id).context("not a stack's id")?;
        for (name, value) in parameters {
            stack = stack.parameter(name, value);
        }
        let endpoint = double.endpoint();
        double.with(|world| Deployment { world, template: &template, place, stack_id, stack }.run(endpoint))
    }

    /// The place of a stack, by its id.
    #[must_use]
    pub fn place_of(stack_id: &str) -> Option<Place> {
        Place::of_arn(stack_id, "cloudformation").map(|(place, _)| place)
    }

    /// The ARN of a node's role, which follows from the stack's id alone.
    ///
    /// # Panics
    ///
    /// When this is no stack's id.
    #[must_use]
    pub fn node_role(stack_id: &str, index: u32) -> String {
        let place = Self::place_of(stack_id).expect("a stack's id is its ARN");
        let (partition, account) = (place.partition(), &place.account);
        format!("arn:{partition}:iam::{account}:role/{}-node-{index}", name_in(stack_id))
    }

    /// Each node's own role as its reader, for the parameter `ReaderPrincipals`.
    ///
    /// # Panics
    ///
    /// As [`KmsStack::node_role`].
    #[must_use]
    pub fn readers(stack_id: &str, nodes: impl IntoIterator<Item = u32>) -> String {
        let entry = |index| format!("{index}={}", Self::node_role(stack_id, index));
        nodes.into_iter().map(entry).collect::<Vec<_>>().join(",")
    }

    /// CloudFormation makes the template's shares, which come after the resource `Keys`.
    ///
    /// # Errors
    ///
    /// When a document that is to be shared is not there, or cannot be shared.
    pub fn share_documents(&self, double: &Double) -> anyhow::Result<()> {
        for (document, accounts) in &self.shares {
            let with = accounts.iter().cloned().map(SharedWith::Account).collect();
            double
                .with(|world| world.share(Share::parameter(document, with)))
                .with_context(|| format!("sharing {document}"))?;
        }
        Ok(())
    }

    /// What the process of node-keys is told by its environment beside what Lambda tells every function.
    #[must_use]
    pub fn environment(&self) -> BTreeMap<String, String> {
        self.environment_under(&self.access_key, &self.told)
    }

    /// The same of key-rotation.
    #[must_use]
    pub fn rotation_environment(&self) -> BTreeMap<String, String> {
        let access_key = self.roles.get(ROTATION_ROLE).map(String::as_str).unwrap_or_default();
        self.environment_under(access_key, &self.told_rotation)
    }

    fn environment_under(
        &self,
        access_key: &str,
        told: &BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let ours = [
            ("AWS_ACCESS_KEY_ID", access_key),
            ("AWS_DEFAULT_REGION", &self.place.region),
            ("AWS_ENDPOINT_URL", &self.endpoint),
            ("AWS_REGION", &self.place.region),
            ("AWS_SECRET_ACCESS_KEY", "of-nobody"),
            ("AWS_SESSION_TOKEN", "of-nobody"),
        ];
        let ours = ours.map(|(name, value)| (name.to_owned(), value.to_owned()));
        ours.into_iter().chain(told.clone()).collect()
    }

    /// The same for one process of several: its calls have this session.
    #[must_use]
    pub fn environment_of(&self, session: &str) -> BTreeMap<String, String> {
        let mut environment = self.environment();
        environment.insert("AWS_SESSION_TOKEN".to_owned(), session.to_owned());
        environment
    }

    /// The properties of the resource `Keys`, as CloudFormation sends them: every value a text.
    #[must_use]
    pub fn properties(&self) -> Value {
        self.properties.clone()
    }

    /// Lets CloudFormation show the resource in a status, and the stack in one that goes with it:
    /// `CREATE_IN_PROGRESS`, `UPDATE_IN_PROGRESS`, `DELETE_IN_PROGRESS` or an end of these. The
    /// physical id stays unless one is given.
    pub fn shows(&self, double: &Double, status: &str, physical_id: Option<&str>) {
        double.with(|world| {
            let Some(stack) = world.stack_mut(&self.stack_id) else { return };
            status.clone_into(&mut stack.status);
            let Some(resource) = stack.resources.get_mut(KEYS) else { return };
            status.clone_into(&mut resource.status);
            if let Some(id) = physical_id {
                resource.physical_id = Some(id.to_owned());
            }
        });
    }

    /// An event as CloudFormation sends it: `Create`, `Update` or `Delete`.
    #[must_use]
    pub fn event(&self, request_type: &str, request_id: &str, response_url: &str) -> Value {
        json!({
            "RequestType": request_type,
            "RequestId": request_id,
            "StackId": self.stack_id,
            "ResponseURL": response_url,
            "ResourceType": "Custom::NodeKeys",
            "LogicalResourceId": KEYS,
            "ResourceProperties": self.properties(),
        })
    }
}

/// A deployment under way.
struct Deployment<'a> {
    world: &'a mut World,
    template: &'a Template,
    place: Place,
    stack_id: &'a str,
    stack: Resolving,
}

impl Deployment<'_> {
    /// Makes what depends on nothing first: names, then roles, then keys, then the roles' policies.
    fn run(mut self, endpoint: String) -> anyhow::Result<KmsStack> {
        let ids: Vec<(String, String)> = {
            let resolved = self.template.resolve(&self.stack)?;
            resolved.resources().map(|(id, kind)| (id.to_owned(), kind.to_owned())).collect()
        };
        let before = self.world.stack(self.stack_id).cloned();
        for (id, kind) in &ids {
            self.name(id, kind);
        }
        for (id, _) in ids.iter().filter(|(_, kind)| kind == "AWS::IAM::Role") {
            self.world.add_role(&self.role_arn(id), &[])?;
        }
        let mut keys = BTreeMap::new();
        for (id, _) in ids.iter().filter(|(_, kind)| kind == "AWS::KMS::Key") {
            let known = before.as_ref().and_then(|stack| stack.resources.get(id)?.physical_id.as_ref());
            let known = known.map(|key| self.place.arn("kms", &format!("key/{key}")));
            keys.insert(id.as_str(), self.key(id, known)?);
        }
        let resolved = self.template.resolve(&self.stack)?;
        self.aliases(&resolved, &ids)?;
        let roles = self.policies(&resolved, &ids)?;
        let role = self.role_arn(ROLE);
        let access_key = roles.get(ROLE).cloned().context("the template has no role of this name")?;
        let nodes = self.nodes(&resolved, &ids)?;
        let key = |id: &str| Self::key_arn(&resolved, id);
        let (secrets_key, record_key) = (key(SECRETS_KEY)?, key(RECORD_KEY)?);
        self.put_stack(&ids, before, &keys);
        let (told, shares) = (told(&resolved, FUNCTION)?, shares(&resolved)?);
        let told_rotation = self::told(&resolved, ROTATION_FUNCTION)?;
        let properties = texts(resolved.resource(KEYS)?);
        let patterns = patterns(&resolved)?;
        let (place, stack_id) = (self.place, self.stack_id.to_owned());
        Ok(KmsStack {
            place,
            stack_id,
            role,
            access_key,
            roles,
            secrets_key,
            record_key,
            nodes,
            patterns,
            shares,
            endpoint,
            told,
            told_rotation,
            properties,
        })
    }

    /// What `Ref` and `GetAtt` give for things whose ARN follows from their name.
    fn name(&mut self, id: &str, kind: &str) {
        let physical_id = format!("{}-{id}", name_in(self.stack_id));
        let iam = |resource: &str| {
            format!("arn:{}:iam::{}:{resource}/{physical_id}", self.place.partition(), self.place.account)
        };
        let arn = match kind {
            "AWS::IAM::Role" => iam("role"),
            "AWS::IAM::ManagedPolicy" => iam("policy"),
            "AWS::Logs::LogGroup" => self.place.arn("logs", &format!("log-group:{physical_id}:*")),
            "AWS::Scheduler::ScheduleGroup" => {
                self.place.arn("scheduler", &format!("schedule-group/{physical_id}"))
            }
            "AWS::Serverless::Function" => self.place.arn("lambda", &format!("function:{physical_id}")),
            "AWS::SNS::Topic" => self.place.arn("sns", &physical_id),
            _ => return,
        };
        let is_known_by_arn = ["AWS::IAM::ManagedPolicy", "AWS::SNS::Topic"].contains(&kind);
        let reference = if is_known_by_arn { &arn } else { &physical_id };
        self.stack = self.stack.clone().physical_id(id, reference).attribute(id, "Arn", arn.as_str());
    }

    fn role_arn(&self, id: &str) -> String {
        let (place, name) = (&self.place, name_in(self.stack_id));
        format!("arn:{}:iam::{}:role/{name}-{id}", place.partition(), place.account)
    }

    /// Makes a key, or gives one that is there its policy of now, and gives its ARN.
    fn key(&mut self, id: &str, known: Option<String>) -> anyhow::Result<String> {
        let properties = self.template.resolve(&self.stack)?.resource(id)?;
        let policy = match &properties["KeyPolicy"] {
            Value::String(text) => text.clone(),
            document => document.to_string(),
        };
        let arn = if let Some(arn) = known {
            self.world.put_key_policy(&arn, &policy)?;
            arn
        } else {
            let spec = properties["KeySpec"].as_str().unwrap_or("SYMMETRIC_DEFAULT");
            let spec = KeySpec::of_name(spec).with_context(|| format!("{id} is a {spec}"))?;
            let tags = properties["Tags"].as_array().into_iter().flatten();
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let new = NewKey {
                multi_region: properties["MultiRegion"] == true,
                description: text(&properties["Description"]),
                tags: tags.map(|tag| (text(&tag["Key"]), text(&tag["Value"]))).collect(),
                ..NewKey::new(spec, policy)
            };
            self.world.create_key(&self.place, new)?
        };
        let key_id = self.world.key(&arn).map(|key| key.id.clone()).unwrap_or_default();
        self.stack = self.stack.clone().physical_id(id, &key_id).attribute(id, "Arn", arn.as_str());
        Ok(arn)
    }

    fn key_arn(resolved: &Resolved, id: &str) -> anyhow::Result<String> {
        // The template's outputs are the one way to a resolved attribute.
        let output = if id == SECRETS_KEY { "KmsKeyArn" } else { "RecordKeyArn" };
        let arn = resolved.output(output)?;
        arn.as_str().map(str::to_owned).with_context(|| format!("the output {output} is no text"))
    }

    fn aliases(&mut self, resolved: &Resolved, ids: &[(String, String)]) -> anyhow::Result<()> {
        for (id, _) in ids.iter().filter(|(_, kind)| kind == "AWS::KMS::Alias") {
            let properties = resolved.resource(id)?;
            let text = |name: &str| properties[name].as_str().unwrap_or_default();
            let target = self.place.arn("kms", &format!("key/{}", text("TargetKeyId")));
            self.world.create_alias(&self.place, text("AliasName"), &target);
        }
        Ok(())
    }

    /// Attaches their policies to the template's roles, and gives the roles' access keys.
    fn policies(
        &mut self,
        resolved: &Resolved,
        ids: &[(String, String)],
    ) -> anyhow::Result<BTreeMap<String, String>> {
        let mut attached: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (id, kind) in ids.iter().filter(|(_, kind)| kind.starts_with("AWS::IAM::")) {
            let properties = resolved.resource(id)?;
            match kind.as_str() {
                "AWS::IAM::Policy" => {}
                "AWS::IAM::ManagedPolicy" if properties["Roles"].is_array() => {}
                _ => continue,
            }
            let document = properties["PolicyDocument"].to_string();
            let roles =
                properties["Roles"].as_array().with_context(|| format!("policy {id} is for nobody"))?;
            for role in roles {
                let role = role.as_str().with_context(|| format!("policy {id} is for {role}"))?;
                attached.entry(role.to_owned()).or_default().push(document.clone());
            }
        }
        let mut access_keys = BTreeMap::new();
        for (id, _) in ids.iter().filter(|(_, kind)| kind == "AWS::IAM::Role") {
            let properties = resolved.resource(id)?;
            for unread in ["ManagedPolicyArns", "PermissionsBoundary", "Policies"] {
                ensure!(properties[unread].is_null(), "{id} has {unread}, which is not read here");
            }
            let (arn, name) = (self.role_arn(id), format!("{}-{id}", name_in(self.stack_id)));
            let policies = attached.remove(&name).unwrap_or_default();
            access_keys.insert(id.clone(), self.world.add_role(&arn, &policies)?);
        }
        ensure!(attached.is_empty(), "policies for roles that the template does not make: {attached:?}");
        Ok(access_keys)
    }

    /// Makes the nodes' roles, and gives their access keys.
    fn nodes(
        &mut self,
        resolved: &Resolved,
        ids: &[(String, String)],
    ) -> anyhow::Result<BTreeMap<u32, String>> {
        let mut nodes = BTreeMap::new();
        for (id, _) in ids.iter().filter(|(_, kind)| kind == "AWS::IAM::ManagedPolicy") {
            if resolved.resource(id)?["Roles"].is_array() {
                // It is attached to a role of the template's own.
                continue;
            }
            let index = id.strip_prefix(NODE_READER).and_then(|index| index.parse().ok());
            let index = index.with_context(|| format!("{id} is no node's policy"))?;
            let policy = resolved.resource(id)?["PolicyDocument"].to_string();
            let role = KmsStack::node_role(self.stack_id, index);
            nodes.insert(index, self.world.add_role(&role, &[policy])?);
        }
        Ok(nodes)
    }

    fn put_stack(&mut self, ids: &[(String, String)], before: Option<Stack>, keys: &BTreeMap<&str, String>) {
        let mut stack = before.unwrap_or_else(|| Stack::new(self.stack_id, "CREATE_IN_PROGRESS"));
        for (id, kind) in ids {
            if stack.resources.contains_key(id) {
                continue;
            }
            let arn = keys.get(id.as_str());
            let key = arn.and_then(|arn| Some(self.world.key(arn)?.id.clone()));
            let resource = if id == KEYS {
                Resource::new(kind, "CREATE_IN_PROGRESS")
            } else {
                let name = format!("{}-{id}", stack.name);
                Resource::new(kind, "CREATE_COMPLETE").with_physical_id(key.unwrap_or(name))
            };
            stack.resources.insert(id.clone(), resource);
        }
        self.world.put_stack(stack);
    }
}

/// The variables of a function's environment.
fn told(resolved: &Resolved, function: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let function = resolved.resource(function)?;
    let variables =
        function["Environment"]["Variables"].as_object().context("the function is told nothing")?;
    let text = |(name, value): (&String, &Value)| {
        let value = value.as_str().with_context(|| format!("{name} is no text"))?;
        Ok((name.clone(), value.to_owned()))
    };
    variables.iter().map(text).collect()
}

/// The patterns of a template's rules, by their logical ids.
pub(crate) fn patterns(resolved: &Resolved) -> anyhow::Result<BTreeMap<String, Value>> {
    let rules = resolved.resources().filter(|(_, kind)| *kind == "AWS::Events::Rule");
    let pattern = |(id, _): (&str, &str)| Ok((id.to_owned(), resolved.resource(id)?["EventPattern"].clone()));
    rules.map(pattern).collect()
}

/// What the template's shares are of, and with whom.
pub(crate) fn shares(resolved: &Resolved) -> anyhow::Result<Vec<(String, Vec<String>)>> {
    let mut shares = Vec::new();
    for (id, _) in resolved.resources().filter(|(_, kind)| *kind == "AWS::RAM::ResourceShare") {
        let properties = resolved.resource(id)?;
        let texts = |name: &str| -> anyhow::Result<Vec<String>> {
            serde_json::from_value(properties[name].clone()).with_context(|| format!("{name} of {id}"))
        };
        let accounts = texts("Principals")?;
        shares.extend(texts("ResourceArns")?.into_iter().map(|document| (document, accounts.clone())));
    }
    Ok(shares)
}

/// CloudFormation sends the properties of a custom resource as texts (CloudFormation User Guide,
/// "Custom resource reference").
fn texts(value: Value) -> Value {
    match value {
        Value::Number(_) | Value::Bool(_) => Value::String(value.to_string()),
        Value::Array(items) => items.into_iter().map(texts).collect(),
        Value::Object(members) => {
            Value::Object(members.into_iter().map(|(name, value)| (name, texts(value))).collect())
        }
        Value::Null | Value::String(_) => value,
    }
}
