//! What an operation answers: ARNs, public keys and digests, and what it has to say.

use std::collections::BTreeMap;

use crate::names::NodeIndex;

/// What a successful Create or Update answers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Outcome {
    /// The ARN of the roster's index.
    pub roster_arn: String,
    /// The roster's digest, lower-case hex.
    pub roster_sha256: String,
    /// What each node has to show, ascending.
    pub nodes: Vec<NodeOutcome>,
    /// What the reader of the stack's events should know.
    pub told: Vec<String>,
}

/// What one node has to show.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NodeOutcome {
    /// The node.
    pub index: NodeIndex,
    /// Its attributes, by name without `Node<i>`.
    pub attributes: Vec<(String, String)>,
}

impl Outcome {
    /// The attributes that `Fn::GetAtt` gives: those of the roster, then whole nodes only, lowest
    /// index first, as long as their JSON has at most `budget` bytes.
    #[must_use]
    pub fn attributes(&self, budget: usize) -> BTreeMap<String, String> {
        let mut attributes = BTreeMap::from([
            ("RosterArn".to_owned(), self.roster_arn.clone()),
            ("RosterSha256".to_owned(), self.roster_sha256.clone()),
            ("NodeCount".to_owned(), self.nodes.len().to_string()),
            // The widest number first, so that the final one cannot break the budget.
            ("NodesInAnswer".to_owned(), self.nodes.len().to_string()),
        ]);
        let mut length = json_length(&attributes);
        let mut answered = 0_usize;
        for node in &self.nodes {
            let named: BTreeMap<_, _> = node
                .attributes
                .iter()
                .map(|(name, value)| (format!("Node{}{name}", node.index), value.clone()))
                .collect();
            // An object within an object: its braces are two bytes, the comma before it is one.
            length += json_length(&named) - 1;
            if length > budget {
                break;
            }
            attributes.extend(named);
            answered += 1;
        }
        attributes.insert("NodesInAnswer".to_owned(), answered.to_string());
        attributes
    }
}

fn json_length(attributes: &BTreeMap<String, String>) -> usize {
    serde_json::to_string(attributes).map_or(usize::MAX / 2, |text| text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(nodes: usize) -> Outcome {
        Outcome {
            roster_arn: "arn".into(),
            roster_sha256: "0".repeat(64),
            nodes: (0..nodes)
                .map(|n| NodeOutcome {
                    index: n.to_string().parse().unwrap(),
                    attributes: vec![
                        ("PublicKey".into(), "p".repeat(124)),
                        ("P2pKeyArn".into(), "a\"".into()),
                    ],
                })
                .collect(),
            told: Vec::new(),
        }
    }

    #[test]
    fn an_answer_holds_whole_nodes_and_stays_in_its_budget() {
        let outcome = outcome(40);
        let mut seen = std::collections::BTreeSet::new();
        for budget in 200..6000 {
            let attributes = outcome.attributes(budget);
            let answered: usize = attributes["NodesInAnswer"].parse().unwrap();
            assert!(json_length(&attributes) <= budget, "{budget}");
            assert_eq!(attributes.len(), 4 + 2 * answered);
            assert!((0..answered).all(|n| attributes.contains_key(&format!("Node{n}PublicKey"))));
            assert_eq!(attributes["NodeCount"], "40");
            seen.insert(answered);
        }
        assert!(seen.contains(&0) && seen.contains(&30));
        assert_eq!(outcome.attributes(100_000)["NodesInAnswer"], "40");
    }
}
