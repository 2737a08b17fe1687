"""Golden values of calibration.

    python make_calibrate.py > calibrate.h

Makes the same rows as test/unit/test_calibrate.c does, from the same
xorshift numbers, and writes what scikit-learn finds on them:

*   IsotonicRegression(out_of_bounds="clip"): its corner points, and its
    values on a grid that goes beyond the rows;
*   Platt's slope and shift: LogisticRegression without a penalty on every row
    twice, as a 1 with its target of Lin, Lin and Weng (2007) as weight and as
    a 0 with the rest, which has the same minimum as scikit-learn's own
    _SigmoidCalibration but is solved by Newton steps to the last digits.
    The script stops where the two are further apart than the latter's
    tolerance.
"""
import sys
import warnings

import numpy as np
import sklearn
from sklearn.calibration import _SigmoidCalibration
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

warnings.simplefilter("ignore")

N = 400
MASK = (1 << 64) - 1


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


def make_rows():
    random = Random(0x243f6a8885a308d3)
    rows = []
    for _ in range(N):
        logit = (random.below(160) - 80) / 16
        weight = 1 + random.below(4)
        score = 0.6 * logit - 0.7
        label = random.below(1 << 20) / (1 << 20) < 0.5 + 0.5 * score / (1 + abs(score))
        rows.append((logit, label, weight))
    return [np.array(column, dtype=float) for column in zip(*rows)]


def platt(logits, labels, weights):
    zeros = weights[labels == 0].sum()
    ones = weights[labels == 1].sum()
    target = np.where(labels == 1, (ones + 1) / (ones + 2), 1 / (zeros + 2))
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-14, max_iter=1000)
    x = np.r_[logits, logits][:, None]
    y = np.r_[np.ones(len(logits)), np.zeros(len(logits))]
    model.fit(x, y, sample_weight=np.r_[weights * target, weights * (1 - target)])
    own = _SigmoidCalibration().fit(logits, labels, weights)
    if abs(own.a_ + model.coef_[0, 0]) > 1e-3 or abs(own.b_ + model.intercept_[0]) > 1e-3:
        sys.exit(f"{own.a_} {own.b_} and {model.coef_} {model.intercept_} are not the same")
    return [model.coef_[0, 0], model.intercept_[0]]


def doubles(name, values):
    print(f"static const double {name}[] = {{")
    for value in values:
        print(f"\t{float(value)!r},")
    print("};")


def write(name, logits, labels, weights):
    doubles(f"golden_platt{name}", platt(logits, labels, weights))
    model = IsotonicRegression(out_of_bounds="clip").fit(logits, labels, weights)
    doubles(f"golden_thresholds{name}", model.X_thresholds_)
    doubles(f"golden_values{name}", model.y_thresholds_)
    doubles(f"golden_applied{name}", model.predict((np.arange(96) - 48) / 8 + 1 / 64))


def main():
    logits, labels, weights = make_rows()
    print("/*\n * calibrate.h\n *\t\tMade by make_calibrate.py with scikit-learn "
          f"{sklearn.__version__} and NumPy {np.__version__}.\n */")
    write("", logits, labels, np.ones(N))
    write("_weighted", logits, labels, weights)


main()
