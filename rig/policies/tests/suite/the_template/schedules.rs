//! What rotates keys, and when: Secrets Manager by itself, Parameter Store by schedules of the stack.

use policies::template::{Resolved, Stack};
use serde_json::{Value, json};

use super::{STACK, function_arn, resolve, role_arn};

const MONTHLY: &str = "cron(0 8 1 * ? *)";
const QUARTERLY: &str = "cron(0 8 1 1/3 ? *)";

fn rotating(store: &str, api_keys: &str, p2p_keys: &str) -> Resolved {
    let stack = Stack::new(STACK).unwrap().parameter("Nodes", "0,7").parameter("Store", store);
    resolve(stack.parameter("RotateApiKeysEvery", api_keys).parameter("RotateP2pKeysEvery", p2p_keys))
}

fn schedules(resolved: &Resolved) -> Vec<String> {
    let schedules = resolved.resources().filter(|(_, kind)| *kind == "AWS::Scheduler::Schedule");
    let mut ids: Vec<_> = schedules.map(|(id, _)| id.to_owned()).collect();
    ids.sort();
    ids
}

/// Secrets Manager has schedules of its own; Parameter Store has none. In either, somebody takes out of use
/// what has been replaced.
#[test]
fn there_are_schedules_for_what_is_rotated_and_no_others() {
    let api_keys = ["NodeApiKeysSchedule0", "NodeApiKeysSchedule7"];
    let p2p_keys = ["NodeP2pKeySchedule0", "NodeP2pKeySchedule7"];
    let retirement = ["RetirementSchedule"];
    for (store, api_keys_every, p2p_keys_every, wanted) in [
        ("SecretsManager", "", "", vec![]),
        ("ParameterStore", "", "", vec![]),
        ("SecretsManager", "rate(30 days)", "", retirement.to_vec()),
        ("SecretsManager", "", "rate(30 days)", retirement.to_vec()),
        ("ParameterStore", MONTHLY, "", [&api_keys[..], &retirement].concat()),
        ("ParameterStore", "", QUARTERLY, [&p2p_keys[..], &retirement].concat()),
        ("ParameterStore", MONTHLY, QUARTERLY, [&api_keys[..], &p2p_keys, &retirement].concat()),
    ] {
        let resolved = rotating(store, api_keys_every, p2p_keys_every);
        assert_eq!(schedules(&resolved), wanted, "{store}: {api_keys_every:?} {p2p_keys_every:?}");
    }
}

/// Each asks key-rotation, by the role that may do nothing else.
#[test]
fn each_schedule_asks_key_rotation_for_one_thing_of_this_cluster() {
    let resolved = rotating("ParameterStore", MONTHLY, QUARTERLY);
    let at = "<aws.scheduler.scheduled-time>";
    let rotate =
        |what: &str, node: &str| json!({"Rotate": what, "Cluster": "keyboot/tsm", "Node": node, "At": at});
    for (id, expression, asked) in [
        ("NodeApiKeysSchedule0", MONTHLY, rotate("api-keys", "0")),
        ("NodeApiKeysSchedule7", MONTHLY, rotate("api-keys", "7")),
        ("NodeP2pKeySchedule0", QUARTERLY, rotate("p2p-key", "0")),
        ("NodeP2pKeySchedule7", QUARTERLY, rotate("p2p-key", "7")),
        ("RetirementSchedule", "rate(1 hour)", json!({"Retire": "keyboot/tsm"})),
    ] {
        let schedule = resolved.resource(id).unwrap();
        assert_eq!(schedule["ScheduleExpression"], expression, "{id}");
        assert_eq!(schedule.get("ScheduleExpressionTimezone"), None, "{id} is in UTC");
        assert_eq!(schedule["GroupName"], "ScheduleGroup", "{id}");
        let target = &schedule["Target"];
        assert_eq!(target["Arn"], function_arn("KeyRotationFunction"), "{id}");
        assert_eq!(target["RoleArn"], role_arn("SchedulerRole"), "{id}");
        let input: Value = serde_json::from_str(target["Input"].as_str().unwrap()).unwrap();
        assert_eq!(input, asked, "{id}");
        // A queue for what could not be handed over would be one more place to watch; the alarm of the
        // function and the next time are enough.
        assert_eq!(target.get("DeadLetterConfig"), None, "{id}");
    }
}

/// What is not to be rotated is not spoken of, so that the resource's own defaults hold.
#[test]
fn the_keys_are_told_when_they_are_rotated() {
    for store in ["SecretsManager", "ParameterStore"] {
        let told = |resolved: &Resolved, name: &str| resolved.resource("Keys").unwrap().get(name).cloned();
        let off = rotating(store, "", "");
        let on = rotating(store, MONTHLY, QUARTERLY);
        for (name, wanted) in [("RotateApiKeysEvery", MONTHLY), ("RotateP2pKeysEvery", QUARTERLY)] {
            assert_eq!(told(&off, name), None, "{store}: {name}");
            assert_eq!(told(&on, name), Some(json!(wanted)), "{store}: {name}");
        }
        for (name, wanted) in [("OverlapHours", "24"), ("CutOverMinutes", "60")] {
            assert_eq!(told(&on, name), Some(json!(wanted)), "{store}: {name}");
        }
    }
}
