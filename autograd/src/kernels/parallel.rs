//! How work is divided among threads: by the problem, never by the number of threads, so that a result has the same
//! bits on every machine.

use rayon::prelude::*;

/// Numbers a task works on. Waking the other thread costs up to 70 µs after a serial gap, so small matrices
/// (a batch of latent codes has 2,560 numbers) are left to one.
pub const CHUNK: usize = 1 << 13;

/// Calls `work(first, rows)` on pieces of a row-major matrix: `rows` is a run of whole rows of `y`, each `width`
/// numbers long, and `first` the index of the first of them. `cost` is how many numbers one row takes to compute.
pub fn rows<T: Send>(y: &mut [T], width: usize, cost: usize, work: impl Fn(usize, &mut [T]) + Sync) {
    let height = y.len() / width.max(1);
    if height * cost <= 2 * CHUNK {
        return work(0, y);
    }
    let rows_per_chunk = (CHUNK / cost).max(1);
    y.par_chunks_mut(rows_per_chunk * width).enumerate().for_each(|(i, chunk)| work(i * rows_per_chunk, chunk));
}

/// Calls `work(start, piece)` on pieces of `y`, where `piece` begins at index `start`.
pub fn chunks<T: Send>(y: &mut [T], work: impl Fn(usize, &mut [T]) + Sync) {
    rows(y, 1, 1, work);
}

#[cfg(test)]
mod tests {
    use super::*;

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
