"""Click models in the server: scoring a table, and threads."""

import json

import impressions
from common import interleave, timed

SUM = "SELECT " + ", ".join([f"sum({name})" for name in impressions.NUMBERS]
                            + [f"count({name})" for name in impressions.CATEGORIES]) + " FROM impressions_1"


def train(bench, options):
    bench.run("DROP TABLE IF EXISTS server_model")
    bench.run(f"CREATE TABLE server_model AS SELECT pm_train_ctr('impressions_1', 'clicked', {impressions.FEATURES}, "
              f"'logistic', '{json.dumps(options)}') AS model")


def fit(bench, threads):
    """Seconds of the fit alone, as the model tells."""
    bench.run(f"SET precmkt.threads = {threads}")
    train(bench, {"l2": 1})
    bench.run("RESET precmkt.threads")
    return bench.info("(SELECT model FROM server_model)", "seconds_fit")


def score(bench):
    return timed(lambda: bench.run(
        "SELECT sum(pm_predict_ctr((SELECT model FROM server_model), t)) FROM impressions_1 AS t").fetchall())[0]


def score_rows(bench):
    """The table function; all of its rows are made."""
    return timed(lambda: bench.run(
        "SELECT count(*), sum(probability) FROM pm_predict_ctr_rows((SELECT model FROM server_model), "
        "'impressions_1', 'id', NULL::bigint)").fetchall())[0]


def measure(bench, n):
    """Lines of the section; impressions_1 has n rows."""
    fits = interleave(bench.repeats, one=lambda: fit(bench, 1), two=lambda: fit(bench, 2))
    bench.run("SET max_parallel_workers_per_gather = 0")
    scores = interleave(bench.repeats, sum=lambda: timed(lambda: bench.run(SUM).fetchall())[0],
                        score=lambda: score(bench), rows=lambda: score_rows(bench))
    bench.run("RESET max_parallel_workers_per_gather")
    return [
        f"### In the server, {n:,} rows × 20 columns",
        "",
        "Logistic regression on the same impressions, all of their categories one-hot, l2 = 1. Scoring is `SELECT sum(pm_predict_ctr(model, t))",
        "FROM t`, serial; the yardstick is a sum or count of each column.",
        "",
        "| work | seconds | rows/s | floor |",
        "|---|---|---|---|",
        f"| the sums | {scores['sum']:.2f} | {n / scores['sum']:,.0f} | |",
        f"| scoring every row | {scores['score']:.2f} | **{n / scores['score']:,.0f}** | 500,000 |",
        f"| the same by `pm_predict_ctr_rows`, with ids | {scores['rows']:.2f} | **{n / scores['rows']:,.0f}** | 500,000 |",
        "",
        "| work | 1 thread, s | 2 threads, s | ratio | floor |",
        "|---|---|---|---|---|",
        f"| the logistic fit alone | {fits['one']:.2f} | {fits['two']:.2f} | **{fits['one'] / fits['two']:.2f}** | 1.6 |",
    ]
