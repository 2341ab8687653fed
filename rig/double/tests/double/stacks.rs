//! What CloudFormation tells of stacks and their resources.

use aws_sdk_cloudformation::types::{ResourceStatus, StackStatus};
use contract_double::{Double, Resource, Stack};

use crate::support::{ACCOUNT, allow, code, role, root};

const ID: &str =
    "arn:aws:cloudformation:us-east-1:111122223333:stack/mine/51af3dc0-da77-11e4-872e-1234567db123";

fn stack() -> Stack {
    let mut stack = Stack::new(ID, "UPDATE_IN_PROGRESS");
    let keys = Resource::new("Custom::NodeKeys", "UPDATE_IN_PROGRESS").with_physical_id("keyboot/<a>&\"b\"");
    stack.resources.insert("Keys".to_owned(), keys);
    stack.resources.insert("New".to_owned(), Resource::new("Custom::NodeKeys", "CREATE_IN_PROGRESS"));
    stack
}

#[tokio::test]
async fn a_resource_is_told_by_the_stacks_name_and_id() {
    let double = Double::start().await.unwrap();
    double.with(|world| world.put_stack(stack()));
    let cloudformation = root(&double).cloudformation();
    for name in ["mine", ID] {
        let told = cloudformation.describe_stack_resource().stack_name(name).logical_resource_id("Keys");
        let told = told.send().await.unwrap().stack_resource_detail.unwrap();
        assert_eq!(told.resource_status(), Some(&ResourceStatus::UpdateInProgress));
        assert_eq!(told.physical_resource_id(), Some("keyboot/<a>&\"b\""));
        assert_eq!((told.stack_id(), told.stack_name()), (Some(ID), Some("mine")));
    }
    let new = cloudformation.describe_stack_resource().stack_name("mine").logical_resource_id("New");
    assert_eq!(new.send().await.unwrap().stack_resource_detail.unwrap().physical_resource_id(), None);
    let told = cloudformation.describe_stacks().stack_name(ID).send().await.unwrap();
    assert_eq!(told.stacks()[0].stack_status(), Some(&StackStatus::UpdateInProgress));
}

#[tokio::test]
async fn what_is_not_known_is_a_validation_error() {
    let double = Double::start().await.unwrap();
    double.with(|world| world.put_stack(stack()));
    let cloudformation = root(&double).cloudformation();
    let resource = |stack: &str, resource: &str| {
        cloudformation.describe_stack_resource().stack_name(stack).logical_resource_id(resource).send()
    };
    assert_eq!(code(resource("other", "Keys").await), "ValidationError");
    assert_eq!(code(resource("mine", "Other").await), "ValidationError");
    assert_eq!(code(cloudformation.describe_stacks().stack_name("other").send().await), "ValidationError");
    resource("mine", "Keys").await.unwrap();
    // Nor is a stack of another Region or account, even by its id.
    double.with(|world| world.put_stack(Stack::new(ID.replace("us-east-1", "eu-west-1"), "CREATE_COMPLETE")));
    let elsewhere = cloudformation.describe_stacks().stack_name(ID.replace("us-east-1", "eu-west-1")).send();
    assert_eq!(code(elsewhere.await), "ValidationError");
}

#[tokio::test]
async fn a_deleted_stack_is_known_by_its_id_alone() {
    let double = Double::start().await.unwrap();
    double.with(|world| {
        world.put_stack(stack());
        "DELETE_COMPLETE".clone_into(&mut world.stack_mut(ID).unwrap().status);
    });
    let stacks = root(&double).cloudformation();
    stacks.describe_stacks().stack_name(ID).send().await.unwrap();
    assert_eq!(code(stacks.describe_stacks().stack_name("mine").send().await), "ValidationError");
    double.with(|world| world.forget_stack(ID));
    assert_eq!(code(stacks.describe_stacks().stack_name(ID).send().await), "ValidationError");
}

#[tokio::test]
async fn a_stack_is_described_to_who_may() {
    let double = Double::start().await.unwrap();
    double.with(|world| world.put_stack(stack()));
    let with = |resource: &str| {
        role(&double, ACCOUNT, "asker", &allow("cloudformation:DescribeStacks", resource)).cloudformation()
    };
    with(ID).describe_stacks().stack_name("mine").send().await.unwrap();
    assert_eq!(
        code(with(&ID.replace("mine", "theirs")).describe_stacks().stack_name(ID).send().await),
        "AccessDenied"
    );
}
