//! Logins, as the operator hands them out: each good once, for one role, and not for its neighbour's. A copy of
//! the operator's own shows itself.

use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, Result, ensure};
use hyper::{Method, StatusCode};
use rig::onprem::OnPrem;
use rig::python::Venv;
use serde_json::{Value, json};

const DECLARATION: &str = r#"
owner = "team"

[[cluster]]
name = "tsm"
nodes = [0]

[[chain]]
name = "l2"
chain-id = 901
l1-chain-id = 1
roles = ["batcher"]
nodes = [0]
"#;

async fn set_up() -> Result<OnPrem> {
    let on_prem = OnPrem::start(&Venv::onprem()?)?;
    let declaration = on_prem.declare(DECLARATION)?;
    on_prem.init(&declaration).await?;
    Ok(on_prem)
}

/// A token such as the operator has while he is at work, by a login of its own beside his.
async fn operators_token(on_prem: &OnPrem) -> Result<String> {
    let file = on_prem.file("second-operator");
    let path = file.to_str().context("a path that is no text")?;
    let told =
        on_prem.run(&on_prem.file("operator.toml"), &["grant", "operator", "--out", path, "--json"]).await?;
    let told: Value = serde_json::from_str(&told.succeeded()?)?;
    let wrapping = std::fs::read_to_string(&file)?;
    let opened =
        on_prem.call(Method::POST, "sys/wrapping/unwrap", Some(wrapping.trim()), None).await?.accepted()?;
    let body = json!({ "role_id": told["roleId"], "secret_id": opened["data"]["secret_id"] });
    let let_in = on_prem.call(Method::POST, "auth/approle/login", None, Some(&body)).await?.accepted()?;
    Ok(let_in["auth"]["client_token"].as_str().context("no token")?.to_owned())
}

#[tokio::test]
async fn a_login_is_good_once_and_for_its_role() -> Result<()> {
    let on_prem = set_up().await?;
    let (file, operator) = (on_prem.file("signer"), on_prem.file("operator.toml"));
    let path = file.to_str().context("a path that is no text")?;
    let role = "signer.keyboot.l2.batcher.1";
    let told = on_prem
        .run(&operator, &["grant", role, "--ttl", "90s", "--out", path, "--json"])
        .await?
        .succeeded()?;
    let told: Value = serde_json::from_str(&told)?;
    ensure!(told["role"] == role && told["seconds"] == 90 && told["file"] == path, "{told}");
    ensure!(told.get("wrappingToken").is_none(), "the token is shown although it has a file");
    ensure!(std::fs::metadata(&file)?.permissions().mode() & 0o777 == 0o600);
    let wrapping = std::fs::read_to_string(&file)?;
    // It says itself what it was made by.
    let looked = json!({ "token": wrapping.trim() });
    let looked = on_prem.call(Method::POST, "sys/wrapping/lookup", None, Some(&looked)).await?.accepted()?;
    ensure!(looked["data"]["creation_path"] == format!("auth/approle/role/{role}/secret-id"), "{looked}");
    let unwrap =
        async || on_prem.call(Method::POST, "sys/wrapping/unwrap", Some(wrapping.trim()), None).await;
    let opened = unwrap().await?.accepted()?;
    ensure!(!unwrap().await?.status.is_success(), "the wrapping opens twice");
    let log_in = async |role_id: &Value| {
        let body = json!({ "role_id": role_id, "secret_id": opened["data"]["secret_id"] });
        on_prem.call(Method::POST, "auth/approle/login", None, Some(&body)).await
    };
    let other = on_prem.file("other");
    let other = on_prem
        .run(&operator, &["grant", "auditor", "--out", other.to_str().context("text")?, "--json"])
        .await?;
    let other: Value = serde_json::from_str(&other.succeeded()?)?;
    ensure!(!log_in(&other["roleId"]).await?.status.is_success(), "a signer's secret id lets an auditor in");
    let let_in = log_in(&told["roleId"]).await?.accepted()?;
    ensure!(let_in["auth"]["token_policies"] == json!([role]), "{let_in}");
    ensure!(!log_in(&told["roleId"]).await?.status.is_success(), "a secret id is good twice");
    Ok(())
}

#[tokio::test]
async fn one_that_went_astray_is_called_back() -> Result<()> {
    let on_prem = set_up().await?;
    let operator = on_prem.file("operator.toml");
    // Without a file the token stands alone on standard output, for a pipe.
    let ran = on_prem.run(&operator, &["grant", "auditor", "--json"]).await?.succeeded()?;
    let told: Value = serde_json::from_str(&ran)?;
    let token = operators_token(&on_prem).await?;
    let destroy = json!({ "secret_id_accessor": told["accessor"] });
    let path = "auth/approle/role/auditor/secret-id-accessor/destroy";
    on_prem.call(Method::POST, path, Some(&token), Some(&destroy)).await?.accepted()?;
    let wrapping = told["wrappingToken"].as_str().context("no token")?;
    let opened = on_prem.call(Method::POST, "sys/wrapping/unwrap", Some(wrapping), None).await?.accepted()?;
    let body = json!({ "role_id": told["roleId"], "secret_id": opened["data"]["secret_id"] });
    let answer = on_prem.call(Method::POST, "auth/approle/login", None, Some(&body)).await?;
    ensure!(!answer.status.is_success(), "it lets somebody in although it was called back");
    Ok(())
}

#[tokio::test]
async fn the_operator_hands_out_what_roles_are_and_nothing_else() -> Result<()> {
    let on_prem = set_up().await?;
    let operator = on_prem.file("operator.toml");
    for (arguments, said) in [
        (["grant", "nobody", "--ttl", "1m"], "denied"),
        // Longer than it may wait.
        (["grant", "auditor", "--ttl", "2h"], "denied"),
    ] {
        let ran = on_prem.run(&operator, &arguments).await?;
        ensure!(ran.code == 77 && ran.err.contains(said) && ran.out.is_empty(), "{arguments:?}: {ran:?}");
    }
    let token = operators_token(&on_prem).await?;
    let role = "auth/approle/role/auditor";
    for (method, path, body) in [
        // Unwrapped, and so for him to see.
        (Method::POST, format!("{role}/secret-id"), json!({})),
        (Method::POST, format!("{role}/secret-id"), json!({ "num_uses": 0 })),
        (Method::POST, format!("{role}/secret-id"), json!({ "ttl": "9999h" })),
        // Of his own choice.
        (Method::POST, format!("{role}/custom-secret-id"), json!({ "secret_id": "known" })),
        // With other policies, or other numbers.
        (Method::POST, role.to_owned(), json!({ "token_policies": ["root"] })),
        (Method::POST, format!("{role}/policies"), json!({ "token_policies": ["root"] })),
        (Method::POST, format!("{role}/secret-id-num-uses"), json!({ "secret_id_num_uses": 0 })),
        (Method::POST, "auth/approle/role/another".to_owned(), json!({ "token_policies": ["auditor"] })),
        (Method::POST, "auth/token/create".to_owned(), json!({ "policies": ["auditor"] })),
        (Method::GET, "keyboot-secrets/data/keyboot/l2/role/batcher/1".to_owned(), Value::Null),
    ] {
        let body = Some(&body).filter(|body| !body.is_null());
        let answer = on_prem.call(method.clone(), &path, Some(&token), body).await?;
        ensure!(answer.status == StatusCode::FORBIDDEN, "{method} {path} is answered {}", answer.status);
    }
    // What he may, with the same token.
    on_prem.call(Method::GET, &format!("{role}/role-id"), Some(&token), None).await?.accepted()?;
    // And what he is there for, by way of the program, after all of this.
    on_prem.grant("auditor").await?;
    Ok(())
}

#[tokio::test]
async fn a_copy_of_the_operators_login_shows_itself() -> Result<()> {
    let on_prem = set_up().await?;
    let (login, operator) = (on_prem.file("operator.login"), on_prem.file("operator.toml"));
    let copy = std::fs::read(&login)?;
    on_prem.grant("auditor").await?;
    let next = std::fs::read(&login)?;
    ensure!(next != copy, "the same login is there again");
    ensure!(std::fs::metadata(&login)?.permissions().mode() & 0o777 == 0o600);
    // Whoever copied it before comes too late.
    std::fs::write(&login, &copy)?;
    let ran = on_prem.run(&operator, &["grant", "auditor"]).await?;
    ensure!(ran.code != 0 && ran.err.contains("somebody else holds the secret id"), "{ran:?}");
    // Whoever copied the next and used it is told of to the operator, at his next grant.
    std::fs::write(&login, &next)?;
    on_prem.run(&operator, &["grant", "auditor"]).await?.succeeded()?;
    std::fs::write(&login, &next)?;
    let ran = on_prem.run(&operator, &["grant", "auditor"]).await?;
    ensure!(ran.code != 0 && ran.err.contains("somebody else holds the secret id"), "{ran:?}");
    Ok(())
}

#[tokio::test]
async fn where_the_next_login_has_no_place_this_one_is_not_used_up() -> Result<()> {
    let on_prem = set_up().await?;
    let operator = on_prem.file("operator.toml");
    let nowhere = on_prem.file("nowhere/auditor");
    let nowhere = nowhere.to_str().context("a path that is no text")?;
    let ran = on_prem.run(&operator, &["grant", "auditor", "--out", nowhere]).await?;
    ensure!(ran.code != 0 && ran.err.contains("cannot be written"), "{ran:?}");
    on_prem.grant("auditor").await?;
    Ok(())
}
