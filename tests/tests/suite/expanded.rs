//! The KMS Stack without transforms makes the same cluster.

use anyhow::Result;
use rig::stack::Deployment;

use crate::support::{Aws, KMS_STACK};

#[tokio::test]
async fn the_expanded_template_makes_a_cluster_and_takes_it_down() -> Result<()> {
    let aws = Aws::start()?;
    let stack = Deployment::of_expanded(&aws.root, KMS_STACK, &["0", "7"]).await?;
    for left in ["\"Transform\"", "Fn::ForEach", "AWS::Serverless"] {
        assert!(!stack.text().contains(left), "{left}");
    }
    let created = stack.create().await?;
    let published = aws.published(&created).await?;
    let nodes: Vec<_> = published.records.keys().map(ToString::to_string).collect();
    assert_eq!(nodes, ["0", "7"]);
    assert!(created.output("Node7ReaderPolicyArn")?.contains("NodeReader7"));
    assert!(created.output("AlarmTopicArn")?.starts_with("arn:aws:sns:"));
    stack.delete(&created.id).await?;
    Ok(())
}
