use key_material::{ApiKeyHash, SharePassword};
use serde_json::json;
use toml::Table;

use super::*;
use crate::formats::tests::{NOON, Vector, at, index, pending, record, refusal, vector, view};

/// The vendor's vectors: `apikey0` and `apikey1`.
const HASHES: [&str; 2] =
    ["IntV2sEZRwwd2F+UkDLC7zmFhwvpxAwb0eQKwdEnSZU=", "1PebMT+BBvWvEIrZb/UWIi2/1aCrUvQwjksa0ddA3mA="];
const BEFORE_NOON: &str = "2026-03-01T11:59:59.999999999Z";

fn keys() -> [Vector; 3] {
    ["vendor sample", "the scalar begins with 0000", "x begins with 00"].map(|name| vector(Curve::P256, name))
}

/// Nodes 0 to 2; the first accepts keys of each state, the replaced ones until noon.
fn records() -> Vec<serde_json::Value> {
    let hash = |text: &str| ApiKeyHash::of(text).to_string();
    let keys = keys();
    let mut records: Vec<_> = (0..).zip(&keys).map(|(index, key)| record(index, key)).collect();
    records[0]["shareVersionId"] = json!("v-1");
    records[0]["apiKeys"] = json!({
        "default": [
            { "hash": HASHES[0], "state": "current", "versionId": "k-1" },
            { "hash": HASHES[1], "state": "candidate", "versionId": "k-2" },
            { "hash": hash("replaced"), "state": "retiring", "until": NOON },
        ],
        "wallet": [{ "hash": hash("wallet"), "state": "current" }],
        "former": [{ "hash": hash("former"), "state": "retiring" }],
    });
    records[0]["managementKeys"] = json!([
        { "hash": hash("management"), "state": "current" },
        { "hash": hash("replaced management"), "state": "retiring", "until": NOON },
    ]);
    records
}

fn layout(text: &str) -> Layout {
    toml::from_str(text).unwrap()
}

fn text_at(time: &str, layout: &Layout) -> String {
    render(&view(0, records()), index("0"), at(time), layout).unwrap()
}

fn parsed(text: &str) -> Table {
    toml::from_str(text).unwrap()
}

fn fault(view: &ClusterView, layout: &Layout) -> String {
    render(view, index("0"), at(NOON), layout).unwrap_err().to_string()
}

/// The hashes in the file at a time: of the SDK with their applications, and of the management interface.
fn hashes_at(time: &str) -> (Vec<(String, String)>, Vec<String>) {
    let file = parsed(&text_at(time, &Layout::default()));
    let text = |value: &toml::Value| value.as_str().unwrap().to_owned();
    let of_sdk = file["Authentication"]["APIKeys"].as_array().unwrap().iter();
    let of_management = file["ManagementServer"]["APIKeys"].as_array().unwrap().iter();
    (
        of_sdk.map(|key| (text(&key["ApplicationID"]), text(&key["APIKey"]))).collect(),
        of_management.map(|key| text(&key["APIKey"])).collect(),
    )
}

#[test]
fn the_whole_file_to_the_byte() {
    let layout =
        layout("database = { driver = \"postgres\", max-open-conns = 20 }\ntoken-lifetime = \"10m\"");
    let [_, first, second] = keys();
    let expected = format!(
        r#"# Written by keyboot-node for node 0 of keyboot/tsm; it is written anew when the cluster changes.
# There is no secret in here: references name the environment variables that hold them.

[Player]
Index = 0
PrivateKey = "{{{{ env `KEYBOOT_P2P_PRIVATE_KEY` }}}}"

[Players.1]
Address = "tcp://node-1.nodes.internal:9000"
PublicKey = "{}"

[Players.2]
Address = "tcp://node-2.nodes.internal:9000"
PublicKey = "{}"

[Database]
DriverName = "postgres"
DataSourceName = "{{{{ env `KEYBOOT_DATABASE_URL` }}}}"
EncryptorMasterPassword = "{{{{ env `KEYBOOT_SHARE_ENCRYPTION_PASSWORD` }}}}"
MaxOpenConns = 20

[MPCDirectServer]
Port = 9000

[SDKServer]
Port = 8080

[ManagementServer]
Port = 14401

[ManagementServer.Metrics]
Prometheus = false

[[ManagementServer.APIKeys]]
APIKey = "{}"
Permissions = ["HEALTH", "TSMINFO", "METRICS"]

[Authentication]
TokenLifetime = "10m"

[[Authentication.APIKeys]]
ApplicationID = "default"
APIKey = "1PebMT+BBvWvEIrZb/UWIi2/1aCrUvQwjksa0ddA3mA="

[[Authentication.APIKeys]]
ApplicationID = "default"
APIKey = "IntV2sEZRwwd2F+UkDLC7zmFhwvpxAwb0eQKwdEnSZU="

[[Authentication.APIKeys]]
ApplicationID = "wallet"
APIKey = "{}"
"#,
        first.spki,
        second.spki,
        ApiKeyHash::of("management"),
        ApiKeyHash::of("wallet")
    );
    assert_eq!(text_at(NOON, &layout), expected);
}

#[test]
fn each_field_follows_the_layout() {
    let file = parsed(&text_at(
        NOON,
        &layout(
            r#"
            scheme = "tcps"
            mpc-port = 9100
            sdk-port = 8443
            management-port = 14402
            prometheus = true
            management-permissions = ["HEALTH", "APIKEY"]
            addresses = { 0 = "tcp://here:1", 2 = "ws://other.example:9080?connectionPoolSize=2" }
            [database]
            driver = "mysql"
            data-source-variable = "TSM_DATABASE"
            max-idle-conns = 2
            [sections.DKLS23.Features]
            GenerateKey = true
            "#,
        ),
    ));
    assert_eq!(file["Player"]["Index"].as_integer(), Some(0));
    assert_eq!(file["Players"].as_table().unwrap().keys().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(file["Players"]["1"]["Address"].as_str(), Some("tcps://node-1.nodes.internal:9100"));
    assert_eq!(
        file["Players"]["2"]["Address"].as_str(),
        Some("ws://other.example:9080?connectionPoolSize=2")
    );
    assert_eq!(file["MPCDirectServer"], toml::Value::Table(parsed("Port = 9100")));
    assert_eq!(file["SDKServer"], toml::Value::Table(parsed("Port = 8443")));
    assert_eq!(file["ManagementServer"]["Port"].as_integer(), Some(14402));
    assert_eq!(file["ManagementServer"]["Metrics"]["Prometheus"].as_bool(), Some(true));
    let permissions = file["ManagementServer"]["APIKeys"][0]["Permissions"].as_array().unwrap();
    assert_eq!(permissions, &["HEALTH", "APIKEY"].map(toml::Value::from));
    assert_eq!(file["Database"]["DriverName"].as_str(), Some("mysql"));
    assert_eq!(file["Database"]["DataSourceName"].as_str(), Some("{{ env `TSM_DATABASE` }}"));
    assert_eq!(file["Database"]["MaxIdleConns"].as_integer(), Some(2));
    assert!(file["Database"].get("MaxOpenConns").is_none());
    assert!(file["Authentication"].get("TokenLifetime").is_none());
    assert_eq!(file["DKLS23"]["Features"]["GenerateKey"].as_bool(), Some(true));
}

#[test]
fn what_is_not_there_is_not_written() {
    let mut records = records();
    records[0] = record(0, &keys()[0]);
    let view = view(0, records);
    let database = layout("management-port = 0\ndatabase = { driver = \"sqlite3\" }");
    let file = parsed(&render(&view, index("0"), at(NOON), &database).unwrap());
    assert!(file.get("ManagementServer").is_none());
    assert!(file["Database"].get("EncryptorMasterPassword").is_none());
    assert!(file["Authentication"].as_table().unwrap().is_empty());
    let file = parsed(&render(&view, index("0"), at(NOON), &Layout::default()).unwrap());
    assert!(file.get("Database").is_none());
    assert!(file["ManagementServer"].get("APIKeys").is_none());
}

#[test]
fn nodes_listen_for_what_their_peers_speak() {
    for scheme in ["ws", "wss"] {
        let file = parsed(&text_at(NOON, &layout(&format!("scheme = \"{scheme}\"\nmpc-port = 9080"))));
        assert_eq!(
            file["Players"]["1"]["Address"].as_str().unwrap(),
            format!("{scheme}://node-1.nodes.internal:9080")
        );
        assert_eq!(file["MPCDirectServer"], toml::Value::Table(parsed("Port = 0\nWSPort = 9080")));
    }
}

#[test]
fn no_secret_and_no_way_to_export_is_in_it() {
    let secrets = NodeSecrets {
        p2p_key: keys()[0].private_key(),
        share_password: Some(SharePassword::derive_from_entropy(&[7; 32])),
    };
    let text = text_at(NOON, &layout("database = { driver = \"postgres\" }"));
    for handed in convert(&secrets, index("0")).unwrap() {
        // EXPOSE: to a test.
        assert!(!text.contains(handed.expose()), "{}", handed.variable);
        assert!(text.contains(&format!("{{{{ env `{}` }}}}", handed.variable)), "{}", handed.variable);
    }
    assert!(!text.contains(&keys()[0].scalar) && !text.contains("ExportWhiteList"));
    // Two for the secrets, one for the database.
    assert_eq!(text.matches("{{").count(), 3);
}

#[test]
fn a_replaced_hash_is_left_out_when_its_time_is_over() {
    let (before, after) = (hashes_at(BEFORE_NOON), hashes_at(NOON));
    let replaced = |text| ApiKeyHash::of(text).to_string();
    assert!(before.0.contains(&("default".into(), replaced("replaced"))));
    assert!(before.1.contains(&replaced("replaced management")));
    assert_eq!((before.0.len(), before.1.len()), (4, 2));
    assert!(!after.0.contains(&("default".into(), replaced("replaced"))));
    assert_eq!(after.1, [replaced("management")]);
    assert_eq!(after.0.len(), 3);
    // A candidate counts; what is replaced and has no time does not.
    assert!(after.0.contains(&("default".into(), HASHES[1].into())));
    assert!(!before.0.iter().any(|(application, _)| application == "former"));
}

#[test]
fn what_is_accepted_and_when_it_ends_can_be_asked() {
    let record = view(0, records()).record_at(index("0"), at(NOON)).unwrap();
    assert_eq!(next_end(&record, at(BEFORE_NOON)), Some(at(NOON)));
    assert_eq!(next_end(&record, at(NOON)), None);
    assert_ne!(accepted_at(&record, at(BEFORE_NOON)), accepted_at(&record, at(NOON)));
    let names: Vec<_> = accepted_at(&record, at(NOON)).applications.into_keys().map(String::from).collect();
    assert_eq!(names, ["default", "wallet"]);
}

#[test]
fn a_pending_key_counts_from_its_time() {
    let next = vector(Curve::P384, "the scalar begins with 00");
    let mut records = records();
    records[1]["pending"] = pending(&next, NOON);
    let view = view(0, records);
    let key_at = |time| {
        let file = parsed(&render(&view, index("0"), at(time), &Layout::default()).unwrap());
        file["Players"]["1"]["PublicKey"].as_str().unwrap().to_owned()
    };
    assert_eq!(key_at(BEFORE_NOON), keys()[1].spki);
    assert_eq!(key_at(NOON), next.spki);
}

#[test]
fn the_text_changes_only_with_what_counts() {
    let text = text_at(NOON, &Layout::default());
    assert_eq!(text_at(NOON, &Layout::default()), text);
    // Promoted: the candidate is in use now and stands first. The same keys are accepted.
    let mut records = records();
    records[0]["serial"] = json!(2);
    records[0]["apiKeys"]["default"] = json!([
        { "hash": HASHES[1], "state": "current", "versionId": "k-2" },
        { "hash": HASHES[0], "state": "retiring", "until": "2026-03-02T12:00:00Z", "versionId": "k-1" },
    ]);
    assert_eq!(render(&view(0, records), index("0"), at(NOON), &Layout::default()).unwrap(), text);
}

#[test]
fn a_peer_that_is_not_believed_is_left_out_and_named() {
    let mut view = view(0, records()[..2].to_vec());
    view.refused.push(refusal("2"));
    let text = render(&view, index("0"), at(NOON), &Layout::default()).unwrap();
    assert!(text.contains("\n# Node 2 is left out: its record is not believed.\n\n[Player]\n"), "{text}");
    assert_eq!(parsed(&text)["Players"].as_table().unwrap().len(), 1);

    view.records.retain(|peer, _| *peer == index("0"));
    let alone = fault(&view, &Layout::default());
    assert!(alone.contains("it is alone: a TSM has two nodes at least"), "{alone}");
    view.records.clear();
    let unknown = fault(&view, &Layout::default());
    assert!(unknown.contains("there is no record of node 0"), "{unknown}");
}

#[test]
fn a_key_on_another_curve_is_refused() {
    let other = vector(Curve::Secp256k1, "x begins with 00");
    let mut own = records();
    own[0] = record(0, &other);
    let fault = fault(&view(0, own), &Layout::default());
    assert!(fault.contains("the key of node 0 is on secp256k1"), "{fault}");
    // A peer's keeps nobody from the others.
    let mut peers = records();
    peers[1] = record(1, &other);
    let text = render(&view(0, peers), index("0"), at(NOON), &Layout::default()).unwrap();
    assert!(text.contains("# Node 1 is left out: the key of node 1 is on secp256k1"), "{text}");
    let players = parsed(&text)["Players"].as_table().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(players, ["2"]);
}

#[test]
fn without_a_domain_addresses_have_to_be_given() {
    let mut view = view(0, records());
    view.environment = None;
    let some = render(&view, index("0"), at(NOON), &layout("addresses = { 1 = \"tcp://a:9000\" }")).unwrap();
    assert!(some.contains("# Node 2 is left out: node 2 has no address: set the NodeDomain"), "{some}");
    let none = fault(&view, &Layout::default());
    assert!(none.contains("there is no peer (node 1: node 1 has no address"), "{none}");
    assert!(none.contains("tsm.addresses"), "{none}");
    let all = layout("addresses = { 1 = \"tcp://a:9000\", 2 = \"incoming://\" }");
    let file = parsed(&render(&view, index("0"), at(NOON), &all).unwrap());
    assert_eq!(file["Players"]["2"]["Address"].as_str(), Some("incoming://"));
}

#[test]
fn a_domain_from_outside_cannot_carry_a_reference() {
    let mut view = view(0, records());
    let cluster = view.cluster.clone();
    for domain in
        ["{{ env `KEYBOOT_P2P_PRIVATE_KEY` }}.example", "", "a/b", "a:1", "a b", "a\"\n[Player]", "é"]
    {
        let environment = json!({
            "cluster": "keyboot/tsm", "index": 0, "node": format!("node-0.{domain}"), "p2pKeyArn": "arn:p",
            "peers": "roster", "recordArn": "arn:r", "schema": 1
        });
        let read = reading::NodeEnvironment::read(&environment.to_string(), &cluster, index("0"));
        view.environment = Some(read.unwrap());
        let fault = fault(&view, &Layout::default());
        assert!(fault.contains("node 1 has no address"), "{domain}: {fault}");
    }
}

#[test]
fn an_empty_layout_has_the_defaults() {
    let layout = layout("");
    assert_eq!(layout, Layout::default());
    let ports = (layout.mpc_port.get(), layout.sdk_port.get(), layout.management_port.unwrap().get());
    assert_eq!(ports, (9000, 8080, 14401));
    assert_eq!((layout.scheme, layout.prometheus), (Scheme::Tcp, false));
    assert_eq!(layout.management_permissions, [Permission::Health, Permission::TsmInfo, Permission::Metrics]);
    assert!(layout.addresses.is_empty() && layout.database.is_none() && layout.sections.is_empty());
}

#[test]
fn a_layout_is_read_strictly() {
    for bad in [
        "more = 1",
        "scheme = \"udp\"",
        "mpc-port = 0",
        "sdk-port = 65536",
        "management-permissions = [\"ADMIN\"]",
        "addresses = { 01 = \"tcp://a:1\" }",
        "addresses = { x = \"tcp://a:1\" }",
        "addresses = { 1 = \"a:1\" }",
        "addresses = { 1 = \"udp://a:1\" }",
        "addresses = { 1 = \"tcp://\" }",
        "addresses = { 1 = \"tcp://{{ env `A` }}:1\" }",
        "addresses = { 1 = \"tcp://a b:1\" }",
        "database = {}",
        "database = { driver = \"oracle\" }",
        "database = { driver = \"mysql\", url = \"x\" }",
        "database = { driver = \"mysql\", data-source-variable = \"\" }",
        "database = { driver = \"mysql\", data-source-variable = \"1A\" }",
        "database = { driver = \"mysql\", data-source-variable = \"A` }}\" }",
        "database = { driver = \"postgres\", roots = \"/r.pem\" }",
        "database = { driver = \"postgres\", secret = \"arn:aws:secretsmanager:eu-central-1:111122223333:secret:l-AbCdEf\" }",
        "token-lifetime = \"{{ env `A` }}\"",
        "token-lifetime = \"soon\"",
        "sections = { DKLS23 = true }",
        "sections = { Player = {} }",
        "sections = { players = { 7 = {} } }",
        "sections = { Authentication = {} }",
        "sections = { Other = { ExportWhiteList = [\"*\"] } }",
        "sections = { Other = { list = [{ exportwhitelist = [] }] } }",
    ] {
        assert!(toml::from_str::<Layout>(bad).is_err(), "{bad}");
    }
    let url = "postgres://tsm:hunter2@db/tsm";
    let bad = format!("database = {{ driver = \"postgres\", data-source-variable = \"{url}\" }}");
    let error = toml::from_str::<Layout>(&bad).unwrap_err();
    assert!(!error.message().contains("hunter2"), "{}", error.message());
}

/// The login that a URL is made of.
struct Stored(serde_json::Value);

impl reading::ports::CurrentReader for Stored {
    async fn fetch_current(&self, _: &str) -> Result<reading::ports::CurrentValue, reading::ReadError> {
        let text = reading::ports::StoredText::new(self.0.to_string());
        Ok(reading::ports::CurrentValue { version_id: "v-1".into(), text })
    }
}

const LOGIN: &str = r#"[database]
driver = "postgres"
secret = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:keyboot-storage/tsm/node/0/database-login-AbCdEf"
roots = "/etc/keyboot/rds roots&.pem"
"#;

fn data_source(login: serde_json::Value) -> Handed {
    let database = layout(LOGIN).database.unwrap();
    let named = database.login.unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let fetched = runtime.block_on(DatabaseLogin::fetch(&Stored(login), &named.secret)).unwrap();
    convert_login(&database.data_source_variable, &fetched, &named.roots)
}

#[test]
fn a_login_is_handed_over_as_a_url_to_the_byte() {
    let handed = data_source(json!({
        "engine": "postgres", "host": "node-0.abc.eu-central-1.rds.amazonaws.com", "port": 5432, "dbname": "tsm",
        "username": "node_a", "password": "plain-._~123",
    }));
    assert_eq!(handed.variable, "KEYBOOT_DATABASE_URL");
    // EXPOSE: to a test.
    assert_eq!(
        handed.expose(),
        "postgres://node_a:plain-._~123@node-0.abc.eu-central-1.rds.amazonaws.com:5432/tsm?sslmode=verify-full\
         &sslrootcert=/etc/keyboot/rds%20roots%26.pem"
    );
    assert_eq!(format!("{handed:?}"), "Handed { variable: \"KEYBOOT_DATABASE_URL\", .. }");
}

#[test]
fn nothing_in_a_login_is_more_than_its_part_of_the_url() {
    let handed = data_source(json!({
        "engine": "postgres", "host": "db", "port": 65535, "dbname": "a/b?c#d&e", "username": "u:@/%41 +",
        "password": "%41:/?#[]@!$&'()*+,;= \"\\{{ env `A` }}\u{e9}\u{1f511}",
    }));
    // EXPOSE: to a test.
    let text = handed.expose();
    assert_eq!(
        text,
        "postgres://u%3A%40%2F%2541%20%2B:%2541%3A%2F%3F%23%5B%5D%40%21%24%26%27%28%29%2A%2B%2C%3B%3D%20%22%5C%7B%7B\
         %20env%20%60A%60%20%7D%7D%C3%A9%F0%9F%94%91@db:65535/a%2Fb%3Fc%23d%26e?sslmode=verify-full\
         &sslrootcert=/etc/keyboot/rds%20roots%26.pem"
    );
    // Made at once, in a buffer of its length.
    let database = layout(LOGIN).database.unwrap();
    assert_eq!(database.driver, Driver::Postgres);
}
