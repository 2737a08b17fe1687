"""A made-up table of impressions: 10 numbers and 10 categories of up to 100,000 values."""

import numpy
import pandas

from common import frame_in

CARDINALITIES = (10, 20, 50, 100, 300, 1000, 3000, 10000, 30000, 100000)
NUMBERS = [f"n{i}" for i in range(1, 11)]
CATEGORIES = [f"c{i}" for i in range(1, 11)]
FEATURES = "'{" + ",".join(NUMBERS + CATEGORIES) + "}'"
BLOCK = 200_000


def zipf(rng, cardinality, n):
    """Categories with frequencies that fall as rank^-1.1."""
    cdf = numpy.cumsum(numpy.arange(1, cardinality + 1) ** -1.1)
    return numpy.minimum(numpy.searchsorted(cdf / cdf[-1], rng.random(n)), cardinality - 1)


class Truth:
    """Who clicks: an effect of each number and category, and of some pairs of categories."""

    def __init__(self, seed):
        rng = numpy.random.default_rng(seed)
        self.slopes = rng.normal(0, 0.15, len(NUMBERS))
        self.effects = [rng.normal(0, 0.4, cardinality) for cardinality in CARDINALITIES]
        self.tastes = [rng.normal(0, 0.35, (cardinality, 4)) for cardinality in CARDINALITIES]

    def draw(self, rng, n):
        """Rows and whether they were clicked."""
        numbers = rng.standard_normal((n, len(NUMBERS))).round(4)
        codes = [zipf(rng, cardinality, n) for cardinality in CARDINALITIES]
        taste = sum(table[code] for table, code in zip(self.tastes, codes))
        squares = sum((table[code] ** 2).sum(1) for table, code in zip(self.tastes, codes))
        z = -1.8 + numbers @ self.slopes + sum(table[code] for table, code in zip(self.effects, codes))
        z += 0.5 * ((taste ** 2).sum(1) - squares)
        return numbers, codes, rng.random(n) < 1 / (1 + numpy.exp(-z))


def load(connection, table, n, seed, first_id=1):
    """A table of n rows of the same truth; the seed decides on the rows."""
    truth = Truth(1)
    rng = numpy.random.default_rng(seed)
    connection.execute(f"DROP TABLE IF EXISTS {table}")
    connection.execute(f"CREATE TABLE {table} (id bigint, clicked boolean, "
                       + ", ".join([f"{name} float8" for name in NUMBERS] + [f"{name} text" for name in CATEGORIES])
                       + ")")
    for begin in range(0, n, BLOCK):
        numbers, codes, clicked = truth.draw(rng, min(BLOCK, n - begin))
        frame = pandas.DataFrame(numbers, columns=NUMBERS)
        frame.insert(0, "id", numpy.arange(len(frame)) + first_id + begin)
        frame.insert(1, "clicked", clicked)
        for name, code in zip(CATEGORIES, codes):
            frame[name] = numpy.char.add("v", code.astype(str))
        frame_in(connection, table, frame)
    connection.execute(f"VACUUM ANALYZE {table}")
