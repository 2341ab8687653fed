//! What nobody may read in a log.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use custom_resource::{Deadline, Responder, Served, Success, serve};
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::clock::{COARSE, fly};
use crate::support::{Bucket, Doing, Reaction, event, scheme};

const CANARY: &str = "c4ca4238a0b92382";

/// Everything that any crate in the process says, at every level.
#[derive(Clone, Default)]
struct Everything(Arc<Mutex<String>>);

impl Everything {
    fn add(&self, visit: impl FnOnce(&mut dyn Visit)) {
        visit(&mut Line(&mut self.0.lock().unwrap()));
    }
}

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        writeln!(self.0, "{field}={value:?}").unwrap();
    }
}

impl Subscriber for Everything {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.add(|visitor| span.record(visitor));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        self.add(|visitor| values.record(visitor));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        self.add(|visitor| event.record(visitor));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn no_url_and_no_value_is_said_at_any_level() {
    let everything = Everything::default();
    let said = everything.0.clone();
    tracing::subscriber::set_global_default(everything).unwrap();
    for script in [
        &[Reaction::Status(200)][..],
        &[
            Reaction::Reset,
            Reaction::ResetAfterReading,
            Reaction::BreakOff("HTTP/1.1 200 OK\r\nContent-Le"),
            Reaction::Babble,
            Reaction::Close,
            Reaction::Stall,
            Reaction::Status(500),
            Reaction::Status(403),
        ],
        &[Reaction::Redirect(307, "http://127.0.0.1:9/c4ca4238a0b92382")],
    ] {
        let bucket = Bucket::start(script).await;
        let url = format!("http://127.0.0.1:{}/{CANARY}?Signature={CANARY}", bucket.port());
        let mut event = event("Update", &url);
        event["ResourceProperties"]["Password"] = json!(CANARY);
        event["OldResourceProperties"] = json!({ "Password": CANARY });
        let provider = Doing::new(async |request| {
            let shown = format!("{request:?} {request:#?}");
            assert!(shown.contains("Password") && !shown.contains(CANARY), "{shown}");
            Ok(Success::default().with("Token", CANARY))
        });
        let deadline = Deadline::after(Duration::from_secs(20));
        let responder = Responder::new();
        let scheme = scheme();
        let serving = serve(event, deadline, &scheme, &responder, &provider);
        let served = fly(&bucket, COARSE, serving).await;
        assert!(!matches!(served, Served::Unanswerable { .. }));
        for told in [format!("{served:?}"), served.to_string(), format!("{responder:?}")] {
            assert!(!told.contains(CANARY), "{told}");
        }
    }
    let said = said.lock().unwrap();
    assert!(said.contains("127.0.0.1"), "the client's own trace was heard");
    assert!(!said.contains(CANARY), "{said}");
}
