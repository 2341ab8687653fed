//! The login at a node's database: AWS's form of it and no other, and no word of what stands in another.

use reading::ports::{CurrentReader, CurrentValue, StoredText};
use reading::{DatabaseLogin, ReadError, SecretArn};

use crate::world::run;

const ARN: &str = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:keyboot-storage/tsm/node/0/database-login-AbCdEf";
const WHOLE: &str = r#"{"engine":"postgres","host":"db.example","port":5432,"dbname":"tsm","username":"node_a","password":"pass"}"#;

struct Stored(String);

impl CurrentReader for Stored {
    async fn fetch_current(&self, arn: &str) -> Result<CurrentValue, ReadError> {
        assert_eq!(arn, ARN);
        Ok(CurrentValue { version_id: "v-7".into(), text: StoredText::new(self.0.clone()) })
    }
}

fn fetch(text: &str) -> Result<DatabaseLogin, ReadError> {
    run(DatabaseLogin::fetch(&Stored(text.to_owned()), &ARN.parse().unwrap()))
}

#[test]
fn it_is_read_as_aws_writes_it_and_not_shown() {
    // As the console of RDS adds to it.
    let more = WHOLE.replacen('{', r#"{"dbInstanceIdentifier":"node-0","masterarn":"arn:…","#, 1);
    for text in [WHOLE, &more] {
        let login = fetch(text).unwrap();
        assert_eq!((login.host.as_str(), login.port), ("db.example", 5432));
        assert_eq!((login.database.as_str(), login.user.as_str()), ("tsm", "node_a"));
        // EXPOSE: to a test.
        assert_eq!((login.expose_password(), login.version_id.as_str()), ("pass", "v-7"));
        assert_eq!(format!("{login:?}"), "DatabaseLogin { version_id: \"v-7\", .. }");
    }
    let escaped = fetch(&WHOLE.replace("\"pass\"", r#""a\"b\\cé""#)).unwrap();
    // EXPOSE: to a test.
    assert_eq!(escaped.expose_password(), "a\"b\\cé");
}

#[test]
fn every_other_form_is_refused_by_its_field_and_without_a_value() {
    let long = format!("\"{}\"", "canary".repeat(11));
    for (from, to, why) in [
        (WHOLE, "canary", "is no JSON object"),
        (WHOLE, "", "is no JSON object"),
        (WHOLE, r#"["postgres","canary",1,"canary","canary","canary"]"#, "is no JSON object"),
        (WHOLE, "\"canary\"", "no JSON object"),
        (WHOLE, "{\"canary\":1}", "it lacks `engine`"),
        ("}", "", "is no JSON"),
        ("}", "} canary", "is no JSON"),
        ("\"engine\":\"postgres\",", "", "it lacks `engine`"),
        ("\"host\":\"db.example\",", "", "it lacks `host`"),
        ("\"port\":5432,", "", "it lacks `port`"),
        ("\"dbname\":\"tsm\",", "", "it lacks `dbname`"),
        ("\"username\":\"node_a\",", "", "it lacks `username`"),
        (",\"password\":\"pass\"", "", "it lacks `password`"),
        ("postgres", "canary", "its `engine` is not postgres"),
        ("5432", "\"canary\"", "its `port` is of another kind"),
        ("5432", "65536", "its `port` is of another kind"),
        ("5432", "-1", "its `port` is of another kind"),
        ("5432", "0", "its `port` is 0"),
        ("\"tsm\"", "[\"canary\"]", "its `dbname` is of another kind"),
        ("\"tsm\"", "\"\"", "its `dbname` is empty"),
        ("\"node_a\"", &long, "its `username` is empty, longer than 63 bytes"),
        ("\"node_a\"", "\"canary\\n\"", "its `username`"),
        ("\"node_a\"", "null", "its `username` is of another kind"),
        ("\"pass\"", "\"\"", "its `password` is empty"),
        ("\"pass\"", "\"canary\\u0000\"", "its `password`"),
        ("\"pass\"", "{\"canary\":1}", "its `password` is of another kind"),
        ("db.example", "", "its `host` is neither"),
        ("db.example", "canary:1", "its `host` is neither"),
        ("db.example", "canary@db", "its `host` is neither"),
        ("db.example", "canary/..", "its `host` is neither"),
        ("db.example", "::1", "its `host` is neither"),
        ("\"pass\"", "\"canary\",\"password\":\"canary\"", ""),
    ] {
        let text = WHOLE.replacen(from, to, 1);
        let error = fetch(&text).unwrap_err();
        let said = error.to_string();
        assert!(matches!(error, ReadError::Mismatch { .. }), "{text}: {said}");
        assert!(said.contains(why) && said.contains(ARN), "{text}: {said}");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
}

#[test]
fn a_secret_is_named_by_its_full_arn() {
    let arn: SecretArn = ARN.parse().unwrap();
    assert_eq!((arn.as_str(), arn.region(), arn.to_string().as_str()), (ARN, "eu-central-1", ARN));
    assert!(
        "arn:aws-cn:secretsmanager:cn-north-1:111122223333:secret:a-b-000000".parse::<SecretArn>().is_ok()
    );
    for (from, to) in [
        ("arn:", "urn:"),
        ("aws:", ":"),
        ("secretsmanager", "ssm"),
        ("eu-central-1", ""),
        ("eu-central-1", "EU"),
        ("111122223333", "11112222333"),
        ("111122223333", "11112222333x"),
        (":secret:", ":parameter:"),
        ("-AbCdEf", ""),
        ("-AbCdEf", "-AbCdE"),
        ("-AbCdEf", "-AbC/Ef"),
        ("/tsm/", "/t sm/"),
        ("/tsm/", "/t:sm/"),
        (ARN, "keyboot-storage/tsm/node/0/database-login"),
        ("keyboot-storage/tsm/node/0/database-login-AbCdEf", "-AbCdEf"),
    ] {
        let text = ARN.replacen(from, to, 1);
        let error = text.parse::<SecretArn>().unwrap_err().to_string();
        assert!(error.contains("full ARN of a secret"), "{text}: {error}");
    }
}
