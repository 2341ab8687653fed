//! No secret leaves the process but to its store: a whole life of clusters on the local AWS, with
//! every log switched on, and then a search for every secret of it in every other place.
//!
//! A search that finds nothing proves nothing by itself, so the same run ends with a function that
//! leaks on purpose: what it leaks must be found, in each place and in each spelling.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends that way")]

mod leaking;
mod life;
mod on_a_node;
mod places;
mod record;
mod secret;

use std::collections::BTreeSet;

use life::Life;
use places::PLACES;
use record::Calls;
use rig::calls::{KEY_ROTATION_OPERATIONS, NODE_KEYS_OPERATIONS};
use secret::Secret;
use spelling::Search;

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_in_its_store_and_nowhere_else_and_the_search_sees_every_other_place() {
    let life = Life::begin().await.unwrap();
    life.serve_clusters_and_fail().await.unwrap();

    let stored = life.read_the_store().await.unwrap();
    // By the request: the KMS Stack's own node with its four purposes, and the clusters'.
    assert_eq!(stored.len(), 4 + life::CLUSTERS.len() * life::NODES.len() * life::PURPOSES);
    life.rotate().await.unwrap();
    let rotated = life.read_the_store().await.unwrap();
    assert_eq!(rotated.iter().filter(|secret| !stored.contains(secret)).count(), 4, "not rotated");
    let calls = record::read(&life.ministack).unwrap();
    let sent = all_secrets(&life, &calls);
    for secret in stored.iter().chain(&rotated) {
        assert!(sent.contains(secret), "{} was stored by no call", secret.label);
    }
    let mut secrets = sent;
    secrets.extend(calls.tokens());
    let search = secret::search(&secrets);

    let mut findings = Vec::new();
    findings.extend(look(&life, &search, "while the clusters stood", true).await);
    life.delete_clusters().await.unwrap();
    findings.extend(look(&life, &search, "after the clusters had gone", true).await);
    life.delete_the_kms_stack().await.unwrap();
    // Later operations made no secret, but brought their own answers' URLs.
    let calls = record::read(&life.ministack).unwrap();
    let mut secrets = all_secrets(&life, &calls);
    secrets.extend(calls.tokens());
    let search = secret::search(&secrets);
    findings.extend(look(&life, &search, "after the function had gone", false).await);
    findings.extend(calls.faults(&life.role, NODE_KEYS_OPERATIONS, &search));
    findings.extend(calls.faults(&life.rotating_role, KEY_ROTATION_OPERATIONS, &search));
    assert_eq!(calls.rotation_tokens(), 0, "a credential of a rotation was sent on");
    assert!(findings.is_empty(), "{}", findings.join("\n"));

    let canaries = leaking::canaries().unwrap();
    let search = secret::search(canaries.iter().map(|canary| &canary.secret));
    assert_eq!(look(&life, &search, "before anything leaked", false).await, Vec::<String>::new());
    let leaked = leaking::leak(&life, &canaries).await.unwrap();
    let mut unseen = Vec::new();
    let found = places::look(&life.ministack, &life.root).await.unwrap();
    for &place in PLACES {
        let seen = search.in_bytes(&found[place]);
        unseen.extend(
            leaked
                .in_place(place)
                .filter(|label| !seen.contains(label))
                .map(|label| format!("{label} was planted in {place} and not found")),
        );
    }
    // The secret part of the response URL is seen in the log when it is printed there.
    let tokens = record::read(&life.ministack).unwrap().tokens();
    if secret::search(&tokens).in_bytes(&found[places::FUNCTION_LOGS]).is_empty() {
        unseen.push("a response URL was printed and not found".to_owned());
    }
    assert!(unseen.is_empty(), "{}", unseen.join("\n"));
}

/// Every secret that either function sent.
fn all_secrets(life: &Life, calls: &Calls) -> Vec<Secret> {
    [&life.role, &life.rotating_role].iter().flat_map(|role| calls.secrets(role).unwrap()).collect()
}

/// What is found of the secrets now, as lines. Where `all` is said, every place must hold something.
async fn look(life: &Life, search: &Search, when: &str, all: bool) -> Vec<String> {
    life.wait_for_the_logs().await.unwrap();
    let found = places::look(&life.ministack, &life.root).await.unwrap();
    assert_eq!(found.keys().copied().collect::<BTreeSet<_>>(), PLACES.iter().copied().collect());
    let mut lines = Vec::new();
    for (place, bytes) in found {
        if all && bytes.is_empty() && !places::MAY_BE_EMPTY.contains(&place) {
            lines.push(format!("{when}, {place} held nothing at all: the search does not see it"));
        }
        lines
            .extend(search.in_bytes(&bytes).into_iter().map(|secret| format!("{when}, {secret} in {place}")));
    }
    lines
}
