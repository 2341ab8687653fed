//! Pressure on the machine's memory, so that it swaps out what it may.

use std::hint::black_box;
use std::io;
use std::thread;
use std::time::Duration;

/// Bytes in a page of memory, or fewer.
const PAGE: usize = 4096;

/// Takes so many MiB, and from then on writes to each page of them every second, for as long as the
/// process lives.
///
/// # Errors
///
/// When there is no such memory, or no thread to do it in.
pub fn press(mebibytes: usize) -> io::Result<()> {
    let bytes = mebibytes.checked_mul(1 << 20).ok_or(io::ErrorKind::OutOfMemory)?;
    let mut memory = Vec::<u8>::new();
    memory.try_reserve_exact(bytes)?;
    memory.resize(bytes, 0);
    thread::Builder::new().name("pressure".to_owned()).spawn(move || {
        loop {
            for page in memory.chunks_mut(PAGE) {
                page[0] = page[0].wrapping_add(1);
            }
            black_box(&mut memory);
            thread::sleep(Duration::from_secs(1));
        }
    })?;
    Ok(())
}
