//! The systemd units, by a table of what each has to have, and by systemd where it is.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::read;

const UNITS: [&str; 4] =
    ["openbao.service", "keyboot-signer@.service", "web3signer.service", "op-batcher.service"];

/// A unit's settings: each name with its values, in their order.
fn settings(unit: &str) -> BTreeMap<String, Vec<String>> {
    let text = read(&format!("onprem/systemd/{unit}")).replace("\\\n", " ");
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with(['#', '['])) {
        if let Some((name, value)) = line.split_once('=') {
            let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
            found.entry(name.to_owned()).or_default().push(value);
        }
    }
    found
}

#[test]
fn every_unit_is_hardened() {
    let wanted = [
        ("NoNewPrivileges", "yes"),
        ("CapabilityBoundingSet", ""),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateTmp", "yes"),
        ("PrivateDevices", "yes"),
        ("MemorySwapMax", "0"),
        ("LimitCORE", "1"),
        ("UMask", "0077"),
        ("RestrictNamespaces", "yes"),
        ("SystemCallArchitectures", "native"),
    ];
    let mut users = BTreeSet::new();
    for unit in UNITS {
        let settings = settings(unit);
        for (name, value) in wanted {
            assert_eq!(
                settings.get(name).map(|values| values.join(",")).as_deref(),
                Some(value),
                "{unit}: {name}"
            );
        }
        // Only Java compiles at run time.
        let compiles = settings["MemoryDenyWriteExecute"] == ["no"];
        assert_eq!(compiles, unit == "web3signer.service", "{unit}");
        let user = settings["User"][0].clone();
        assert_eq!(settings["Group"][0], user, "{unit}");
        let sysusers = read("onprem/systemd/keyboot.sysusers");
        assert!(sysusers.contains(&format!("\nu {user} - ")), "nobody makes {user}");
        users.insert(user);
    }
    // The keeper is Web3Signer's user: the key file is that one's alone.
    assert_eq!(users.len(), UNITS.len() - 1);
}

#[test]
fn web3signer_counts_as_started_once_it_signs_and_op_batcher_waits_for_that() {
    let signer = settings("web3signer.service");
    let start = &signer["ExecStart"][0];
    assert!(start.contains(" eth1 --chain-id=${L1_CHAIN_ID}") && !start.contains("eth2"), "{start}");
    assert!(start.contains("--http-listen-host=127.0.0.1 "), "{start}");
    assert!(start.contains("--tls-known-clients-file="), "{start}");
    assert!(signer["ExecStartPost"][0].contains("signer reload --within 120 $SIGNER_ADDRESSES"));
    let batcher = settings("op-batcher.service");
    assert!(batcher["Requires"].contains(&"web3signer.service".to_owned()));
    assert!(batcher["After"][0].contains("web3signer.service"));
    assert_eq!(batcher["UnsetEnvironment"], ["OP_BATCHER_PRIVATE_KEY OP_BATCHER_MNEMONIC"]);
}

#[test]
fn the_key_file_is_where_web3signer_looks_and_in_memory() {
    let keeper = settings("keyboot-signer@.service");
    let start = &keeper["ExecStart"][0];
    assert!(start.ends_with("signer keep --out /run/keyboot/signer"), "{start}");
    assert!(
        settings("web3signer.service")["ExecStart"][0].contains("--key-config-path=/run/keyboot/signer ")
    );
    assert_eq!(keeper["Type"], ["notify"]);
    // A grant is good once: it is neither enabled nor started again.
    assert_eq!(keeper["Restart"], ["no"]);
    assert!(!read("onprem/systemd/keyboot-signer@.service").contains("[Install]"));
    let made = read("onprem/systemd/keyboot.tmpfiles");
    for folder in keeper["ReadWritePaths"][0].split(' ') {
        assert!(folder.starts_with("/run/"), "{folder}");
        let line = made.lines().find(|line| line.split_whitespace().nth(1) == Some(folder)).unwrap();
        let fields: Vec<_> = line.split_whitespace().collect();
        assert_eq!(fields, ["d", folder, "0700", "web3signer", "web3signer", "-"]);
    }
}

#[test]
fn openbao_is_no_dev_server() {
    let unit = settings("openbao.service");
    assert_eq!(unit["ExecStart"], ["/usr/local/bin/bao server -config=/etc/openbao/openbao.hcl"]);
}

/// With what each unit starts in its place, in a folder that stands for the host.
#[test]
fn systemd_takes_every_unit() {
    let is_there =
        Command::new("systemd-analyze").arg("--version").output().is_ok_and(|output| output.status.success());
    if !is_there {
        // A machine without systemd: what the other tests look at is all that can be known.
        return;
    }
    let host = tempfile::tempdir().unwrap();
    let units = host.path().join("units");
    std::fs::create_dir_all(&units).unwrap();
    for unit in UNITS {
        let mut text = read(&format!("onprem/systemd/{unit}"));
        for (name, values) in settings(unit) {
            for value in values.iter().filter(|_| name.starts_with("Exec")) {
                let program = value.split(' ').next().unwrap();
                let stand_in = host.path().join(program.trim_start_matches('/'));
                std::fs::create_dir_all(stand_in.parent().unwrap()).unwrap();
                std::fs::write(&stand_in, "#!/bin/sh\n").unwrap();
                std::fs::set_permissions(&stand_in, std::fs::Permissions::from_mode(0o755)).unwrap();
                text = text.replace(&format!("={program}"), &format!("={}", stand_in.display()));
            }
        }
        std::fs::write(units.join(unit), text).unwrap();
    }
    let verify = |units: &std::path::Path| {
        let files = UNITS.map(|unit| units.join(unit));
        let output = Command::new("systemd-analyze").arg("verify").args(files).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let ours = |told: &str| {
        let names = ["openbao", "keyboot-signer", "web3signer", "op-batcher"];
        told.lines()
            .filter(|line| names.iter().any(|name| line.contains(name)))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let (accepted, told) = verify(&units);
    assert!(accepted && ours(&told).is_empty(), "{told}");
    // And it sees what is wrong.
    let wrong =
        read("onprem/systemd/op-batcher.service").replace("NoNewPrivileges=yes", "NoNewPrivileges=perhaps");
    std::fs::write(units.join("op-batcher.service"), wrong).unwrap();
    let (_, told) = verify(&units);
    assert!(ours(&told).contains("Failed to parse boolean value, ignoring: perhaps"), "{told}");
}
