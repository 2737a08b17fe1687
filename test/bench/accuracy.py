"""Click models on real and planted data: how well they tell who clicks, beside PyTorch."""

import json

import adult
import retail
from common import describe

FEATURES = "'{" + ",".join(retail.FEATURES) + "}'"
TUNING = "retail_tuning"        # the training months, the last one of them for validation
TRAINING = "retail_training"
TEST = "retail_test"


def prepare(bench):
    """Views of the clicks; by is the month as a time, for the split alone."""
    columns = "clicked, " + ", ".join(retail.FEATURES)
    for view, condition in ((TRAINING, "part = 'train'"), (TEST, "part = 'test'")):
        bench.run(f"CREATE OR REPLACE VIEW {view} AS SELECT {columns} FROM shop.retail_clicks WHERE {condition}")
    bench.run(f"CREATE OR REPLACE VIEW {TUNING} AS SELECT {columns}, (month || '-01')::date AS by "
              "FROM shop.retail_clicks WHERE part = 'train'")


def train(bench, source, algorithm, options):
    """A model in table retail_model."""
    bench.run("DROP TABLE IF EXISTS retail_model")
    bench.run(f"CREATE TABLE retail_model AS SELECT pm_train_ctr('{source}', 'clicked', {FEATURES}, "
              f"'{algorithm}', '{json.dumps(options)}') AS model")


def evaluate(bench, source, label="clicked", model="retail_model"):
    return dict(bench.run(f"SELECT metric, value FROM pm_evaluate_ctr((SELECT model FROM {model}), "
                          f"'{source}', '{label}')").fetchall())


def validation(bench):
    """Options that hold out the validation month."""
    share = bench.value(f"SELECT avg((month = '{retail.VALIDATION}')::int)::float8 FROM {TUNING}")
    return {"time_col": "by", "time_share": share}


def tune(bench, algorithm):
    """
    The options that are best on the validation month, with their epochs.  The
    final training holds nothing out and so keeps its learning rate to the end:
    these do the same, where one that stops early would lower it.
    """
    tries = []
    for learning_rate, l2 in retail.TRIES:
        train(bench, TUNING, algorithm, {
            "factors": retail.FACTORS, "batch_size": retail.BATCH_SIZE, "epochs": retail.EPOCHS,
            "early_stopping": False, "learning_rate": learning_rate, "l2": l2, **validation(bench)})
        epoch, loss, auc = bench.run(
            "SELECT epoch, eval_loss, eval_auc FROM pm_training_log((SELECT model FROM retail_model)) "
            "ORDER BY eval_auc DESC LIMIT 1").fetchone()
        tries.append({"learning_rate": learning_rate, "l2": l2, "epochs": epoch, "auc": auc, "loss": loss})
        print(f"  precmkt {algorithm}: {tries[-1]}", flush=True)
    return max(tries, key=lambda one: one["auc"])


def final(bench, algorithm, chosen):
    """AUC and log loss on the test month, over several seeds."""
    aucs, losses = [], []
    for seed in retail.SEEDS:
        train(bench, TRAINING, algorithm, {
            "factors": retail.FACTORS, "batch_size": retail.BATCH_SIZE, "epochs": chosen["epochs"],
            "learning_rate": chosen["learning_rate"], "l2": chosen["l2"], "eval_fraction": 0, "seed": seed})
        metrics = evaluate(bench, TEST)
        aucs.append(metrics["auc"])
        losses.append(metrics["log_loss"])
    return {"auc": retail.spread(aucs), "loss": retail.spread(losses)}


def logistic(bench):
    """The same of logistic regression, which has no seed."""
    tries = {}
    for l2 in retail.LOGISTIC_PENALTIES:
        train(bench, TUNING, "logistic", {"l2": l2, **validation(bench)})
        tries[l2] = bench.info("(SELECT model FROM retail_model)", "eval_auc")
    chosen = max(tries, key=tries.get)
    train(bench, TRAINING, "logistic", {"l2": chosen})
    return {"l2": chosen, **evaluate(bench, TEST)}


def measure_retail(bench):
    prepare(bench)
    base = logistic(bench)
    ours = {}
    for algorithm in ("fm", "fwfm"):
        chosen = tune(bench, algorithm)
        ours[algorithm] = {"chosen": chosen, **final(bench, algorithm, chosen)}
        print(f"  precmkt {algorithm}: {ours[algorithm]}", flush=True)
    theirs = retail.measure_peer(bench.connection)
    train_rows, test_rows = (bench.value(f"SELECT count(*) FROM {view}") for view in (TRAINING, TEST))
    lines = [
        "### Online Retail as clicks",
        "",
        "test/shop/retail_clicks.sql: what a customer bought in a month, and two products each that this customer did not buy, drawn by",
        f"their popularity in the month; {train_rows:,} rows of 2010-12 to 2011-10 to train on, {test_rows:,} of 2011-11 to test. Features:",
        f"customer, product, month, country, price band; {retail.FACTORS} factors, batches of {retail.BATCH_SIZE}, Adam. Learning rate, l2 and epochs are",
        f"chosen on 2011-10 by AUC, of the same {len(retail.TRIES)} pairs and {retail.EPOCHS} epochs for both; AUC and log loss on the test month, mean and range of {len(retail.SEEDS)} seeds.",
        f"Popularity tells nothing here, so that logistic regression (l2 = {base['l2']}) knows next to nothing: AUC {base['auc']:.4f}, log loss {base['log_loss']:.4f};",
        "the floor is that of PyTorch less 0.001, and above logistic regression." if theirs else "PyTorch is not here; the floor is above logistic regression.",
        "",
        "| | learning rate, l2, epochs | AUC | range | log loss | floor of the AUC |",
        "|---|---|---|---|---|---|",
    ]
    for algorithm in ("fm", "fwfm"):
        floor = max(base["auc"], theirs[algorithm]["auc"]["mean"] - 0.001 if theirs else 0)
        for side, results, floor in (("precmkt", ours, f"{floor:.4f}"), ("PyTorch", theirs, "")):
            if algorithm not in results:
                continue
            one = results[algorithm]
            chosen = one["chosen"]
            lines.append(
                f"| {side} {algorithm} | {chosen['learning_rate']:g}, {chosen['l2']:g}, {chosen['epochs']} | "
                f"**{one['auc']['mean']:.4f}** | {one['auc']['min']:.4f} to {one['auc']['max']:.4f} | "
                f"{one['loss']['mean']:.4f} | {floor} |")
    return lines


def measure_adult(bench):
    features = "'{" + ",".join(adult.NUMBERS + adult.CATEGORIES) + "}'"
    bench.run("DROP TABLE IF EXISTS adult_model")
    bench.run(f"CREATE TABLE adult_model AS SELECT pm_train_ctr('adult_train', '{adult.LABEL}', {features}) AS model")
    metrics = evaluate(bench, "adult_test", adult.LABEL, "adult_model")
    return [
        "### Adult",
        "",
        "Logistic regression with all defaults on the published training part, measured on the published test part.",
        "",
        "| | precmkt | published | within |",
        "|---|---|---|---|",
        f"| AUC | **{metrics['auc']:.4f}** | 0.904 | 0.002 |",
        f"| log loss | **{metrics['log_loss']:.4f}** | 0.3197 | 0.002 |",
        f"| accuracy | {metrics['accuracy']:.4f} | 0.8525 | |",
    ]


def measure_planted(bench):
    """The made-up shop: schema planted, test/shop/planted_clicks.sql."""
    bench.run("DROP TABLE IF EXISTS planted_model, planted_scored")
    bench.run("CREATE TABLE planted_model AS SELECT pm_train_ctr('planted.planted_train', 'clicked') AS model")
    bench.run("CREATE TABLE planted_scored AS SELECT part, clicked, planted, pm_predict_ctr((SELECT model FROM planted_model), c) AS p "
              "FROM planted.planted_clicks AS c")
    all_rows, base, ours, theirs = bench.run(
        "SELECT count(*), avg(clicked::int)::float8, avg(p), avg(planted) FROM planted_scored").fetchone()
    rows, our_auc, planted_auc, our_loss, planted_loss = bench.run(
        "SELECT count(*), pm_auc_agg(clicked, p), pm_auc_agg(clicked, planted), pm_log_loss_agg(clicked, p), "
        "pm_log_loss_agg(clicked, planted) FROM planted_scored WHERE part = 'test'").fetchone()
    return [
        "### The made-up shop",
        "",
        "`pm_demo_shop`: the click model that was planted (doc/shop.md) against logistic regression with all defaults, trained on four fifths",
        f"of {all_rows:,} impressions. AUC and log loss are of the {rows:,} held out; the rates are of all impressions, of which the base rate",
        f"is {base:.5f} (in the part held out alone, chance moves it by more than 1 %).",
        "",
        "| | precmkt | planted | difference | at most |",
        "|---|---|---|---|---|",
        f"| AUC | {our_auc:.4f} | {planted_auc:.4f} | **{abs(our_auc - planted_auc):.4f}** | 0.005 |",
        f"| log loss | {our_loss:.5f} | {planted_loss:.5f} | {abs(our_loss - planted_loss):.5f} | |",
        f"| mean prediction, over the base rate | {ours / base:.4f} | {theirs / base:.4f} | **{abs(ours / base - 1):.4f}** | 0.01 |",
    ]


def measure(bench):
    """The section, or None without the real data."""
    if not adult.load(bench.connection, bench.data):
        return None
    if bench.quick:
        retail.EPOCHS = 2
        retail.SEEDS = range(1, 3)
        retail.TRIES = retail.TRIES[:2]
    return [
        *describe(bench, "torch", "pandas"),
        "",
        *measure_retail(bench),
        "",
        *measure_adult(bench),
        "",
        *measure_planted(bench),
    ]
