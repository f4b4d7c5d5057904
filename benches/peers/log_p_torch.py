"""−log p of images by importance sampling with Burda's network in PyTorch: the time for `--images` with `--samples` each."""

import argparse
import json
import math
import time

parser = argparse.ArgumentParser()
parser.add_argument("--images", type=int, required=True)
parser.add_argument("--samples", type=int, required=True)
parser.add_argument("--together", type=int, default=5000, help="samples that go through the decoder together")
args = parser.parse_args()

import common
import torch
from torch import nn
from torch.nn import functional as F

torch.set_num_threads(common.CPUS)
torch.manual_seed(1)
encoder = nn.Sequential(nn.Linear(784, 200), nn.Tanh(), nn.Linear(200, 200), nn.Tanh())
mean, log_var = nn.Linear(200, 50), nn.Linear(200, 50)
decoder = nn.Sequential(nn.Linear(50, 200), nn.Tanh(), nn.Linear(200, 200), nn.Tanh(), nn.Linear(200, 784))
x = (torch.rand(args.images, 784) < 0.13).float()


@torch.inference_mode()
def negative_log_p():
    h = encoder(x)
    means, log_vars = mean(h), log_var(h)
    total = 0.0
    for image, m, s in zip(x, means, log_vars):
        log_w = []
        for _ in range(args.samples // args.together):
            noise = torch.randn(args.together, 50)
            z = m + noise * torch.exp(0.5 * s)
            logits = decoder(z)
            log_likelihood = (image * logits - F.softplus(logits)).sum(-1)
            log_w.append(log_likelihood + 0.5 * (noise**2 + s - z**2).sum(-1))
        total += math.log(args.samples) - torch.logsumexp(torch.cat(log_w), 0).item()
    return total / args.images


start = time.perf_counter()
value = negative_log_p()
print(json.dumps({"seconds": time.perf_counter() - start, "negative_log_p": value}))
