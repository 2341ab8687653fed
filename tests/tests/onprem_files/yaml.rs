//! YAML as Compose reads it: anchors, references and merged maps are resolved.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

/// Reads a file of one document.
pub(crate) fn parse(text: &str) -> Value {
    let mut events = Parser::new_from_str(text).map(|event| event.unwrap().0);
    let mut anchors = BTreeMap::new();
    let first = events.find(|event| !matches!(event, Event::StreamStart | Event::DocumentStart(_))).unwrap();
    value(first, &mut events, &mut anchors)
}

fn value<'a>(
    event: Event<'a>,
    events: &mut impl Iterator<Item = Event<'a>>,
    anchors: &mut BTreeMap<usize, Value>,
) -> Value {
    let (anchor, value) = match event {
        Event::Alias(anchor) => return anchors[&anchor].clone(),
        Event::Scalar(text, style, anchor, _) => (anchor, scalar(&text, style)),
        Event::SequenceStart(anchor, _) => {
            let mut list = Vec::new();
            loop {
                match events.next().unwrap() {
                    Event::SequenceEnd => break (anchor, Value::Array(list)),
                    event => list.push(self::value(event, events, anchors)),
                }
            }
        }
        Event::MappingStart(anchor, _) => {
            let (mut own, mut merged) = (Map::new(), Map::new());
            loop {
                let key = match events.next().unwrap() {
                    Event::MappingEnd => break,
                    event => self::value(event, events, anchors),
                };
                let next = events.next().unwrap();
                let value = self::value(next, events, anchors);
                let key = key.as_str().unwrap().to_owned();
                if key == "<<" {
                    let parts = if let Value::Array(parts) = value { parts } else { vec![value] };
                    for part in parts {
                        for (key, value) in part.as_object().unwrap().clone() {
                            merged.entry(key).or_insert(value);
                        }
                    }
                } else {
                    assert!(own.insert(key.clone(), value).is_none(), "{key} is there twice");
                }
            }
            merged.extend(own);
            (anchor, Value::Object(merged))
        }
        other => unreachable!("{other:?}"),
    };
    if anchor != 0 {
        anchors.insert(anchor, value.clone());
    }
    value
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    match text {
        _ if style != ScalarStyle::Plain => text.into(),
        "true" => true.into(),
        "false" => false.into(),
        "" | "null" | "~" => Value::Null,
        _ => text.parse::<u64>().map_or_else(|_| text.into(), Value::from),
    }
}

#[test]
fn references_and_merged_maps_are_resolved() {
    let read =
        parse("a: &x { p: 1, q: no }\nb: &y { q: 2 }\nc:\n  <<: [*x, *y]\n  r: [*x, 'true', true, ]\n");
    let wanted = r#"{"p": 1, "q": "no", "r": [{"p": 1, "q": "no"}, "true", true]}"#;
    assert_eq!(read["c"], serde_json::from_str::<Value>(wanted).unwrap());
}
