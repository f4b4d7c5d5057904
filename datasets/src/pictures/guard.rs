//! A library that panics on a file that was made to, or by chance.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// Whether this thread is inside [`guarded`].
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// What `decode` returns; if it panics, that is an error like any other, and nothing is printed.
pub(super) fn guarded<T>(decode: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if !GUARDED.get() {
                before(panic);
            }
        }));
    });
    let outside = GUARDED.replace(true);
    // What the decoder had is dropped with it: nobody sees it half done.
    let result = catch_unwind(AssertUnwindSafe(decode));
    GUARDED.set(outside);
    result.unwrap_or_else(|panic| Err(format!("its decoder fails: {}", message(&*panic))))
}

/// What a panic says.
fn message(panic: &(dyn Any + Send)) -> &str {
    let formatted = panic.downcast_ref::<String>().map(String::as_str);
    formatted.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_message() {
        assert_eq!(guarded(|| Ok(3)), Ok(3));
        assert_eq!(guarded(|| Err::<(), _>("no".into())), Err("no".into()));
        let none: [u8; 0] = [];
        let index = std::hint::black_box(2);
        let error = guarded(|| Ok(none[index])).unwrap_err();
        assert!(error.starts_with("its decoder fails: index out of bounds"), "{error}");
        assert_eq!(guarded(|| -> Result<(), _> { panic!("words") }), Err("its decoder fails: words".into()));
        assert!(!GUARDED.get());
    }
}
