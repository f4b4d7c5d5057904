//! How work is divided among threads: by the problem, never by the number of threads, so that a result has the same
//! bits on every machine. (A product of matrices may be left whole for one thread: its bits do not depend on the cut.)
//!
//! Nobody else hands out work (`clippy.toml`), so two rules hold everywhere. A thread that works [`alone`] hands out nothing, and
//! so never waits and is never given other work meanwhile. And outside a [`team`], or a pool of rayon's, there is one thread: no
//! pool is made that nobody has asked for, and that cannot be made where no thread can be started.
#![allow(clippy::disallowed_methods, reason = "here they are called by those rules")]

use std::cell::Cell;
use std::mem::take;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rayon::prelude::*;
use rayon::{ThreadBuilder, ThreadPool, ThreadPoolBuilder, Yield};

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
    if ALONE.get() { 1 } else { threads_of_pool() }
}

fn threads_of_pool() -> usize {
    // The number alone would be that of rayon's global pool, which it would make for that.
    rayon::current_thread_index().map_or(1, |_| rayon::current_num_threads())
}

/// Both results; the second is handed out, if there is another thread.
pub fn join<A: Send, B: Send>(a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B + Send) -> (A, B) {
    if threads() == 1 { (a(), b()) } else { rayon::join(a, b) }
}

/// The results of `work(state, i)` for each `i` below `n`, in that order. Each is computed by one thread [`alone`]; a state serves
/// one after the other.
pub fn map<S, R: Send>(n: usize, state: impl Fn() -> S + Sync, work: impl Fn(&mut S, usize) -> R + Sync) -> Vec<R> {
    // A single one is left to share what it consists of.
    if n == 1 || threads() == 1 {
        let mut state = state();
        return (0..n).map(|i| work(&mut state, i)).collect();
    }
    (0..n).into_par_iter().map_init(&state, |state, i| alone(|| work(state, i))).collect()
}

/// A state for each thread of a pool, kept for the next time.
#[derive(Debug, Default)]
pub struct PerThread<S>(Vec<Mutex<S>>);

impl<S: Default> PerThread<S> {
    /// Makes states for threads of this pool that have none.
    pub fn make_room(&mut self) {
        self.0.resize_with(threads_of_pool().max(self.0.len()), Mutex::default);
    }

    /// Calls `work` with the state of this thread.
    ///
    /// # Panics
    /// If this thread is at it already – it was given other work while it waited, so it did not work [`alone`] – or is of a larger
    /// pool than there was [room](PerThread::make_room) made for.
    pub fn with<R>(&self, work: impl FnOnce(&mut S) -> R) -> R {
        let state = &self.0[rayon::current_thread_index().unwrap_or(0)];
        work(&mut state.try_lock().expect("a thread does one thing at a time"))
    }
}

/// Calls `work(first, rows)` on pieces of a row-major matrix: `rows` is a run of whole rows of `y`, each `width`
/// numbers long, and `first` the index of the first of them. `cost` is how many numbers one row takes to compute.
pub fn rows<T: Send>(y: &mut [T], width: usize, cost: usize, work: impl Fn(usize, &mut [T]) + Sync) {
    hand_out(y, width, cost, &work);
}

/// Behind a reference that says nothing of the closure, handing out is compiled once and not for each of hundreds of operations,
/// where it was a third of the code of this project. A piece has thousands of numbers, so the call is nothing.
fn hand_out<T: Send>(y: &mut [T], width: usize, cost: usize, work: &(dyn Fn(usize, &mut [T]) + Sync)) {
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

/// Calls `work` on pieces of slices of one length, all cut at the same places: `ys`, to be written, and `xs`.
pub fn zip<T: Send + Sync, const M: usize, const N: usize>(
    mut ys: [&mut [T]; M],
    xs: [&[T]; N],
    work: &(impl Fn([&mut [T]; M], [&[T]; N]) + Sync),
) {
    let len = ys.iter().map(|y| y.len()).min().unwrap_or(0);
    if len <= 2 * CHUNK || threads() == 1 {
        return work(ys, xs);
    }
    let half = (len / 2).next_multiple_of(CHUNK);
    let later = ys.each_mut().map(|y| {
        let (now, later) = take(y).split_at_mut(half);
        *y = now;
        later
    });
    join(|| zip(ys, xs.map(|x| &x[..half]), work), || zip(later, xs.map(|x| &x[half..]), work));
}

/// How many threads a team has, of so many that are asked for: one per core if nobody says, and at most; more would keep each
/// other from working.
pub fn team_size(threads: Option<usize>) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    threads.map_or(cores, |threads| threads.clamp(1, cores))
}

/// Runs `work` on a team of threads, as many as [`team_size`] says, that stay awake until it is done; fewer, if the operating system
/// starts no more, and this one [`alone`] if it starts none. `work` is told by [`threads`].
///
/// Half of a product is handed over in about 1 µs to a thread that is awake, and in 25 to 70 µs to one that sleeps, which
/// is longer than the product takes. A training step has a hundred such moments with serial work between them, in which
/// rayon's threads would fall asleep; and entering its pool from outside costs up to 36 µs, so all of the work runs inside.
///
/// The threads are the team's own: one that stayed awake in a pool that others use too might never get back to them.
pub fn team<R: Send>(threads: Option<usize>, work: impl FnOnce() -> R + Send) -> R {
    let (mut work, mut result) = (Some(work), None);
    on_team(threads, &mut || result = work.take().map(|work| work()));
    result.expect("the work was done once")
}

/// As [`rows`] does, it hides the work behind a reference, and is compiled once.
fn on_team(threads: Option<usize>, work: &mut (dyn FnMut() + Send)) {
    let mut size = team_size(threads);
    while size > 1 {
        let started = AtomicUsize::new(0);
        let run = |thread: ThreadBuilder| {
            started.fetch_add(1, Ordering::Relaxed);
            thread.run();
        };
        let pool = ThreadPoolBuilder::new().num_threads(size);
        match pool.build_scoped(run, |pool| stay_awake_for(&mut *work, pool)) {
            Ok(()) => return,
            // They have ended; as many can be had.
            Err(_) => size = started.into_inner(),
        }
    }
    alone(work);
}

/// Runs `work` on a pool whose other threads stay awake meanwhile.
fn stay_awake_for(work: &mut (dyn FnMut() + Send), pool: &ThreadPool) {
    let done = AtomicBool::new(false);
    pool.install(|| {
        let own = rayon::current_thread_index();
        rayon::scope(|scope| {
            scope.spawn_broadcast(|_, thread| {
                if Some(thread.index()) != own {
                    stay_awake(&done);
                }
            });
            // Dropped when the work is done, and also when it panics.
            let _done = SetOnDrop(&done);
            work();
        });
    });
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Looks for work until there will be no more.
fn stay_awake(done: &AtomicBool) {
    let mut idle = 0u32;
    while !done.load(Ordering::Relaxed) {
        idle = if rayon::yield_now() == Some(Yield::Executed) { 0 } else { idle.saturating_add(1) };
        if idle > PATIENCE {
            // A picture is being drawn, or a file read: no reason to keep the core busy, and the less the longer it takes.
            std::thread::sleep(NAP * (idle - PATIENCE).min(MOST_NAPS));
        } else if idle > 0 {
            // Another process that wants this core may have it.
            std::thread::yield_now();
        }
    }
}

/// Looks in vain, about half a microsecond each, after which a thread looks less often.
const PATIENCE: u32 = 10_000;
/// How long it then sleeps between two looks; later several times as long.
const NAP: Duration = Duration::from_micros(100);
const MOST_NAPS: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(threads: usize) -> ThreadPool {
        ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
    }

    /// Which threads work on each of many numbers.
    fn everywhere() -> Vec<Option<usize>> {
        let mut threads = vec![None; 10 * CHUNK];
        rows(&mut threads, 1, 1, |_, piece| piece.fill(rayon::current_thread_index()));
        threads
    }

    #[test]
    fn a_team_does_its_work_and_gives_back_its_result() {
        for asked in [None, Some(0), Some(1), Some(2), Some(3), Some(1 << 20)] {
            let sum = team(asked, || {
                assert_eq!(threads(), team_size(asked));
                map(1000, || (), |(), i| i).iter().sum::<usize>()
            });
            assert_eq!(sum, 499_500);
        }
    }

    #[test]
    fn outside_a_pool_there_is_one_thread() {
        assert_eq!(threads(), 1);
        assert!(everywhere().iter().all(Option::is_none));
        assert_eq!(map(3, rayon::current_thread_index, |&mut thread, _| thread), [None; 3]);
        assert_eq!(join(rayon::current_thread_index, rayon::current_thread_index), (None, None));
        let mut states = PerThread::<u32>::default();
        states.make_room();
        states.with(|state| *state += 1);
        assert_eq!(states.0.len(), 1);
    }

    #[test]
    fn nothing_is_handed_out_by_a_thread_that_works_alone() {
        let of_threads = || {
            let mut found = everywhere();
            found.dedup();
            (found.len(), threads())
        };
        pool(2).install(|| {
            assert_eq!(alone(|| (of_threads(), alone(of_threads))), ((1, 1), (1, 1)));
            assert_eq!(threads(), 2, "and afterwards it does share");
            assert_eq!(map(9, || (), |(), _| of_threads()), [(1, 1); 9]);
        });
    }

    #[test]
    fn a_thread_that_works_alone_is_given_nothing_else_meanwhile() {
        let mut states = PerThread::<usize>::default();
        let shared = |states: &PerThread<usize>| {
            join(
                || states.with(|state| *state += everywhere().len()),
                || states.with(|state| *state += everywhere().len()),
            )
        };
        pool(5).install(|| {
            states.make_room();
            map(200, || (), |(), _| shared(&states));
        });
        let total: usize = states.0.iter_mut().map(|state| *state.get_mut().unwrap()).sum();
        assert_eq!(total, 400 * 10 * CHUNK);
    }

    #[test]
    fn slices_are_cut_at_the_same_places_and_every_piece_is_visited_once() {
        for len in [0, 1, 2 * CHUNK, 2 * CHUNK + 1, 9 * CHUNK + 5] {
            let x: Vec<usize> = (0..len).collect();
            let mut ys = [vec![0; len], vec![1; len]];
            pool(3).install(|| {
                zip(ys.each_mut().map(|y| &mut y[..]), [&x], &|[y, z], [x]| {
                    assert!(y.len() == x.len() && z.len() == x.len());
                    (0..x.len()).for_each(|i| (y[i], z[i]) = (y[i] + x[i], z[i] + 2 * x[i]));
                });
            });
            assert!((0..len).all(|i| ys[0][i] == i && ys[1][i] == 2 * i + 1), "{len}");
        }
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
