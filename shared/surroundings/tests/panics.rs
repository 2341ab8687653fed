//! What is told of a panic.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends that way")]

use std::io::{self, Write};
use std::panic::catch_unwind;
use std::process::Command;
use std::sync::{Arc, Mutex};

use surroundings::{install_silent_panic_hook, install_silent_panic_hook_into};

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_hook_tells_the_place_and_not_the_message() {
    let written = Written::default();
    let before = std::panic::take_hook();
    install_silent_panic_hook_into(written.clone());
    let line = line!() + 1;
    let result = catch_unwind(|| "not a number: 8f14e45f".parse::<u32>().expect("5ba4e7"));
    std::panic::set_hook(before);
    assert!(result.is_err());
    let told = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    let place = format!("panicked at {}:{line}:", file!());
    assert!(told.lines().any(|line| line.starts_with(&place)), "{told}");
    assert!(!told.contains("5ba4e7") && !told.contains("8f14e45f") && !told.contains("invalid"), "{told}");
}

/// No test by itself: a process that panics once the hook is there.
#[test]
#[ignore = "started by the test below"]
fn a_process_that_panics() {
    install_silent_panic_hook();
    panic!("the value 8f14e45f");
}

#[test]
fn the_hook_writes_the_place_to_standard_error() {
    let this = std::env::current_exe().unwrap();
    let child = ["--exact", "a_process_that_panics", "--ignored", "--nocapture"];
    let output = Command::new(this).args(child).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(told.contains(&format!("panicked at {}:", file!())), "{told}");
    assert!(!told.contains("8f14e45f"), "{told}");
}
