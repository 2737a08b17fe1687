"""Golden values of k-means, made with scikit-learn.

    python make_kmeans.py > kmeans.h

Writes data, starts, and what sklearn.cluster.KMeans(algorithm="lloyd",
n_init=1) makes of them in double precision after 1, 2, ... iterations, and
sklearn.metrics' indexes of the last clustering.  Coordinates are multiples
of 1/1024 and weights integers, so that single precision holds them exactly;
the indexes of weighted rows are those of repeated rows.
"""
import warnings

import numpy as np
import sklearn
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import (adjusted_rand_score, calinski_harabasz_score,
                             davies_bouldin_score)

warnings.simplefilter("ignore", ConvergenceWarning)

N, D, K = 300, 5, 6


def make_data(rng):
    """Overlapping clusters, so that iterations take a while."""
    centers = rng.normal(0, 2.0, (K, D))
    rows = centers[rng.integers(0, K, N)] + rng.normal(0, 1.5, (N, D))
    return np.round(rows * 1024).astype(int), rng.integers(1, 9, N)


def integers(name, values):
    """A C array of numbers."""
    lines = []
    values = [str(v) for v in values]
    while values:
        line = ""
        while values and len(line) + len(values[0]) < 74:
            line += values.pop(0) + ", "
        lines.append("\t" + line.rstrip())
    print(f"static const int {name}[] = {{\n" + "\n".join(lines) + "\n};\n")


def labels_text(labels):
    return "".join(str(label) for label in labels)


def write_case(name, x, weights, start):
    """Every iteration of one start up to convergence."""
    labels, inertias = [], []
    for iterations in range(1, 100):
        fit = KMeans(K, init=start, n_init=1, max_iter=iterations, tol=0,
                     algorithm="lloyd").fit(x, sample_weight=weights)
        labels.append(labels_text(fit.labels_))
        inertias.append(fit.inertia_)
        if fit.n_iter_ < iterations:
            break
    repeated = np.repeat(np.arange(N), weights)
    by_tol = [KMeans(K, init=start, n_init=1, max_iter=300, tol=tol,
                     algorithm="lloyd").fit(x, sample_weight=weights).n_iter_
              for tol in (1e-2, 1e-3, 1e-4)]
    print(f"static const char *const {name}_labels[] = {{")
    for line in labels:
        print(f'\t"{line}",')
    print("};\n")
    print(f"static const double {name}_inertia[] = {{")
    for value in inertias:
        print(f"\t{value!r},")
    print("};\n")
    scored = fit.labels_[repeated]
    print(f"static const Golden {name} = {{")
    print(f'\t"{name}", {name}_start, {len(labels)}, {name}_labels, '
          f"{name}_inertia,")
    print(f"\t{fit.n_iter_}, {{{', '.join(map(str, by_tol))}}},")
    print(f"\t{float(davies_bouldin_score(x[repeated], scored))!r}, "
          f"{float(calinski_harabasz_score(x[repeated], scored))!r}")
    print("};\n")


def main():
    rng = np.random.default_rng(20240521)
    data, some_weights = make_data(rng)
    x = data / 1024.0
    starts = {name: data[rng.permutation(N)[:K]]
              for name in ("plain", "weighted", "one_empty", "two_empty")}
    starts["one_empty"][2] = 40000
    starts["two_empty"][1] = 40000
    starts["two_empty"][4] = -50000

    print("/*\n * kmeans.h\n"
          f" *\t\tMade by make_kmeans.py with scikit-learn {sklearn.__version__}"
          f" and NumPy {np.__version__}.\n */")
    print(f"#define GOLDEN_N {N}\n#define GOLDEN_D {D}\n#define GOLDEN_K {K}\n")
    print("""typedef struct Golden
{
	const char *name;
	const int  *start;			/* centroids, in 1/1024 */
	int			count;			/* of iterations below */
	const char *const *labels;	/* after each iteration, a digit a row */
	const double *inertia;		/* after each iteration */
	int			iterations;		/* to strict convergence */
	int			by_tol[3];		/* with tol = 1e-2, 1e-3, 1e-4 */
	double		davies_bouldin;
	double		calinski_harabasz;
} Golden;
""")
    integers("golden_x", data.ravel())
    integers("golden_weights", some_weights)
    for name, start in starts.items():
        integers(name + "_start", start.ravel())
        weights = some_weights if name == "weighted" else np.ones(N, int)
        write_case(name, x, weights, start / 1024.0)

    a = rng.integers(0, 4, 60)
    b = np.where(rng.random(60) < 0.7, a, rng.integers(0, 3, 60))
    print(f'#define GOLDEN_ARI_A "{labels_text(a)}"')
    print(f'#define GOLDEN_ARI_B "{labels_text(b)}"')
    print(f"#define GOLDEN_ARI {float(adjusted_rand_score(a, b))!r}")


main()
