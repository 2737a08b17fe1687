"""Factorisation machines beside PyTorch: one epoch, and the whole job."""

import json
import statistics
import time

import pandas
import torch

import impressions
import torch_fm
from common import copy_in, copy_out, frame_out, interleave, timed

FACTORS = 16
BATCH_SIZE = 4096
LEARNING_RATE = 0.001
OPTIONS = {"factors": FACTORS, "batch_size": BATCH_SIZE, "learning_rate": LEARNING_RATE, "l2": 0, "epochs": 1,
           "eval_fraction": 0}


class Rows:
    """A data frame as tensors: numbers standardised, categories numbered."""

    def __init__(self, frame, like=None):
        numbers = frame[impressions.NUMBERS]
        self.shift = like.shift if like else numbers.mean()
        self.scale = like.scale if like else numbers.std(ddof=0)
        self.values = like.values if like else [pandas.Index(frame[name].unique()) for name in impressions.CATEGORIES]
        self.count = sum(len(values) for values in self.values)
        columns, first = [], 0
        for name, values in zip(impressions.CATEGORIES, self.values):
            codes = torch.from_numpy(values.get_indexer(frame[name]))
            columns.append(torch.where(codes < 0, self.count, codes + first))
            first += len(values)
        self.codes = torch.stack(columns, 1)
        self.numbers = torch.from_numpy(((numbers - self.shift) / self.scale).to_numpy("float32"))


class Peer:
    """The model in PyTorch; sparse = Adam on the rows touched alone."""

    def __init__(self, rows, field_weighted, sparse):
        torch.manual_seed(1)
        self.model = torch_fm.Machine(rows.count, len(impressions.CATEGORIES), FACTORS, field_weighted,
                                      len(impressions.NUMBERS), sparse=sparse)
        tables = list(self.model.linear.parameters()) + list(self.model.factor.parameters())
        others = [p for p in self.model.parameters() if all(p is not table for table in tables)]
        self.optimizers = [torch.optim.Adam(others if sparse else self.model.parameters(), LEARNING_RATE, fused=True)]
        if sparse:
            self.optimizers.append(torch.optim.SparseAdam(tables, LEARNING_RATE))

    def epoch(self, rows, labels):
        """Seconds of one pass in random order."""
        begin = time.perf_counter()
        for part in torch.randperm(len(labels)).split(BATCH_SIZE):
            z = self.model(rows.codes[part], rows.numbers[part])
            loss = torch.nn.functional.binary_cross_entropy_with_logits(z, labels[part])
            for optimizer in self.optimizers:
                optimizer.zero_grad()
            loss.backward()
            for optimizer in self.optimizers:
                optimizer.step()
        return time.perf_counter() - begin

    def probabilities(self, rows):
        with torch.no_grad():
            return torch.cat([torch.sigmoid(self.model(codes, numbers)) for codes, numbers
                              in zip(rows.codes.split(65536), rows.numbers.split(65536))]).numpy()


def train(bench, algorithm):
    bench.run("DROP TABLE IF EXISTS fm_model")
    bench.run(f"CREATE TABLE fm_model AS SELECT pm_train_ctr('impressions_1', 'clicked', {impressions.FEATURES}, "
              f"'{algorithm}', '{json.dumps(OPTIONS)}') AS model")


def epoch_ours(bench, algorithm, fits):
    """Seconds of the epoch, as the model tells; those of the fit, in which rows become fields first, are added to fits."""
    train(bench, algorithm)
    fits.append(bench.info("(SELECT model FROM fm_model)", "seconds_fit"))
    return bench.value("SELECT seconds FROM pm_training_log((SELECT model FROM fm_model))")


def job_ours(bench, algorithm):
    bench.run("DROP TABLE IF EXISTS scored")

    def job():
        train(bench, algorithm)
        bench.run("CREATE TABLE scored AS SELECT id, pm_predict_ctr((SELECT model FROM fm_model), t) "
                  "AS probability FROM impressions_test AS t")
    return timed(job)[0]


def job_theirs(bench, algorithm):
    connection = bench.connection
    bench.run("DROP TABLE IF EXISTS scored")

    def job():
        copy_out(connection, "TABLE impressions_1", bench.file("train.csv"))
        copy_out(connection, "TABLE impressions_test", bench.file("test.csv"))
        frame, test = (pandas.read_csv(bench.file(f"{name}.csv"), true_values=["t"], false_values=["f"])
                       for name in ("train", "test"))
        rows = Rows(frame)
        peer = Peer(rows, algorithm == "fwfm", False)
        peer.epoch(rows, torch.from_numpy(frame["clicked"].to_numpy("float32")))
        pandas.DataFrame({"id": test["id"], "p": peer.probabilities(Rows(test, rows))}).to_csv(
            bench.file("scored.csv"), index=False, header=False)
        bench.run("CREATE TABLE scored (id bigint, probability float8)")
        copy_in(connection, "scored", bench.file("scored.csv"))
    return timed(job)[0]


def measure(bench, n):
    """Lines of the section; impressions_1 has n rows."""
    frame = frame_out(bench.connection, "TABLE impressions_1", true_values=["t"], false_values=["f"])
    rows = Rows(frame)
    labels = torch.from_numpy(frame["clicked"].to_numpy("float32"))
    lines = [
        f"### Factorisation machines, {n:,} rows × 20 columns",
        "",
        f"The same impressions; {FACTORS} factors, batches of {BATCH_SIZE}, Adam, one epoch, two threads for both. PyTorch's epoch is the faster of Adam on the",
        f"whole table and of SparseAdam on the rows touched, {torch.get_num_threads()} threads, its tensors being ready. The whole job is as above, with pandas.read_csv in between.",
        "",
        "| | precmkt, s | PyTorch, s | ratio | floor |",
        "|---|---|---|---|---|",
    ]
    for algorithm in ("fm", "fwfm"):
        weighted = algorithm == "fwfm"
        fits = []
        epochs = interleave(
            bench.repeats, ours=lambda: epoch_ours(bench, algorithm, fits),
            dense=lambda: Peer(rows, weighted, False).epoch(rows, labels),
            sparse=lambda: Peer(rows, weighted, True).epoch(rows, labels))
        theirs = min(epochs["dense"], epochs["sparse"])
        jobs = interleave(min(3, bench.repeats), ours=lambda: job_ours(bench, algorithm),
                          theirs=lambda: job_theirs(bench, algorithm))
        floor = "5.0" if algorithm == "fm" else ""
        lines += [
            f"| {algorithm}, one epoch | {epochs['ours']:.2f} | {theirs:.2f} | **{theirs / epochs['ours']:.2f}** | {floor} |",
            f"| {algorithm}, the frame's rows to fields, and one epoch | {statistics.median(fits):.2f} | | | |",
            f"| {algorithm}, whole job | {jobs['ours']:.2f} | {jobs['theirs']:.2f} | **{jobs['theirs'] / jobs['ours']:.2f}** | |",
        ]
    return lines
