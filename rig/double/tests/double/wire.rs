//! What the double does not know it refuses loudly.

use aws_sdk_secretsmanager::types::ReplicaRegionType;
use contract_double::Double;

use crate::support::{code, place, root};

#[tokio::test]
async fn an_operation_that_is_not_here_is_no_success() {
    let double = Double::start().await.unwrap();
    let cloud = root(&double);
    cloud.secrets().create_secret().name("s").secret_string("v").send().await.unwrap();
    let refused = [
        code(cloud.secrets().update_secret().secret_id("s").secret_string("w").send().await),
        code(cloud.kms().list_keys().send().await),
        code(cloud.parameters().describe_document().name("d").send().await),
        code(cloud.cloudformation().list_stacks().send().await),
    ];
    assert_eq!(refused, ["NotInTheDouble"; 4]);
    let calls = double.calls();
    assert!(calls[1..].iter().all(|call| call.status() == Some(501) && !call.took_effect), "{calls:?}");
}

#[tokio::test]
async fn a_member_that_is_not_here_is_not_ignored() {
    let double = Double::start().await.unwrap();
    let secrets = root(&double).secrets();
    let replica = ReplicaRegionType::builder().region("eu-west-1").build();
    let replicated = secrets.create_secret().name("s").secret_string("v").add_replica_regions(replica);
    assert_eq!(code(replicated.send().await), "NotInTheDouble");
    double.with(|world| assert_eq!(world.secrets(&place()).count(), 0));
    secrets.create_secret().name("s").secret_string("v").send().await.unwrap();
}
