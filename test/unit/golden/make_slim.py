"""Golden values of SLIM.

    python make_slim.py > slim.h

Makes the interactions of test/unit/test_slim.c from the same xorshift numbers
and solves each item by scikit-learn's ElasticNet(fit_intercept=False) with
the item's own column set to 0.  Its loss is divided by the number of users,
so that alpha = (l1 + l2) / users and l1_ratio = l1 / (l1 + l2).
"""
import warnings

import numpy as np
import sklearn
from sklearn.linear_model import ElasticNet

USERS, ITEMS = 80, 15
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


def interactions():
    random = Random(0x9E3779B97F4A7C15)
    x = np.zeros((USERS, ITEMS))
    for user in range(USERS):
        for item in range(ITEMS):
            if random.below(10) < (5 if item % 3 == user % 3 else 2):
                x[user, item] = 1 + random.below(3)
    return x


def solve(x, l1, l2, positive):
    weights = np.zeros((ITEMS, ITEMS))
    for item in range(ITEMS):
        others = x.copy()
        others[:, item] = 0
        model = ElasticNet(alpha=(l1 + l2) / USERS, l1_ratio=l1 / (l1 + l2), positive=positive,
                           fit_intercept=False, tol=1e-14, max_iter=1000000)
        model.fit(others, x[:, item])
        weights[:, item] = model.coef_
    return weights


def main():
    warnings.simplefilter("ignore")
    x = interactions()
    assert (x.T @ x > 0).all()
    print("/*\n * slim.h\n *\t\tMade by make_slim.py with scikit-learn "
          f"{sklearn.__version__} and NumPy {np.__version__}.\n */")
    for name, l1, l2, positive in (("strong", 8, 5, True), ("weak", 0.5, 1, True), ("signed", 1, 3, False)):
        print(f"static const double golden_{name}[] = {{")
        for row in solve(x, l1, l2, positive):
            print("\t" + ", ".join(repr(round(float(value), 12)) for value in row) + ",")
        print("};")


main()
