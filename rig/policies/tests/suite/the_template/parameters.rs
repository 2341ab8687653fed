//! Secrets in Parameter Store: who makes them, lets them go, and reads them.

use policies::{Context, Decision, Request, Side, Target, decide};

use super::{
    Deployed, OTHER_STACK, STACK, VIA_SECRETS_MANAGER, assert_denied_by, assert_not_allowed, node, owned_by,
    parameter, sealed_under, stack,
};
use crate::asking::HERE;

const VIA_PARAMETER_STORE: &str = "ssm.eu-central-1.amazonaws.com";
const PURPOSES: [&str; 4] = ["p2p-key", "share-encryption-password", "management-key", "api-key/default"];

pub(super) fn through_the_store(parameter: &str) -> Context {
    sealed_under(&[("PARAMETER_ARN", parameter)]).with("kms:ViaService", VIA_PARAMETER_STORE)
}

#[test]
fn node_keys_makes_secret_parameters_and_reads_none() {
    let deployed = Deployed::new(stack());
    let tagged = |stack: &str| {
        Context::new().with("aws:RequestTag/keyboot:stack", stack).with("ssm:Overwrite", "false")
    };
    for purpose in PURPOSES {
        let mine = parameter(&format!("keyboot/tsm/node/0/{purpose}"));
        for action in ["ssm:PutParameter", "ssm:AddTagsToResource"] {
            assert!(deployed.node_keys(action, &mine, tagged(STACK)).is_allowed(), "{action} {purpose}");
            assert_not_allowed(&deployed.node_keys(action, &mine, tagged(OTHER_STACK)), "another's name");
            assert_not_allowed(&deployed.node_keys(action, &mine, Context::new()), "nobody's name");
            let taken = tagged(STACK).with("aws:ResourceTag/keyboot:stack", OTHER_STACK);
            assert_denied_by("NeverTakeAnothersSecretParameter", &deployed.node_keys(action, &mine, taken));
        }
        let outside = parameter(&format!("elsewhere/tsm/node/0/{purpose}"));
        assert_not_allowed(&deployed.node_keys("ssm:PutParameter", &outside, tagged(STACK)), "outside");
        // A further version, and the label of the one that counts, go on what is there and is its own.
        for action in ["ssm:PutParameter", "ssm:LabelParameterVersion"] {
            assert!(deployed.node_keys(action, &mine, owned_by(STACK)).is_allowed(), "{action} {purpose}");
            let of_another = deployed.node_keys(action, &mine, owned_by(OTHER_STACK));
            assert_denied_by("NeverTakeAnothersSecretParameter", &of_another);
            assert_not_allowed(&deployed.node_keys(action, &mine, Context::new()), "of nobody");
        }
        for action in ["ssm:GetParameter", "ssm:GetParameters"] {
            let read = deployed.node_keys(action, &mine, owned_by(STACK));
            assert_denied_by("NeverReadASecretParameter", &read);
        }
        let by_path = deployed.node_keys("ssm:GetParametersByPath", &mine, owned_by(STACK));
        assert!(matches!(by_path, Decision::DeniedExplicitly(_)), "{by_path}");
        for action in ["ssm:ListTagsForResource", "ssm:GetParameterHistory"] {
            assert!(deployed.node_keys(action, &mine, Context::new()).is_allowed(), "{action}");
        }
    }
    // Names that look like a public document's, and are a secret's.
    for path in ["keyboot/tsm/node/0/api-key/record", "keyboot/a/roster/node/0/p2p-key"] {
        let read = deployed.node_keys("ssm:GetParameters", &parameter(path), Context::new());
        assert_denied_by("NeverReadASecretParameter", &read);
    }
}

#[test]
fn node_keys_lets_go_of_its_own_secret_parameters_only() {
    let deployed = Deployed::new(stack());
    let mine = parameter("keyboot/tsm/node/0/p2p-key");
    let leaving =
        |context: Context| context.with_all("aws:TagKeys", ["keyboot:delete-after", "keyboot:leaving"]);
    for action in ["ssm:AddTagsToResource", "ssm:RemoveTagsFromResource", "ssm:DeleteParameters"] {
        let ask = |context: Context| deployed.node_keys(action, &mine, leaving(context));
        assert!(ask(owned_by(STACK)).is_allowed(), "{action}");
        assert_denied_by("NeverTakeAnothersSecretParameter", &ask(owned_by(OTHER_STACK)));
        assert_not_allowed(&ask(Context::new()), action);
    }
    // Whose it is stays written on it.
    for action in ["ssm:AddTagsToResource", "ssm:RemoveTagsFromResource"] {
        let owner = owned_by(STACK).with_all("aws:TagKeys", ["keyboot:owner"]);
        assert_not_allowed(&deployed.node_keys(action, &mine, owner), action);
    }
}

/// What is taken over comes out of its window and goes back into it, is handed back while it bears the
/// mark of the adoption, and is never removed.
#[test]
fn node_keys_takes_over_secret_parameters_of_the_stacks_that_are_named() {
    let adopting = Deployed::new(stack().parameter("AdoptFromStackIds", OTHER_STACK));
    let mine = parameter("keyboot/tsm/node/0/p2p-key");
    let leaving =
        |context: Context| context.with_all("aws:TagKeys", ["keyboot:delete-after", "keyboot:leaving"]);
    for action in ["ssm:AddTagsToResource", "ssm:RemoveTagsFromResource"] {
        assert!(adopting.node_keys(action, &mine, leaving(owned_by(OTHER_STACK))).is_allowed(), "{action}");
    }
    let taken = owned_by(OTHER_STACK).with("aws:RequestTag/keyboot:stack", STACK);
    assert!(adopting.node_keys("ssm:AddTagsToResource", &mine, taken).is_allowed());
    let back = || owned_by(STACK).with("aws:RequestTag/keyboot:stack", OTHER_STACK);
    let marked = back().with("aws:ResourceTag/keyboot:adopted-from", "x");
    assert!(adopting.node_keys("ssm:AddTagsToResource", &mine, marked).is_allowed());
    assert_not_allowed(&adopting.node_keys("ssm:AddTagsToResource", &mine, back()), "not taken over");
    let removed = adopting.node_keys("ssm:DeleteParameters", &mine, owned_by(OTHER_STACK));
    assert_not_allowed(&removed, "another stack's");
}

#[test]
fn node_keys_encrypts_parameters_and_decrypts_none() {
    let deployed = Deployed::new(stack());
    let ask = |action: &str, context: Context| deployed.node_keys_with_secrets_key(action, context);
    let mine = parameter("keyboot/tsm/node/0/p2p-key");
    assert!(ask("kms:GenerateDataKey", through_the_store(&mine)).is_allowed());
    assert_not_allowed(&ask("kms:GenerateDataKey", through_the_store(&parameter("other/a"))), "outside");
    for action in ["kms:Decrypt", "kms:Encrypt"] {
        assert_not_allowed(&ask(action, through_the_store(&mine)), action);
    }
}

#[test]
fn a_node_reads_its_own_secret_parameters_where_they_are_kept_there() {
    let here = Deployed::new(stack().parameter("Store", "ParameterStore"));
    let elsewhere = Deployed::new(stack());
    let read = |deployed: &Deployed, index: usize, path: &str, context: Context| {
        let attached = [deployed.policy(&format!("NodeReader{index}"))];
        let request = Request::new(node(index), "ssm:GetParameter", &parameter(path)).with(context);
        decide(&request, &attached, &Target::in_account(HERE)).unwrap()
    };
    for (index, other) in [(0, 1), (1, 0)] {
        for purpose in ["p2p-key", "share-encryption-password"] {
            let own = format!("keyboot/tsm/node/{index}/{purpose}");
            assert!(read(&here, index, &own, owned_by(STACK)).is_allowed(), "{own}");
            assert_not_allowed(&read(&elsewhere, index, &own, Context::new()), "kept in Secrets Manager");
            // What is in its recovery window is read no more.
            let leaving =
                owned_by(STACK).with("aws:ResourceTag/keyboot:delete-after", "2026-01-02T03:04:05Z");
            assert_not_allowed(&read(&here, index, &own, leaving), "scheduled for deletion");
            let of_other = format!("keyboot/tsm/node/{other}/{purpose}");
            assert_not_allowed(&read(&here, index, &of_other, Context::new()), "another node's");

            let decrypts = |deployed: &Deployed, path: &str| {
                deployed.node_with_secrets_key(index, through_the_store(&parameter(path)))
            };
            assert!(decrypts(&here, &own).is_allowed(), "{own}");
            // The key's policy says so of each node.
            let of_another = decrypts(&here, &of_other);
            assert!(matches!(of_another, Decision::DeniedExplicitly(_)), "{of_another}");
            assert_not_allowed(&decrypts(&elsewhere, &own), "kept in Secrets Manager");
        }
        for purpose in ["management-key", "api-key/default"] {
            let of_clients = format!("keyboot/tsm/node/{index}/{purpose}");
            assert_not_allowed(&read(&here, index, &of_clients, Context::new()), "its clients'");
        }
    }
    let past_the_store = sealed_under(&[("PARAMETER_ARN", &parameter("keyboot/tsm/node/0/p2p-key"))]);
    let past = here.node_with_secrets_key(0, past_the_store.clone());
    assert!(matches!(past, Decision::DeniedExplicitly(_)), "past the store: {past}");
    let other_store = past_the_store.with("kms:ViaService", VIA_SECRETS_MANAGER);
    assert_not_allowed(&here.node_with_secrets_key(0, other_store), "through the other store");
    // The key policy names the roles.
    let none_named = policies::template::Stack::new(STACK).unwrap().parameter("Nodes", "0,1");
    let none_named = Deployed::new(none_named.parameter("Store", "ParameterStore"));
    let own = through_the_store(&parameter("keyboot/tsm/node/0/p2p-key"));
    assert_eq!(none_named.node_with_secrets_key(0, own), Decision::DeniedImplicitly(Side::Resource));
}

/// The policies that a role holds inline are 10,240 characters at most together, and a managed policy
/// 6,144, blanks left out (IAM User Guide, "IAM and AWS STS quotas").
#[test]
fn the_roles_policies_fit() {
    let adopting = stack().parameter("AdoptFromStackIds", OTHER_STACK);
    for stack in [stack(), stack().parameter("ClientStackIds", OTHER_STACK), adopting] {
        let deployed = Deployed::new(stack);
        let resolved = &deployed.resolved;
        let lengths = |wanted: &str, role: &str| -> Vec<usize> {
            let policies = resolved.resources().filter(|(_, kind)| *kind == wanted);
            let policies = policies.map(|(id, _)| resolved.resource(id).unwrap());
            let of_role = policies.filter(|one| one["Roles"] == serde_json::json!([role]));
            of_role.map(|one| one["PolicyDocument"].to_string().len()).collect()
        };
        for (role, managed_policies) in [("NodeKeysRole", 2), ("KeyRotationRole", 0)] {
            let inline: usize = lengths("AWS::IAM::Policy", role).iter().sum();
            let managed = lengths("AWS::IAM::ManagedPolicy", role);
            assert!((2_000..9_500).contains(&inline), "{role}: {inline}");
            assert_eq!(managed.len(), managed_policies, "{role}");
            assert!(managed.iter().all(|length| (500..5_500).contains(length)), "{role}: {managed:?}");
        }
    }
}
