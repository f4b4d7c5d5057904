"""The default model's training in PyTorch, on the CPU."""

import common

args = common.arguments(mode=["eager", "compile"], precision=["f32", "bf16"])

import torch
from torch import nn
from torch.nn import functional as F

torch.set_num_threads(common.CPUS)
torch.manual_seed(1)


class Vae(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(common.PIXELS, common.HIDDEN)
        self.mean = nn.Linear(common.HIDDEN, common.LATENT)
        self.log_var = nn.Linear(common.HIDDEN, common.LATENT)
        self.expand = nn.Linear(common.LATENT, common.HIDDEN)
        self.pixels = nn.Linear(common.HIDDEN, common.PIXELS)

    def forward(self, x):
        """−ELBO, summed over the batch."""
        h = F.relu(self.hidden(x))
        mean, log_var = self.mean(h).float(), self.log_var(h).float()
        z = mean + torch.randn_like(mean) * torch.exp(0.5 * log_var)
        logits = self.pixels(F.relu(self.expand(z))).float()
        kl = -0.5 * torch.sum(1 + log_var - mean.pow(2) - log_var.exp())
        return F.binary_cross_entropy_with_logits(logits, x, reduction="sum") + kl


model = Vae()
adam = torch.optim.Adam(model.parameters(), lr=common.LEARNING_RATE, fused=True)


def loss(x):
    # Products with bf16 operands; parameters, Adam and the rest stay f32.
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.precision == "bf16"):
        return model(x)


if args.mode == "compile":
    loss = torch.compile(loss, dynamic=False)

# As floats: a byte for a pixel would be converted in every step.
images = torch.from_numpy(common.images(args)).float().div_(255)


def epoch():
    total = torch.zeros(())
    for batch in torch.randperm(args.limit).split(args.batch):
        adam.zero_grad()
        value = loss(images[batch])
        (value / len(batch)).backward()
        adam.step()
        total += value.detach()
    return total.item()


common.train(args, epoch)
