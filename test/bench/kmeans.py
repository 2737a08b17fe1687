"""k-means beside scikit-learn: the fit alone, and in the server."""

import json
import os
import statistics
import subprocess
import time

import numpy
import pandas
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler

from common import copy_in, copy_out, describe, frame_in, timed

COLUMNS = [f"c{i}" for i in range(1, 9)]
FEATURES = "'{" + ",".join(COLUMNS) + "}'"
SUM = "SELECT " + ", ".join(f"sum({c})" for c in COLUMNS) + " FROM points"


def make_rows(n, d, k, kind, seed):
    """Noise has no clusters at all; "clusters" are k overlapping Gaussians."""
    rng = numpy.random.default_rng(seed)
    x = rng.standard_normal((n, d), dtype=numpy.float32)
    if kind == "clusters":
        centres = rng.standard_normal((k, d), dtype=numpy.float32) * 3
        x += centres[rng.integers(0, k, n)]
    return x


def exact_inertia(x, model):
    """scikit-learn's clustering, measured in double: its inertia_ is summed in float32."""
    total = 0.0
    centres = model.cluster_centers_.astype(numpy.float64)
    for begin in range(0, len(x), 100000):
        rows = x[begin:begin + 100000].astype(numpy.float64)
        total += ((rows - centres[model.labels_[begin:begin + 100000]]) ** 2).sum()
    return total


class Fit:
    """The fit alone: the same matrix, start and iterations for both."""

    def __init__(self, bench):
        self.bench = bench
        self.x_file = bench.file("x.f32")
        self.init_file = bench.file("init.f32")

    def ours(self, threads):
        n, d = self.x.shape
        output = subprocess.run(
            [os.path.join(self.bench.build, "fit_bench"), self.x_file, str(n), str(d),
             str(len(self.init)), self.init_file, str(self.iterations),
             str(threads), self.bench.device],
            check=True, capture_output=True, text=True).stdout
        return json.loads(output)

    def theirs(self):
        begin = time.perf_counter()
        model = KMeans(len(self.init), init=self.init, n_init=1, tol=0,
                       max_iter=self.iterations, algorithm="lloyd").fit(self.x)
        return time.perf_counter() - begin, model

    def measure(self, n, d, k, kind, iterations):
        self.x = make_rows(n, d, k, kind, n + d + k)
        self.init = self.x[:k].copy()
        self.iterations = iterations
        self.x.tofile(self.x_file)
        self.init.tofile(self.init_file)
        runs = [(self.ours(os.cpu_count()), self.theirs())
                for _ in range(self.bench.repeats)]
        ours = statistics.median(run[0]["seconds"] for run in runs)
        theirs = statistics.median(run[1][0] for run in runs)
        model = runs[-1][1][1]
        inertia = runs[-1][0]["inertia"]
        peer = exact_inertia(self.x, model)
        return {
            "work": f"{n:,} × {d}, k = {k}, {kind}",
            "iterations": f"{runs[-1][0]['iterations']} / {model.n_iter_}",
            "ours": ours, "theirs": theirs,
            "inertia": abs(inertia - peer) / peer,
            "memory": runs[-1][0]["peak_bytes"] / self.x.nbytes,
        }

    def threads(self, n, d, k, kind, iterations):
        self.x = make_rows(n, d, k, kind, n + d + k)
        self.init = self.x[:k].copy()
        self.iterations = iterations
        self.x.tofile(self.x_file)
        self.init.tofile(self.init_file)
        runs = [(self.ours(1)["seconds"], self.ours(2)["seconds"])
                for _ in range(self.bench.repeats)]
        return (statistics.median(run[0] for run in runs),
                statistics.median(run[1] for run in runs))


def load_points(connection, n):
    """A table of n × 8 with ten clusters."""
    connection.execute("DROP TABLE IF EXISTS points")
    connection.execute("CREATE TABLE points (id bigint, "
                       + ", ".join(f"{c} float8" for c in COLUMNS) + ")")
    x = make_rows(n, 8, 10, "clusters", 7)
    frame = pandas.DataFrame(x.astype(float), columns=COLUMNS)
    frame.insert(0, "id", range(1, n + 1))
    frame_in(connection, "points", frame)
    connection.execute("VACUUM ANALYZE points")


def job_copy(connection):
    """What the server needs to read the ids and to write such a table."""
    connection.execute("DROP TABLE IF EXISTS labels")
    begin = time.perf_counter()
    connection.execute("CREATE TABLE labels AS SELECT id, 1 AS cluster FROM points")
    return time.perf_counter() - begin


def job_ours(connection):
    connection.execute("DROP TABLE IF EXISTS labels")
    begin = time.perf_counter()
    connection.execute(
        "CREATE TABLE labels AS SELECT id, cluster FROM "
        f"pm_segment('points', 'id', {FEATURES}, 10, '{{}}', NULL::bigint)")
    return time.perf_counter() - begin


def job_theirs(connection, bench):
    connection.execute("DROP TABLE IF EXISTS labels")
    out_file = bench.file("points.csv")
    in_file = bench.file("labels.csv")
    begin = time.perf_counter()
    copy_out(connection, "TABLE points", out_file)
    frame = pandas.read_csv(out_file)
    x = StandardScaler().fit_transform(frame[COLUMNS].to_numpy(numpy.float32))
    model = KMeans(10).fit(x)
    pandas.DataFrame({"id": frame["id"], "cluster": model.labels_ + 1}).to_csv(
        in_file, index=False, header=False)
    connection.execute("CREATE TABLE labels (id bigint, cluster int)")
    copy_in(connection, "labels", in_file)
    return time.perf_counter() - begin


def measure_server(bench, n):
    """Loading, scoring and the whole job, against a serial sum of the table."""
    connection = bench.connection
    load_points(connection, n)
    connection.execute("SET max_parallel_workers_per_gather = 0")
    connection.execute("DROP TABLE IF EXISTS model")
    connection.execute(f"CREATE TABLE model AS SELECT pm_kmeans('points', {FEATURES}, 10) AS model")
    sums, loads, scores = [], [], []
    for _ in range(bench.repeats + 2):
        sums.append(timed(lambda: connection.execute(SUM).fetchall())[0])
        loads.append(float(connection.execute(
            f"SELECT value FROM pm_model_info(pm_kmeans('points', {FEATURES}, 1)) "
            "WHERE key = 'seconds_load'").fetchone()[0]))
        scores.append(timed(lambda: connection.execute(
            "SELECT sum(pm_kmeans_assign((SELECT model FROM model), points)) "
            "FROM points").fetchall())[0])
    jobs = [(job_ours(connection), job_theirs(connection, bench), job_copy(connection))
            for _ in range(bench.repeats)]
    return {
        "sum": statistics.median(sums),
        "load": statistics.median(loads),
        "score": statistics.median(scores),
        "job_ours": statistics.median(job[0] for job in jobs),
        "job_theirs": statistics.median(job[1] for job in jobs),
        "job_copy": statistics.median(job[2] for job in jobs),
    }


def report(bench, fits, threads, server, n):
    """The section, as lines of Markdown."""
    lines = [
        *describe(bench, "scikit-learn", "numpy", "pandas"),
        f"- medians of {bench.repeats}",
        "",
        "### The fit alone",
        "",
        "Rows in memory to labels; the same rows, initial centres and number of iterations (Lloyd, tol 0), all CPUs for both.",
        "\"noise\" is a standard normal without any clusters, the worst case for skipping distances; \"clusters\" are k overlapping",
        "Gaussians. Memory is the process's peak over its start, in units of the float32 matrix (which is part of it).",
        "",
        "| rows × features | iterations ours / theirs | ours, s | scikit-learn, s | ratio | floor | inertia differs by | memory |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for fit in fits:
        lines.append(f"| {fit['work']} | {fit['iterations']} | {fit['ours']:.2f} | {fit['theirs']:.2f} | "
                     f"**{fit['theirs'] / fit['ours']:.2f}** | 2.0 | {fit['inertia']:.1e} | {fit['memory']:.2f} |")
    lines += [
        "",
        "Floors: inertia equal to 1e-5 relative, memory at most 1.3. scikit-learn's inertia is that of its centres and labels, summed in",
        "double here: its own figure is a sum in float32 that is off by more than 1e-5 itself.",
        "",
        "| work | 1 thread, s | 2 threads, s | ratio | floor |",
        "|---|---|---|---|---|",
    ]
    for work, one, two in threads:
        lines.append(f"| {work} | {one:.2f} | {two:.2f} | **{one / two:.2f}** | 1.7 |")
    lines += [
        "",
        f"### In the server, {n:,} rows × 8 float8",
        "",
        "The yardstick is `SELECT sum(c1), …, sum(c8)`, serial.",
        "",
        "| work | seconds | in units of the sum | at most |",
        "|---|---|---|---|",
        f"| the sum itself | {server['sum']:.3f} | 1 | |",
        f"| table → frame (rows read, converted, in canonical order) | {server['load']:.3f} | "
        f"**{server['load'] / server['sum']:.2f}** | 2.0 |",
        f"| scoring every row, k = 10, serial | {server['score']:.3f} | **{server['score'] / server['sum']:.2f}** | 3.0 |",
        "",
        "The whole job, from a table to labels in another one, k = 10, standardised, k-means++: `CREATE TABLE … AS SELECT …",
        "FROM pm_segment(…)` against COPY out, pandas.read_csv, StandardScaler, KMeans, to_csv, COPY in.",
        "",
        "| precmkt, s | export to Python and back, s | ratio | floor |",
        "|---|---|---|---|",
        f"| {server['job_ours']:.2f} | {server['job_theirs']:.2f} | "
        f"**{server['job_theirs'] / server['job_ours']:.2f}** | 5.0 |",
        "",
        f"`CREATE TABLE … AS SELECT id, 1 FROM points`, which computes nothing, takes {server['job_copy']:.2f} s here: reading the ids and",
        "writing such a table is the server's share, which no part of precmkt can shorten.",
    ]
    return lines


def measure(bench):
    """The section."""
    n = 2_000_000 // bench.scale
    server = measure_server(bench, n)
    fit = Fit(bench)
    fits = [fit.measure(rows // bench.scale, d, k, kind, 20)
            for rows, d, k in ((1_000_000, 16, 64), (1_000_000, 64, 256), (200_000, 128, 1024))
            for kind in ("noise", "clusters")]
    threads = []
    for kind in ("noise", "clusters"):
        one, two = fit.threads(1_000_000 // bench.scale, 64, 256, kind, 20)
        threads.append((f"{1_000_000 // bench.scale:,} × 64, k = 256, {kind}", one, two))
    return report(bench, fits, threads, server, n)
