"""Logistic regression on Adult beside scikit-learn and statsmodels."""

import json

import numpy
import pandas
from sklearn.linear_model import LogisticRegression

import adult
from common import copy_in, copy_out, frame_out, interleave, optional, timed

statsmodels = optional("statsmodels.api")

FEATURES = "'{" + ",".join(adult.NUMBERS + adult.CATEGORIES) + "}'"
PENALTY = 1.0

# A coefficient this small, a standard deviation of its column, is compared
# with this instead of with itself.
SMALL = 0.01

# Columns of a fit without a penalty: it has a maximum only where no category
# tells the label apart without error.
PLAIN_NUMBERS = ["age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week"]
PLAIN_CATEGORIES = ["marital_status", "relationship", "race", "sex"]


def read(connection, part):
    return frame_out(connection, f"SELECT * FROM adult_{part} ORDER BY id",
                     true_values=["t"], false_values=["f"])


def train(bench, source, features, options):
    """A model in table adult_model."""
    bench.run("DROP TABLE IF EXISTS adult_model")
    bench.run(f"CREATE TABLE adult_model AS SELECT pm_train_ctr('{source}', '{adult.LABEL}', {features}, "
              f"'logistic', '{json.dumps(options)}') AS model")


def weights(bench):
    """Ours, by (feature, category)."""
    rows = bench.run("SELECT feature, coalesce(category, ''), coefficient, std_err "
                     "FROM pm_model_weights((SELECT model FROM adult_model))").fetchall()
    return {(row[0], row[1]): (row[2], row[3]) for row in rows}


def log_loss(labels, probabilities):
    return -numpy.mean(numpy.where(labels, numpy.log(probabilities), numpy.log1p(-probabilities)))


def relative(ours, theirs):
    return numpy.abs(ours - theirs) / numpy.maximum(numpy.abs(theirs), SMALL)


def compare_fit(bench, training, test):
    """
    Coefficients and losses at the optimum, where scikit-learn's Newton ends:
    its lbfgs stops at 6e-4 from it, whatever its tol.
    """
    encoding = adult.Encoding(training)
    labels = training[adult.LABEL].to_numpy()
    theirs = LogisticRegression(C=1 / PENALTY, tol=1e-12, solver="newton-cholesky").fit(
        encoding.matrix(training), labels)
    train(bench, "adult_train", FEATURES, {"l2": PENALTY})
    ours = weights(bench)
    missing = [name for name in encoding.names if name not in ours]
    if missing:
        raise ValueError(f"pm_model_weights lacks {missing}; it has {sorted(ours)}")
    coefficients = numpy.array([ours[name][0] for name in encoding.names]) * encoding.scales()
    lbfgs = LogisticRegression(C=1 / PENALTY, tol=1e-12, max_iter=10000).fit(encoding.matrix(training), labels)
    result = {"coefficients": relative(coefficients, theirs.coef_[0]).max(),
              "lbfgs": relative(coefficients, lbfgs.coef_[0]).max(),
              "newton_lbfgs": relative(theirs.coef_[0], lbfgs.coef_[0]).max()}
    for part, rows in (("train", training), ("test", test)):
        p = numpy.array(bench.run("SELECT pm_predict_ctr((SELECT model FROM adult_model), t) "
                                  f"FROM adult_{part} AS t ORDER BY id").fetchall(), dtype=float)[:, 0]
        result[part] = log_loss(rows[adult.LABEL], p)
        result[part + "_theirs"] = log_loss(rows[adult.LABEL], theirs.predict_proba(encoding.matrix(rows))[:, 1])
    return result


def compare_errors(bench, training):
    """Standard errors of a fit without a penalty, its reference categories ours."""
    features = "'{" + ",".join(PLAIN_NUMBERS + PLAIN_CATEGORIES) + "}'"
    train(bench, "adult_train", features, {"l2": 0})
    ours = weights(bench)
    fixed = [name for name, (_, error) in ours.items() if error is None]
    encoding = adult.Encoding(training, PLAIN_NUMBERS, PLAIN_CATEGORIES, leave_out=fixed)
    model = statsmodels.Logit(training[adult.LABEL].astype(float).to_numpy(),
                              statsmodels.add_constant(encoding.matrix(training)))
    theirs = model.fit(method="newton", maxiter=100, tol=1e-14, disp=0)
    scales = encoding.scales()
    coefficients = numpy.array([ours[name][0] for name in encoding.names]) * scales
    errors = numpy.array([ours[name][1] for name in encoding.names]) * scales
    return {"fixed": len(fixed),
            "errors": (numpy.abs(errors - theirs.bse[1:]) / theirs.bse[1:]).max(),
            "coefficients": relative(coefficients, theirs.params[1:]).max()}


def fit_ours(bench):
    train(bench, "adult_train", FEATURES, {"l2": PENALTY})
    return bench.info("(SELECT model FROM adult_model)", "seconds_fit")


def fit_theirs(matrix, labels, **options):
    return timed(lambda: LogisticRegression(C=1 / PENALTY, max_iter=10000, **options).fit(matrix, labels))[0]


def job_ours(bench):
    """From a table to another one with the test part's probabilities."""
    bench.run("DROP TABLE IF EXISTS scored")

    def job():
        train(bench, "adult_train", FEATURES, {"l2": PENALTY})
        bench.run("CREATE TABLE scored AS SELECT id, pm_predict_ctr((SELECT model FROM adult_model), t) "
                  "AS probability FROM adult_test AS t")
    return timed(job)[0]


def job_theirs(bench):
    connection = bench.connection
    bench.run("DROP TABLE IF EXISTS scored")

    def job():
        frames = []
        for part in ("train", "test"):
            copy_out(connection, f"TABLE adult_{part}", bench.file("adult.csv"))
            frames.append(pandas.read_csv(bench.file("adult.csv"), true_values=["t"], false_values=["f"]))
        encoding = adult.Encoding(frames[0])
        model = LogisticRegression(C=1 / PENALTY, max_iter=10000).fit(
            encoding.matrix(frames[0]), frames[0][adult.LABEL].to_numpy())
        p = model.predict_proba(encoding.matrix(frames[1]))[:, 1]
        pandas.DataFrame({"id": frames[1]["id"], "p": p}).to_csv(
            bench.file("scored.csv"), index=False, header=False)
        bench.run("CREATE TABLE scored (id bigint, probability float8)")
        copy_in(connection, "scored", bench.file("scored.csv"))
    return timed(job)[0]


def measure(bench):
    """Lines of the section, or None without the data."""
    if not adult.load(bench.connection, bench.data):
        return None
    training, test = read(bench.connection, "train"), read(bench.connection, "test")
    fit = compare_fit(bench, training, test)
    errors = compare_errors(bench, training) if statsmodels else None
    encoding = adult.Encoding(training)
    labels = training[adult.LABEL].to_numpy()
    dense, compact = encoding.matrix(training), encoding.sparse_matrix(training)
    times = interleave(
        bench.repeats, ours=lambda: fit_ours(bench),
        theirs=lambda: fit_theirs(dense, labels), compact=lambda: fit_theirs(compact, labels),
        newton=lambda: fit_theirs(dense, labels, solver="newton-cholesky"))
    jobs = interleave(bench.repeats, ours=lambda: job_ours(bench), theirs=lambda: job_theirs(bench))
    best = min(times["theirs"], times["compact"])
    return [
        "### Logistic regression on Adult",
        "",
        f"{len(training):,} rows, {len(adult.NUMBERS)} numbers, standardised, and {len(adult.CATEGORIES)} categories, one-hot, NULL being one of them:",
        f"{len(encoding.names)} columns; l2 = {PENALTY:g} for both (scikit-learn's C = 1 / l2). Times are of scikit-learn's lbfgs as it comes (tol 1e-4),",
        "the faster of a dense and a sparse matrix; what is compared in value is its solver newton-cholesky with tol 1e-12, since its lbfgs",
        f"ends at {fit['newton_lbfgs']:.0e} from that even with tol 1e-12; from precmkt it differs by {fit['lbfgs']:.0e}.",
        "",
        "| | precmkt, s | scikit-learn, s | ratio | floor |",
        "|---|---|---|---|---|",
        f"| the fit alone | {times['ours']:.3f} | {best:.3f} | **{best / times['ours']:.2f}** | 2.0 |",
        f"| the same, scikit-learn's newton-cholesky | {times['ours']:.3f} | {times['newton']:.3f} | {times['newton'] / times['ours']:.2f} | |",
        f"| whole job: two tables to the scored test part | {jobs['ours']:.3f} | {jobs['theirs']:.3f} | **{jobs['theirs'] / jobs['ours']:.2f}** | |",
        "",
        "| in value | difference | at most |",
        "|---|---|---|",
        f"| largest relative difference of a coefficient (a standard deviation; against at least {SMALL}) | {fit['coefficients']:.1e} | 1e-4 |",
        f"| log loss, train ({fit['train']:.6f}) | {abs(fit['train'] - fit['train_theirs']):.1e} | 1e-8 |",
        f"| log loss, test ({fit['test']:.6f}) | {abs(fit['test'] - fit['test_theirs']):.1e} | |",
    ] + ([
        f"| standard errors without a penalty, against statsmodels, relative ({errors['fixed']} reference categories) | {errors['errors']:.1e} | 1e-5 |",
        f"| coefficients of that fit, relative | {errors['coefficients']:.1e} | 1e-4 |",
    ] if errors else ["| standard errors | not compared: statsmodels is not here | 1e-5 |"])
