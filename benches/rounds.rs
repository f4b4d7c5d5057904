//! Measuring several programs side by side.
//!
//! The clock of a CPU drifts, and other processes come and go. So nothing is measured first and compared later:
//! everyone has a turn in every round, and a bad second is bad for all.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::outcome::Family;

/// Something to be measured.
pub struct Runner<'a> {
    /// What it is called in tables and charts.
    pub name: String,
    /// Where it belongs.
    pub family: Family,
    /// Does its work so many times.
    pub run: Box<dyn FnMut(usize) + 'a>,
    /// How long its threads keep a core busy after they are done; the next one waits until then.
    pub rest: Duration,
}

/// How long is measured.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Turns that everyone has.
    pub rounds: usize,
    /// How long a turn takes, at least; work that takes longer is done once.
    pub turn: Duration,
}

impl Pace {
    /// For figures.
    pub const CAREFUL: Pace = Pace { rounds: 31, turn: Duration::from_millis(10) };
    /// For an impression.
    pub const QUICK: Pace = Pace { rounds: 7, turn: Duration::from_millis(3) };
}

/// The seconds that each took for one piece of its work, by runner and then by round.
pub fn interleave(runners: &mut [Runner], pace: Pace) -> Vec<Vec<f64>> {
    let repeats: Vec<usize> = runners.iter_mut().map(|runner| repeats_for(runner, pace.turn)).collect();
    let mut seconds = vec![Vec::with_capacity(pace.rounds); runners.len()];
    for round in 0..pace.rounds {
        for turn in 0..runners.len() {
            // Another one begins each round, so that nobody always follows the same neighbour's use of the caches.
            let i = (round + turn) % runners.len();
            let Runner { run, rest, .. } = &mut runners[i];
            if repeats[i] > 1 {
                // Fetches what the others have driven out of the caches, and wakes the threads.
                run(repeats[i].div_ceil(4));
            }
            let start = Instant::now();
            run(repeats[i]);
            seconds[i].push(start.elapsed().as_secs_f64() / repeats[i] as f64);
            sleep(*rest);
        }
    }
    seconds
}

/// How many times the work fits into a turn.
fn repeats_for(runner: &mut Runner, turn: Duration) -> usize {
    let mut repeats = 1;
    loop {
        let start = Instant::now();
        (runner.run)(repeats);
        let share = start.elapsed().as_secs_f64() / turn.as_secs_f64();
        if share >= 0.5 {
            sleep(runner.rest);
            return ((repeats as f64 / share).ceil() as usize).max(1);
        }
        repeats *= if share > 0.1 { 2 } else { 8 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_has_a_turn_in_every_round_and_work_that_is_longer_than_a_turn_is_done_once() {
        let pace = Pace { rounds: 3, turn: Duration::from_micros(50) };
        let mut calls = Vec::new();
        let slow = |times: usize| {
            calls.push(times);
            sleep(Duration::from_millis(1));
        };
        let runner = |run| Runner { name: String::new(), family: Family::Ours, run, rest: Duration::ZERO };
        let mut runners = [runner(Box::new(slow)), runner(Box::new(|_| sleep(Duration::from_micros(10))))];
        let seconds = interleave(&mut runners, pace);
        assert!(seconds.iter().all(|seconds| seconds.len() == 3));
        assert!(seconds[0].iter().all(|&seconds| seconds >= 1e-3));
        drop(runners);
        assert_eq!(calls, [1; 4]);
    }
}
