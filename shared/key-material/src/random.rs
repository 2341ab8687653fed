//! Random bytes, from the operating system's generator and from nowhere else.

use rand::TryRng;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

use crate::KeyMaterialError;

/// Makes 32 random bytes: 256 bits, which no search reaches.
///
/// They are boxed so that handing them on moves a pointer and leaves no second copy.
///
/// # Errors
///
/// [`KeyMaterialError::RandomUnavailable`] when the operating system has none to give.
pub(crate) fn make_entropy() -> Result<Box<Zeroizing<[u8; 32]>>, KeyMaterialError> {
    let mut entropy = Box::new(Zeroizing::new([0; 32]));
    SysRng.try_fill_bytes(entropy.as_mut_slice()).map_err(|_| KeyMaterialError::RandomUnavailable)?;
    Ok(entropy)
}
