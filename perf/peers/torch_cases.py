"""The benchmark cases in PyTorch on the CPU, eager: the same shapes, dtypes and step counts as perf/*.ts."""
import math

import torch

VERSION = f"torch {torch.__version__}"


def labelled(batch, *shape):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, *shape, generator=generator), torch.randint(0, 10, (batch,), generator=generator)


def training(model, optimizer, x, y):
    def run():
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    return run


def jit_mlp_train():
    sizes, batch = [784, 512, 256, 10], 128
    x, y = labelled(batch, 784)
    layers = []
    for a, b in zip(sizes, sizes[1:]):
        layers += [torch.nn.Linear(a, b), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    gigaflops = 2 * batch * (2 * 784 * 512 + 3 * 512 * 256 + 3 * 256 * 10) / 1e9
    return training(model, torch.optim.Adam(model.parameters(), fused=True), x, y), gigaflops


def jit_cnn_train():
    x, y = labelled(64, 1, 28, 28)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 16, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(16, 32, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Flatten(), torch.nn.Linear(7 * 7 * 32, 10),
    )
    return training(model, torch.optim.SGD(model.parameters(), lr=0.01), x, y), 1


def reverse_rnn():
    """256 particles with weights of their own as one batched product a step."""
    particles, units, inputs, steps = 256, 32, 8, 200
    generator = torch.Generator().manual_seed(0)

    def normal(scale, *shape):
        return (torch.randn(particles, *shape, generator=generator) * scale).requires_grad_()

    u, w = normal(1 / math.sqrt(inputs), inputs, units), normal(1 / math.sqrt(units), units, units)
    b, v = normal(0.1, 1, units), normal(1 / math.sqrt(units), units, 1)
    x = torch.randn(steps, inputs, generator=generator)
    target = torch.randn(steps, generator=generator)

    def run():
        h = torch.zeros(particles, 1, units)
        total = torch.zeros(())
        for t in range(steps):
            h = torch.tanh(x[t].expand(particles, 1, inputs) @ u + h @ w + b)
            total = total + torch.square((h @ v).squeeze() - target[t]).sum()
        torch.autograd.grad(total, (u, w, b, v))

    return run, particles * steps


CASES = {"jit/mlp-train": jit_mlp_train, "jit/cnn-train": jit_cnn_train, "reverse/rnn": reverse_rnn}
