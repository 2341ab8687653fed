//! What is told of a panic.

use std::io::{self, Write};
use std::panic::catch_unwind;
use std::sync::{Arc, Mutex};

use custom_resource::install_silent_panic_hook_into;

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
