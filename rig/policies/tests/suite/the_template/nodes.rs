//! What the role of a node may do.

use policies::template::Stack;
use policies::{Context, Decision, Principal, Request, Side, Target, decide};

use super::{
    Deployed, STACK, VIA_SECRETS_MANAGER, administrator, assert_not_allowed, full, node, pairs, role_arn,
    sealed_under, secret, stack,
};
use crate::asking::HERE;

#[test]
fn a_node_reads_its_own_secrets() {
    let deployed = Deployed::new(stack());
    let ask = |index: usize, resource: &str| {
        let attached = [deployed.policy(&format!("NodeReader{index}"))];
        let request = Request::new(node(index), "secretsmanager:GetSecretValue", resource);
        decide(&request, &attached, &Target::in_account(HERE)).unwrap()
    };
    for (reads, other) in [(0, 1), (1, 0)] {
        for purpose in ["p2p-key", "share-encryption-password"] {
            let of = |index: usize| secret(&format!("keyboot/tsm/node/{index}/{purpose}"));
            assert!(ask(reads, &of(reads)).is_allowed(), "node {reads}: {purpose}");
            assert_not_allowed(&ask(reads, &of(other)), "another node's");
        }
        assert_not_allowed(
            &ask(reads, &secret(&format!("keyboot/tsm/node/{reads}/api-key/default"))),
            "an API key",
        );
        assert_not_allowed(
            &ask(reads, &secret(&format!("keyboot/other/node/{reads}/p2p-key"))),
            "another cluster's",
        );
        // Six characters follow a name, no more.
        assert_not_allowed(
            &ask(reads, &secret(&format!("keyboot/tsm/node/{reads}/p2p-key-longer"))),
            "a longer name",
        );
    }
}

#[test]
fn a_node_opens_what_is_its_own() {
    let deployed = Deployed::new(stack());
    let through_the_store = |secret_of: &str| {
        sealed_under(&[("SecretARN", secret_of), ("SecretVersionId", "1")])
            .with("kms:ViaService", VIA_SECRETS_MANAGER)
    };
    let of = |index: usize| secret(&format!("keyboot/tsm/node/{index}/p2p-key"));
    assert!(deployed.node_with_secrets_key(0, through_the_store(&of(0))).is_allowed());
    for (context, why) in [
        (through_the_store(&of(1)), "another node's secret"),
        (sealed_under(&[("SecretARN", &of(0))]), "past the store"),
        (pairs(&full("keyboot/tsm", "1")), "another's envelope"),
        (pairs(&full("keyboot/other", "0")), "another cluster's"),
        (Context::new(), "without a context"),
    ] {
        assert!(!deployed.node_with_secrets_key(0, context).is_allowed(), "{why}");
    }

    assert!(deployed.node_with_secrets_key(0, pairs(&full("keyboot/tsm", "0"))).is_allowed());
    assert!(deployed.node_with_secrets_key(1, pairs(&full("keyboot/tsm", "1"))).is_allowed());

    // The key policy names the roles: a node that it does not name opens nothing with any policy.
    let stranger = Principal::role(&role_arn("node-9"), "instance").unwrap();
    let envelope = || pairs(&full("keyboot/tsm", "0"));
    let decision = deployed.with_secrets_key(stranger, &administrator(), "kms:Decrypt", envelope());
    assert_eq!(decision, Decision::DeniedImplicitly(Side::Resource));
    let none_named = Deployed::new(Stack::new(STACK).unwrap().parameter("Nodes", "0,1"));
    let decision = none_named.node_with_secrets_key(0, envelope());
    assert_eq!(decision, Decision::DeniedImplicitly(Side::Resource));
    // And the role's own policy is needed beside it.
    let decision = deployed.with_secrets_key(node(0), &[], "kms:Decrypt", envelope());
    assert_eq!(decision, Decision::DeniedImplicitly(Side::Identity));
}

#[test]
fn a_node_sees_public_documents() {
    let deployed = Deployed::new(stack());
    let ask = |action: &str, path: &str| {
        let resource = format!("arn:aws:ssm:eu-central-1:{HERE}:parameter/keyboot/tsm/{path}");
        let request = Request::new(node(0), action, &resource);
        decide(&request, &[deployed.policy("NodeReader0")], &Target::in_account(HERE)).unwrap()
    };
    for path in ["node/0/record", "node/1/record", "node/0/env", "roster/index", "roster/1/page/0"] {
        assert!(ask("ssm:GetParameter", path).is_allowed(), "{path}");
        assert_not_allowed(&ask("ssm:PutParameter", path), path);
    }
    assert_not_allowed(&ask("ssm:GetParameter", "node/1/env"), "another node's environment");
}
