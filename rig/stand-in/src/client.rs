//! Who uses a cluster: a client of its nodes' SDK ports.
//!
//! It holds no keys. For each request it asks for the node's, so that a key that was rotated is met
//! with its successor.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::join_all;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::answers::{Called, Status};

/// How long an answer may take. A node gives its peers a second.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes in the longest answer.
const ANSWER: usize = 64 << 10;

/// Where a client's API keys come from. Any function that gives a future is one.
pub trait ApiKeys {
    /// The API key for a node, as its text.
    fn api_key(&self, index: u32) -> impl Future<Output = anyhow::Result<Zeroizing<String>>> + Send;
}

impl<F, K> ApiKeys for F
where
    F: Fn(u32) -> K,
    K: Future<Output = anyhow::Result<Zeroizing<String>>> + Send,
{
    fn api_key(&self, index: u32) -> impl Future<Output = anyhow::Result<Zeroizing<String>>> + Send {
        self(index)
    }
}

/// A client of a cluster's nodes.
#[derive(Clone, Debug)]
pub struct Client<K> {
    nodes: BTreeMap<u32, SocketAddr>,
    keys: K,
}

/// A node was not called.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallFault {
    /// It does not accept the key (401). Ask for the key again: it may have been rotated.
    #[error("it refuses the API key")]
    Refused,
    /// Nobody listens on its port.
    #[error("nobody listens there")]
    NotConnected,
    /// There was no key to call it with.
    #[error("there is no API key for it: {0:#}")]
    NoKey(anyhow::Error),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// Enough nodes accepted their keys, and reach each other.
#[derive(Debug)]
pub struct Quorum {
    /// Nodes that accepted their keys and all reach each other: as many as the threshold.
    pub nodes: BTreeSet<u32>,
    /// What came of each node.
    pub outcomes: BTreeMap<u32, Result<Called, CallFault>>,
}

/// Too few nodes accepted their keys, or too few of those reach each other.
#[derive(Debug)]
pub struct NoQuorum {
    /// How many were needed.
    pub threshold: usize,
    /// What came of each node.
    pub outcomes: BTreeMap<u32, Result<Called, CallFault>>,
}

impl<K: ApiKeys> Client<K> {
    /// A client of the nodes with these indexes, each on its SDK port of 127.0.0.1.
    pub fn new(ports: impl IntoIterator<Item = (u32, u16)>, keys: K) -> Self {
        Self::at(ports.into_iter().map(|(index, port)| (index, (Ipv4Addr::LOCALHOST, port).into())), keys)
    }

    /// A client of the nodes with these indexes, each with the address of its SDK port.
    pub fn at(nodes: impl IntoIterator<Item = (u32, SocketAddr)>, keys: K) -> Self {
        Self { nodes: nodes.into_iter().collect(), keys }
    }

    /// Calls one node with its API key, and has it ask all others. That some of those fail is part of
    /// the answer.
    ///
    /// # Errors
    ///
    /// [`CallFault`] when it does not accept the key, or does not answer.
    pub async fn call(&self, index: u32) -> Result<Called, CallFault> {
        let key = self.keys.api_key(index).await.map_err(CallFault::NoKey)?;
        let called: Called = self.ask(index, Method::POST, "/call", Some(authorization(&key)?)).await?;
        if called.index == index {
            Ok(called)
        } else {
            Err(CallFault::Other(format!("it says it is node {}", called.index)))
        }
    }

    /// What anybody may know of a node.
    ///
    /// # Errors
    ///
    /// [`CallFault`] when it does not answer.
    pub async fn status(&self, index: u32) -> Result<Status, CallFault> {
        self.ask(index, Method::GET, "/status", None).await
    }

    /// The same of all nodes, by their indexes; whoever does not answer is named.
    ///
    /// # Errors
    ///
    /// When one does not answer.
    pub async fn statuses(&self) -> anyhow::Result<Vec<Status>> {
        let mut statuses = Vec::new();
        for index in self.nodes.keys() {
            statuses.push(self.status(*index).await.with_context(|| format!("node {index}"))?);
        }
        Ok(statuses)
    }

    /// Calls all nodes at once, and looks for as many as `threshold` among those that accepted their
    /// keys which all reach each other. They are whom a cluster needs to sign.
    ///
    /// # Errors
    ///
    /// [`NoQuorum`], which says what came of each node.
    pub async fn quorum_call(&self, threshold: usize) -> Result<Quorum, NoQuorum> {
        let calls = self.nodes.keys().map(async |index| (*index, self.call(*index).await));
        let outcomes: BTreeMap<_, _> = join_all(calls).await.into_iter().collect();
        match reaching_each_other(&answers(&outcomes), threshold) {
            Some(nodes) => Ok(Quorum { nodes, outcomes }),
            None => Err(NoQuorum { threshold, outcomes }),
        }
    }

    async fn ask<A: DeserializeOwned>(
        &self,
        index: u32,
        method: Method,
        path: &str,
        authorization: Option<HeaderValue>,
    ) -> Result<A, CallFault> {
        let address = *self.nodes.get(&index).ok_or_else(|| CallFault::Other("no such node".to_owned()))?;
        let exchange = exchange(address, method, path, authorization);
        let late = || CallFault::Other(format!("no answer within {} seconds", PATIENCE.as_secs()));
        match timeout(PATIENCE, exchange).await.map_err(|_| late())?? {
            (StatusCode::OK, body) => serde_json::from_slice(&body)
                .map_err(|_| CallFault::Other("it answers something else".to_owned())),
            (StatusCode::UNAUTHORIZED, _) => Err(CallFault::Refused),
            (status, _) => Err(CallFault::Other(format!("it answers {status}"))),
        }
    }
}

/// The header that a key travels in.
fn authorization(key: &str) -> Result<HeaderValue, CallFault> {
    let header = Zeroizing::new(format!("APIKEY {key}"));
    let header = HeaderValue::from_str(&header);
    let mut header =
        header.map_err(|_| CallFault::Other("the API key cannot stand in a header".to_owned()))?;
    header.set_sensitive(true);
    Ok(header)
}

/// One request on a connection of its own.
async fn exchange(
    address: SocketAddr,
    method: Method,
    path: &str,
    authorization: Option<HeaderValue>,
) -> Result<(StatusCode, Bytes), CallFault> {
    let other = |fault: hyper::Error| CallFault::Other(format!("the connection broke: {fault}"));
    let stream = TcpStream::connect(address).await.map_err(|_| CallFault::NotConnected)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(other)?;
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().map_err(|_| CallFault::Other("no such path".to_owned()))?;
    if let Ok(host) = HeaderValue::from_str(&address.to_string()) {
        request.headers_mut().insert(HOST, host);
    }
    if let Some(authorization) = authorization {
        request.headers_mut().insert(AUTHORIZATION, authorization);
    }
    let answer = async {
        let response = sender.send_request(request).await.map_err(other)?;
        let (status, body) = (response.status(), Limited::new(response.into_body(), ANSWER));
        let body = body
            .collect()
            .await
            .map_err(|fault| CallFault::Other(format!("the answer broke off: {fault}")))?;
        Ok((status, body.to_bytes()))
    };
    tokio::pin!(connection);
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        // The connection may end before its last answer is looked at.
        _ = &mut connection => answer.await,
    }
}

fn answers(outcomes: &BTreeMap<u32, Result<Called, CallFault>>) -> BTreeMap<u32, &Called> {
    outcomes.iter().filter_map(|(index, outcome)| Some((*index, outcome.as_ref().ok()?))).collect()
}

/// As many nodes as asked for, of which each says that it reaches all others of them.
fn reaching_each_other(answers: &BTreeMap<u32, &Called>, wanted: usize) -> Option<BTreeSet<u32>> {
    /// Goes on from nodes that reach each other to one more, of those not looked at.
    fn extend(
        found: &mut Vec<u32>,
        rest: &[u32],
        wanted: usize,
        both_ways: &dyn Fn(u32, u32) -> bool,
    ) -> bool {
        if found.len() == wanted {
            return true;
        }
        for (position, next) in rest.iter().enumerate() {
            if found.len() + rest.len() - position < wanted {
                break;
            }
            if found.iter().all(|other| both_ways(*next, *other)) {
                found.push(*next);
                if extend(found, &rest[position + 1..], wanted, both_ways) {
                    return true;
                }
                found.pop();
            }
        }
        false
    }

    let both_ways = |one: u32, other: u32| answers[&one].reaches(other) && answers[&other].reaches(one);
    let all: Vec<_> = answers.keys().copied().collect();
    let mut found = Vec::new();
    extend(&mut found, &all, wanted, &both_ways).then(|| found.into_iter().collect())
}

impl fmt::Display for NoQuorum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (threshold, accepted) = (self.threshold, answers(&self.outcomes).len());
        if accepted < threshold {
            write!(f, "{threshold} nodes are needed, and {accepted} accepted their API keys")?;
        } else {
            write!(
                f,
                "{accepted} nodes accepted their API keys, and no {threshold} of them reach each other"
            )?;
        }
        for (index, outcome) in &self.outcomes {
            match outcome {
                Err(fault) => write!(f, "; node {index}: {fault}")?,
                Ok(called) => {
                    for (peer, outcome) in called.peers.iter().filter(|(peer, _)| !called.reaches(**peer)) {
                        write!(f, "; node {index} of node {peer}: {outcome}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl std::error::Error for NoQuorum {}

#[cfg(test)]
mod tests {
    use super::*;

    /// What nodes answer, by whom each reaches.
    fn cluster(reached: &[(u32, &[u32])]) -> BTreeMap<u32, Called> {
        let called = |(index, peers): &(u32, &[u32])| {
            let peers = peers.iter().map(|peer| (*peer, Called::OK.to_owned())).collect();
            (*index, Called { index: *index, peers })
        };
        reached.iter().map(called).collect()
    }

    fn found(reached: &[(u32, &[u32])], wanted: usize) -> Option<Vec<u32>> {
        let cluster = cluster(reached);
        let answers = cluster.iter().map(|(index, called)| (*index, called)).collect();
        reaching_each_other(&answers, wanted).map(|nodes| nodes.into_iter().collect())
    }

    #[test]
    fn a_quorum_is_nodes_that_reach_each_other_both_ways() {
        let whole: &[(u32, &[u32])] = &[(0, &[1, 2]), (1, &[0, 2]), (2, &[0, 1])];
        assert_eq!(found(whole, 2), Some(vec![0, 1]));
        assert_eq!(found(whole, 3), Some(vec![0, 1, 2]));
        assert_eq!(found(whole, 4), None);

        let one_way: &[(u32, &[u32])] = &[(0, &[1]), (1, &[2]), (2, &[0])];
        assert_eq!(found(one_way, 1), Some(vec![0]));
        assert_eq!(found(one_way, 2), None);
    }

    #[test]
    fn a_first_choice_that_leads_nowhere_is_taken_back() {
        // 0 reaches 1 and 2, which do not reach each other; 1, 3 and 4 do.
        let cluster: &[(u32, &[u32])] =
            &[(0, &[1, 2]), (1, &[0, 3, 4]), (2, &[0]), (3, &[1, 4]), (4, &[1, 3])];
        assert_eq!(found(cluster, 3), Some(vec![1, 3, 4]));
    }

    #[test]
    fn who_did_not_accept_its_key_is_in_no_quorum() {
        // 0 and 1 say that they reach 2, and 2 gave no answer.
        let cluster: &[(u32, &[u32])] = &[(0, &[1, 2]), (1, &[0, 2])];
        assert_eq!(found(cluster, 3), None);
    }

    #[test]
    fn a_reason_is_told_for_each_node() {
        let mut called = cluster(&[(0, &[])]);
        let mut answer = called.remove(&0).unwrap();
        answer.peers.insert(1, "no answer within a second".to_owned());
        let outcomes = BTreeMap::from([(0, Ok(answer)), (1, Err(CallFault::NotConnected))]);
        let fault = NoQuorum { threshold: 2, outcomes };
        assert_eq!(
            fault.to_string(),
            "2 nodes are needed, and 1 accepted their API keys; \
             node 0 of node 1: no answer within a second; node 1: nobody listens there"
        );
    }
}
