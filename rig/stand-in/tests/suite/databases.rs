//! A node at a real `PostgreSQL`, behind TLS: what it takes for its own, and whom it does not log in at.

use std::path::Path;
use std::sync::Arc;

use rig::postgres::Postgres;
use rig::python::Venv;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use stand_in::{DatabaseStatus, Row};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::cluster::{Cluster, Node, PASSWORD, pause, request};

/// The logins of a node, as the Core Stack's function makes them.
const LOGINS: &str = "CREATE ROLE node NOLOGIN; GRANT node TO CURRENT_USER; CREATE SCHEMA node AUTHORIZATION node; \
                      CREATE ROLE node_a LOGIN PASSWORD 'of a'; CREATE ROLE node_b LOGIN PASSWORD 'of/b%'; \
                      GRANT node TO node_a, node_b; \
                      ALTER ROLE node_a SET role TO node; ALTER ROLE node_b SET role TO node; \
                      ALTER ROLE node_a SET search_path TO node; ALTER ROLE node_b SET search_path TO node; \
                      REVOKE ALL ON DATABASE tsm FROM PUBLIC; GRANT CONNECT ON DATABASE tsm TO node";
const A: &str = "node_a:of%20a";
const B: &str = "node_b:of%2Fb%25";

/// Runs statements, and gives the first column of what the last one says.
async fn run(server: &Postgres, user: &str, password: &str, statements: &str) -> Vec<String> {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::pem_file_iter(server.authority()).unwrap();
    roots.add_parsable_certificates(authority.map(Result::unwrap));
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap();
    let tls = MakeRustlsConnect::new(config.with_root_certificates(roots).with_no_client_auth());
    let mut config = tokio_postgres::Config::new();
    config.host(Postgres::HOST).port(server.port()).dbname(Postgres::DATABASE).user(user).password(password);
    let (client, connection) = config.ssl_mode(SslMode::Require).connect(tls).await.unwrap();
    let connection = tokio::spawn(connection);
    let said = client.simple_query(statements).await.unwrap();
    connection.abort();
    let rows = said.iter().filter_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    rows.collect()
}

async fn server() -> Postgres {
    let server = Postgres::start(&Venv::ready().unwrap()).unwrap();
    run(&server, Postgres::MASTER, Postgres::PASSWORD, LOGINS).await;
    server
}

fn url(login: &str, server: &Postgres, roots: &Path) -> String {
    format!(
        "postgres://{login}@localhost:{}/tsm?sslmode=verify-full&sslrootcert={}",
        server.port(),
        roots.display()
    )
}

/// Starts a node with a login, and a password of the key shares.
fn start(node: &mut Node, url: &str, password: &str) {
    node.database = ["postgres", "{{ env `DATABASE_URL` }}"];
    // EXPOSE: to the process of the node.
    let key = node.key.expose_sec1_base64();
    node.start_with(&[("P2P_KEY", &key), ("SHARE_PASSWORD", password), ("DATABASE_URL", url)]);
}

fn ping(node: &Node) -> u16 {
    request(node.ports.sdk, "GET /ping", None).0
}

/// What a node says of its database.
async fn status(cluster: &Cluster) -> DatabaseStatus {
    cluster.client().status(0).await.unwrap().database.unwrap()
}

async fn end(node: &mut Node) {
    node.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(node.ended().await.code(), Some(0), "{}", node.log());
}

#[tokio::test]
async fn its_row_stays_whoever_logs_in_and_however_often() {
    let server = server().await;
    let mut cluster = Cluster::make();
    start(&mut cluster.nodes[0], &url(A, &server, &server.authority()), PASSWORD);
    cluster.nodes[0].noted("is logged in at its database as node_a, its row is ").await;
    assert_eq!(ping(&cluster.nodes[0]), 200);
    let first = status(&cluster).await;
    let row = first.row.clone().unwrap();
    assert_eq!((first.user.as_deref(), row.node, first.is_connected), (Some("node_a"), 0, true));

    end(&mut cluster.nodes[0]).await;
    start(&mut cluster.nodes[0], &url(B, &server, &server.authority()), PASSWORD);
    cluster.nodes[0].noted("is logged in at its database as node_b").await;
    let second = status(&cluster).await;
    let expected = DatabaseStatus { user: Some("node_b".into()), row: Some(row), is_connected: true };
    assert_eq!(second, expected);

    // The connection breaks, and it comes back as the same user. Meanwhile it is a node that was at its database.
    let superuser = server.password_of_superuser().unwrap();
    let break_it = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'node_b'";
    let ended = run(&server, Postgres::SUPERUSER, superuser.trim(), break_it).await;
    assert_eq!(ended, ["t"]);
    cluster.nodes[0].noted("is without its database: ").await;
    assert_eq!(ping(&cluster.nodes[0]), 200);
    while cluster.nodes[0].log().matches("is logged in at its database as node_b").count() < 2 {
        pause().await;
    }
    assert_eq!(status(&cluster).await, expected);

    // One table in the node's own schema, which belongs to neither login, and in it one row.
    let found = "SELECT schemaname || '.' || tablename || ' ' || tableowner FROM pg_tables WHERE tablename = 'key_shares'";
    assert_eq!(run(&server, Postgres::SUPERUSER, superuser.trim(), found).await, ["node.key_shares node"]);
    let count = "SELECT count(*) FROM node.key_shares";
    assert_eq!(run(&server, Postgres::SUPERUSER, superuser.trim(), count).await, ["1"]);
    // The log of neither side has a password in it.
    let logs = cluster.nodes[0].log() + &server.log().unwrap().replace(LOGINS, "");
    assert!(!logs.contains("of/b%") && !logs.contains("of a") && !logs.contains(PASSWORD), "{logs}");
}

#[tokio::test]
async fn a_database_that_is_not_its_own_does_not_make_it_ready() {
    let server = server().await;
    let mut cluster = Cluster::make();
    let is_refused = async |cluster: &mut Cluster, words: &str| {
        let node = &mut cluster.nodes[0];
        node.noted(words).await;
        assert_eq!(ping(node), 503);
        let nothing = DatabaseStatus::default();
        assert_eq!(status(cluster).await, nothing);
        let node = &mut cluster.nodes[0];
        assert!(!node.log().contains("canary"), "{}", node.log());
        end(node).await;
    };
    // A wrong password, and a login without rights.
    start(&mut cluster.nodes[0], &url("node_a:canary", &server, &server.authority()), PASSWORD);
    is_refused(&mut cluster, "password authentication failed").await;

    // Servers that are others: by their authority, and by their name.
    let other = Postgres::start_as(&Venv::ready().unwrap(), "elsewhere.internal").unwrap();
    start(&mut cluster.nodes[0], &url(A, &server, &other.authority()), PASSWORD);
    is_refused(&mut cluster, "UnknownIssuer").await;
    start(&mut cluster.nodes[0], &url(A, &other, &other.authority()), PASSWORD);
    is_refused(&mut cluster, "not valid for name").await;
    start(&mut cluster.nodes[0], &url(A, &server, Path::new("/none.pem")), PASSWORD);
    is_refused(&mut cluster, "its roots cannot be read: /none.pem").await;

    // Its own, and then with another password of the key shares; and another node's.
    start(&mut cluster.nodes[0], &url(A, &server, &server.authority()), PASSWORD);
    cluster.nodes[0].noted("is logged in").await;
    end(&mut cluster.nodes[0]).await;
    start(&mut cluster.nodes[0], &url(A, &server, &server.authority()), "another password");
    is_refused(&mut cluster, "written with another password of the key shares").await;
    let change = "UPDATE node.key_shares SET node = 7";
    let superuser = server.password_of_superuser().unwrap();
    run(&server, Postgres::SUPERUSER, superuser.trim(), change).await;
    start(&mut cluster.nodes[0], &url(A, &server, &server.authority()), PASSWORD);
    is_refused(&mut cluster, "it is the database of node 7").await;
    run(&server, Postgres::SUPERUSER, superuser.trim(), "INSERT INTO node.key_shares VALUES (0, 'x', 'y')")
        .await;
    start(&mut cluster.nodes[0], &url(A, &server, &server.authority()), PASSWORD);
    is_refused(&mut cluster, "other nodes have rows in it, too").await;
}

#[test]
fn what_it_is_asked_is_what_is_answered() {
    let status = DatabaseStatus {
        user: Some("node_a".into()),
        row: Some(Row { node: 0, id: "x".into() }),
        is_connected: true,
    };
    let text = serde_json::to_string(&status).unwrap();
    assert_eq!(text, r#"{"user":"node_a","row":{"node":0,"id":"x"},"is_connected":true}"#);
}
