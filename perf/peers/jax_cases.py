"""The benchmark cases in JAX: the same shapes, dtypes and step counts as perf/*.ts."""
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

VERSION = f"jax {jax.__version__}"


def blocking(f, *args):
    return lambda: jax.block_until_ready(f(*args))


def dataset(rows, inputs, outputs):
    source = np.random.default_rng(1)
    x = source.standard_normal((rows, inputs), dtype=np.float32)
    y = np.eye(outputs, dtype=np.float32)[source.integers(0, outputs, rows)]
    return jnp.asarray(x), jnp.asarray(y)


def cross_entropy(logits, y):
    return -jnp.mean(jnp.sum(y * jax.nn.log_softmax(logits), axis=-1))


def rollout_mlp(inputs, hidden, outputs, batch, rows, particles, steps):
    """SGD on a one-hidden-layer ReLU network; minibatches shared by all particles, a learning rate of its own for each."""
    x, y = dataset(rows, inputs, outputs)

    def loss(w, xb, yb):
        h = jax.nn.relu(xb @ w["w1"] + w["b1"])
        return cross_entropy(h @ w["w2"] + w["b2"], yb)

    def init(key):
        a, b = jax.random.split(key)
        return {
            "w1": jax.random.normal(a, (inputs, hidden)) * math.sqrt(2 / inputs),
            "b1": jnp.zeros(hidden),
            "w2": jax.random.normal(b, (hidden, outputs)) * math.sqrt(1 / hidden),
            "b2": jnp.zeros(outputs),
        }

    def one(rate, w, chosen):
        def step(w, rows_of_step):
            value, g = jax.value_and_grad(loss)(w, x[rows_of_step], y[rows_of_step])
            return jax.tree.map(lambda p, q: p - rate * q, w, g), value

        w, losses = lax.scan(step, w, chosen)
        return w, jnp.sum(losses)

    chosen = jax.random.randint(jax.random.PRNGKey(2), (steps, batch), 0, rows)
    weights = jax.vmap(init)(jax.random.split(jax.random.PRNGKey(1), particles))
    rates = jnp.exp(jnp.linspace(-8, -4, particles))
    return blocking(jax.jit(jax.vmap(one, (0, 0, None))), rates, weights, chosen)


def rollout_mlp_sgd():
    return rollout_mlp(64, 32, 10, 16, 1024, 4096, 50), 4096 * 50


def rollout_mlp_784():
    gigaflops = 2 * 32 * (2 * 784 * 128 + 3 * 128 * 10) / 1e9
    return rollout_mlp(784, 128, 10, 32, 1024, 64, 8), 64 * 8 * gigaflops


def rollout_toy_2d():
    particles, steps = 65536, 100

    def loss(x, y):
        return (
            jnp.sqrt(x**2 + 5) - math.sqrt(5) + jnp.sin(y) ** 2 * jnp.exp(-5 * x**2) + jnp.abs(y - 100) * 0.25
        )

    def one(first, last):
        def step(state, t):
            x, y = state
            part = t.astype(jnp.float32) / steps
            rate = jnp.exp(first) * (1 - part) + jnp.exp(last) * part
            gx, gy = jax.grad(loss, (0, 1))(x, y)
            x, y = x - rate * gx, y - rate * gy
            return (x, y), loss(x, y)

        state, losses = lax.scan(step, (jnp.float32(1), jnp.float32(1)), jnp.arange(steps))
        return state, jnp.sum(losses)

    spread = jnp.arange(particles) / particles
    return blocking(jax.jit(jax.vmap(one)), -4 + 6 * spread, 2 - 6 * spread), particles * steps


def adam(w, m, v, g, t, rate=1e-3, b1=0.9, b2=0.999, epsilon=1e-8):
    m = jax.tree.map(lambda a, b: b1 * a + (1 - b1) * b, m, g)
    v = jax.tree.map(lambda a, b: b2 * a + (1 - b2) * b * b, v, g)
    c1, c2 = 1 - b1**t, 1 - b2**t
    w = jax.tree.map(lambda p, a, b: p - rate * (a / c1) / (jnp.sqrt(b / c2) + epsilon), w, m, v)
    return w, m, v


def repeated(step, carry, *data):
    """One round: a step whose arguments are given up to its results, as a training loop does."""
    held = [carry]

    def run():
        held[0] = step(held[0], *data)
        jax.block_until_ready(held[0])

    return run


def jit_mlp_train():
    sizes, batch = [784, 512, 256, 10], 128
    x, y = dataset(batch, 784, 10)
    source = np.random.default_rng(0)
    w = [
        (jnp.asarray(source.standard_normal((a, b), dtype=np.float32) * math.sqrt(2 / a)), jnp.zeros(b))
        for a, b in zip(sizes, sizes[1:])
    ]
    zeros = jax.tree.map(jnp.zeros_like, w)

    def loss(w, x, y):
        for i, (a, b) in enumerate(w):
            x = x @ a + b
            if i < 2:
                x = jax.nn.relu(x)
        return cross_entropy(x, y)

    @functools.partial(jax.jit, donate_argnums=0)
    def step(carry, x, y):
        w, m, v, t, _ = carry
        value, g = jax.value_and_grad(loss)(w, x, y)
        w, m, v = adam(w, m, v, g, t)
        return w, m, v, t + 1, value

    carry = (w, zeros, jax.tree.map(jnp.zeros_like, w), jnp.float32(1), jnp.float32(0))
    gigaflops = 2 * batch * (2 * 784 * 512 + 3 * 512 * 256 + 3 * 256 * 10) / 1e9
    return repeated(step, carry, x, y), gigaflops


def jit_cnn_train():
    batch = 64
    source = np.random.default_rng(0)
    x = jnp.asarray(source.standard_normal((batch, 28, 28, 1), dtype=np.float32))
    y = jnp.asarray(np.eye(10, dtype=np.float32)[source.integers(0, 10, batch)])

    def normal(*shape):
        return jnp.asarray(source.standard_normal(shape, dtype=np.float32) * 0.1)

    w = (normal(3, 3, 1, 16), jnp.zeros(16), normal(3, 3, 16, 32), jnp.zeros(32), normal(7 * 7 * 32, 10), jnp.zeros(10))

    def conv(x, k):
        return lax.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def pool(x):
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    def loss(w, x, y):
        k1, b1, k2, b2, d, b3 = w
        h = pool(jax.nn.relu(conv(x, k1) + b1))
        h = pool(jax.nn.relu(conv(h, k2) + b2))
        return cross_entropy(h.reshape(batch, -1) @ d + b3, y)

    @functools.partial(jax.jit, donate_argnums=0)
    def step(carry, x, y):
        w, _ = carry
        value, g = jax.value_and_grad(loss)(w, x, y)
        return jax.tree.map(lambda p, q: p - 0.01 * q, w, g), value

    return repeated(step, (w, jnp.float32(0)), x, y), 1


def twenty_ops(x):
    y = x
    for _ in range(5):
        y = jnp.tanh(y * 1.5 + x) - 0.25
    return y


def jit_dispatch():
    f = jax.jit(twenty_ops)
    x = jnp.float32(0.5)
    calls = 2000

    def run():
        for _ in range(calls):
            f(x).block_until_ready()

    return run, calls


def reverse_rnn():
    """Gradient of the summed squared error of a tanh RNN over 200 steps, for 256 particles with weights of their own."""
    particles, units, inputs, steps = 256, 32, 8, 200
    source = np.random.default_rng(0)

    def normal(scale, *shape):
        return jnp.asarray(source.standard_normal((particles, *shape), dtype=np.float32) * np.float32(scale))

    theta = {
        "u": normal(1 / math.sqrt(inputs), inputs, units),
        "w": normal(1 / math.sqrt(units), units, units),
        "b": normal(0.1, units),
        "v": normal(1 / math.sqrt(units), units),
    }
    x = jnp.asarray(source.standard_normal((steps, inputs), dtype=np.float32))
    target = jnp.asarray(source.standard_normal(steps, dtype=np.float32))

    def total(theta):
        def step(h, data):
            x, target = data
            h = jnp.tanh(x @ theta["u"] + h @ theta["w"] + theta["b"])
            return h, jnp.square(h @ theta["v"] - target)

        return jnp.sum(lax.scan(step, jnp.zeros(units), (x, target))[1])

    return blocking(jax.jit(jax.vmap(jax.value_and_grad(total))), theta), particles * steps


CASES = {
    "rollout/mlp-sgd": rollout_mlp_sgd,
    "rollout/mlp-784": rollout_mlp_784,
    "rollout/toy-2d": rollout_toy_2d,
    "jit/mlp-train": jit_mlp_train,
    "jit/cnn-train": jit_cnn_train,
    "jit/dispatch": jit_dispatch,
    "reverse/rnn": reverse_rnn,
}
