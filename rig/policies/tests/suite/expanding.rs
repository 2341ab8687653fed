//! Templates without transforms, and that they say the same.

use std::collections::BTreeMap;
use std::fs;

use policies::template::{Expansion, Resolved, Stack, Template};
use serde_json::{Value, json};

const STACK: &str =
    "arn:aws:cloudformation:eu-central-1:111122223333:stack/keyboot/0f2c1c2e-9f0e-4f9a-8a53-000000000001";

fn whole() -> (Template, String) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../template.yaml");
    let template = Template::read(&fs::read_to_string(path).unwrap()).unwrap();
    let expansion = Expansion::default()
        .value("Nodes", &["0", "7"])
        .code("target/functions/key-rotation/bootstrap.zip", "key-rotation-3.zip")
        .code("target/functions/node-keys/bootstrap.zip", "node-keys-1.zip")
        .code("target/functions/unanswered/bootstrap.zip", "unanswered-1.zip");
    let expanded = template.expand(&expansion).unwrap();
    (template, expanded)
}

/// Every resource has an id and an ARN.
fn resolve(template: &Template, stack: &Stack) -> Resolved {
    let resolved = template.resolve(stack).unwrap();
    let ids: Vec<_> = resolved.resources().map(|(id, _)| id.to_owned()).collect();
    let named =
        |stack: Stack, id: &String| stack.physical_id(id, id).attribute(id, "Arn", format!("arn:of:{id}"));
    let stack = ids.iter().fold(stack.clone(), named);
    let stack = ["RosterArn", "RosterSha256"]
        .into_iter()
        .fold(stack, |stack, name| stack.attribute("Keys", name, format!("{name} of Keys")));
    template.resolve(&stack).unwrap()
}

/// All that a template says of a stack, but for how a function is spelled.
fn said(resolved: &Resolved) -> (BTreeMap<String, Value>, BTreeMap<String, Value>) {
    let resources = resolved.resources().map(|(id, kind)| {
        let mut properties = resolved.resource(id).unwrap();
        let kind = match kind {
            "AWS::Serverless::Function" => "AWS::Lambda::Function",
            other => other,
        };
        if kind == "AWS::Lambda::Function" {
            let properties = properties.as_object_mut().unwrap();
            assert!(properties.remove("CodeUri").or_else(|| properties.remove("Code")).is_some(), "{id}");
        }
        (id.to_owned(), json!({"Type": kind, "Properties": properties}))
    });
    let outputs = resolved.outputs().map(|name| (name.to_owned(), resolved.output(name).unwrap()));
    (resources.collect(), outputs.collect())
}

#[test]
fn the_expanded_template_says_the_same_and_needs_no_transform() {
    let (original, expanded) = whole();
    for left in ["\"Transform\"", "Fn::ForEach", "AWS::Serverless", "${Index}", "&{", "\"Nodes\": {"] {
        assert!(!expanded.contains(left), "{left} is left");
    }
    let expanded = Template::read(&expanded).unwrap();
    let reader = "0=arn:aws:iam::111122223333:role/node-0,7=arn:aws:iam::444455556666:role/node-7";
    for parameters in [
        vec![],
        vec![("ReaderPrincipals", reader), ("ReaderAccounts", "444455556666"), ("ShareDocuments", "true")],
        vec![
            ("ReaderPrincipals", reader),
            ("Cluster", "other"),
            ("P2pCurve", "P-384"),
            ("Applications", "a,b"),
        ],
        vec![("MultiRegionKey", "false"), ("ReservedConcurrency", "2"), ("AlarmEmail", "ops@example.org")],
        vec![("ClientStackIds", STACK), ("AlarmTopicArn", "arn:aws:sns:eu-central-1:111122223333:theirs")],
        vec![("RotateApiKeysEvery", "rate(30 days)"), ("OverlapHours", "48")],
        vec![
            ("Store", "ParameterStore"),
            ("RotateApiKeysEvery", "cron(0 8 1 * ? *)"),
            ("RotateP2pKeysEvery", "cron(0 8 1 1/3 ? *)"),
            ("CutOverMinutes", "90"),
        ],
    ] {
        let with =
            |stack: Stack| parameters.iter().fold(stack, |stack, (name, value)| stack.parameter(name, value));
        let stack = || with(Stack::new(STACK).unwrap());
        let original = resolve(&original, &stack().parameter("Nodes", "0,7"));
        let resolved =
            resolve(&expanded, &stack().parameter("CodeBucket", "code").parameter("CodePrefix", "p/"));
        let (wanted, found) = (said(&original), said(&resolved));
        assert!(wanted.0.len() > 20 && wanted.1.len() > 8, "{} resources", wanted.0.len());
        assert_eq!(wanted, found);
        for (function, key) in
            [("NodeKeysFunction", "p/node-keys-1.zip"), ("KeyRotationFunction", "p/key-rotation-3.zip")]
        {
            let code = &resolved.resource(function).unwrap()["Code"];
            assert_eq!(code, &json!({"S3Bucket": "code", "S3Key": key}));
        }
    }
}

/// What surrounds the properties is kept: what is retained, and what waits for what.
#[test]
fn the_expanded_template_keeps_what_surrounds_the_properties() {
    let expanded: Value = serde_json::from_str(&whole().1).unwrap();
    let resources = &expanded["Resources"];
    assert_eq!(resources["SecretsKey"]["DeletionPolicy"], "Retain");
    assert_eq!(resources["SecretsKey"]["UpdateReplacePolicy"], "Retain");
    assert_eq!(
        resources["NodeKeysFunction"]["DependsOn"],
        json!(["NodeKeysPolicy", "NodeKeysParametersPolicy", "NodeKeysRotationPolicy"])
    );
    assert_eq!(resources["KeyRotationFunction"]["DependsOn"], "KeyRotationPolicy");
    // A loop has given each node its own.
    let schedule = &resources["NodeApiKeysSchedule7"];
    assert_eq!(schedule["DependsOn"], json!(["Keys", "SchedulerPolicy"]));
    assert_eq!(schedule["Condition"], "HasApiKeySchedules");
    assert!(
        resources["Keys"]["DependsOn"]
            .as_array()
            .is_some_and(|ids| ids.contains(&json!("NodeKeysInvocation")))
    );
    assert_eq!(resources["AlarmTopic"]["Condition"], "HasOwnTopic");
    let parameters = expanded["Parameters"].as_object().unwrap();
    assert!(parameters.contains_key("Applications") && parameters.contains_key("CodeBucket"));
    assert_eq!(resources["Keys"]["Properties"]["Nodes"], json!(["0", "7"]));
}

fn small(resources: &str) -> Template {
    let text = format!(
        "Transform: AWS::LanguageExtensions\nParameters:\n  Names: {{ Type: CommaDelimitedList }}\nResources:\n{resources}"
    );
    Template::read(&text).unwrap()
}

#[test]
fn what_cannot_be_expanded_and_where() {
    let names = || Expansion::default().value("Names", &["a"]);
    for (resources, fault) in [
        (
            "  Fn::ForEach::All: [Name, !Ref Names, { \"X${Name}\": { Type: T } }]",
            "Resources.Fn::ForEach::All[1]: nothing is known of Names",
        ),
        (
            "  F: { Type: AWS::Serverless::Function, Properties: { CodeUri: nowhere } }",
            "Resources.F.Properties.CodeUri: nothing is known of nowhere",
        ),
        (
            "  F: { Type: AWS::Serverless::Function, Properties: { Events: {} } }",
            "Resources.F.Properties.Events: this property is not supported here",
        ),
        ("  A: { Type: AWS::Serverless::Api }", "Resources.A: AWS::Serverless::Api is not supported here"),
        (
            "  R: { Type: T, Properties: { P: { Fn::Length: [a] } } }",
            "Resources.R.Properties.P.Fn::Length: what needs AWS::LanguageExtensions is not supported here",
        ),
        (
            "  R: { Type: T, Properties: { P: { Ref: !Sub \"${AWS::Region}x\" } } }",
            "Resources.R.Properties.P.Ref: a name that is computed is not supported here",
        ),
    ] {
        let refused = small(resources).expand(&Expansion::default()).unwrap_err();
        assert_eq!(refused.to_string(), fault);
    }
    let refused =
        small("  R: { Type: T, Properties: { P: !Sub \"${Names}\" } }").expand(&names()).unwrap_err();
    assert_eq!(refused.to_string(), "Resources.R.Properties.P.Fn::Sub: Names is a list, not a text");
    let taken = Template::read("Parameters:\n  CodeBucket: { Type: String }\nResources: {}\n").unwrap();
    let refused = taken.expand(&Expansion::default().code("a/", "a.zip")).unwrap_err();
    assert_eq!(refused.to_string(), "Parameters.CodeBucket: the template has such a parameter itself");
    let own = taken.expand(&Expansion::default()).unwrap();
    assert!(
        own.contains("\"CodeBucket\"") && !own.contains("\"CodePrefix\""),
        "a template that says where its code is"
    );
}

#[test]
fn for_one_item_that_stays_a_parameter() {
    let template = Template::read(
        r#"
Transform: AWS::LanguageExtensions
Metadata: { All: [Names] }
Parameters:
  Names: { Type: CommaDelimitedList, Default: "a, b" }
Resources:
  Fn::ForEach::Each:
    - Name
    - !Ref Names
    - Thing${Name}:
        Type: T
        Properties:
          Called: !Sub "x-${Name}"
          Itself: !Ref Name
          All: !Ref Names
          Joined: !Join ["-", !Ref Names]
      Other${Name}:
        Type: T
        Properties:
          Thing: !Ref { "Fn::Sub": "Thing${Name}" }
          Arn: !GetAtt [!Sub "Thing${Name}", Arn]
          Both: !Sub ["${Name} ${Thing}", { Thing: !Ref { "Fn::Sub": "Thing${Name}" } }]
Outputs:
  Fn::ForEach::Every:
    - Name
    - !Ref Names
    - Thing${Name}:
        Description: What is made of ${Name}.
        Value: !GetAtt [!Sub "Thing${Name}", Arn]
        Export: { Name: !Sub "${AWS::StackName}-${Name}" }
"#,
    )
    .unwrap();
    let expanded: Value =
        serde_json::from_str(&template.expand(&Expansion::default().one("Names")).unwrap()).unwrap();
    let item = json!({"Ref": "Names"});
    assert_eq!(expanded["Parameters"]["Names"], json!({"Type": "String", "Default": "a"}));
    assert_eq!(
        expanded["Resources"],
        json!({
            "Thing": {"Type": "T", "Properties": {
                "Called": {"Fn::Sub": "x-${Names}"},
                "Itself": item,
                "All": [item],
                "Joined": {"Fn::Join": ["-", [item]]},
            }},
            "Other": {"Type": "T", "Properties": {
                "Thing": {"Ref": "Thing"},
                "Arn": {"Fn::GetAtt": ["Thing", "Arn"]},
                "Both": {"Fn::Sub": ["${Names} ${Thing}", {"Thing": {"Ref": "Thing"}}]},
            }},
        })
    );
    assert_eq!(
        expanded["Outputs"]["Thing"],
        json!({
            "Description": "What is made of <Names>.",
            "Value": {"Fn::GetAtt": ["Thing", "Arn"]},
            "Export": {"Name": {"Fn::Sub": "${AWS::StackName}-${Names}"}},
        })
    );
    let twice =
        small("  X: { Type: T }\n  Fn::ForEach::All: [Name, !Ref Names, { \"X${Name}\": { Type: T } }]");
    let refused = twice.expand(&Expansion::default().one("Names")).unwrap_err();
    assert_eq!(refused.to_string(), "Resources.X${Names}: X stands here already");
}
