//! What a declaration may say, and what is told of one that is wrong: where, what is allowed, and never the value.

use keyboot_onprem::chain::Role;
use keyboot_onprem::declaration::Declaration;
use keyboot_onprem::error::OnpremError;
use provisioning::properties::{OnDelete, SealingKeyArn};
use provisioning::sealing::Protection;
use provisioning::store::Store;
use provisioning::version_label::RegenerateToken;

const CLUSTER: &str = "owner = \"ops\"\n[[cluster]]\nname = \"tsm\"\nnodes = [0, 1, 2]\n";
const CHAIN: &str =
    "owner = \"ops\"\n[[chain]]\nname = \"l2\"\nchain-id = 901\nl1-chain-id = 1\nroles = [\"batcher\"]\n";

fn parse(text: &str) -> Declaration {
    Declaration::parse(text).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

#[test]
fn what_is_left_out_is_as_in_aws() {
    let declaration = parse(CLUSTER);
    let cluster = &declaration.clusters[0];
    assert_eq!(cluster.name.as_str(), "keyboot/tsm");
    let key = SealingKeyArn::of_transit(&"ops".parse().unwrap(), &"seal".parse().unwrap());
    let spec = cluster.to_spec(key.clone());
    assert_eq!(spec.nodes.len(), 3);
    assert_eq!(spec.curve.name(), "P-256");
    assert_eq!(spec.applications.len(), 1);
    assert!(spec.management_key && spec.share_password && spec.rotation.is_none());
    assert_eq!((spec.store, spec.protection, spec.kms_key), (Store::Vault, Protection::Envelope, key));
    assert_eq!(spec.deletion.others, OnDelete::Schedule { days: 30 });
    assert_eq!(spec.deletion.share_password, OnDelete::Retain);
}

#[test]
fn all_of_it_can_be_said() {
    let declaration = parse(
        r#"
        owner = "ops"
        namespace = "keyboot/prod"
        [[cluster]]
        name = "tsm"
        nodes = [0, 7]
        curve = "P-384"
        applications = ["default", "wallet"]
        management-key = false
        share-encryption-password = false
        protection = "Service"
        node-domain = "tsm.internal"
        regenerate = "2026-11"
        rotate-api-keys-every = "rate(30 days)"
        rotate-p2p-keys-every = "cron(0 8 1 * ? *)"
        overlap-hours = 48
        cut-over-minutes = 30
        on-delete = "Retain"
        recovery-window-days = 7
        share-secret-on-delete = "Schedule"
        adopt-from = "keyboot/keyboot/prod/tsm/0123456789abcdef"
        [[chain]]
        name = "l2"
        chain-id = 901
        l1-chain-id = 11155111
        roles = ["sequencer", "batcher"]
        nodes = [0, 1]
        node-domain = "l2.internal"
        p2p-port = 9003
        regenerate = { batcher = "2026-11", p2p = "first" }
        on-delete = "Schedule"
        recovery-window-days = 14
        adopt-from = "keyboot/keyboot/prod/l2/0123456789abcdef"
        "#,
    );
    let (cluster, chain) = (&declaration.clusters[0], &declaration.chains[0]);
    let rotating = cluster.rotation.as_ref().unwrap();
    assert_eq!((rotating.overlap_hours, rotating.cut_over_minutes), (48, 30));
    assert_eq!(cluster.deletion.share_password, OnDelete::Schedule { days: 7 });
    assert_eq!(chain.roles, [Role::Batcher, Role::Sequencer].into());
    assert_eq!((chain.p2p_port, chain.on_delete), (9003, OnDelete::Schedule { days: 14 }));
    let nodes = chain.to_cluster();
    assert_eq!((nodes.name.as_str(), nodes.curve.name()), ("keyboot/prod/l2", "secp256k1"));
    let purposes =
        nodes.to_spec(SealingKeyArn::of_transit(&"ops".parse().unwrap(), &"seal".parse().unwrap()));
    assert_eq!(purposes.purposes().len(), 1);
    assert_eq!(nodes.regenerate.as_ref().map(RegenerateToken::as_str), Some("first"));
    assert!(declaration.chain("l2").is_ok() && declaration.chain("keyboot/prod/l2").is_ok());
    assert!(
        matches!(declaration.chain("tsm"), Err(OnpremError::Config(told)) if told.contains("keyboot/prod/l2"))
    );
}

#[test]
fn a_digest_is_of_what_is_declared_and_not_of_how_it_is_written() {
    let digest = |text: &str| parse(text).clusters[0].digest.clone();
    let one = digest(CLUSTER);
    assert_eq!(digest("# a comment\nowner=\"ops\"\n[[cluster]]\nnodes=[0,1,2]\nname=\"tsm\""), one);
    for other in [
        CLUSTER.replace("ops", "others"),
        CLUSTER.replace("[0, 1, 2]", "[0, 1]"),
        CLUSTER.replacen("[[cluster]]", "namespace = \"other\"\n[[cluster]]", 1),
    ] {
        assert_ne!(digest(&other), one, "{other}");
    }
}

/// A value that no message may repeat.
const NEEDLE: &str = "q9NeedleValue";

/// Texts with one thing wrong, and what is told of it.
fn wrong() -> Vec<(String, &'static str)> {
    let cluster = |line: &str| format!("{CLUSTER}{line}\n");
    let chain = |line: &str| format!("{CHAIN}{line}\n");
    let without = |text: &str, line: &str| {
        text.lines().filter(|each| !each.starts_with(line)).collect::<Vec<_>>().join("\n")
    };
    vec![
        (without(CLUSTER, "owner"), "owner is missing"),
        (CLUSTER.replace("\"ops\"", &format!("\"{NEEDLE}!\"")), "owner is not a valid value"),
        ("owner = \"ops\"\n".to_owned(), "cluster is missing, and so is chain"),
        (format!("{NEEDLE} = 1\n{CLUSTER}"), "q9NeedleValue is unknown"),
        (without(CLUSTER, "name"), "cluster[0].name is missing"),
        (CLUSTER.replace("\"tsm\"", &format!("\"{NEEDLE}\"")), "cluster[0].name is not a valid value"),
        (without(CLUSTER, "nodes"), "cluster[0].nodes is missing or empty"),
        (CLUSTER.replace("[0, 1, 2]", "[0, -1]"), "cluster[0].nodes[1] is not a node's index"),
        (CLUSTER.replace("[0, 1, 2]", "[0, 100000]"), "cluster[0].nodes[1] is not a node's index"),
        (
            CLUSTER.replace("[0, 1, 2]", &format!("[0, \"{NEEDLE}\"]")),
            "cluster[0].nodes[1] is not a node's index",
        ),
        (CLUSTER.replace("[0, 1, 2]", "[4, 4]"), "cluster[0].nodes[1] is named twice"),
        (
            cluster(&format!("curve = \"{NEEDLE}\"")),
            "cluster[0].curve is not a valid value: it must be P-256, P-384",
        ),
        (cluster("applications = []"), "cluster[0].applications is empty"),
        (
            cluster(&format!("applications = [\"{NEEDLE}\"]")),
            "cluster[0].applications[0] is not a valid value",
        ),
        (cluster("applications = [\"a\", \"a\"]"), "cluster[0].applications[1] is named twice"),
        (cluster(&format!("management-key = \"{NEEDLE}\"")), "cluster[0].management-key is neither"),
        (cluster(&format!("protection = \"{NEEDLE}\"")), "cluster[0].protection is not one of the values"),
        (cluster(&format!("node-domain = \"{NEEDLE}\"")), "cluster[0].node-domain is not a DNS suffix"),
        (cluster(&format!("regenerate = \"{NEEDLE} \"")), "cluster[0].regenerate is not a valid value"),
        (
            cluster("rotate-api-keys-every = \"daily\""),
            "cluster[0].rotate-api-keys-every is not a valid value",
        ),
        (
            cluster("overlap-hours = 1"),
            "cluster[0].overlap-hours is not a number in this range: it must be a whole",
        ),
        (
            cluster("rotate-api-keys-every = \"rate(4 hours)\""),
            "cluster[0].overlap-hours is longer than rotate-api-keys-every",
        ),
        (
            cluster("rotate-p2p-keys-every = \"rate(4 hours)\"\ncut-over-minutes = 241"),
            "cluster[0].cut-over-minutes is longer",
        ),
        (cluster(&format!("on-delete = \"{NEEDLE}\"")), "cluster[0].on-delete is not one of the values"),
        (
            cluster("recovery-window-days = 31"),
            "cluster[0].recovery-window-days is not a number in this range",
        ),
        (cluster(&format!("adopt-from = \"{NEEDLE}\"")), "cluster[0].adopt-from is not a valid value"),
        (
            cluster("adopt-from = \"keyboot/keyboot/other/0123456789abcdef\""),
            "cluster[0].adopt-from is of another name",
        ),
        (cluster("Nodes = [1]"), "cluster[0].Nodes is unknown"),
        (cluster("roles = [\"batcher\"]"), "cluster[0].roles is unknown"),
        (without(CHAIN, "chain-id"), "chain[0].chain-id is missing"),
        (without(CHAIN, "l1-chain-id"), "chain[0].l1-chain-id is missing"),
        (CHAIN.replace("901", "0"), "chain[0].chain-id is not a number in this range"),
        (CHAIN.replace("901", "1"), "chain[0].l1-chain-id is the chain's own"),
        (without(CHAIN, "roles"), "chain[0].roles is missing or empty, and so is nodes"),
        (CHAIN.replace("batcher", NEEDLE), "chain[0].roles[0] is no role that is known"),
        (CHAIN.replace("[\"batcher\"]", "[\"batcher\", \"batcher\"]"), "chain[0].roles[1] is named twice"),
        (
            CHAIN.replace("batcher", "unsafe-block-signer"),
            "chain[0].roles[0] is the key that the sequencer signs with",
        ),
        (chain("p2p-port = 0"), "chain[0].p2p-port is not a number in this range"),
        (chain("regenerate = \"x\""), "chain[0].regenerate is not a table"),
        (
            chain(&format!("regenerate = {{ {NEEDLE} = \"x\" }}")),
            "chain[0].regenerate.q9NeedleValue is unknown",
        ),
        (
            chain(&format!("regenerate = {{ batcher = \"{NEEDLE} \" }}")),
            "chain[0].regenerate.batcher is not a valid",
        ),
        (chain("applications = [\"a\"]"), "chain[0].applications is unknown"),
        (
            format!("{CLUSTER}{}", CLUSTER.replace("owner = \"ops\"\n", "")),
            "cluster[1].name is the name of another",
        ),
        (
            format!("{CLUSTER}{}", CHAIN.replace("owner = \"ops\"\n", "").replace("\"l2\"", "\"tsm\"")),
            "chain[0].name is the name of another",
        ),
        (format!("cluster = 1\n{CHAIN}"), "cluster is not a list"),
        (format!("owner = {NEEDLE}"), "it is no TOML"),
    ]
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_without_its_value() {
    for (text, told) in wrong() {
        let error =
            Declaration::parse(&text).err().unwrap_or_else(|| panic!("nothing is wrong with\n{text}"));
        let shown = error.to_string();
        assert!(shown.contains(told), "{text}\n{shown}");
        assert!(shown.contains(NEEDLE) == told.contains(NEEDLE), "it repeats a value: {shown}");
        assert!(shown.contains(": it must be ") || shown.contains("no TOML"), "{shown}");
        assert_eq!(error.code(), 78, "{shown}");
    }
}

#[test]
fn a_role_that_may_change_the_chain_is_refused_with_the_hardware_wallet() {
    for role in ["admin", "proxy-admin", "guardian", "system-config-owner", "superchain-config"] {
        let error = Declaration::parse(&CHAIN.replace("batcher", role)).unwrap_err().to_string();
        assert!(error.contains("chain[0].roles[0]"), "{error}");
        assert!(error.contains("cast wallet address --ledger"), "{error}");
        assert!(error.contains("cast send"), "{error}");
    }
}
