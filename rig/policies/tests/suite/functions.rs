//! Templates: functions, conditions, loops, parameters. Pages are of the CloudFormation Template
//! Reference Guide.

use policies::template::{Stack, Template, TemplateError};
use serde_json::{Value, json};

const STACK: &str =
    "arn:aws:cloudformation:eu-central-1:111122223333:stack/keyboot/0f2c1c2e-9f0e-4f9a-8a53-000000000000";

fn stack() -> Stack {
    let stack = Stack::new(STACK).unwrap();
    stack.physical_id("Key", "key-1").attribute("Key", "Arn", "arn:aws:kms:eu-central-1:111122223333:key/1")
}

/// The head of all templates here.
const HEAD: &str = r#"
Transform: AWS::LanguageExtensions
Parameters:
  Name: { Type: String, Default: tsm }
  List: { Type: CommaDelimitedList, Default: "a, b,c" }
  Empty: { Type: CommaDelimitedList, Default: "" }
  Count: { Type: Number, Default: 3 }
Conditions:
  Holds: !Equals [!Ref Name, tsm]
  Fails: !Not [Condition: Holds]
  HasList: !Not [!Equals [!Join ["", !Ref Empty], ""]]
  Both: !And [Condition: Holds, !Condition Fails]
  Either: !Or [!Condition Holds, !Condition Fails]
  Numbers: !Equals [!Ref Count, 3]
"#;

/// The value of one property, from the text of a template that has it.
fn property(text: &str) -> Result<Value, TemplateError> {
    let template = format!(
        "{HEAD}\nResources:\n  Key: {{ Type: AWS::KMS::Key }}\n  Thing:\n    Type: A::B::C\n    Properties:\n      Value: {text}\n"
    );
    let properties = Template::read(&template)?.resolve(&stack())?.resource("Thing")?;
    Ok(properties.get("Value").cloned().unwrap_or(json!("(none)")))
}

#[test]
fn functions() {
    for (page, text, value) in [
        ("Ref", "!Ref Name", json!("tsm")),
        ("Ref", "{ Ref: Name }", json!("tsm")),
        ("Ref", "!Ref Key", json!("key-1")),
        ("Ref", "!Ref List", json!(["a", "b", "c"])),
        ("Ref", "!Ref Empty", json!([""])),
        ("Ref", "!Ref Count", json!("3")),
        ("Ref", "!Ref { \"Fn::Sub\": \"N${Two}\" }", json!("(error)")),
        ("Pseudo parameters", "!Ref AWS::AccountId", json!("111122223333")),
        ("Pseudo parameters", "!Ref AWS::Region", json!("eu-central-1")),
        ("Pseudo parameters", "!Ref AWS::Partition", json!("aws")),
        ("Pseudo parameters", "!Ref AWS::URLSuffix", json!("amazonaws.com")),
        ("Pseudo parameters", "!Ref AWS::StackName", json!("keyboot")),
        ("Pseudo parameters", "!Ref AWS::StackId", json!(STACK)),
        ("Pseudo parameters", "!Ref AWS::NoValue", json!("(none)")),
        ("Pseudo parameters", "[a, !Ref AWS::NoValue, b]", json!(["a", "b"])),
        ("Pseudo parameters", "{ p: !Ref AWS::NoValue, q: 1 }", json!({"q": 1})),
        ("Fn::GetAtt", "!GetAtt Key.Arn", json!("arn:aws:kms:eu-central-1:111122223333:key/1")),
        ("Fn::GetAtt", "!GetAtt [Key, Arn]", json!("arn:aws:kms:eu-central-1:111122223333:key/1")),
        ("Fn::GetAtt", "{ \"Fn::GetAtt\": Key.Arn }", json!("arn:aws:kms:eu-central-1:111122223333:key/1")),
        ("Fn::Sub", "!Sub \"${Name}/${AWS::Region}/${Key}\"", json!("tsm/eu-central-1/key-1")),
        ("Fn::Sub", "!Sub \"<${Key.Arn}>\"", json!("<arn:aws:kms:eu-central-1:111122223333:key/1>")),
        ("Fn::Sub", "!Sub \"${!Literal} ${Name}$\"", json!("${Literal} tsm$")),
        ("Fn::Sub", "!Sub [\"${Mine}-${Name}\", { Mine: !Join [\"+\", !Ref List] }]", json!("a+b+c-tsm")),
        ("Fn::Sub", "!Sub [\"${Name}\", { Name: mine }]", json!("mine")),
        ("Fn::Join", "!Join [\",\", [a, !Ref Name, !Ref AWS::NoValue, 1]]", json!("a,tsm,1")),
        ("Fn::Join", "!Join [\"\", !Ref Empty]", json!("")),
        ("Fn::Split", "!Split [\",\", \"a,b,,c\"]", json!(["a", "b", "", "c"])),
        (
            "Fn::Split",
            "!Split [\",\", !Join [\",\", [x, !Join [\",\", !Ref List]]]]",
            json!(["x", "a", "b", "c"]),
        ),
        ("Fn::Select", "!Select [1, !Ref List]", json!("b")),
        ("Fn::Select", "!Select [\"0\", !Split [\"-\", \"p-q\"]]", json!("p")),
        ("Fn::If", "!If [Holds, then, otherwise]", json!("then")),
        ("Fn::If", "!If [Fails, then, otherwise]", json!("otherwise")),
        ("Fn::If", "!If [Fails, then, !Ref AWS::NoValue]", json!("(none)")),
        // What is not chosen is not resolved.
        ("Fn::If", "!If [Holds, then, !Ref Unknown]", json!("then")),
        ("Condition functions", "!If [Both, 1, 2]", json!(2)),
        ("Condition functions", "!If [Either, 1, 2]", json!(1)),
        ("Condition functions", "!If [HasList, 1, 2]", json!(2)),
        ("Condition functions", "!If [Numbers, 1, 2]", json!(1)),
        ("Template format: YAML", "2012-10-17", json!("2012-10-17")),
        (
            "Template format: YAML",
            "{ a: 1, b: 1.5, c: true, d: \"1\", e: null, f: ~ }",
            json!({"a": 1, "b": 1.5, "c": true, "d": "1", "e": null, "f": null}),
        ),
    ] {
        if value == json!("(error)") {
            assert!(property(text).is_err(), "{page}: {text}");
        } else {
            assert_eq!(property(text), Ok(value), "{page}: {text}");
        }
    }
}

#[test]
fn what_is_refused_and_where() {
    let place = "Resources.Thing.Properties.Value";
    for (text, expected) in [
        ("!Ref Unknown", "{}.Ref: nothing is known of Unknown"),
        ("!Ref Thing", "{}.Ref: nothing is known of Thing"),
        ("!Ref AWS::Nothing", "{}.Ref: nothing is known of AWS::Nothing"),
        ("!GetAtt Key.Nothing", "{}.Fn::GetAtt: nothing is known of Key.Nothing"),
        ("!GetAtt Unknown.Arn", "{}.Fn::GetAtt: nothing is known of Unknown.Arn"),
        ("!GetAtt Key", "{}: Key names no attribute"),
        ("!Sub \"${Unknown}\"", "{}.Fn::Sub: nothing is known of Unknown"),
        ("!Sub \"${Key.Nothing}\"", "{}.Fn::Sub: nothing is known of Key.Nothing"),
        ("!Sub \"${List}\"", "{}.Fn::Sub: List is not a text"),
        ("!Sub \"${Name\"", "{}.Fn::Sub: ${Name: a variable without end"),
        ("[a, !Sub \"${Unknown}\"]", "{}[1].Fn::Sub: nothing is known of Unknown"),
        ("!Join [\",\", a]", "{}.Fn::Join[1]: a list is needed"),
        ("!Join [\",\"]", "{}.Fn::Join: 1 given and 2 needed"),
        ("!Split [\"\", a]", "{}.Fn::Split[0]: an empty delimiter"),
        ("!Select [3, !Ref List]", "{}.Fn::Select: there is no element 3"),
        ("!If [Unknown, 1, 2]", "{}.Fn::If: nothing is known of Unknown"),
        ("!If [Holds, 1]", "{}.Fn::If: 2 given and 3 needed"),
        ("!FindInMap [a, b, c]", "{}.Fn::FindInMap: this function is not supported here"),
        ("!Base64 a", "{}.Fn::Base64: this function is not supported here"),
        ("{ \"Fn::Transform\": {} }", "{}.Fn::Transform: this function is not supported here"),
        ("{ \"Fn::Unheard\": {} }", "{}.Fn::Unheard: this function is not supported here"),
        ("!Unheard a", "{}: the tag !Unheard is not supported here"),
        ("!!binary YQ==", "{}: the tag tag:yaml.org,2002:!binary is not supported here"),
        ("{ Ref: Name, more: 1 }", "{}: Ref does not stand alone"),
        ("&anchor a", "(fine)"),
        ("[&anchor a, *anchor]", "{}[1]: an alias is not supported here"),
        ("{ a: 1, a: 2 }", "{}.a: it stands here twice"),
        ("{ a: 1, \"a\": 2 }", "{}.a: it stands here twice"),
        ("{ null: 1 }", "{}: the key null needs quotes"),
        ("{ [a]: 1 }", "{}: a key that is not a string"),
    ] {
        let expected = expected.replace("{}", place);
        match property(text) {
            Ok(value) => assert_eq!((expected.as_str(), value), ("(fine)", json!("a")), "{text}"),
            Err(error) => assert_eq!(error.to_string(), expected, "{text}"),
        }
    }
    assert!(matches!(Template::read("a: [b"), Err(TemplateError::Yaml(_))));
    for (text, error) in [
        ("", "it is empty"),
        ("a: 1", "Resources is missing"),
        ("- a", "a map is needed"),
        ("Resources: {}\n---\nResources: {}", "a second document"),
    ] {
        assert_eq!(Template::read(text).unwrap_err().to_string(), format!("the document: {error}"), "{text}");
    }
}

/// YAML 1.1, which CloudFormation reads, takes these for other things than YAML 1.2 does.
#[test]
fn what_needs_quotes() {
    for text in
        ["yes", "No", "on", "OFF", "012345678901", "0x1f", "0o17", "1_000", "1:20", "1e3", ".inf", "-.nan"]
    {
        assert!(property(text).is_err_and(|error| error.to_string().contains("needs quotes")), "{text}");
        assert_eq!(property(&format!("\"{text}\"")), Ok(json!(text)));
    }
    for (text, value) in [
        ("yesterday", json!("yesterday")),
        ("0", json!(0)),
        ("0.5", json!(0.5)),
        ("-7", json!(-7)),
        ("0abc", json!("0abc")),
        ("a:b", json!("a:b")),
        ("kms:Encrypt", json!("kms:Encrypt")),
        ("111122223333", json!(111_122_223_333_i64)),
        ("1.2.3", json!("1.2.3")),
    ] {
        assert_eq!(property(text), Ok(value), "{text}");
    }
}

#[test]
fn parameters() {
    let template = |declaration: &str| {
        let text = format!(
            "Parameters: {{ P: {declaration} }}\nResources: {{ R: {{ Type: T, Properties: {{ V: !Ref P }} }} }}"
        );
        Template::read(&text).unwrap()
    };
    let value = |declaration: &str, given: Option<&str>| {
        let stack = given.map_or(stack(), |given| stack().parameter("P", given));
        let resolved = template(declaration).resolve(&stack).map_err(|error| error.to_string())?;
        Ok::<_, String>(resolved.resource("R").unwrap()["V"].clone())
    };
    assert_eq!(value("{ Type: String, Default: a }", None), Ok(json!("a")));
    assert_eq!(value("{ Type: String, Default: a }", Some("b")), Ok(json!("b")));
    assert_eq!(value("{ Type: String }", None), Err("Parameters.P: nothing is known of P".to_owned()));
    assert_eq!(value("{ Type: Number }", Some("7")), Ok(json!("7")));
    assert_eq!(value("{ Type: Number }", Some("x")), Err("Parameters.P: x is not a number".to_owned()));
    assert_eq!(value("{ Type: String, AllowedValues: [a, 7] }", Some("7")), Ok(json!("7")));
    let refused = "Parameters.P: c is not among the allowed values".to_owned();
    assert_eq!(value("{ Type: String, AllowedValues: [a, b] }", Some("c")), Err(refused));
    let unsupported = "Parameters.P.Type: AWS::EC2::VPC::Id is not supported here".to_owned();
    assert_eq!(value("{ Type: AWS::EC2::VPC::Id }", Some("vpc-1")), Err(unsupported));
    let unknown =
        template("{ Type: String }").resolve(&stack().parameter("P", "a").parameter("Q", "b")).unwrap_err();
    assert_eq!(unknown.to_string(), "Parameters.Q: the template has no such parameter");
}

#[test]
fn pseudo_parameters_follow_the_partition() {
    let template = Template::read(
        "Resources: { R: { Type: T, Properties: { V: !Sub \"${AWS::Partition} ${AWS::URLSuffix}\" } } }",
    );
    for (id, expected) in [
        ("arn:aws-cn:cloudformation:cn-north-1:111122223333:stack/a/b", "aws-cn amazonaws.com.cn"),
        ("arn:aws-us-gov:cloudformation:us-gov-west-1:111122223333:stack/a/b", "aws-us-gov amazonaws.com"),
    ] {
        let resolved = template.as_ref().unwrap().resolve(&Stack::new(id).unwrap()).unwrap();
        assert_eq!(resolved.resource("R").unwrap()["V"], json!(expected));
    }
    for id in [
        "keyboot",
        "arn:aws:cloudformation:eu-central-1:111122223333:stack/a",
        "arn:aws:sns:eu-central-1:111122223333:stack/a/b",
    ] {
        assert!(Stack::new(id).is_none(), "{id}");
    }
}

#[test]
fn conditions_choose_resources_and_outputs() {
    let text = format!(
        "{HEAD}\nResources:\n  There: {{ Type: A, Condition: Holds }}\n  Absent: {{ Type: B, Condition: Fails }}\n\
         Outputs:\n  Told: {{ Value: !Ref There, Condition: Holds }}\n  Untold: {{ Value: 1, Condition: Fails }}\n  Wrong: {{ Value: !Ref Absent }}\n  Gone: {{ Value: !GetAtt Absent.Arn }}\n"
    );
    let resolved = Template::read(&text)
        .unwrap()
        .resolve(
            &stack().physical_id("There", "x").physical_id("Absent", "y").attribute("Absent", "Arn", "z"),
        )
        .unwrap();
    assert_eq!(resolved.resources().collect::<Vec<_>>(), [("There", "A")]);
    assert_eq!(resolved.resource("There"), Ok(json!({})));
    assert_eq!(resolved.resource("Absent").unwrap_err().to_string(), "Resources: nothing is known of Absent");
    assert_eq!(resolved.outputs().collect::<Vec<_>>(), ["Told", "Wrong", "Gone"]);
    assert_eq!(resolved.output("Told"), Ok(json!("x")));
    assert_eq!(resolved.output("Untold").unwrap_err().to_string(), "Outputs: nothing is known of Untold");
    assert_eq!(
        resolved.output("Wrong").unwrap_err().to_string(),
        "Outputs.Wrong.Value.Ref: nothing is known of Absent"
    );
    assert_eq!(
        resolved.output("Gone").unwrap_err().to_string(),
        "Outputs.Gone.Value.Fn::GetAtt: nothing is known of Absent.Arn"
    );

    let refused = |conditions: &str| {
        let text = format!("Conditions: {conditions}\nResources: {{}}");
        Template::read(&text).unwrap().resolve(&stack()).unwrap_err().to_string()
    };
    assert_eq!(
        refused("{ A: !Not [!Condition B], B: !Condition A }"),
        "Conditions.B.Condition: A depends on itself"
    );
    assert_eq!(refused("{ A: !Condition Nothing }"), "Conditions.A.Condition: nothing is known of Nothing");
    assert_eq!(refused("{ A: !Or [!Equals [a, a]] }"), "Conditions.A.Fn::Or: 2 to 10 conditions are needed");
    assert_eq!(
        refused("{ A: !Sub x }"),
        "Conditions.A.Fn::Sub: this condition function is not supported here"
    );
    assert_eq!(refused("{ A: true }"), "Conditions.A: a map is needed");
}

#[test]
fn loops() {
    let resolve = |body: &str| {
        Template::read(&format!("{HEAD}\n{body}")).and_then(|template| template.resolve(&stack()))
    };
    let resolved = resolve(
        "Resources:
  First: { Type: A }
  Fn::ForEach::Readers:
    - Letter
    - !Ref List
    - Reader${Letter}:
        Type: B
        DependsOn: First
        Properties: { Plain: 'is ${Letter}', Sub: !Sub '${Letter} of ${Name}', Of: [!Ref Letter] }
  Fn::ForEach::Outer:
    - X
    - [a-b, c]
    - Fn::ForEach::Inner:
        - Y
        - ['1', '2']
        - Pair&{X}${Y}: { Type: C, Properties: { Both: '${X}${Y}' } }
  Last:
    Type: D
    Properties:
      Fn::ForEach::Keys: [K, [p, q], { 'Key${K}': !Sub '${K}!' }]
",
    )
    .unwrap();
    let ids: Vec<_> = resolved.resources().map(|(id, _)| id).collect();
    assert_eq!(
        ids,
        ["First", "Readera", "Readerb", "Readerc", "Pairab1", "Pairab2", "Pairc1", "Pairc2", "Last"]
    );
    assert_eq!(resolved.resource("Readerb"), Ok(json!({"Plain": "is b", "Sub": "b of tsm", "Of": ["b"]})));
    assert_eq!(resolved.resource("Pairab2"), Ok(json!({"Both": "a-b2"})));
    assert_eq!(resolved.resource("Last"), Ok(json!({"Keyp": "p!", "Keyq": "q!"})));

    let refused = |body: &str| resolve(body).unwrap_err().to_string();
    let place = "Resources.Fn::ForEach::L";
    for (body, error) in [
        ("Resources: { 'Fn::ForEach::L': [X, [a, a], { 'R${X}': { Type: A } }] }", "Ra stands here already"),
        (
            "Resources: { Ra: { Type: A }, 'Fn::ForEach::L': [X, [a], { 'R${X}': { Type: A } }] }",
            "Ra stands here already",
        ),
        ("Resources: { 'Fn::ForEach::L': [X, [a]] }", "2 given and 3 needed"),
    ] {
        assert_eq!(refused(body), format!("{place}: {error}"));
    }
    assert_eq!(
        refused("Resources: { 'Fn::ForEach::L': [X, [a], b] }"),
        format!("{place}[2]: a map is needed")
    );
    assert_eq!(
        refused("Resources: { 'Fn::ForEach::L': [X, !Ref Unknown, {}] }"),
        format!("{place}[1].Ref: nothing is known of Unknown")
    );
    let without = "Resources: { 'Fn::ForEach::L': [X, [a], { 'R${X}': { Type: A } }] }";
    let error = Template::read(without).unwrap().resolve(&stack()).unwrap_err().to_string();
    assert_eq!(error, format!("{place}[1]: Fn::ForEach needs the transform AWS::LanguageExtensions"));
}

/// JSON is YAML.
#[test]
fn a_template_in_json() {
    let text = r#"{"Resources": {"R": {"Type": "T", "Properties": {"V": {"Fn::Join": ["-", ["a", {"Ref": "AWS::Region"}]]}}}}}"#;
    let resolved = Template::read(text).unwrap().resolve(&stack()).unwrap();
    assert_eq!(resolved.resource("R"), Ok(json!({"V": "a-eu-central-1"})));
}
