//! An allocator that counts.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};
use tokio::sync::{Mutex, MutexGuard};

static USED: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// One test measures at a time.
static MEASURING: Mutex<()> = Mutex::const_new(());

pub(crate) struct Counting;

// SAFETY: every call is passed to the system's allocator as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let used = USED.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(used, Relaxed);
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above; the block came from `System`.
        unsafe { System.dealloc(block, layout) }
    }
}

/// A measurement from here on.
pub(crate) struct Measure {
    before: usize,
    _alone: MutexGuard<'static, ()>,
}

impl Measure {
    pub(crate) async fn begin() -> Self {
        let alone = MEASURING.lock().await;
        Self { before: 0, _alone: alone }
    }

    /// What is in use now is not counted.
    pub(crate) fn start(&mut self) {
        self.before = USED.load(Relaxed);
        PEAK.store(self.before, Relaxed);
    }

    /// Bytes in use at the peak, beyond those at the start.
    pub(crate) fn peak(&self) -> usize {
        PEAK.load(Relaxed).saturating_sub(self.before)
    }
}
