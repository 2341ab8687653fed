//! Who uses the key of databases, volumes and logins: every role here has a policy of its own that allows everything,
//! so that nothing but the key's policy keeps it out.

use policies::{Context, Principal};

use super::{
    SCALING_ROLE, administrator, assert_not_allowed, for_secret, login, master, resolve, role_arn, session,
    stack, with_storage_key,
};
use crate::asking::{ELSEWHERE, HERE, root};

/// Everything that KMS does with a key that encrypts, and manages about it.
const ACTIONS: &str = "CancelKeyDeletion CreateAlias CreateGrant Decrypt DeleteAlias DeleteImportedKeyMaterial \
    DeriveSharedSecret DescribeKey DisableKey DisableKeyRotation EnableKey EnableKeyRotation Encrypt \
    GenerateDataKey GenerateDataKeyPair GenerateDataKeyPairWithoutPlaintext GenerateDataKeyWithoutPlaintext \
    GenerateMac GetKeyPolicy GetKeyRotationStatus GetParametersForImport GetPublicKey ImportKeyMaterial \
    ListAliases ListGrants ListKeyPolicies ListKeyRotations ListResourceTags PutKeyPolicy ReEncryptFrom \
    ReEncryptTo ReplicateKey RetireGrant RevokeGrant RotateKeyOnDemand ScheduleKeyDeletion Sign TagResource \
    UntagResource UpdateAlias UpdateKeyDescription UpdatePrimaryRegion Verify VerifyMac";

/// What uses a key, or lends it.
const USES: &[&str] = &[
    "CreateGrant",
    "Decrypt",
    "DeriveSharedSecret",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext",
    "GenerateDataKeyWithoutPlaintext",
    "GenerateMac",
    "ReEncryptFrom",
    "ReEncryptTo",
    "ReplicateKey",
    "RetireGrant",
    "Sign",
    "Verify",
    "VerifyMac",
];

fn allowed(who: &Principal, context: &Context) -> Vec<&'static str> {
    let resolved = resolve(stack());
    let policy = super::storage_key_policy(&resolved);
    let ask = |action: &str| {
        let request = policies::Request::new(who.clone(), &format!("kms:{action}"), super::STORAGE_KEY);
        let request = request.with(context.clone());
        policies::decide(&request, &administrator(), &policies::Target::kms_key(HERE, &policy)).unwrap()
    };
    ACTIONS.split_whitespace().filter(|action| ask(action).is_allowed()).collect()
}

fn uses(who: &Principal, context: &Context) -> Vec<&'static str> {
    allowed(who, context).into_iter().filter(|action| USES.contains(action)).collect()
}

/// Administrators manage the key; what they make under it, services ask for, and nothing is opened.
#[test]
fn the_account_manages_the_key_and_opens_nothing() {
    for who in [root(HERE), session("admin")] {
        let managed = allowed(&who, &Context::new());
        for action in ["DescribeKey", "ListGrants", "PutKeyPolicy", "ScheduleKeyDeletion"] {
            assert!(managed.contains(&action), "{action}");
        }
        assert_eq!(uses(&who, &Context::new()), [""; 0]);
        let of_volume = Context::new().with("kms:EncryptionContext:aws:ebs:id", "vol-0a1b2c3d");
        assert_eq!(uses(&who, &of_volume), [""; 0]);
        // As Secrets Manager asks when a secret is made, and when one is read.
        assert_eq!(
            uses(&who, &for_secret(&login("0"), "RequestToValidateKeyAccess")),
            ["Decrypt", "GenerateDataKey"]
        );
        for arn in [login("0"), master("0")] {
            assert_eq!(uses(&who, &for_secret(&arn, "1")), ["GenerateDataKey"], "{arn}");
        }
        let past_the_store =
            Context::new().with("kms:EncryptionContext:SecretVersionId", "RequestToValidateKeyAccess");
        assert_eq!(uses(&who, &past_the_store), [""; 0]);
    }
}

/// RDS and Secrets Manager are lent the key for whoever makes a database; nobody lends it to himself.
#[test]
fn the_key_is_lent_to_services_only() {
    let resolved = resolve(stack());
    let lend = |who: &Principal, service: Option<&str>, to_service: &str| {
        let context = Context::new().with("kms:GrantIsForAWSResource", to_service);
        let via = service.map(|service| format!("{service}.eu-central-1.amazonaws.com"));
        let context = via.into_iter().fold(context, |context, via| context.with("kms:ViaService", via));
        with_storage_key(&resolved, who, &administrator(), "kms:CreateGrant", context)
    };
    let admin = session("admin");
    for service in ["rds", "secretsmanager"] {
        assert!(lend(&admin, Some(service), "true").is_allowed(), "{service}");
        assert_not_allowed(&lend(&admin, Some(service), "false"), "for somebody");
    }
    for service in ["ec2", "lambda", "dynamodb"] {
        assert_not_allowed(&lend(&admin, Some(service), "true"), service);
    }
    assert_not_allowed(&lend(&admin, None, "true"), "by hand");
    let scaling = session(SCALING_ROLE);
    assert!(lend(&scaling, None, "true").is_allowed(), "for a volume");
    assert_not_allowed(&lend(&scaling, None, "false"), "for somebody");
}

/// The groups' own role encrypts volumes. Auto Scaling's role for other groups, and a role of such a name elsewhere in the
/// account, do not.
#[test]
fn volumes_are_encrypted_by_the_groups_of_the_stack() {
    let of_volume = Context::new().with("kms:EncryptionContext:aws:ebs:id", "vol-0a1b2c3d");
    let wanted = [
        "Decrypt",
        "Encrypt",
        "GenerateDataKey",
        "GenerateDataKeyWithoutPlaintext",
        "ReEncryptFrom",
        "ReEncryptTo",
    ];
    assert_eq!(uses(&session(SCALING_ROLE), &of_volume), wanted);
    for other in [
        "aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling",
        "aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling_keyboot-ffffffff",
        super::SCALING_NAME,
    ] {
        assert_eq!(uses(&session(other), &of_volume), [""; 0], "{other}");
    }
    // What is no volume's is none of its business.
    for arn in [login("0"), master("0")] {
        assert!(!uses(&session(SCALING_ROLE), &for_secret(&arn, "1")).contains(&"Decrypt"), "{arn}");
    }
}

/// Only names that are exactly a node's, or its function's, open logins; and only the latter, master passwords.
#[test]
fn logins_are_opened_by_whose_name_is_exactly_a_nodes() {
    let opens = |name: &str, arn: &str| uses(&session(name), &for_secret(arn, "1")).contains(&"Decrypt");
    for index in ["0", "1"] {
        assert!(opens(&format!("tsm-node-{index}"), &login(index)));
        assert!(!opens(&format!("tsm-node-{index}"), &master(index)), "a node, a master password");
        assert!(opens(&format!("tsm-node-{index}-database-login"), &login(index)));
        assert!(opens(&format!("tsm-node-{index}-database-login"), &master(index)));
    }
    for name in [
        "tsm-node-2",
        "tsm-node-00",
        "tsm-node-x-0",
        "tsm-node-",
        "nodes/tsm-node-0",
        "other-0",
        "tsm-node-0x",
        "tsm-node-2-database-login",
        "tsm-node-x-0-database-login",
        "tsm-node--0-database-login",
        "x/tsm-node-0-database-login",
        "tsm-node-0-database-login-x",
        "admin-0-database-login",
    ] {
        for arn in [login("0"), master("0")] {
            assert!(!opens(name, &arn), "{name} opens {arn}");
        }
    }
    // The same names in another account, whatever their own policies say.
    let theirs = Principal::role(&role_arn("tsm-node-0").replace(HERE, ELSEWHERE), "session").unwrap();
    assert_eq!(allowed(&theirs, &for_secret(&login("0"), "1")), [""; 0]);
    // Past Secrets Manager nobody opens anything.
    let direct = Context::new().with("kms:EncryptionContext:SecretARN", login("0"));
    assert_eq!(uses(&session("tsm-node-0"), &direct), [""; 0]);
    let by_ssm = direct.with("kms:ViaService", "ssm.eu-central-1.amazonaws.com");
    assert_eq!(uses(&session("tsm-node-0"), &by_ssm), [""; 0]);
}
