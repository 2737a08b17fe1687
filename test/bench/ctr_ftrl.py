"""FTRL over a stream of rows beside Vowpal Wabbit."""

import itertools
import json
import os
import subprocess
import sys

import numpy

import impressions
from common import copy_in, copy_lines_out, frame_out, interleave, timed

BITS = 20
TRIES = list(itertools.product((0.02, 0.05, 0.1, 0.2), (0, 1, 10)))      # learning rate, l2

# a row as a line of Vowpal Wabbit: label, id as tag, numbers, categories
LINE = ("SELECT concat(CASE WHEN clicked THEN '1 ''' ELSE '-1 ''' END, id, '|n', "
        + ", ".join(f"' {name}:', {name}" for name in impressions.NUMBERS) + ", ' |c', "
        + ", ".join(f"' {name}=', {name}" for name in impressions.CATEGORIES) + ")")


def wabbit(arguments, one_cpu=False):
    """Run Vowpal Wabbit's own driver, as its command line program does."""
    pin = (lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})) if one_cpu else None
    subprocess.run([sys.executable, "-m", "vowpalwabbit", "--quiet", *map(str, arguments)],
                   check=True, preexec_fn=pin, stdout=subprocess.DEVNULL)


def wabbit_fit(bench, file, learning_rate, l2, one_cpu=False):
    wabbit(["--ftrl", "--ftrl_alpha", learning_rate, "--ftrl_beta", 1, "--l2", l2, "-b", BITS,
            "--loss_function", "logistic", "-d", file, "-f", bench.file("vw.model")], one_cpu)


def wabbit_predict(bench, file):
    """A file of lines "probability id"."""
    wabbit(["-t", "-i", bench.file("vw.model"), "-d", file, "--link", "logistic", "-p", bench.file("vw.out")])


def wabbit_start(bench):
    """Seconds that starting it takes."""
    return timed(lambda: wabbit(["--ftrl", "-d", os.devnull]))[0]


def train(bench, source, learning_rate, l2):
    options = {"learning_rate": learning_rate, "beta": 1, "l2": l2, "hash_bits": BITS, "epochs": 1}
    bench.run("DROP TABLE IF EXISTS ftrl_model")
    bench.run(f"CREATE TABLE ftrl_model AS SELECT pm_train_ctr('{source}', 'clicked', {impressions.FEATURES}, "
              f"'ftrl', '{json.dumps(options)}') AS model")


def log_loss(labels, probabilities):
    p = numpy.clip(probabilities, 1e-7, 1 - 1e-7)
    return float(-numpy.mean(numpy.where(labels, numpy.log(p), numpy.log1p(-p))))


def loss_ours(bench, source):
    rows = frame_out(bench.connection, "SELECT clicked::int, pm_predict_ctr((SELECT model FROM ftrl_model), t) AS p "
                     f"FROM {source} AS t")
    return log_loss(rows["clicked"] == 1, rows["p"].to_numpy())


def loss_theirs(bench, source, file):
    """Of the predictions for a file of the rows of a table."""
    wabbit_predict(bench, file)
    clicked = frame_out(bench.connection, f"SELECT id, clicked::int FROM {source}").set_index("id")["clicked"]
    out = numpy.loadtxt(bench.file("vw.out"))
    return log_loss(clicked.loc[out[:, 1].astype(int)].to_numpy() == 1, out[:, 0])


def tune(bench, n):
    """The best options of each side on the last tenth of the training rows."""
    cut = n * 9 // 10
    for name, condition in (("ftrl_fit", f"id <= {cut}"), ("ftrl_validation", f"id > {cut} AND id <= {n}")):
        bench.run(f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM impressions WHERE {condition}")
        copy_lines_out(bench.connection, f"{LINE} FROM {name}", bench.file(f"{name}.vw"))
    ours, theirs = {}, {}
    for learning_rate, l2 in TRIES:
        train(bench, "ftrl_fit", learning_rate, l2)
        ours[learning_rate, l2] = loss_ours(bench, "ftrl_validation")
        wabbit_fit(bench, bench.file("ftrl_fit.vw"), learning_rate, l2)
        theirs[learning_rate, l2] = loss_theirs(bench, "ftrl_validation", bench.file("ftrl_validation.vw"))
    return min(ours, key=ours.get), min(theirs, key=theirs.get)


def job_ours(bench, options):
    bench.run("DROP TABLE IF EXISTS scored")

    def job():
        train(bench, "ftrl_train", *options)
        bench.run("CREATE TABLE scored AS SELECT id, pm_predict_ctr((SELECT model FROM ftrl_model), t) "
                  "AS probability FROM impressions_test AS t")
    return timed(job)[0]


def job_theirs(bench, options):
    connection = bench.connection
    bench.run("DROP TABLE IF EXISTS scored")

    def job():
        copy_lines_out(connection, f"{LINE} FROM ftrl_train", bench.file("train.vw"))
        wabbit_fit(bench, bench.file("train.vw"), *options)
        copy_lines_out(connection, f"{LINE} FROM impressions_test", bench.file("test.vw"))
        wabbit_predict(bench, bench.file("test.vw"))
        bench.run("CREATE TABLE scored (probability float8, id bigint)")
        copy_in(connection, "scored", bench.file("vw.out"), "DELIMITER ' '")
    return timed(job)[0]


def fit_ours(bench, options):
    bench.run("SET precmkt.threads = 1")
    seconds = timed(lambda: train(bench, "ftrl_train", *options))[0]
    bench.run("RESET precmkt.threads")
    return seconds


def measure(bench, n):
    """Lines of the section: impressions has n rows, impressions_test others."""
    ours, theirs = tune(bench, n)
    bench.run(f"CREATE OR REPLACE VIEW ftrl_train AS SELECT * FROM impressions WHERE id <= {n}")
    copy_lines_out(bench.connection, f"{LINE} FROM ftrl_train", bench.file("fit.vw"))
    fits = interleave(
        bench.repeats, ours=lambda: fit_ours(bench, ours),
        theirs=lambda: timed(lambda: wabbit_fit(bench, bench.file("fit.vw"), *theirs, one_cpu=True))[0],
        start=lambda: wabbit_start(bench))
    fits["theirs"] -= fits["start"]
    jobs = interleave(bench.repeats, ours=lambda: job_ours(bench, ours), theirs=lambda: job_theirs(bench, theirs))
    loss = loss_ours(bench, "impressions_test")
    peer = loss_theirs(bench, "impressions_test", bench.file("test.vw"))
    base = bench.value("SELECT avg(clicked::int)::float8 FROM impressions_test")
    entropy = -(base * numpy.log(base) + (1 - base) * numpy.log(1 - base))
    return [
        f"### FTRL, {n:,} rows × 20 columns, one pass",
        "",
        "A made-up table of impressions: 10 numbers, 10 categories of 10 to 100,000 values with Zipf frequencies. Both sides hash",
        f"into 2^{BITS} coefficients and try the same {len(TRIES)} pairs of learning rate and l2 (beta 1) on the last tenth of the training rows;",
        f"chosen are {ours[0]:g} and {ours[1]:g} for precmkt, {theirs[0]:g} and {theirs[1]:g} for Vowpal Wabbit. The fit is on one CPU for both: precmkt's from",
        f"the table to the model, Vowpal Wabbit's from its text file to its model, less the {fits['start']:.1f} s that starting it takes. The whole job is",
        "from the table to another one with the probabilities of 200,000 rows held out: export as Vowpal Wabbit's lines by COPY, fit, predict, COPY in.".replace("200,000", f"{n // 10:,}"),
        "",
        "| | precmkt | Vowpal Wabbit | ratio | floor |",
        "|---|---|---|---|---|",
        f"| the fit, s | {fits['ours']:.2f} | {fits['theirs']:.2f} | **{fits['theirs'] / fits['ours']:.2f}** | 1.0 |",
        f"| whole job, s | {jobs['ours']:.2f} | {jobs['theirs']:.2f} | **{jobs['theirs'] / jobs['ours']:.2f}** | 3.0 |",
        f"| log loss of rows held out (of the base rate alone: {entropy:.4f}) | {loss:.5f} | {peer:.5f} | {loss / peer:.4f} | at most 1.005 |",
    ]
