#!/usr/bin/env python3
"""The default model's training here and in other frameworks: interleaved runs, one table. See README.md."""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

PEERS = Path(__file__).resolve().parent
ROOT = PEERS.parents[1]
DATA = ROOT / "datasets" / "mnist"
IMAGES = 60_000
VENV = PEERS / "venv"


class NotInstalled(Exception):
    """Says how to install it."""


def output(*command, **options):
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, **options).stdout.strip()


def cargo_build(package, target, **environment):
    """Builds a package of its own in release, and returns where it left the program."""
    command = ["cargo", "build", "--release", "--manifest-path", package / "Cargo.toml", "--target-dir", target]
    subprocess.run(command, check=True, env=os.environ | environment)
    return target / "release"


class Ours:
    """`vae train`, as a user runs it; what it does besides training is outside the seconds it reports."""

    def __init__(self, *options):
        self.options = options

    def prepare(self, _, target):
        self.program = cargo_build(ROOT / "vae" / "cli", target) / "vae"
        return "commit " + output("git", "describe", "--always", "--dirty", cwd=ROOT)

    def command(self, threads, scratch):
        return [self.program, "train", "--json", "--threads", str(threads), "--out", scratch / "run", *self.options]


class Python:
    def __init__(self, package, script, *options):
        self.package, self.script, self.options = package, script, options

    def prepare(self, python, _):
        self.python = python
        how = f"not installed: {python} cannot import {self.package}; see benches/peers/README.md"
        print_version = f"import {self.package} as package; print(package.__version__)"
        try:
            return f"{self.package} " + output(python, "-c", print_version, stderr=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError):
            raise NotInstalled(how) from None

    def command(self, _, __):
        return [self.python, PEERS / self.script, "--data", DATA, *self.options]


class Rust:
    def __init__(self, framework):
        self.framework = framework

    def prepare(self, _, target):
        package = PEERS / self.framework.split("-")[0]
        # Their elementwise loops use what the compiler is told of the CPU; ours find out when they run.
        release = cargo_build(package, target / "peers", RUSTFLAGS="-C target-cpu=native")
        self.program = release / f"peer-{package.name}"
        identity = output("cargo", "pkgid", "--manifest-path", package / "Cargo.toml", self.framework)
        return self.framework + " " + identity.rsplit("@")[-1]

    def command(self, _, __):
        return [self.program, "--data", DATA]


CONTENDERS = {
    "ours": Ours(),
    "jax": Python("jax", "train_jax.py"),
    "torch": Python("torch", "train_torch.py"),
    "torch-compile": Python("torch", "train_torch.py", "--mode", "compile"),
    "burn": Rust("burn"),
    "candle": Rust("candle-core"),
    # Products with bf16 operands: only by name.
    "ours-bf16": Ours("--precision", "bf16"),
    "torch-bf16": Python("torch", "train_torch.py", "--precision", "bf16"),
    "torch-compile-bf16": Python("torch", "train_torch.py", "--mode", "compile", "--precision", "bf16"),
}
DEFAULT = [name for name in CONTENDERS if not name.endswith("bf16")]


def measure(contender, threads, batch, images, epochs):
    """Trains in a process of its own, on as many CPUs as threads: a record for each epoch but the first, in which things
    are compiled and memory is touched for the first time."""
    cpus = sorted(os.sched_getaffinity(0))[:threads]
    environment = os.environ | {f"{name}_NUM_THREADS": str(threads) for name in ["OMP", "MKL", "RAYON"]}
    with TemporaryDirectory() as scratch:
        command = contender.command(threads, Path(scratch))
        command += ["--batch", str(batch), "--limit", str(images), "--epochs", str(1 + epochs)]
        done = subprocess.run(command, text=True, capture_output=True, env=environment, cwd=scratch,
                              preexec_fn=lambda: os.sched_setaffinity(0, cpus))
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise RuntimeError("failed: " + lines[-1])
    return [json.loads(line) for line in done.stdout.splitlines()][1:]


def row(name, version, records, steps, whole_epoch, ours):
    """What the table says of one contender."""
    seconds = [record["seconds"] for record in records]
    median = statistics.median(seconds)
    return {
        "contender": name,
        "seconds_per_epoch": median if whole_epoch else None,
        "microseconds_per_step": median / steps * 1e6,
        "spread": (max(seconds) - min(seconds)) / median,
        "times_ours": median / ours if ours else None,
        "train_loss": records[-1]["train"]["loss"],
        "version": version,
        "seconds": seconds,
    }


def print_table(title, rows, skipped):
    cell = lambda value, form: "–" if value is None else form.format(value)
    table = [["contender", "s/epoch", "µs/step", "spread", "× ours", "train loss", "version"]]
    for r in rows:
        table.append([
            r["contender"],
            cell(r["seconds_per_epoch"], "{:.3f}"),
            cell(r["microseconds_per_step"], "{:.1f}"),
            cell(r["spread"], "{:.0%}"),
            cell(r["times_ours"], "{:.2f}"),
            cell(r["train_loss"], "{:.2f}"),
            r["version"],
        ])
    widths = [max(map(len, column)) for column in zip(*table)]
    print(f"\n{title}")
    for cells in table:
        texts = [c.ljust(w) if i in (0, len(cells) - 1) else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths))]
        print("  ".join(texts).rstrip())
    for name, why in skipped.items():
        print(f"{name.ljust(widths[0])}  {why}")


def arguments():
    def numbers(text):
        values = [int(number) for number in text.split(",")]
        if min(values) < 1:
            raise ValueError
        return values

    def names(text):
        values = text.split(",")
        if unknown := [name for name in values if name not in CONTENDERS]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(CONTENDERS)}")
        return values

    cpus = len(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=numbers, default=[cpus], metavar="N,…", help="[default: one per CPU]")
    parser.add_argument("--batch", type=numbers, default=[128], metavar="N,…", help="images per step [default: 128]")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="processes of each contender [default: 5]")
    parser.add_argument("--epochs", type=int, default=2, metavar="N",
                        help="measured epochs of a process, after one that is not measured [default: 2]")
    parser.add_argument("--steps", type=int, default=1000, metavar="N",
                        help="at most so many steps an epoch: small batches need no whole one [default: 1000]")
    parser.add_argument("--only", type=names, default=DEFAULT, metavar="NAME,…",
                        help=f"of {', '.join(CONTENDERS)} [default: those without bf16]")
    parser.add_argument("--quick", action="store_true", help="one round with epochs of at most 100 steps")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all measurements there")
    parser.add_argument("--python", type=Path, default=VENV / "bin" / "python", metavar="FILE",
                        help="the interpreter that has torch and jax [default: that of benches/peers/venv]")
    args = parser.parse_args()
    if max(args.threads) > cpus:
        parser.error(f"--threads {max(args.threads)}: this process may run on {cpus} CPUs")
    if min(args.rounds, args.epochs, args.steps) < 1:
        parser.error("--rounds, --epochs and --steps are at least 1")
    if max(args.batch) > IMAGES:
        parser.error(f"--batch {max(args.batch)}: there are {IMAGES} images")
    if args.quick:
        args.rounds, args.steps = 1, min(args.steps, 100)
    return args


def main():
    args = arguments()
    metadata = ["cargo", "metadata", "--no-deps", "--format-version", "1"]
    target = Path(json.loads(output(*metadata, cwd=ROOT))["target_directory"])
    versions, skipped, report = {}, {}, []
    for name in args.only:
        try:
            versions[name] = CONTENDERS[name].prepare(args.python, target)
        except NotInstalled as how:
            skipped[name] = str(how)
        except subprocess.CalledProcessError as error:
            skipped[name] = f"cannot be built: {error}"

    for threads in args.threads:
        for batch in args.batch:
            images = min(IMAGES, args.steps * batch)
            steps = -(-images // batch)
            records, failed = {name: [] for name in versions}, {}
            for number in range(args.rounds):
                for name in [name for name in versions if name not in failed]:
                    print(f"round {number + 1} of {args.rounds}: {name}", file=sys.stderr)
                    try:
                        records[name] += measure(CONTENDERS[name], threads, batch, images, args.epochs)
                    except RuntimeError as why:
                        failed[name] = str(why)
            ours = statistics.median(r["seconds"] for r in records["ours"]) if records.get("ours") else None
            rows = [row(name, versions[name], records[name], steps, images == IMAGES, ours)
                    for name in versions if name not in failed]
            title = f"batch {batch}, {steps} steps an epoch, {threads} thread{'s' * (threads > 1)}"
            print_table(title, rows, skipped | failed)
            report.append({"threads": threads, "batch": batch, "steps": steps, "rows": rows})
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
