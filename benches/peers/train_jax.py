"""The default model's training in JAX, on the CPU: an epoch is one call, which scans over the batches."""

import os
from functools import partial

import common

args = common.arguments()
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_default_prng_impl", "rbg")
random = np.random.default_rng(1)


def linear(inputs, outputs):
    bound = inputs**-0.5
    draw = lambda *shape: jnp.asarray(random.uniform(-bound, bound, shape), jnp.float32)
    return draw(inputs, outputs), draw(outputs)


def apply(layer, x):
    weight, bias = layer
    return x @ weight + bias


def loss(params, x, key):
    """−ELBO, summed over the batch."""
    h = jax.nn.relu(apply(params["hidden"], x))
    mean, log_var = apply(params["mean"], h), apply(params["log_var"], h)
    z = mean + jax.random.normal(key, mean.shape) * jnp.exp(0.5 * log_var)
    logits = apply(params["pixels"], jax.nn.relu(apply(params["expand"], z)))
    kl = -0.5 * jnp.sum(1 + log_var - mean**2 - jnp.exp(log_var))
    return jnp.sum(jax.nn.softplus(logits) - x * logits) + kl


def adam(params, m, v, t, grads):
    b1, b2, epsilon = 0.9, 0.999, 1e-8
    m = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, m, grads)
    v = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, v, grads)
    rate, scale = common.LEARNING_RATE / (1 - b1**t), 1 / (1 - b2**t)
    return jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v * scale) + epsilon), params, m, v), m, v


def step(state, x):
    params, m, v, t, key = state
    key, noise = jax.random.split(key)
    total, grads = jax.value_and_grad(loss)(params, x, noise)
    grads = jax.tree.map(lambda g: g / len(x), grads)
    return (*adam(params, m, v, t + 1, grads), t + 1, key), total


@partial(jax.jit, donate_argnums=0)
def steps(state, images, batches):
    """A step for each row of `batches`, which holds numbers of images."""
    state, totals = jax.lax.scan(lambda state, batch: step(state, images[batch]), state, batches)
    return state, totals.sum()


params = {
    "hidden": linear(common.PIXELS, common.HIDDEN),
    "mean": linear(common.HIDDEN, common.LATENT),
    "log_var": linear(common.HIDDEN, common.LATENT),
    "expand": linear(common.LATENT, common.HIDDEN),
    "pixels": linear(common.HIDDEN, common.PIXELS),
}
zeros = lambda: jax.tree.map(jnp.zeros_like, params)
state = params, zeros(), zeros(), jnp.zeros(()), jax.random.key(1)
images = jnp.asarray(common.images(args), jnp.float32) / 255


def epoch():
    global state
    order = random.permutation(args.limit).astype(np.int32)
    whole = args.limit // args.batch * args.batch
    state, total = steps(state, images, order[:whole].reshape(-1, args.batch))
    if whole < args.limit:  # the smaller last batch
        state, rest = steps(state, images, order[None, whole:])
        total += rest
    return float(jax.block_until_ready((state, total))[1])


common.train(args, epoch)
