"""Adult (UCI census) as tables, and as scikit-learn takes it."""

import gzip
import os

import numpy
import pandas
from scipy import sparse

NUMBERS = ["age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week"]
CATEGORIES = ["workclass", "education", "marital_status", "occupation", "relationship", "race", "sex",
              "native_country"]
LABEL = "income_over_50k"
NULL = "(null)"


def load(connection, folder):
    """Tables adult_train and adult_test with the published parts; false without the data."""
    file = os.path.join(folder, "adult.csv.gz")
    if not folder or not os.path.exists(file):
        return False
    connection.execute("DROP TABLE IF EXISTS adult, adult_train, adult_test")
    with gzip.open(file, "rt") as source:
        header = source.readline().strip().split(",")
        types = {name: "float8" for name in NUMBERS} | {LABEL: "boolean"}
        connection.execute("CREATE TABLE adult (" + ", ".join(
            f"{name} {types.get(name, 'text')}" for name in header) + ")")
        with connection.cursor().copy("COPY adult FROM STDIN (FORMAT csv)") as copy:
            copy.write(source.read())
    for part in ("train", "test"):
        connection.execute(
            f"CREATE TABLE adult_{part} AS SELECT row_number() OVER () AS id, "
            + ", ".join(NUMBERS + CATEGORIES + [LABEL]) + f" FROM adult WHERE part = '{part}'")
        connection.execute(f"VACUUM ANALYZE adult_{part}")
    return True


class Encoding:
    """Numbers standardised, a column for each category and for NULL, names beside them."""

    def __init__(self, rows, numbers=NUMBERS, categories=CATEGORIES, leave_out=()):
        self.numbers = numbers
        self.shift = rows[numbers].mean().to_numpy()
        self.scale = rows[numbers].std(ddof=0).to_numpy()
        self.values = {name: [value for value in sorted(rows[name].fillna(NULL).unique())
                              if (name, value) not in leave_out] for name in categories}
        self.names = [(name, "") for name in numbers] + [
            (name, value) for name, values in self.values.items() for value in values]

    def matrix(self, rows):
        parts = [(rows[self.numbers].to_numpy() - self.shift) / self.scale]
        for name, values in self.values.items():
            codes = pandas.Categorical(rows[name].fillna(NULL), categories=values).codes
            parts.append((codes[:, None] == numpy.arange(len(values))).astype(float))
        return numpy.hstack(parts)

    def sparse_matrix(self, rows):
        return sparse.csr_matrix(self.matrix(rows))

    def scales(self):
        """By column, what a coefficient in its own unit is to be multiplied with."""
        return numpy.concatenate([self.scale, numpy.ones(len(self.names) - len(self.numbers))])
