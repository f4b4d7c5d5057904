//! How work is divided among threads: by the problem, never by the number of threads, so that a result has the same
//! bits on every machine. (A product of matrices may be left whole for one thread: its bits do not depend on the cut.)

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rayon::prelude::*;
use rayon::{ThreadPoolBuildError, ThreadPoolBuilder, Yield};

/// Numbers a task works on. Waking the other thread costs up to 70 µs after a serial gap, so small matrices
/// (a batch of latent codes has 2,560 numbers) are left to one.
pub const CHUNK: usize = 1 << 13;

thread_local! {
    static ALONE: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` on this thread alone: what would be handed out is not, until it is done.
///
/// Where there is enough work that needs no other thread – parts of a batch, images – whole pieces of it are faster than shared
/// ones: nobody waits, and what a thread has in its caches is its own.
pub fn alone<R>(work: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            ALONE.set(self.0);
        }
    }
    let _before = Restore(ALONE.replace(true));
    work()
}

/// How many threads there are to share work with, this one included.
pub fn threads() -> usize {
    if ALONE.get() { 1 } else { rayon::current_num_threads() }
}

/// Calls `work(first, rows)` on pieces of a row-major matrix: `rows` is a run of whole rows of `y`, each `width`
/// numbers long, and `first` the index of the first of them. `cost` is how many numbers one row takes to compute.
pub fn rows<T: Send>(y: &mut [T], width: usize, cost: usize, work: impl Fn(usize, &mut [T]) + Sync) {
    let height = y.len() / width.max(1);
    if height * cost <= 2 * CHUNK || threads() == 1 {
        return work(0, y);
    }
    let rows_per_chunk = (CHUNK / cost).max(1);
    y.par_chunks_mut(rows_per_chunk * width).enumerate().for_each(|(i, chunk)| work(i * rows_per_chunk, chunk));
}

/// Calls `work(start, piece)` on pieces of `y`, where `piece` begins at index `start`.
pub fn chunks<T: Send>(y: &mut [T], work: impl Fn(usize, &mut [T]) + Sync) {
    rows(y, 1, 1, work);
}

/// Runs `work` on a team of so many threads – one per core, if not said – that stay awake until it is done.
///
/// Half of a product is handed over in about 1 µs to a thread that is awake, and in 25 to 70 µs to one that sleeps, which
/// is longer than the product takes. A training step has a hundred such moments with serial work between them, in which
/// rayon's threads would fall asleep; and entering its pool from outside costs up to 36 µs, so all of the work runs inside.
///
/// The threads are the team's own: one that stayed awake in a pool that others use too might never get back to them.
///
/// # Errors
/// If the operating system refuses to start the threads.
pub fn team<R: Send>(threads: Option<usize>, work: impl FnOnce() -> R + Send) -> Result<R, ThreadPoolBuildError> {
    let pool = ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0)).build()?;
    let done = AtomicBool::new(false);
    Ok(pool.install(|| {
        let own = rayon::current_thread_index();
        rayon::scope(|scope| {
            scope.spawn_broadcast(|_, thread| {
                if Some(thread.index()) != own {
                    stay_awake(&done);
                }
            });
            // Dropped when the work is done, and also when it panics.
            let _done = SetOnDrop(&done);
            work()
        })
    }))
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Looks for work until there will be no more.
fn stay_awake(done: &AtomicBool) {
    let mut idle = 0;
    while !done.load(Ordering::Relaxed) {
        idle = if rayon::yield_now() == Some(Yield::Executed) { 0 } else { idle + 1 };
        if idle > PATIENCE {
            // A picture is being drawn, or a file read: no reason to keep the core busy.
            std::thread::sleep(Duration::from_micros(100));
        } else if idle > 0 {
            // Another process that wants this core may have it.
            std::thread::yield_now();
        }
    }
}

/// Looks in vain, about half a microsecond each, after which a thread looks less often.
const PATIENCE: u32 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_team_does_its_work_and_gives_back_its_result() {
        for threads in [1, 2, 3] {
            let sum = team(Some(threads), || {
                assert_eq!(rayon::current_num_threads(), threads);
                (0..1000u64).into_par_iter().sum::<u64>()
            });
            assert_eq!(sum.unwrap(), 499_500);
        }
    }

    #[test]
    fn nothing_is_handed_out_by_a_thread_that_works_alone() {
        let of_threads = || {
            let mut threads = vec![None; 100 * CHUNK];
            rows(&mut threads, 1, 1, |_, piece| piece.fill(rayon::current_thread_index()));
            threads.dedup();
            (threads.len(), super::threads())
        };
        team(Some(2), || {
            assert_eq!(alone(|| (of_threads(), alone(of_threads))), ((1, 1), (1, 1)));
            assert_eq!(super::threads(), 2, "and afterwards it does share");
        })
        .unwrap();
    }

    #[test]
    fn a_panic_on_a_team_comes_through_and_leaves_nobody_waiting() {
        let panic = std::panic::catch_unwind(|| team(Some(2), || panic!("as expected")));
        assert!(panic.is_err());
    }

    #[test]
    fn every_row_is_visited_once_with_its_own_index() {
        for (height, width, cost) in
            [(1, 1, 1), (3, 7, 7), (500, 784, 784), (128, 1, 784), (3, CHUNK + 5, 1), (2 * CHUNK + 1, 1, 1)]
        {
            let mut y = vec![0usize; height * width];
            rows(&mut y, width, cost, |first, piece| {
                for (i, row) in piece.chunks_mut(width).enumerate() {
                    row.iter_mut().for_each(|y| *y += first + i + 1);
                }
            });
            assert!(y.chunks(width).enumerate().all(|(i, row)| row.iter().all(|&y| y == i + 1)), "{height} × {width}");
        }
    }
}
