//! Panics, told by their place and never by their message.

use std::io::{self, Write};
use std::panic::{self, PanicHookInfo};
use std::sync::{Mutex, PoisonError};

/// Makes every panic of this process write its file, line and column to standard error, and nothing
/// else.
///
/// A panic's message is put together from whatever values were at hand: the `expect` on a failed
/// conversion shows what would not convert. In a process that handles secrets it must not be logged.
/// Call this before anything else in `main`.
pub fn install_silent_panic_hook() {
    install_silent_panic_hook_into(io::stderr());
}

/// As [`install_silent_panic_hook`], into another writer.
pub fn install_silent_panic_hook_into(writer: impl Write + Send + 'static) {
    let writer = Mutex::new(writer);
    panic::set_hook(Box::new(move |info| {
        // A hook that panics aborts the process, so a writer that fails is left alone.
        let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = writer.write_all(line(info).as_bytes());
        let _ = writer.flush();
    }));
}

fn line(info: &PanicHookInfo<'_>) -> String {
    match info.location() {
        Some(place) => format!("panicked at {}:{}:{}\n", place.file(), place.line(), place.column()),
        None => "panicked at an unknown place\n".to_owned(),
    }
}
