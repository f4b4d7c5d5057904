//! A training step takes no memory.

use autograd::kernels::{Write, gemm::gemm};
use autograd::{Grads, Precision};
use ndarray::Array2;
use vae::checkpoint::Model;
use vae::config::Config;
use vae::noise::{Purpose, fill_normal};
use vae::objective::Objective;
use vae::optim::Adam;
use vae::train::Step;

use crate::counting::{allocations, alone};

/// Noise, both passes and Adam, of the default model.
fn allocations_of_ten_steps(threads: usize, precision: Precision) -> usize {
    let mut model = Model::new(Config::default(), datasets::Size::grey(28, 28));
    let mut step = Step::record(&model.vae, &model.params, 128, &Objective::default(), precision);
    let (mut grads, mut adam) = (Grads::zeros(&model.params), Adam::new(&model.params, 1e-3));
    let mut take_step = |t| {
        fill_normal(&mut Purpose::Noise.generator(1, t), step.tape.input_mut(step.noise));
        step.tape.forward(&model.params);
        step.backward(&model.params, &mut grads);
        adam.step(&mut model.params, &grads);
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    // Each thread takes its packing buffers with its first product that is packed, whenever it comes to it: here, and now.
    pool.broadcast(|_| {
        let (a, mut c) = (Array2::<f32>::ones((128, 128)), Array2::zeros((128, 128)));
        gemm(a.view(), a.view(), Precision::Single, Write::Set, c.view_mut());
    });
    pool.install(|| {
        // The first backward pass takes the gradients of the values.
        (0..20).for_each(&mut take_step);
        allocations(|| (20..30).for_each(&mut take_step))
    })
}

#[test]
fn after_the_first_few_a_step_allocates_nothing_with_one_thread_and_with_two() {
    let _alone = alone();
    for precision in Precision::ALL {
        assert_eq!([1, 2].map(|threads| allocations_of_ten_steps(threads, precision)), [0, 0], "{precision}");
    }
}
