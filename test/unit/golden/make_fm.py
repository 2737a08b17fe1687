"""Golden values of factorisation machines, made with PyTorch.

    python make_fm.py > fm.h

Trains FM and FwFM in double precision with torch.optim.Adam and Adagrad, on
the 600 tame, weighted rows of make_logistic.py, all of them one batch: STEPS
steps from initial weights that are multiples of 1/1024.  The gradient is
autograd's, of the weighted mean log loss plus L2 / 2 times the sum of squares
of linear weights and factors.  Parameters come in the order intercept,
linear, factors, pairs (row by row, symmetric), then the loss before each step.

A category that a set holds twice is two entries, which also meet each other.
"""
import numpy as np
import torch

N, FACTORS, STEPS, L2, RATE = 600, 5, 12, 0.01, 0.05
MASK = (1 << 64) - 1
FIELDS = [(0, 2), (2, 5), (7, 1), (8, 4), (12, 6), (18, 9)]
SET = 4


class Random:
    """Marsaglia's xorshift64, of which 31 bits are used."""

    def __init__(self, seed):
        self.state = seed

    def below(self, bound):
        x = self.state
        x ^= (x << 13) & MASK
        x ^= x >> 7
        x ^= (x << 17) & MASK
        self.state = x
        return (x >> 33) % bound


def make_row(random):
    """One row as a dense list of 27 numbers, its label and its weight."""
    first = (random.below(2048) - 1024) / 256
    second = random.below(1024) / 256 - 2
    row = [first, second]
    code = random.below(8) % 5
    row += [float(code == k) for k in range(5)]
    tiny = random.below(1024) / 1024
    row += [tiny]
    other = random.below(5) - 1
    row += [float(other == k) for k in range(4)]
    counts = [0.0] * 6
    for _ in range(random.below(4)):
        counts[random.below(6)] += 1
    row += counts
    wide = [(random.below(64) - 32) / 16 for _ in range(9)]
    row += wide
    score = (0.7 * first - 0.4 * second + 0.9 * (code == 1) - 0.6 * (other == 2)
             + 0.5 * counts[0] - 0.8 * counts[3] + tiny + 0.3 * wide[0]
             - 0.5 * wide[8] - 0.5)
    uniform = random.below(1 << 20) / (1 << 20)
    return row, uniform < 0.5 + 0.5 * score / (1 + abs(score)), 1.0 + random.below(3)


def logits(x, intercept, linear, factor, pair):
    z = intercept + x @ linear
    if pair is None:
        squares = x ** 2
        begin, count = FIELDS[SET]
        squares[:, begin:begin + count] = x[:, begin:begin + count]
        return z + 0.5 * ((x @ factor) ** 2 - squares @ factor ** 2).sum(1)
    sums = torch.stack([x[:, b:b + c] @ factor[b:b + c] for b, c in FIELDS], 1)
    products = torch.einsum("nfk,ngk->nfg", sums, sums)
    return z + (products * torch.triu(pair, 1)).sum((1, 2))


def train(name, x, y, weights, field_weighted, optimizer):
    random = Random(0x2545f4914f6cdd1d)
    draw = lambda *shape: torch.tensor(
        [(random.below(1024) - 512) / 1024 for _ in range(int(np.prod(shape)))],
        dtype=torch.float64).reshape(shape)
    linear, factor = draw(27).requires_grad_(), draw(27, FACTORS).requires_grad_()
    intercept = torch.zeros((), dtype=torch.float64, requires_grad=True)
    parameters = [intercept, linear, factor]
    pair = None
    if field_weighted:
        pair = torch.ones(6, 6, dtype=torch.float64).requires_grad_()
        parameters.append(pair)
    steps = (torch.optim.Adam(parameters, RATE) if optimizer == "adam"
             else torch.optim.Adagrad(parameters, RATE))
    losses = []
    for _ in range(STEPS):
        z = logits(x, intercept, linear, factor, pair)
        loss = (weights * torch.nn.functional.binary_cross_entropy_with_logits(z, y, reduction="none")).sum()
        loss = loss / weights.sum()
        losses.append(loss.item())
        loss = loss + L2 / 2 * ((linear ** 2).sum() + (factor ** 2).sum())
        steps.zero_grad()
        loss.backward()
        steps.step()
    values = [intercept.item()] + linear.tolist() + factor.flatten().tolist()
    if field_weighted:
        upper = torch.triu(pair.detach(), 1)
        values += (upper + upper.T).flatten().tolist()
    print(f"static const double golden_{name}[] = {{")
    for value in values + losses:
        print(f"\t{value!r},")
    print("};\n")


def main():
    random = Random(0x9e3779b97f4a7c15)
    rows = [make_row(random) for _ in range(N)]
    x = torch.tensor([r[0] for r in rows], dtype=torch.float64)
    y = torch.tensor([float(r[1]) for r in rows], dtype=torch.float64)
    weights = torch.tensor([r[2] for r in rows], dtype=torch.float64)
    print("/*\n * fm.h\n"
          f" *\t\tMade by make_fm.py with PyTorch {torch.__version__.split('+')[0]}.\n */")
    print(f"#define GOLDEN_FACTORS {FACTORS}\n#define GOLDEN_STEPS {STEPS}\n"
          f"#define GOLDEN_L2 {L2}\n#define GOLDEN_RATE {RATE}\n")
    for field_weighted in (False, True):
        for optimizer in ("adam", "adagrad"):
            train(f"{'fwfm' if field_weighted else 'fm'}_{optimizer}", x, y, weights,
                  field_weighted, optimizer)


main()
