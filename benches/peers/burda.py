#!/usr/bin/env python3
"""Burda's network here, in JAX (training) and in PyTorch (log p): interleaved runs, and one table. See README.md."""

import argparse
import json
import os
import statistics
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from compare import DATA, PEERS, ROOT, NotInstalled, Python

NETWORK = ["--hidden", "200,200", "--latent", "50", "--activation", "tanh", "--binarize", "dynamic"]
# Samples, batch, steps an epoch.
TRAINING = [(5, 100, 200), (50, 100, 30), (1, 20, 1000)]

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--rounds", type=int, default=5, help="processes of each contender [default: 5]")
parser.add_argument("--images", type=int, default=200, help="images for log p, with 5,000 samples each [default: 200]")
parser.add_argument("--python", type=Path, default=PEERS / "venv" / "bin" / "python", help="that has torch and jax")
args = parser.parse_args()
cpus = len(os.sched_getaffinity(0))
target = json.loads(subprocess.run(["cargo", "metadata", "--no-deps", "--format-version", "1"], check=True, text=True,
                                   stdout=subprocess.PIPE, cwd=ROOT).stdout)["target_directory"]
subprocess.run(["cargo", "build", "--release", "-p", "cli"], check=True, cwd=ROOT)
vae = Path(target) / "release" / "vae"


def lines(*command):
    environment = os.environ | {f"{name}_NUM_THREADS": str(cpus) for name in ["OMP", "MKL"]}
    done = subprocess.run([str(word) for word in command], check=True, text=True, stdout=subprocess.PIPE, env=environment)
    return [json.loads(line) for line in done.stdout.splitlines()]


def has(package):
    """Whether it can be compared with; if not, says so."""
    try:
        return Python(package, None).prepare(args.python, None)
    except NotInstalled as how:
        print(f"{package}: {how}", flush=True)


def ours(scratch, samples, batch, images, epochs):
    objective = ["--objective", "iwae", "--k", samples] if samples > 1 else []
    return lines(vae, "train", "--json", "--threads", cpus, *NETWORK, *objective, "--batch", batch, "--limit", images,
                 "--epochs", epochs, "--out", scratch)


def jax(_, samples, batch, images, epochs):
    return lines(args.python, PEERS / "iwae_jax.py", "--data", DATA, "--samples", samples, "--batch", batch,
                 "--limit", images, "--epochs", epochs)


def our_log_p(run):
    """Of all 10,000 test images, with as many samples as make it as much work; less what else `eval` does."""
    samples = 5000 * args.images // 10_000
    seconds = []
    for k in [1, 1 + samples]:
        start = os.times().elapsed
        lines(vae, "eval", run, "--json", "--threads", cpus, "--importance-samples", k)
        seconds.append(os.times().elapsed - start)
    return seconds[1] - seconds[0]


def table_line(name, ours, theirs):
    if not theirs:
        return print(f"{name:<44} {statistics.median(ours):>8.3f}        –", flush=True)
    ratios = [theirs / ours for ours, theirs in zip(ours, theirs)]
    print(f"{name:<44} {statistics.median(ours):>8.3f} {statistics.median(theirs):>8.3f} {statistics.median(ratios):>7.2f}"
          f"   {min(ratios):.2f} to {max(ratios):.2f}", flush=True)


with_jax, with_torch = has("jax"), has("torch")
print(f"{cpus} threads; medians of {args.rounds} rounds\n")
print(f"{'seconds':<44} {'ours':>8} {'theirs':>8} {'ratio':>7}")
with TemporaryDirectory() as scratch:
    for samples, batch, steps in TRAINING:
        times = [[], []]
        for number in range(args.rounds):
            for seconds, contender in zip(times, [ours, jax] if with_jax else [ours]):
                run = Path(scratch) / f"{samples}-{number}"
                epochs = contender(run, samples, batch, steps * batch, 3)[1:]
                seconds.append(statistics.median(epoch["seconds"] for epoch in epochs))
        table_line(f"training, k = {samples}, batch {batch}, {steps} steps; JAX", *times)
    times = [[], []]
    for number in range(args.rounds):
        times[0].append(our_log_p(Path(scratch) / "50-0"))
        if with_torch:
            done = lines(args.python, PEERS / "log_p_torch.py", "--images", args.images, "--samples", 5000)
            times[1].append(done[0]["seconds"])
    table_line(f"log p, {args.images} images of 5,000 samples; PyTorch", *times)
