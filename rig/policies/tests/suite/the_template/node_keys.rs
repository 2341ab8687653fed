//! What the function that makes keys may do.

use policies::{Context, Decision, Request, ResourcePolicy, Side, Target, decide};
use serde_json::json;

use super::{
    Deployed, OTHER_STACK, STACK, VIA_SECRETS_MANAGER, administrator, assert_denied_by, assert_not_allowed,
    full, function_arn, node_keys, owned_by, pairs, role_arn, sealed_under, secret, stack,
};
use crate::asking::{ELSEWHERE, HERE};

#[test]
fn node_keys_seals_only_under_a_full_context() {
    let deployed = Deployed::new(stack());
    assert_full_context_only(|context| deployed.node_keys_with_secrets_key("kms:Encrypt", context));
}

#[test]
fn node_keys_has_pairs_made_only_on_its_curves_under_a_full_context_and_never_in_plain() {
    let deployed = Deployed::new(stack());
    assert_pairs_only_sealed(|action, context| deployed.node_keys_with_secrets_key(action, context));
    // The key policy bounds the role, whatever else is attached to it.
    assert_bounded_by_the_key(|action, context| {
        deployed.with_secrets_key(node_keys(), &administrator(), action, context)
    });
}

#[test]
fn of_all_that_kms_does_node_keys_is_given_nothing_that_opens() {
    let deployed = Deployed::new(stack());
    assert_given_nothing_that_opens(|action, context| deployed.node_keys_with_secrets_key(action, context));
}

/// Everything that KMS does (Service Authorization Reference, "Actions defined by AWS Key Management
/// Service").
pub(super) const KMS_ACTIONS: &str = "CancelKeyDeletion ConnectCustomKeyStore CreateAlias \
    CreateCustomKeyStore CreateGrant CreateKey Decrypt DeleteAlias DeleteCustomKeyStore \
    DeleteImportedKeyMaterial DeriveSharedSecret DescribeCustomKeyStores DescribeKey DisableKey \
    DisableKeyRotation DisconnectCustomKeyStore EnableKey EnableKeyRotation Encrypt GenerateDataKey \
    GenerateDataKeyPair GenerateDataKeyPairWithoutPlaintext GenerateDataKeyWithoutPlaintext GenerateMac \
    GenerateRandom GetKeyPolicy GetKeyRotationStatus GetParametersForImport GetPublicKey ImportKeyMaterial \
    ListAliases ListGrants ListKeyPolicies ListKeyRotations ListKeys ListResourceTags ListRetirableGrants \
    PutKeyPolicy ReEncryptFrom ReEncryptTo ReplicateKey RetireGrant RevokeGrant RotateKeyOnDemand \
    ScheduleKeyDeletion Sign SynchronizeMultiRegionKey TagResource UntagResource UpdateAlias \
    UpdateCustomKeyStore UpdateKeyDescription UpdatePrimaryRegion Verify VerifyMac";

/// Those of these actions, separated by blanks, that are allowed.
pub(super) fn allowed(actions: &'static str, ask: impl Fn(&str) -> Decision) -> Vec<&'static str> {
    actions.split_whitespace().filter(|action| ask(action).is_allowed()).collect()
}

/// Of everything that KMS can do with a key, a function may do two things by itself, and neither gives a
/// private half or a plaintext back.
pub(super) fn assert_given_nothing_that_opens(ask: impl Fn(&str, Context) -> Decision) {
    let allowed = |context: &dyn Fn() -> Context| {
        allowed(KMS_ACTIONS, |action| ask(&format!("kms:{action}"), context()))
    };
    let spec = || Context::new().with("kms:DataKeyPairSpec", "ECC_NIST_P256");
    let full = || pairs(&full("keyboot/tsm", "0")).with("kms:DataKeyPairSpec", "ECC_NIST_P256");
    assert_eq!(allowed(&full), ["Encrypt", "GenerateDataKeyPairWithoutPlaintext"]);
    assert_eq!(allowed(&spec), [""; 0]);
    // What the store asks for on its behalf does not come back to it.
    let via = || spec().with("kms:ViaService", VIA_SECRETS_MANAGER);
    assert_eq!(allowed(&via), ["GenerateDataKey"]);
    // It tries the key under the id of no version.
    let trial = || via().with("kms:EncryptionContext:SecretVersionId", "RequestToValidateKeyAccess");
    assert_eq!(allowed(&trial), ["Decrypt", "GenerateDataKey"]);
}

const MAKE: &str = "kms:GenerateDataKeyPairWithoutPlaintext";

/// Pairs are made on the curves of P2P keys, under a full context, and never in plain.
pub(super) fn assert_pairs_only_sealed(ask: impl Fn(&str, Context) -> Decision) {
    let on = |spec: &str, context: Context| ask(MAKE, context.with("kms:DataKeyPairSpec", spec));
    for spec in ["ECC_NIST_P256", "ECC_NIST_P384", "ECC_SECG_P256K1"] {
        assert_full_context_only(|context| on(spec, context));
    }
    let whole = || pairs(&full("keyboot/tsm", "0"));
    for spec in ["ECC_NIST_P521", "RSA_2048", "SM2", "ECC_NIST_EDWARDS25519"] {
        assert_not_allowed(&on(spec, whole()), spec);
    }
    assert_not_allowed(&ask(MAKE, whole()), "no spec");
    let via = Context::new().with("kms:ViaService", VIA_SECRETS_MANAGER);
    assert_not_allowed(&on("ECC_NIST_P256", via), "through the store");
    for action in ["kms:GenerateDataKeyPair", "kms:GenerateDataKeyWithoutPlaintext"] {
        let context = whole().with("kms:DataKeyPairSpec", "ECC_NIST_P256");
        assert_not_allowed(&ask(action, context), action);
    }
}

/// What the key's policy leaves a function whose role has every right of its own.
pub(super) fn assert_bounded_by_the_key(ask: impl Fn(&str, Context) -> Decision) {
    let spec = |context: Context| context.with("kms:DataKeyPairSpec", "ECC_NIST_P256");
    for (action, context) in [
        (MAKE, spec(Context::new())),
        ("kms:GenerateDataKeyPair", spec(pairs(&full("keyboot/tsm", "0")))),
        ("kms:Decrypt", Context::new()),
        ("kms:Decrypt", pairs(&full("keyboot/tsm", "0"))),
        ("kms:CreateGrant", Context::new()),
    ] {
        assert_eq!(ask(action, context), Decision::DeniedImplicitly(Side::Resource), "{action}");
    }
}

/// What is asked for is given under a full context of the namespace, and under no other.
pub(super) fn assert_full_context_only(encrypt: impl Fn(Context) -> Decision) {
    let whole = full("keyboot/tsm", "0");
    assert!(encrypt(pairs(&whole)).is_allowed());
    assert!(encrypt(pairs(&full("keyboot/other", "7"))).is_allowed(), "another cluster of the namespace");
    assert_not_allowed(&encrypt(pairs(&full("elsewhere/tsm", "0"))), "another namespace");
    assert_not_allowed(&encrypt(Context::new()), "no context");
    for left_out in 0..whole.len() {
        let mut part = whole.clone();
        let (key, _) = part.remove(left_out);
        assert_not_allowed(&encrypt(pairs(&part)), &format!("without {key}"));
    }
    let mut more = whole.clone();
    more.push(("extra", "x".to_owned()));
    assert_not_allowed(&encrypt(pairs(&more)), "with a key more");
    // Case counts in the names of a context, which the condition on its keys sees to.
    let other_case = whole.iter().map(|(key, value)| match *key {
        "keyboot:node" => ("keyboot:Node", value.clone()),
        _ => (*key, value.clone()),
    });
    assert_not_allowed(&encrypt(pairs(&other_case.collect::<Vec<_>>())), "with another case");
}

#[test]
fn node_keys_decrypts_only_through_the_store() {
    let deployed = Deployed::new(stack());
    assert_decrypts_only_a_trial(|action, context| deployed.node_keys_with_secrets_key(action, context));
    // The key policy bounds the role, whatever else is attached to it.
    let decision = deployed.with_secrets_key(node_keys(), &administrator(), "kms:Decrypt", Context::new());
    assert_eq!(decision, Decision::DeniedImplicitly(Side::Resource));
}

/// The store tries the key in a function's name, and opens nothing that is stored.
pub(super) fn assert_decrypts_only_a_trial(ask: impl Fn(&str, Context) -> Decision) {
    let through_the_store = |version: &str| {
        let mine = secret("keyboot/tsm/node/0/p2p-key");
        sealed_under(&[("SecretARN", &mine), ("SecretVersionId", version)])
            .with("kms:ViaService", VIA_SECRETS_MANAGER)
    };
    // What the store tries when a secret gets its key.
    assert!(ask("kms:Decrypt", through_the_store("RequestToValidateKeyAccess")).is_allowed());
    assert!(ask("kms:GenerateDataKey", through_the_store("RequestToValidateKeyAccess")).is_allowed());
    // A version is stored, and not even the store opens it in this name.
    let version = "51af3dc0-da77-11e4-872e-1234567db123";
    assert!(ask("kms:GenerateDataKey", through_the_store(version)).is_allowed());
    assert_not_allowed(&ask("kms:Decrypt", through_the_store(version)), "a stored version");
    for action in ["kms:Decrypt", "kms:GenerateDataKey"] {
        let tried = [("SecretVersionId", "RequestToValidateKeyAccess")];
        assert_not_allowed(&ask(action, sealed_under(&tried)), action);
        assert_not_allowed(
            &ask(action, sealed_under(&tried).with("kms:ViaService", "ssm.eu-central-1.amazonaws.com")),
            action,
        );
        assert_not_allowed(&ask(action, pairs(&full("keyboot/tsm", "0"))), action);
    }
    for action in ["kms:CreateGrant", "kms:ReEncryptFrom", "kms:GenerateDataKeyPair", "kms:PutKeyPolicy"] {
        let via = Context::new().with("kms:ViaService", VIA_SECRETS_MANAGER);
        assert_not_allowed(&ask(action, via), action);
    }
}

#[test]
fn node_keys_reads_no_secret() {
    let deployed = Deployed::new(stack());
    let mine = secret("keyboot/tsm/node/0/p2p-key");
    for action in ["secretsmanager:GetSecretValue", "secretsmanager:BatchGetSecretValue"] {
        assert_denied_by("NeverReadASecret", &deployed.node_keys(action, &mine, Context::new()));
    }
    assert!(deployed.node_keys("secretsmanager:DescribeSecret", &mine, Context::new()).is_allowed());
    let elsewhere = deployed.node_keys("secretsmanager:DescribeSecret", &secret("other/a"), Context::new());
    assert_not_allowed(&elsewhere, "outside the namespace");
    // Not even when a policy of the secret allows it.
    let allows = json!({"Effect": "Allow", "Principal": {"AWS": role_arn("NodeKeysRole")}, "Action": "*", "Resource": "*"});
    let policy = ResourcePolicy::parse("of the secret", &json!({ "Statement": allows })).unwrap();
    let request = Request::new(node_keys(), "secretsmanager:GetSecretValue", &mine);
    let target = Target::in_account(HERE).with_policy(&policy);
    assert_denied_by(
        "NeverReadASecret",
        &decide(&request, &deployed.attached_to("NodeKeysRole"), &target).unwrap(),
    );
}

#[test]
fn node_keys_makes_secrets_only_in_its_stacks_name() {
    let deployed = Deployed::new(stack());
    let shared = Deployed::new(stack().parameter("ClientStackIds", OTHER_STACK));
    let (mine, foreign) = (secret("keyboot/tsm/node/0/p2p-key"), secret("elsewhere/tsm/node/0/p2p-key"));
    let tagged = |stack: &str| Context::new().with("aws:RequestTag/keyboot:stack", stack);
    for action in ["secretsmanager:CreateSecret", "secretsmanager:TagResource"] {
        assert!(deployed.node_keys(action, &mine, tagged(STACK)).is_allowed(), "{action}");
        assert_not_allowed(&deployed.node_keys(action, &mine, tagged(OTHER_STACK)), action);
        assert_not_allowed(&deployed.node_keys(action, &mine, Context::new()), action);
        assert_not_allowed(&deployed.node_keys(action, &foreign, tagged(STACK)), action);
        // A stack that the template names as a client.
        assert!(shared.node_keys(action, &mine, tagged(STACK)).is_allowed(), "{action}");
        assert!(shared.node_keys(action, &mine, tagged(OTHER_STACK)).is_allowed(), "{action}");
        assert_not_allowed(
            &shared.node_keys(action, &mine, tagged(&OTHER_STACK.replace("002", "003"))),
            action,
        );
    }
}

#[test]
fn node_keys_takes_no_secret_of_another_stack() {
    let deployed = Deployed::new(stack());
    let mine = secret("keyboot/tsm/node/0/p2p-key");
    let owned_by = |stack: &str| Context::new().with("aws:ResourceTag/keyboot:stack", stack);
    let tag = |context: Context| {
        deployed.node_keys(
            "secretsmanager:TagResource",
            &mine,
            context.with("aws:RequestTag/keyboot:stack", STACK),
        )
    };
    assert!(tag(owned_by(STACK)).is_allowed());
    assert!(tag(Context::new()).is_allowed(), "one that nobody owns");
    assert_denied_by("NeverTakeAnothersSecret", &tag(owned_by(OTHER_STACK)));
    for action in [
        "secretsmanager:DeleteSecret",
        "secretsmanager:PutSecretValue",
        "secretsmanager:RestoreSecret",
        "secretsmanager:UpdateSecret",
        "secretsmanager:UpdateSecretVersionStage",
    ] {
        let elsewhere = secret("elsewhere/tsm/node/0/p2p-key");
        assert_not_allowed(&deployed.node_keys(action, &elsewhere, owned_by(STACK)), action);
        assert!(deployed.node_keys(action, &mine, owned_by(STACK)).is_allowed(), "{action}");
        assert_not_allowed(&deployed.node_keys(action, &mine, owned_by(OTHER_STACK)), action);
        assert_not_allowed(&deployed.node_keys(action, &mine, Context::new()), action);
    }
}

const FORMER_STACK: &str =
    "arn:aws:cloudformation:eu-central-1:111122223333:stack/former/0f2c1c2e-9f0e-4f9a-8a53-000000000003";
const FORMER_KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/former-records";

fn tags(pairs: &[(&str, &str)]) -> Context {
    pairs.iter().fold(Context::new(), |context, (key, value)| context.with(key, *value))
}

/// A stack that is named gives its secrets, and gets them back; any other gives none.
#[test]
fn node_keys_takes_over_from_the_stacks_that_are_named() {
    let deployed = Deployed::new(stack());
    let adopting = Deployed::new(stack().parameter("AdoptFromStackIds", FORMER_STACK));
    let mine = secret("keyboot/tsm/node/0/p2p-key");
    let (from, to) = ("aws:ResourceTag/keyboot:stack", "aws:RequestTag/keyboot:stack");
    let adopted = ("aws:ResourceTag/keyboot:adopted-from", "keyboot/keyboot/tsm/0123456789abcdef");
    let tag = |deployed: &Deployed, context| deployed.node_keys("secretsmanager:TagResource", &mine, context);

    let taken = || tags(&[(from, FORMER_STACK), (to, STACK)]);
    assert!(tag(&adopting, taken()).is_allowed());
    assert_denied_by("NeverTakeAnothersSecret", &tag(&deployed, taken()));
    let strangers = tags(&[(from, OTHER_STACK), (to, STACK)]);
    assert_denied_by("NeverTakeAnothersSecret", &tag(&adopting, strangers));
    let outside =
        adopting.node_keys("secretsmanager:TagResource", &secret("other/tsm/node/0/p2p-key"), taken());
    assert_not_allowed(&outside, "outside the namespace");

    for owner in [STACK, FORMER_STACK] {
        let handed_back = || tags(&[(from, owner), (to, FORMER_STACK), adopted]);
        assert!(tag(&adopting, handed_back()).is_allowed());
        assert!(!tag(&deployed, handed_back()).is_allowed());
    }
    assert_not_allowed(
        &tag(&adopting, tags(&[(from, STACK), (to, FORMER_STACK)])),
        "one that was never taken over",
    );
    let given_away = tags(&[(from, STACK), (to, OTHER_STACK), adopted]);
    assert_not_allowed(&tag(&adopting, given_away), "to a stack that nobody named");
    let created = adopting.node_keys("secretsmanager:CreateSecret", &mine, tags(&[(to, FORMER_STACK)]));
    assert_not_allowed(&created, "a new secret in another stack's name");

    let restore = |deployed: &Deployed, owner: &str| {
        deployed.node_keys("secretsmanager:RestoreSecret", &mine, tags(&[(from, owner)]))
    };
    assert!(restore(&adopting, FORMER_STACK).is_allowed());
    assert_not_allowed(&restore(&deployed, FORMER_STACK), "not named");
    assert_not_allowed(&restore(&adopting, OTHER_STACK), "another");
    let delete = |more: &[(&str, &str)]| {
        let context = more
            .iter()
            .fold(tags(&[(from, FORMER_STACK)]), |context, (key, value)| context.with(key, *value));
        adopting.node_keys("secretsmanager:DeleteSecret", &mine, context)
    };
    assert!(delete(&[("secretsmanager:RecoveryWindowInDays", "30")]).is_allowed());
    assert_not_allowed(&delete(&[("secretsmanager:RecoveryWindowInDays", "7")]), "a shorter window");
    assert_not_allowed(&delete(&[("secretsmanager:ForceDeleteWithoutRecovery", "true")]), "by force");
    assert_not_allowed(&delete(&[]), "without a window");
}

#[test]
fn node_keys_takes_off_the_tags_of_an_adoption_and_no_others() {
    let deployed = Deployed::new(stack());
    let adopting = Deployed::new(stack().parameter("AdoptFromStackIds", FORMER_STACK));
    let mine = secret("keyboot/tsm/node/0/p2p-key");
    let untag = |deployed: &Deployed, owner: &str, keys: &[&str]| {
        let context = tags(&[("aws:ResourceTag/keyboot:stack", owner)]);
        let context = context.with_all("aws:TagKeys", keys.iter().copied());
        deployed.node_keys("secretsmanager:UntagResource", &mine, context)
    };
    let of_adoption = ["keyboot:adopted-from", "keyboot:adopted-from-stack", "keyboot:adopted-from-resource"];
    assert!(untag(&deployed, STACK, &of_adoption).is_allowed());
    assert!(untag(&adopting, FORMER_STACK, &of_adoption).is_allowed());
    assert_denied_by("NeverTakeAnothersSecret", &untag(&deployed, FORMER_STACK, &of_adoption));
    assert_denied_by("NeverTakeAnothersSecret", &untag(&adopting, OTHER_STACK, &of_adoption));
    for other in ["keyboot:owner", "keyboot:stack", "keyboot:generation", "mine"] {
        assert_not_allowed(&untag(&adopting, STACK, &[of_adoption[0], other]), other);
    }
    let no_keys = tags(&[("aws:ResourceTag/keyboot:stack", STACK)]);
    assert_not_allowed(&adopting.node_keys("secretsmanager:UntagResource", &mine, no_keys), "no keys at all");
}

#[test]
fn node_keys_asks_after_the_stacks_and_verifies_with_the_keys_that_are_named() {
    let deployed = Deployed::new(stack());
    let named =
        stack().parameter("AdoptFromStackIds", FORMER_STACK).parameter("FormerRecordKeyArns", FORMER_KEY);
    let adopting = Deployed::new(named);
    for action in ["cloudformation:DescribeStackResource", "cloudformation:DescribeStacks"] {
        for (asked, allowed) in [(STACK, true), (FORMER_STACK, true), (OTHER_STACK, false)] {
            let decision = adopting.node_keys(action, asked, Context::new());
            assert_eq!(decision.is_allowed(), allowed, "{action} {asked}");
        }
        assert_not_allowed(&deployed.node_keys(action, FORMER_STACK, Context::new()), action);
    }
    assert!(adopting.node_keys("kms:GetPublicKey", FORMER_KEY, Context::new()).is_allowed());
    assert_not_allowed(&adopting.node_keys("kms:Sign", FORMER_KEY, Context::new()), "signing");
    assert_not_allowed(&deployed.node_keys("kms:GetPublicKey", FORMER_KEY, Context::new()), "not named");
}

#[test]
fn node_keys_publishes_only_under_its_namespace() {
    let deployed = Deployed::new(stack());
    let parameter = |path: &str| format!("arn:aws:ssm:eu-central-1:{HERE}:parameter/{path}");
    for action in ["ssm:PutParameter", "ssm:GetParameters", "ssm:DeleteParameters", "ssm:AddTagsToResource"] {
        let ask = |path: &str| deployed.node_keys(action, &parameter(path), Context::new());
        for path in
            ["node/0/record", "node/0/env", "node/0/lease", "roster/index", "roster/1/page/0", "intent/0123"]
        {
            assert!(ask(&format!("keyboot/tsm/{path}")).is_allowed(), "{action} {path}");
        }
        assert_not_allowed(&ask("elsewhere/tsm/node/0/record"), action);
    }
    let by_path = deployed.node_keys("ssm:GetParametersByPath", &parameter("keyboot/tsm"), Context::new());
    assert_denied_by("NeverReadASecret", &by_path);
    for action in ["cloudformation:DescribeStackResource", "cloudformation:DescribeStacks"] {
        assert!(deployed.node_keys(action, STACK, Context::new()).is_allowed(), "{action}");
        assert_not_allowed(&deployed.node_keys(action, OTHER_STACK, Context::new()), action);
    }
}

#[test]
fn node_keys_says_who_may_read_its_own_secrets_and_never_everybody() {
    let deployed = Deployed::new(stack());
    let (mine, foreign) = (secret("keyboot/tsm/node/0/p2p-key"), secret("elsewhere/tsm/node/0/p2p-key"));
    let of = |stack: &str| Context::new().with("aws:ResourceTag/keyboot:stack", stack);
    let blocked = |context: Context| context.with("secretsmanager:BlockPublicPolicy", "true");
    for action in ["secretsmanager:GetResourcePolicy", "secretsmanager:DeleteResourcePolicy"] {
        assert!(deployed.node_keys(action, &mine, of(STACK)).is_allowed(), "{action}");
        assert_not_allowed(&deployed.node_keys(action, &mine, of(OTHER_STACK)), "another stack's");
        assert_not_allowed(&deployed.node_keys(action, &mine, Context::new()), "nobody's");
        assert_not_allowed(&deployed.node_keys(action, &foreign, of(STACK)), "outside the namespace");
    }
    let put = |resource: &str, context: Context| {
        deployed.node_keys("secretsmanager:PutResourcePolicy", resource, context)
    };
    assert!(put(&mine, blocked(of(STACK))).is_allowed());
    assert_not_allowed(&put(&mine, of(STACK)), "public policies are not blocked");
    let open = of(STACK).with("secretsmanager:BlockPublicPolicy", "false");
    assert_not_allowed(&put(&mine, open), "public policies are let through");
    assert_not_allowed(&put(&mine, blocked(of(OTHER_STACK))), "another stack's");
    assert_not_allowed(&put(&mine, blocked(Context::new())), "nobody's");
    assert_not_allowed(&put(&foreign, blocked(of(STACK))), "outside the namespace");
    let shared = Deployed::new(stack().parameter("ClientStackIds", OTHER_STACK));
    let theirs = blocked(of(OTHER_STACK));
    assert!(shared.node_keys("secretsmanager:PutResourcePolicy", &mine, theirs).is_allowed());
}

/// Whoever has a secret rotated chooses the function that is handed the right to renew it.
#[test]
fn node_keys_has_its_own_secrets_rotated_by_key_rotation_and_by_nothing_else() {
    let deployed = Deployed::new(stack());
    let shared = Deployed::new(stack().parameter("ClientStackIds", OTHER_STACK));
    let (mine, foreign) = (secret("keyboot/tsm/node/0/p2p-key"), secret("elsewhere/tsm/node/0/p2p-key"));
    let function = function_arn("KeyRotationFunction");
    let asked = |function: &str, context: Context| context.with("secretsmanager:RotationLambdaARN", function);
    let by = |function: &str, context: Context| {
        asked(function, context).with("secretsmanager:RotateImmediately", "false")
    };
    let rotate =
        |resource: &str, context| deployed.node_keys("secretsmanager:RotateSecret", resource, context);
    assert!(rotate(&mine, by(&function, owned_by(STACK))).is_allowed());
    for (other, why) in [
        (function_arn("NodeKeysFunction"), "itself"),
        (format!("{function}:1"), "a version, which may be an old one"),
        (function.replace(HERE, ELSEWHERE), "another account's"),
        (function.replace("eu-central-1", "eu-west-1"), "another Region's"),
    ] {
        assert_not_allowed(&rotate(&mine, by(&other, owned_by(STACK))), why);
    }
    // A rotation that is asked for without a function is by the one that is set, whichever that is.
    let unnamed = owned_by(STACK).with("secretsmanager:RotateImmediately", "false");
    assert_not_allowed(&rotate(&mine, unnamed), "by a function that is not named");
    let at_once = asked(&function, owned_by(STACK)).with("secretsmanager:RotateImmediately", "true");
    assert_not_allowed(&rotate(&mine, at_once), "at once");
    // That Secrets Manager tells it of every request is in no page: a request that it says nothing of passes.
    assert!(rotate(&mine, asked(&function, owned_by(STACK))).is_allowed());
    assert_not_allowed(&rotate(&mine, by(&function, owned_by(OTHER_STACK))), "another stack's");
    assert_not_allowed(&rotate(&mine, by(&function, Context::new())), "nobody's");
    assert_not_allowed(&rotate(&foreign, by(&function, owned_by(STACK))), "outside the namespace");

    let cancel =
        |resource: &str, context| deployed.node_keys("secretsmanager:CancelRotateSecret", resource, context);
    assert!(cancel(&mine, owned_by(STACK)).is_allowed());
    assert_not_allowed(&cancel(&mine, owned_by(OTHER_STACK)), "another stack's");
    assert_not_allowed(&cancel(&mine, Context::new()), "nobody's");
    assert_not_allowed(&cancel(&foreign, owned_by(STACK)), "outside the namespace");

    for (action, context) in [
        ("secretsmanager:RotateSecret", by(&function, owned_by(OTHER_STACK))),
        ("secretsmanager:CancelRotateSecret", owned_by(OTHER_STACK)),
    ] {
        assert!(shared.node_keys(action, &mine, context).is_allowed(), "{action} of a client's");
    }
}

/// Secrets Manager takes a function from those who may invoke it (Secrets Manager API Reference,
/// `RotateSecret`). The other one is where its own failures go.
#[test]
fn node_keys_invokes_key_rotation_and_unanswered_and_passes_no_role_on() {
    let deployed = Deployed::new(stack());
    let ask = |action: &str, resource: &str| deployed.node_keys(action, resource, Context::new());
    for function in ["KeyRotationFunction", "UnansweredFunction"] {
        assert!(ask("lambda:InvokeFunction", &function_arn(function)).is_allowed(), "{function}");
        for action in ["lambda:AddPermission", "lambda:UpdateFunctionCode", "lambda:GetFunction"] {
            assert_not_allowed(&ask(action, &function_arn(function)), action);
        }
    }
    for other in ["NodeKeysFunction", "KeyRotationFunction:1", "another"] {
        assert_not_allowed(&ask("lambda:InvokeFunction", &function_arn(other)), other);
    }
    for role in ["NodeKeysRole", "KeyRotationRole", "SchedulerRole"] {
        assert_not_allowed(&ask("iam:PassRole", &role_arn(role)), role);
    }
    let schedule =
        format!("arn:aws:scheduler:eu-central-1:{HERE}:schedule/ScheduleGroup/keyboot-RetirementSchedule");
    for action in ["scheduler:CreateSchedule", "scheduler:UpdateSchedule", "scheduler:DeleteSchedule"] {
        assert_not_allowed(&ask(action, &schedule), action);
    }
}
