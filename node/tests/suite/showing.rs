//! `status`: the whole cluster, as JSON and as a table.

use keyboot_node::reader::Reader;
use keyboot_node::status::{DatabaseLogin, to_json, to_text};
use provisioning::record::KeyState;
use reading::ClusterView;
use tempfile::TempDir;

use crate::world::{SIGNER, World, accepted, config, now, record, rotated, run, sign};

/// Of three nodes one was rotated, of one a key retires, and one's record is not believed.
fn view() -> ClusterView {
    let mut world = World::new();
    world.publish(&rotated(0, "2026-02-01T01:00:00Z"));
    let mut second = record(1);
    second.management_keys.push(accepted("older", "v0"));
    second.management_keys[1].state = KeyState::Retiring;
    second.management_keys[1].until = Some("2026-02-02T00:00:00Z".parse().unwrap());
    world.publish(&second);
    world.documents.insert("/keyboot/tsm/node/2/record".into(), sign(&record(2), SIGNER, 2));
    let folder = TempDir::new().unwrap();
    let config = config(folder.path(), "", "");
    let view = run(Reader::new(&world, &config).unwrap().view_without_keeping()).unwrap();
    assert!(!config.state.exists());
    view
}

#[test]
fn the_form_of_the_json_is_this_one() {
    assert_eq!(format!("{:#}\n", to_json(&view(), None, now())), include_str!("status.json"));
}

#[test]
fn a_key_counts_from_its_time_on() {
    let status = to_json(&view(), None, "2026-02-01T01:00:00Z".parse().unwrap());
    let node = &status["nodes"][0];
    assert_eq!((&node["version"], &node["versionId"]), (&2.into(), &"v2".into()));
    assert!(node["pending"].is_null());
}

#[test]
fn the_table_has_a_row_for_each_key_and_says_what_is_not_shown() {
    let text = to_text(&view(), None, now());
    for words in [
        "counts, number 1",
        "counts from 2026-02-01T01:00:00Z, number 2",
        "accepted until 2026-02-02T00:00:00Z",
        "share-encryption-password",
        "api-key/default",
        "roster: serial 5, 3 nodes, digest ",
        "node 2 is not shown: /keyboot/tsm/node/2/record is not believed: its signature does not fit",
    ] {
        assert!(text.contains(words), "no {words:?} in {text}");
    }
    assert_eq!(text.lines().filter(|line| line.contains("p2p-key")).count(), 3, "{text}");
}

#[test]
fn the_login_at_the_nodes_own_database_is_shown_by_its_version() {
    let secret = "arn:aws:secretsmanager:us-east-1:111122223333:secret:login-AbCdEf";
    let login = |version: Result<&str, &str>| DatabaseLogin {
        secret: secret.parse().unwrap(),
        version: version.map(str::to_owned).map_err(str::to_owned),
    };
    let (known, unknown) = (login(Ok("v-1")), login(Err("no answer")));
    let json = |login| to_json(&view(), Some(login), now())["databaseLogin"].clone();
    assert_eq!(json(&known), serde_json::json!({ "error": null, "secret": secret, "versionId": "v-1" }));
    assert_eq!(
        json(&unknown),
        serde_json::json!({ "error": "no answer", "secret": secret, "versionId": null })
    );
    let text = |login| to_text(&view(), Some(login), now());
    assert!(text(&known).contains(&format!("database login: version v-1 of {secret} is current\n")));
    assert!(text(&unknown).contains("database login: no answer\n"));
}
