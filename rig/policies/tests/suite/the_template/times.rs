//! What waits for what, for every time that a run may be given.

use super::{resolve, stack};

/// The longest that CloudFormation waits (CloudFormation Template Reference,
/// `AWS::CloudFormation::CustomResource`, `ServiceTimeout`).
const LONGEST: u64 = 3600;
/// What Lambda waits between three runs (Lambda Developer Guide, "How Lambda handles errors and retries
/// with asynchronous invocation").
const PAUSES: u64 = 60 + 120;
/// What is kept for those and for what else takes time.
const RESERVE: u64 = 300;
/// The shortest time between two rotations of a secret (Secrets Manager User Guide, "Rotation schedules").
const SHORTEST_INTERVAL: u64 = 4 * 3600;

struct Function {
    timeout: u64,
    runs: u64,
    age: u64,
}

impl Function {
    /// When it has been given up at the latest: after all runs, or for its age.
    fn given_up(&self) -> u64 {
        (self.runs * self.timeout + RESERVE).max(self.age + self.timeout)
    }
}

#[test]
fn whatever_time_a_run_is_given_cloudformation_waits_for_all_runs_and_then_for_unanswered() {
    for seconds in ["300", "600", "900"] {
        let resolved = resolve(stack().parameter("FunctionTimeout", seconds));
        let number = |resource: &str, name: &str| {
            let properties = resolved.resource(resource).unwrap();
            properties[name].as_u64().unwrap_or_else(|| panic!("{resource}.{name}: {}", properties[name]))
        };
        let function = |function: &str, invocation: &str| Function {
            timeout: number(function, "Timeout"),
            runs: number(invocation, "MaximumRetryAttempts") + 1,
            age: number(invocation, "MaximumEventAgeInSeconds"),
        };
        let node_keys = function("NodeKeysFunction", "NodeKeysInvocation");
        let unanswered = function("UnansweredFunction", "UnansweredInvocation");
        let waits = number("Keys", "ServiceTimeout");
        assert_eq!((node_keys.timeout.to_string().as_str(), node_keys.runs), (seconds, 3));
        assert!(node_keys.given_up() + unanswered.given_up() <= waits && waits <= LONGEST, "{seconds}");
        // An event is young enough for its last run.
        assert!((node_keys.runs - 1) * node_keys.timeout + PAUSES < node_keys.age, "{seconds}");
        let alarm = number("NodeKeysDurationAlarm", "Threshold");
        assert_eq!(alarm, node_keys.timeout * 900, "nine tenths, in milliseconds");
        // Nobody waits for key-rotation, and what it is asked for comes again. It is given up before that.
        let key_rotation = function("KeyRotationFunction", "KeyRotationInvocation");
        assert!((key_rotation.runs - 1) * key_rotation.timeout + PAUSES < key_rotation.age, "{seconds}");
        assert!(key_rotation.given_up() < SHORTEST_INTERVAL, "{seconds}");
    }
}

#[test]
fn the_functions_are_told_the_throughput_that_the_account_has() {
    for (throughput, puts) in [("Standard", "3"), ("Higher", "10")] {
        let resolved = resolve(stack().parameter("ParameterThroughput", throughput));
        for function in ["NodeKeysFunction", "KeyRotationFunction"] {
            let properties = resolved.resource(function).unwrap();
            let told = &properties["Environment"]["Variables"]["KEYBOOT_PARAMETER_PUTS_PER_SECOND"];
            assert_eq!(told, puts, "{function}");
        }
    }
}
