//! `keyboot-onprem doctor`: what of a host, and of the server that it speaks to, would let a key out or keep
//! one from working.
//!
//! It looks and changes nothing. Each finding has a name, a place and a remedy; whoever operates the host mends
//! it or accepts it by its name. It ends with 0 where all was looked at and nothing is wrong, with 1 where
//! something is, and with 2 where nothing was found and not all could be looked at. What a file, a variable or
//! an argument holds is never told.

mod files;
pub mod finding;
mod hcl;
pub mod host;
#[cfg(test)]
mod planted;
pub mod report;
pub mod server;
mod settings;
mod yaml;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use self::finding::{Accepted, Report};
use self::host::Host;
use self::server::Login;
use crate::config::Config;
use crate::terminal::show;

/// What `doctor` is called with.
#[derive(Args, Debug)]
pub struct Options {
    /// A folder to look through for keys, tokens and shares in plaintext, and for settings that cannot work;
    /// may be given several times
    #[arg(long = "folder", value_name = "FOLDER")]
    folders: Vec<PathBuf>,
    /// A finding that is as it should be here, at one place or at all; may be given several times
    #[arg(long = "accept", value_name = "NAME[@WHERE]")]
    accepted: Vec<Accepted>,
    /// A file with the token to look at the server with: an auditor's
    #[arg(long, value_name = "FILE", conflicts_with = "log_in")]
    token_file: Option<PathBuf>,
    /// Log in to the server as the configuration says; a secret id for one use is then used up
    #[arg(long)]
    log_in: bool,
    /// Look at the host alone
    #[arg(long, conflicts_with_all = ["token_file", "log_in"])]
    host_only: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Where the host's files are
    #[arg(long, hide = true, default_value = "/")]
    root: PathBuf,
}

/// Looks at the host and, unless told otherwise, at the server that a configuration names; shows what was found
/// and says how the process ends.
pub async fn run(options: &Options, config: &Path) -> ExitCode {
    let mut report = Report::default();
    let host = Host::below(&options.root);
    host.look(&mut report);
    for folder in &options.folders {
        match std::path::absolute(folder) {
            Ok(folder) => files::look(&host, &folder, &mut report),
            Err(error) => report.not_seen(folder.display().to_string(), error.to_string()),
        }
    }
    if !options.host_only {
        look_at_server(options, config, &mut report).await;
    }
    report.accept(&options.accepted);
    if options.json {
        show(&format!("{:#}", report::to_json(&report)));
    } else {
        let mut text = report::to_text(&report);
        if options.folders.is_empty() {
            text.push_str("no folder was given (--folder): no files were looked through\n");
        }
        show(&text);
    }
    ExitCode::from(report.status())
}

async fn look_at_server(options: &Options, config: &Path, report: &mut Report) {
    let login = match (&options.token_file, options.log_in) {
        (Some(file), _) => Login::TokenFile(file.clone()),
        (None, true) => Login::AsConfigured,
        (None, false) => Login::Nobody,
    };
    match Config::read(config) {
        Ok(config) => server::look(&config.vault, &login, report).await,
        Err(error) => match plain_address(config) {
            Some(address) => server::look_without_tls(&address, report),
            None => report.not_seen("the server", error.to_string()),
        },
    }
}

/// The address of a server without TLS: a configuration with one is refused as a whole.
fn plain_address(config: &Path) -> Option<String> {
    let text = std::fs::read_to_string(config).ok()?;
    let table: toml::Table = text.parse().ok()?;
    let address = table.get("vault")?.get("address")?.as_str()?;
    // Without whoever is named in it, and without what is asked for.
    let host = address.strip_prefix("http://")?.split(['/', '?', '#']).next()?;
    Some(format!("http://{}", host.rsplit('@').next()?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::Parser;

    use super::*;
    use crate::doctor::finding::Fault;
    use crate::doctor::planted::{Planted, listening};

    const SCALAR: &str = "53dadf1d5a164d6b4acdb15e24aa4c5b1d3461bdbd42abedb0a4404d56ced8fb";
    const SIGNER: &str = "type: hashicorp\nkeyType: SECP256K1\ntlsEnabled: \"true\"\n\
        tlsKnownServersPath: /run/keyboot/known-servers\nserverHost: vault\nserverPort: \"8200\"\n\
        keyPath: /v1/keyboot-secrets/data/keyboot/l2/role/batcher/1\nkeyName: value\n\
        token: s.0123456789abcdefghijklmn\n";

    /// A host without a fault, on which all is installed that doctor knows.
    fn whole() -> Planted {
        let host = Planted::clean();
        host.write("run/keyboot/batcher.yaml", SIGNER);
        host.write("run/keyboot/known-servers", &format!("vault:8200 {}\n", ["AB"; 32].join(":")));
        host.write("srv/chain/compose.yaml", COMPOSE);
        host.write(
            "srv/chain/batcher.env",
            "OP_BATCHER_SIGNER_ENDPOINT=http://web3signer:9000\n\
             OP_BATCHER_SIGNER_ADDRESS=0x8b805bF52e9cE863375c5105E1158d519537F5B3\n\
             OP_BATCHER_SIGNER_TLS_ENABLED=false\n",
        );
        host.write("srv/chain/SHA256SUMS", &format!("{SCALAR}  op-batcher\n"));
        host.write("srv/chain/jwt.hex", SCALAR);
        host.write("srv/openbao/server.hcl", "listener \"tcp\" {\n  tls_cert_file = \"/a\"\n}\n");
        host.process(70, "bao server -config=/srv/openbao", "");
        host.process(71, "java -cp /opt/web3signer/lib/* App eth1 --chain-id=1", "");
        host.process(72, "op-batcher --l1-eth-rpc=http://l1:8545", "HOME=/\0");
        host
    }

    const COMPOSE: &str = "services:\n  web3signer:\n    image: consensys/web3signer:26.4.2\n    \
        command: [eth1, --chain-id=1]\n  op-batcher:\n    image: example/op-batcher:1\n    \
        ports: [\"127.0.0.1:8548:8548\"]\n";

    fn look(host: &Planted) -> Report {
        let mut report = host.look();
        for folder in ["/run", "/srv"] {
            let Report { findings, unseen, .. } = host.look_in(folder);
            report.findings.extend(findings);
            report.unseen.extend(unseen);
        }
        report
    }

    type Change = fn(&Planted);

    fn signer(host: &Planted, right: &str, wrong: &str) {
        assert!(SIGNER.contains(right));
        host.write("run/keyboot/batcher.yaml", &SIGNER.replacen(right, wrong, 1));
    }

    /// Each fault that a host can have, and how it comes to have that one alone.
    const FAULTS: [(Fault, Change); 24] = [
        (Fault::TlsOff, |host| host.write("srv/openbao/server.hcl", "listener \"tcp\" { tls_disable = 1 }")),
        (Fault::DevMode, |host| host.process(70, "bao server -dev", "")),
        (Fault::PortOpen, |host| host.write("proc/net/tcp", &listening("0.0.0.0:8545".parse().unwrap()))),
        (Fault::FirewallOpen, |host| host.write("commands/nft", "{\"nftables\": []}")),
        (Fault::DiskPlain, |host| {
            host.write("sys/devices/dm-0/dm/uuid", "LVM-root\n");
        }),
        (Fault::SwapPlain, |host| {
            host.write("sys/class/block/sdb1/size", "1");
            host.write("proc/swaps", "Filename Type Size Used Priority\n/dev/sdb1 partition 1 0 -2\n");
        }),
        (Fault::CoreDumps, |host| host.limit(70, "unlimited")),
        (Fault::KeyFile, |host| host.write("srv/chain/nodekey", SCALAR)),
        (Fault::KeyInEnvironment, |host| {
            host.process(72, "op-batcher", &format!("OP_BATCHER_PRIVATE_KEY={SCALAR}\0"));
        }),
        (Fault::KeystorePassword, |host| {
            host.write("srv/keystore/UTC--a", "{\"crypto\":{\"ciphertext\":\"00\",\"kdf\":\"scrypt\"}}");
            host.write("srv/keystore/password", "a password");
        }),
        (Fault::TokenExposed, |host| host.write("srv/.vault-token", "s.0123456789abcdefghijklmn")),
        (Fault::UnsealShares, |host| host.write("srv/init.json", "{\"unseal_keys_b64\": [\"YQ==\"]}")),
        (Fault::SignerType, |host| signer(host, "hashicorp", "hashicorp-vault")),
        (Fault::SignerKeyType, |host| signer(host, "keyType: SECP256K1\n", "")),
        (Fault::SignerKeyPath, |host| signer(host, "/data/", "/")),
        (Fault::SignerTls, |host| signer(host, "\"true\"", "\"false\"")),
        (Fault::SignerKnownServers, |host| host.write("run/keyboot/known-servers", "vault:8200 AB\n")),
        (Fault::SignerMode, |host| host.process(71, "java -cp /opt/web3signer/lib/* App eth2", "")),
        (Fault::SignerAllowList, |host| {
            host.write(
                "srv/chain/compose.yaml",
                &COMPOSE.replace("[eth1,", "[--http-host-allowlist=*, eth1,"),
            );
        }),
        (Fault::SignerHalfSet, |host| host.process(72, "op-batcher --signer.address=0x1", "")),
        (Fault::SignerFlag, |host| host.process(72, "op-batcher --signer.enabled=true", "")),
        (Fault::SignerEndpointTls, |host| {
            host.process(72, "op-batcher --signer.address=0x1 --signer.endpoint=http://web3signer:9000", "");
        }),
        (Fault::ComposePort, |host| {
            host.write("srv/chain/compose.yaml", &COMPOSE.replace("127.0.0.1:", ""));
        }),
        (Fault::TokenExposed, |host| host.open("run/keyboot/batcher.yaml")),
    ];

    #[test]
    fn a_clean_host_has_no_findings() {
        let report = look(&whole());
        assert_eq!(report, Report::default());
        assert_eq!(report.status(), 0);
    }

    #[test]
    fn each_planted_fault_is_found_and_nothing_else() {
        for (fault, plant) in FAULTS {
            let host = whole();
            plant(&host);
            let report = look(&host);
            let mut findings: Vec<Fault> = report.findings.iter().map(|finding| finding.fault).collect();
            findings.dedup();
            assert_eq!(findings, [fault], "{report:?}");
            assert_eq!((report.unseen.len(), report.status()), (0, 1), "{report:?}");
            // What is secret is never told.
            let told = report::to_text(&report) + &report::to_json(&report).to_string();
            assert!(
                !told.contains(&SCALAR[..12])
                    && !told.contains("0123456789abc")
                    && !told.contains("a password")
            );
        }
    }

    #[test]
    fn every_fault_was_planted_somewhere() {
        let of_hosts = FAULTS.iter().map(|(fault, _)| *fault);
        let of_servers = server::tests::planted().into_iter().map(|(fault, _)| fault);
        let planted: BTreeSet<Fault> = of_hosts.chain(of_servers).collect();
        assert_eq!(planted, Fault::ALL.iter().copied().collect());
    }

    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn what_is_accepted_has_to_be_a_finding() {
        let parse = |arguments: &[&str]| Arguments::try_parse_from([&["doctor"], arguments].concat());
        let options = parse(&["--accept", "port-open@0.0.0.0:9000", "--folder", "/srv", "--folder", "/etc"]);
        let options = options.ok().unwrap().options;
        assert_eq!((options.accepted.len(), options.folders.len()), (1, 2));
        let error = parse(&["--accept", "ports"]).err().unwrap();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("there are vault-tls-off, "), "{error}");
        assert!(parse(&["--host-only", "--log-in"]).is_err());
    }

    #[test]
    fn an_address_without_tls_is_told_without_what_is_secret_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("onprem.toml");
        let address = |text: &str| {
            std::fs::write(&config, format!("[vault]\naddress = \"{text}\"\n")).unwrap();
            plain_address(&config)
        };
        assert_eq!(address("http://127.0.0.1:8200"), Some("http://127.0.0.1:8200".into()));
        assert_eq!(address("http://me:secret@vault:8200/v1?x"), Some("http://vault:8200".into()));
        assert_eq!(address("https://127.0.0.1:8200"), None);
        assert_eq!(plain_address(&folder.path().join("none")), None);
    }
}
