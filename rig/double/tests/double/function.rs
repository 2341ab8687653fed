//! The real function works against the double, and is seen by it.

use std::time::Duration;

use contract_double::Double;
use contract_double::deploy::KmsStack;
use rig::functions::{Build, bootstrap};
use rig::receiver::Receiver;
use rig::runtime::{self, Function, Outcome};
use serde_json::Value;

const TIME: Duration = Duration::from_mins(1);

async fn run(stack: &KmsStack, receiver: &Receiver, event: &Value) -> Value {
    let mut environment = runtime::environment("node-keys");
    environment.extend(stack.environment());
    let program = bootstrap("node-keys", Build::Local).unwrap();
    let mut function = Function::start(&program, &environment).await.unwrap();
    let outcome = function.invoke(event.to_string(), TIME).await.unwrap();
    let printed = function.end().await.unwrap().printed();
    assert!(matches!(outcome, Outcome::Response(_)), "{outcome:?} {printed}");
    receiver.next(TIME).await.unwrap().json().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_made_and_taken_down() {
    let double = Double::start().await.unwrap();
    let stack = KmsStack::deploy(&double, []).unwrap();
    let receiver = Receiver::start().await.unwrap();
    let url = receiver.url("answer");

    stack.shows(&double, "CREATE_IN_PROGRESS", None);
    let event = stack.event("Create", "6f1cbe6f-0000-4000-8000-000000000001", &url);
    let answer = run(&stack, &receiver, &event).await;
    assert_eq!(answer["Status"], "SUCCESS", "{answer}");
    let id = answer["PhysicalResourceId"].as_str().unwrap();
    double.with(|world| {
        assert_eq!(world.secrets(&stack.place).count(), 12);
        assert_eq!(world.parameters(&stack.place).count(), 8);
    });

    stack.shows(&double, "DELETE_IN_PROGRESS", Some(id));
    let mut event = stack.event("Delete", "6f1cbe6f-0000-4000-8000-000000000002", &url);
    event["PhysicalResourceId"] = id.into();
    let answer = run(&stack, &receiver, &event).await;
    assert_eq!(answer["Status"], "SUCCESS", "{answer}");
    double.with(|world| {
        let scheduled = world.secrets(&stack.place).filter(|secret| secret.deletion.is_some());
        assert_eq!(scheduled.count(), 9);
    });
    double.advance(Duration::from_hours(31 * 24));
    double.with(|world| {
        let kept: Vec<_> = world.secrets(&stack.place).map(|secret| secret.name.as_str()).collect();
        let password = |node| format!("keyboot/tsm/node/{node}/share-encryption-password");
        assert_eq!(kept, [password(0), password(1), password(2)]);
    });
}
