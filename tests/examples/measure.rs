//! Scratch.
#![allow(missing_docs, clippy::all, clippy::pedantic, clippy::unwrap_used, clippy::print_stdout)]
use std::io::Read as _;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use rig::cloud::Cloud;
use rig::ministack::MiniStack;
use rig::python::Venv;
use rig::runtime::{self, Environment, Function};
use rig::stack::Deployment;
use serde_json::{Value, json};

const STACK: &str = "arn:aws:cloudformation:us-east-1:000000000000:stack/bench/5b0c1a2e";

fn environment() -> Environment {
    let mut e = runtime::environment("node-keys");
    e.insert("KEYBOOT_SIGNING_KEY_ARN".into(), "arn:aws:kms:us-east-1:000000000000:key/7c0a5d3e-1f2b-4c6d-8e9f-0a1b2c3d4e5f".into());
    e.insert("KEYBOOT_STACK_IDS".into(), STACK.into());
    e
}

fn event() -> Value {
    json!({"RequestType":"Create","ResponseURL":"http://127.0.0.1:9/x","StackId":STACK,"RequestId":"5d478078-13e9-baf0-464a-7ef285ecc786","LogicalResourceId":"Keys","ResourceType":"Custom::NodeKeys",
    "ResourceProperties":{"ServiceToken":"x","Cluster":"tsm","Nodes":["0","1","2"],"KmsKeyArn":"arn:aws:kms:us-east-1:000000000000:key/0d1e2f3a-4b5c-4d6e-8f90-a1b2c3d4e5f6"}})
}

fn stats(mut v: Vec<f64>) -> String {
    v.sort_by(f64::total_cmp);
    format!("median {:.2} (min {:.2}, max {:.2}, n {})", v[v.len() / 2], v[0], v[v.len() - 1], v.len())
}
fn ms(d: Duration) -> f64 { d.as_secs_f64() * 1e3 }

async fn next(name: &str, program: &Path, n: usize) {
    let (mut times, mut mem) = (vec![], vec![]);
    for _ in 0..n {
        let mut f = Function::start(program, &environment()).await.unwrap();
        times.push(ms(f.ready(Duration::from_secs(30)).await.unwrap()));
        mem.push(f.peak_memory().unwrap() as f64 / 1048576.0);
        let _ = f.end().await;
    }
    println!("{name}: start to /next ms: {}; peak MiB then: {}", stats(times), stats(mem));
}

async fn request(name: &str, program: &Path, n: usize) {
    let (mut times, mut after) = (vec![], vec![]);
    for _ in 0..n {
        let l = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut e = environment();
        e.insert("AWS_ENDPOINT_URL".into(), format!("http://{}", l.local_addr().unwrap()));
        let seen = std::thread::spawn(move || {
            let (mut s, _) = l.accept().unwrap();
            s.read(&mut [0; 64]).unwrap();
            Instant::now()
        });
        let mut f = Function::start(program, &e).await.unwrap();
        let started = f.started();
        let ready = f.ready(Duration::from_secs(30)).await.unwrap();
        let sent = Instant::now();
        let _ = tokio::time::timeout(Duration::from_millis(1500), async {
            tokio::select! {
                _ = f.invoke(event().to_string(), Duration::from_secs(20)) => {},
                _ = async { while !seen.is_finished() { tokio::time::sleep(Duration::from_millis(1)).await } } => {},
            }
        }).await;
        let at = seen.join().unwrap();
        times.push(ms(ready + at.duration_since(sent)));
        after.push(ms(at.duration_since(sent)));
        let _ = started;
        let _ = f.end().await;
    }
    println!("{name}: start to first AWS request ms: {}; of it from event to request: {}", stats(times), stats(after));
}

async fn create(n: usize) {
    let venv = Venv::ready().unwrap();
    let ms_ = MiniStack::start(&venv, None).unwrap();
    let cloud = Cloud::as_root(&ms_.endpoint());
    let (mut count, mut depth, mut took, mut mem) = (vec![], vec![], vec![], vec![]);
    let mut seen = 0;
    for i in 0..n {
        let stack = Deployment::of_kms_stack(&cloud, &format!("b{i}"), [("Cluster", format!("c{i}").as_str())]).await.unwrap();
        stack.create().await.unwrap();
        for p in std::fs::read_dir("/proc").unwrap() {
            let p = p.unwrap().path();
            let home = ms_.log().parent().unwrap().to_owned();
            if std::fs::read_link(p.join("cwd")).is_ok_and(|c| c.starts_with(&home)) {
                let env = std::fs::read(p.join("environ")).unwrap();
                if String::from_utf8_lossy(&env).contains(&format!("AWS_LAMBDA_FUNCTION_NAME=b{i}-")) {
                    let status = std::fs::read_to_string(p.join("status")).unwrap();
                    let kb: f64 = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap().trim().strip_suffix(" kB").unwrap().parse().unwrap();
                    mem.push(kb / 1024.0);
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        let text = std::fs::read_to_string(ms_.calls()).unwrap();
        let calls: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let mut mine: Vec<(u64, u64, String)> = calls[seen..].iter()
            .filter(|c| c["principal"].as_str().is_some_and(|p| p.contains("assumed-role") && p.contains("NodeKeys")))
            .map(|c| (c["start"].as_u64().unwrap(), c["end"].as_u64().unwrap(), c["operation"].as_str().unwrap_or("?").to_owned())).collect();
        seen = calls.len();
        mine.sort_by_key(|c| c.1);
        if i == 0 {
            let mut by = std::collections::BTreeMap::new();
            for c in &mine { *by.entry(c.2.clone()).or_insert(0) += 1; }
            println!("calls by operation: {by:?}");
        }
        let (mut d, mut last) = (0, 0);
        for c in &mine { if c.0 >= last { d += 1; last = c.1; } }
        let first = mine.iter().map(|c| c.0).min().unwrap();
        count.push(mine.len() as f64); depth.push(d as f64);
        took.push((mine.last().unwrap().1 - first) as f64 / 1e6);
    }
    println!("three-node Create: calls {}; sequential round trips {}; first call to last answer ms {}; peak MiB {}", stats(count), stats(depth), stats(took), stats(mem));
}

#[tokio::main]
async fn main() {
    let p = |s: &str| Path::new("/tmp/bench").join(s);
    println!("load {}", std::fs::read_to_string("/proc/loadavg").unwrap().trim());
    for round in 0..2 {
        println!("round {round}");
        next("node-keys deployable, lambda profile", &p("deployable/bootstrap"), 20).await;
        next("node-keys local, lambda profile", &p("local/bootstrap"), 20).await;
        next("hello Rust, lambda profile", &p("hello/target/lambda/hello"), 20).await;
        next("python crhelper+boto3", &p("python/bootstrap"), 10).await;
        request("node-keys local, lambda profile", &p("local/bootstrap"), 20).await;
        request("python crhelper+boto3", &p("python/bootstrap"), 10).await;
    }
    create(10).await;
    println!("load {}", std::fs::read_to_string("/proc/loadavg").unwrap().trim());
}
