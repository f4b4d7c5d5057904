"""Burda's network (784–200–200–50, tanh) in JAX, trained on the bound of `--samples` samples, on pixels binarised anew."""

import math
import os
from functools import partial

import common

args = common.arguments(samples=["1", "5", "50"])
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_default_prng_impl", "rbg")
random = np.random.default_rng(1)
K = int(args.samples)
SIZES = {"e1": (784, 200), "e2": (200, 200), "mean": (200, 50), "log_var": (200, 50),
         "d1": (50, 200), "d2": (200, 200), "logits": (200, 784)}


def linear(inputs, outputs):
    bound = inputs**-0.5
    draw = lambda *shape: jnp.asarray(random.uniform(-bound, bound, shape), jnp.float32)
    return draw(inputs, outputs), draw(outputs)


def apply(layer, x):
    weight, bias = layer
    return x @ weight + bias


def loss(params, x, key):
    """The bound, negative and summed over the batch. With one sample it is the ELBO, its KL in closed form."""
    pixels, noise = jax.random.split(key)
    x = (jax.random.uniform(pixels, x.shape) < x).astype(jnp.float32)
    h = jnp.tanh(apply(params["e2"], jnp.tanh(apply(params["e1"], x))))
    mean, log_var = apply(params["mean"], h), apply(params["log_var"], h)
    noise = jax.random.normal(noise, (K, *mean.shape))
    z = mean + noise * jnp.exp(0.5 * log_var)
    logits = apply(params["logits"], jnp.tanh(apply(params["d2"], jnp.tanh(apply(params["d1"], z)))))
    log_likelihood = jnp.sum(x * logits - jax.nn.softplus(logits), -1)
    if K == 1:
        kl = -0.5 * jnp.sum(1 + log_var - mean**2 - jnp.exp(log_var))
        return kl - jnp.sum(log_likelihood)
    log_w = log_likelihood + 0.5 * jnp.sum(noise**2 + log_var - z**2, -1)
    return -jnp.sum(jax.nn.logsumexp(log_w, 0) - math.log(K))


def step(state, x):
    params, m, v, t, key = state
    key, noise = jax.random.split(key)
    total, grads = jax.value_and_grad(loss)(params, x, noise)
    grads = jax.tree.map(lambda g: g / len(x), grads)
    t += 1
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
    rate, scale = common.LEARNING_RATE / (1 - 0.9**t), 1 / (1 - 0.999**t)
    params = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v * scale) + 1e-8), params, m, v)
    return (params, m, v, t, key), total


@partial(jax.jit, donate_argnums=0)
def steps(state, images, batches):
    """A step for each row of `batches`, which holds numbers of images."""
    state, totals = jax.lax.scan(lambda state, batch: step(state, images[batch]), state, batches)
    return state, totals.sum()


params = {name: linear(*size) for name, size in SIZES.items()}
zeros = lambda: jax.tree.map(jnp.zeros_like, params)
state = params, zeros(), zeros(), jnp.zeros(()), jax.random.key(1)
images = jnp.asarray(common.images(args), jnp.float32) / 255


def epoch():
    global state
    order = random.permutation(args.limit).astype(np.int32)
    state, total = steps(state, images, order.reshape(-1, args.batch))
    return float(jax.block_until_ready((state, total))[1])


common.train(args, epoch)
