"""Golden values of NDCG.

    python make_ranking_metrics.py > ranking_metrics.h

Users, their lists and test items are those of test/unit/test_ranking_golden.c,
made from the same xorshift numbers; the NDCG of each user is scikit-learn's
ndcg_score(k=K) over all items, of which those in the list score K, K - 1, ...
and all others 0.
"""
import numpy as np
import sklearn
from sklearn.metrics import ndcg_score

USERS, ITEMS, K = 12, 40, 8
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


def main():
    random = Random(0x9E3779B97F4A7C15)
    print("/*\n * ranking_metrics.h\n *\t\tMade by make_ranking_metrics.py with scikit-learn "
          f"{sklearn.__version__} and NumPy {np.__version__}.\n */")
    print("static const double golden_ndcg[] = {")
    for user in range(USERS):
        # a shuffle of which the first K are the list
        order = list(range(ITEMS))
        for i in range(ITEMS - 1):
            j = i + random.below(ITEMS - i)
            order[i], order[j] = order[j], order[i]
        relevant = np.zeros(ITEMS)
        for item in range(ITEMS):
            relevant[item] = random.below(10) < 1 + user % 4
        relevant[order[user % K]] = 1
        scores = np.zeros(ITEMS)
        for place in range(K):
            scores[order[place]] = K - place
        print(f"\t{ndcg_score([relevant], [scores], k=K)!r},".replace("np.float64(", "").replace(")", ""))
    print("};")


main()
