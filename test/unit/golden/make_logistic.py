"""Golden values of logistic regression.

    python make_logistic.py [adult.csv.gz] > logistic.h

Makes the same rows as test/unit/logistic_cases.c does, from the same
xorshift numbers, and writes what others find on them:

*   scikit-learn's LogisticRegression(solver="newton-cholesky") under l2,
*   scikit-learn's LogisticRegression(solver="saga") under l1 and both,
*   statsmodels' GLM(family=Binomial()) with freq_weights without a penalty:
    coefficients and standard errors, reference categories left out,

and, of the training part of the UCI Adult data, scikit-learn's under l2 and
statsmodels' on the columns that are not aliased.
"""
import sys
import warnings

import numpy as np
import pandas
import sklearn
import statsmodels
import statsmodels.api as sm
from sklearn.linear_model import LogisticRegression

warnings.simplefilter("ignore")

N = 600
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


def make_row(random, tame):
    """One row as a dense list of 27 numbers, its label and its weight."""
    row = []
    first = (random.below(2048) - 1024) / 256
    second = random.below(1024) / 256 - 2
    row += [first, second if tame else 1000 + 32 * second]
    code = random.below(8) % 5
    row += [float(code == k) for k in range(5)]
    tiny = random.below(1024) / 1024
    row += [tiny if tame else tiny / 2 ** 20]
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
    label = uniform < 0.5 + 0.5 * score / (1 + abs(score))
    return row, label, 1.0 + random.below(3)


def make_rows(tame):
    random = Random(0x9e3779b97f4a7c15)
    rows = [make_row(random, tame) for _ in range(N)]
    return (np.array([r[0] for r in rows]), np.array([r[1] for r in rows]),
            np.array([r[2] for r in rows]))


def doubles(name, values):
    """A C array of numbers."""
    print(f"static const double {name}[] = {{")
    for value in values:
        print("\tNAN," if np.isnan(value) else f"\t{float(value)!r},")
    print("};\n")


def write_fit(name, fit, x, y, weights):
    doubles(name, np.r_[fit.intercept_, fit.coef_[0]])
    z = fit.decision_function(x)
    loss = np.average(np.logaddexp(0, np.where(y, -z, z)), weights=weights)
    print(f"#define {name.upper()}_LOSS {float(loss)!r}\n")


def fit_statsmodels(x, y, weights, left_out, shift, scale):
    """Intercept first; NaN where left out; for columns shift + scale * x.

    20 iterations: where the classes separate more of them would end in
    coefficients that overflow, and the others are exact long before.
    """
    kept = np.setdiff1d(np.arange(x.shape[1]), left_out)
    design = sm.add_constant((x[:, kept] - shift[kept]) / scale[kept])
    fit = sm.GLM(y.astype(float), design, family=sm.families.Binomial(),
                 freq_weights=weights).fit(maxiter=20, tol=0)
    # the intercept of the columns as they are
    part = np.r_[1, -shift[kept] / scale[kept]]
    coefficients = np.full(1 + x.shape[1], np.nan)
    errors = coefficients.copy()
    coefficients[1 + kept] = fit.params[1:] / scale[kept]
    errors[1 + kept] = fit.bse[1:] / scale[kept]
    coefficients[0] = part @ fit.params
    errors[0] = np.sqrt(part @ fit.cov_params() @ part)
    return coefficients, errors, fit.deviance / 2 / weights.sum()


def write_synthetic():
    x, y, weights = make_rows(tame=False)
    ones = np.ones(N)
    for name, l2, w in (("golden_l2", 1.0, ones), ("golden_weighted", 0.25, weights)):
        fit = LogisticRegression(C=1 / l2, solver="newton-cholesky", tol=1e-14,
                                 max_iter=1000).fit(x, y, sample_weight=w)
        write_fit(name, fit, x, y, w)

    code = 2 + np.argmax(weights @ x[:, 2:7])
    shift, scale = np.zeros(27), np.ones(27)
    shift[1], scale[1], scale[7] = 1000, 32, 2.0 ** -20
    coefficients, errors, loss = fit_statsmodels(x, y, weights, [code], shift, scale)
    doubles("golden_free", coefficients)
    doubles("golden_free_errors", errors)
    print(f"#define GOLDEN_FREE_LOSS {float(loss)!r}\n")

    x, y, weights = make_rows(tame=True)
    for name, l1, l2 in (("golden_l1", 6.0, 0.0), ("golden_both", 4.0, 2.0)):
        fit = LogisticRegression(penalty="elasticnet", C=1 / (l1 + l2),
                                 l1_ratio=l1 / (l1 + l2), solver="saga",
                                 tol=1e-14, max_iter=100000, random_state=1
                                 ).fit(x, y, sample_weight=weights)
        write_fit(name, fit, x, y, weights)


def read_adult(path):
    """Standardised numbers, then categories, one-hot in sorted order."""
    table = pandas.read_csv(path, keep_default_na=False)
    table = table[table.part == "train"]
    numbers = ["age", "fnlwgt", "education_num", "capital_gain",
               "capital_loss", "hours_per_week"]
    texts = ["workclass", "education", "marital_status", "occupation",
             "relationship", "race", "sex", "native_country"]
    columns = []
    for name in numbers:
        values = table[name].to_numpy(float)
        columns.append(((values - values.mean()) / values.std()).astype("f4"))
    references = []
    for name in texts:
        codes, counts = np.unique(table[name], return_counts=True)
        references.append(len(columns) + int(np.argmax(counts)))
        columns += [(table[name] == code).to_numpy() for code in codes]
    return (np.stack(columns, axis=1).astype(float),
            (table.income_over_50k == "t").to_numpy(), references)


def dependent(x, left_out):
    """Columns that are combinations of the intercept and those before them."""
    basis = [np.ones(len(x)) / np.sqrt(len(x))]
    found = []
    for j in np.setdiff1d(np.arange(x.shape[1]), left_out):
        rest = x[:, j].copy()
        for _ in range(2):
            for direction in basis:
                rest -= direction @ rest * direction
        if np.linalg.norm(rest) < 1e-6 * np.linalg.norm(x[:, j]):
            found.append(int(j))
        else:
            basis.append(rest / np.linalg.norm(rest))
    return found


def write_adult(path):
    x, y, references = read_adult(path)
    ones = np.ones(len(y))
    fit = LogisticRegression(solver="newton-cholesky", tol=1e-14,
                             max_iter=1000).fit(x, y)
    write_fit("golden_adult", fit, x, y, ones)

    coefficients, errors, loss = fit_statsmodels(
        x, y, ones, references + dependent(x, references), np.zeros(x.shape[1]), np.ones(x.shape[1]))
    doubles("golden_adult_free", coefficients)
    doubles("golden_adult_errors", errors)


def main():
    print("/*\n * logistic.h\n"
          f" *\t\tMade by make_logistic.py with scikit-learn {sklearn.__version__},"
          f"\n *\t\tstatsmodels {statsmodels.__version__}"
          f" and NumPy {np.__version__}.  Intercepts come first.\n */")
    write_synthetic()
    if len(sys.argv) > 1:
        write_adult(sys.argv[1])


main()
