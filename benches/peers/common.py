"""What the peers written in Python share: arguments, MNIST, and the line that is printed after an epoch."""

import argparse
import gzip
import json
import os
import time
from pathlib import Path

PIXELS, HIDDEN, LATENT = 784, 400, 20
LEARNING_RATE = 1e-3
CPUS = len(os.sched_getaffinity(0))


def arguments(**optional):
    """`optional`: names and choices of further arguments, the first of which is the default."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True, help="folder of train-images-idx3-ubyte.gz")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--limit", type=int, required=True, help="train on the first N images")
    for name, choices in optional.items():
        parser.add_argument(f"--{name}", choices=choices, default=choices[0])
    return parser.parse_args()


def images(args):
    """The training images as bytes, `[images, 784]`."""
    import numpy as np

    header = 16  # of an IDX file with three dimensions
    with gzip.open(args.data / "train-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=header)
    return pixels.reshape(-1, PIXELS)[: args.limit].copy()


def train(args, epoch):
    """Calls `epoch`, which returns the sum of the losses as a number, and so waits for the work to be done."""
    for number in range(1, args.epochs + 1):
        start = time.perf_counter()
        total = epoch()
        seconds = time.perf_counter() - start
        print(json.dumps({"epoch": number, "seconds": seconds, "train": {"loss": total / args.limit}}), flush=True)
