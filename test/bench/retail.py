"""Online Retail as clicks (test/shop/retail_clicks.sql): the protocol, and PyTorch's part in it.

Options are chosen on 2011-10 by models of the months before it; what was
chosen is then trained on all months up to 2011-10, for the number of epochs
that was best, and measured on 2011-11.  Both sides try the same options.
"""

import itertools
import statistics

import numpy

from common import frame_out, optional

torch_fm = optional("torch_fm")     # without PyTorch there is none

FEATURES = ["customer", "product", "month", "country", "price_band"]
VALIDATION = "2011-10"
FACTORS = 16
BATCH_SIZE = 4096
EPOCHS = 20
LEARNING_RATES = (0.003, 0.01)
PENALTIES = (1e-5, 1e-4)
LOGISTIC_PENALTIES = (1, 3, 10, 30, 100)
SEEDS = range(1, 4)
TRIES = list(itertools.product(LEARNING_RATES, PENALTIES))


def spread(values):
    """Mean and range of what several seeds gave."""
    return {"mean": statistics.mean(values), "min": min(values), "max": max(values)}


class Categories:
    """The places of the training rows' categories; others are put last."""

    def __init__(self, rows):
        self.maps = []
        self.count = 0
        for feature in FEATURES:
            values = sorted(rows[feature].unique())
            self.maps.append({value: self.count + place for place, value in enumerate(values)})
            self.count += len(values)

    def encode(self, rows):
        columns = [rows[feature].map(places).fillna(self.count).astype(numpy.int64)
                   for feature, places in zip(FEATURES, self.maps)]
        return numpy.column_stack(columns), rows["clicked"].to_numpy()


def read(connection):
    """All rows, on the client; nothing is a number but the label."""
    return frame_out(
        connection, "SELECT click_id, clicked::int, part, " + ", ".join(FEATURES)
        + " FROM shop.retail_clicks ORDER BY hashint8(click_id), click_id",
        dtype={feature: str for feature in FEATURES}, keep_default_na=False)


def tune(field_weighted, rows):
    """The options that are best on the validation month, with their epochs."""
    training = rows[(rows["part"] == "train") & (rows["month"] != VALIDATION)]
    validation = rows[rows["month"] == VALIDATION]
    categories = Categories(training)
    x, y = categories.encode(training)
    tries = []
    for learning_rate, l2 in TRIES:
        _, log = torch_fm.fit(
            x, y, categories.count, field_weighted=field_weighted, factors=FACTORS, learning_rate=learning_rate,
            l2=l2, epochs=EPOCHS, batch_size=BATCH_SIZE, seed=1, evaluation=categories.encode(validation))
        best = max(log, key=lambda entry: entry["auc"])
        tries.append({"learning_rate": learning_rate, "l2": l2, "epochs": best["epoch"],
                      "auc": best["auc"], "loss": best["loss"]})
        print(f"  PyTorch {'fwfm' if field_weighted else 'fm'}: {tries[-1]}", flush=True)
    return max(tries, key=lambda one: one["auc"])


def final(field_weighted, rows, chosen):
    """AUC and log loss on the test month, over several seeds."""
    training = rows[rows["part"] == "train"]
    categories = Categories(training)
    x, y = categories.encode(training)
    test, labels = categories.encode(rows[rows["part"] == "test"])
    aucs, losses = [], []
    for seed in SEEDS:
        model, _ = torch_fm.fit(
            x, y, categories.count, field_weighted=field_weighted, factors=FACTORS,
            learning_rate=chosen["learning_rate"], l2=chosen["l2"], epochs=chosen["epochs"],
            batch_size=BATCH_SIZE, seed=seed)
        z = torch_fm.logits(model, torch_fm.torch.from_numpy(test))
        aucs.append(torch_fm.auc(z, labels))
        losses.append(torch_fm.log_loss(z, labels))
    return {"auc": spread(aucs), "loss": spread(losses)}


def measure_peer(connection):
    """
    What PyTorch reaches: options chosen, AUC and log loss, by algorithm.
    Nothing where it is not installed.
    """
    if torch_fm is None:
        return {}
    rows = read(connection)
    results = {}
    for algorithm, field_weighted in (("fm", False), ("fwfm", True)):
        chosen = tune(field_weighted, rows)
        results[algorithm] = {"chosen": chosen, **final(field_weighted, rows, chosen)}
        print(f"  PyTorch {algorithm}: {results[algorithm]}", flush=True)
    return results
