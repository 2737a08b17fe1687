"""Click models: speed, beside scikit-learn, statsmodels, Vowpal Wabbit and PyTorch."""

import ctr_ftrl
import ctr_logistic
import ctr_server
import impressions
from common import describe, optional

ctr_fm = optional("ctr_fm")     # without PyTorch there is none


def measure(bench):
    """The section, or None without the real data."""
    logistic = ctr_logistic.measure(bench)
    if logistic is None:
        return None
    n = 2_000_000 // bench.scale
    impressions.load(bench.connection, "impressions", n, seed=1)
    impressions.load(bench.connection, "impressions_test", n // 10, seed=2, first_id=n + 1)
    bench.run("DROP TABLE IF EXISTS impressions_1")
    bench.run(f"CREATE TABLE impressions_1 AS SELECT * FROM impressions WHERE id <= {n // 2}")
    bench.run("VACUUM ANALYZE impressions_1")
    return [
        *describe(bench, "scikit-learn", "statsmodels", "vowpalwabbit", "torch", "pandas"),
        f"- medians of {bench.repeats}, of 3 for the whole job of factorisation machines",
        "",
        *logistic,
        "",
        *(ctr_ftrl.measure(bench, n) if optional("vowpalwabbit") else ["### FTRL", "", "Not measured: Vowpal Wabbit is not here."]),
        "",
        *(ctr_fm.measure(bench, n // 2) if ctr_fm else ["### Factorisation machines", "", "Not measured: PyTorch is not here."]),
        "",
        *ctr_server.measure(bench, n // 2),
    ]
