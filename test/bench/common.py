"""What the benchmarks share: a server, medians, tables in and out, versions."""

import datetime
import importlib
import importlib.metadata
import io
import os
import platform
import statistics
import time

import pandas


class Bench:
    """One run: a connection, a folder for files, and how much to measure."""

    def __init__(self, connection, args):
        self.connection = connection
        self.work = args.work
        self.build = args.build
        self.device = args.device
        self.data = args.data
        self.quick = args.quick
        self.repeats = 2 if args.quick else args.repeats
        self.scale = 20 if args.quick else 1

    def file(self, name):
        return os.path.join(self.work, name)

    def run(self, sql, *parameters):
        return self.connection.execute(sql, parameters or None)

    def value(self, sql, *parameters):
        """The one value that a query gives."""
        return self.run(sql, *parameters).fetchone()[0]

    def info(self, model, key):
        """A number that a model keeps of its training; model is an SQL expression."""
        return float(self.value(f"SELECT value FROM pm_model_info({model}) WHERE key = %s", key))


def optional(name):
    """A module, or None where it, or what it needs, is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def timed(function):
    """Seconds of a call, and its result."""
    begin = time.perf_counter()
    result = function()
    return time.perf_counter() - begin, result


def interleave(repeats, **functions):
    """
    Call functions in turn, several times over; each gives its seconds.
    Returns the median of each by its name.
    """
    seconds = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            seconds[name].append(function())
    return {name: statistics.median(values) for name, values in seconds.items()}


def copy_out(connection, query, file):
    """The rows of a query to a file, as CSV with a header."""
    with open(file, "wb") as target, connection.cursor().copy(
            f"COPY ({query}) TO STDOUT (FORMAT csv, HEADER)") as copy:
        for block in copy:
            target.write(block)


def copy_lines_out(connection, query, file):
    """The lines that a query of one text column makes, which hold no backslash and no tab."""
    with open(file, "wb") as target, connection.cursor().copy(f"COPY ({query}) TO STDOUT") as copy:
        for block in copy:
            target.write(block)


def copy_in(connection, table, file, options="FORMAT csv"):
    """A file into a table."""
    with open(file, "rb") as source, connection.cursor().copy(
            f"COPY {table} FROM STDIN ({options})") as copy:
        while block := source.read(1 << 20):
            copy.write(block)


def frame_in(connection, table, frame):
    """A data frame into a table of the same columns."""
    with connection.cursor().copy(f"COPY {table} FROM STDIN (FORMAT csv)") as copy:
        for begin in range(0, len(frame), 100000):
            copy.write(frame[begin:begin + 100000].to_csv(index=False, header=False))


def frame_out(connection, query, **options):
    """The rows of a query as a data frame; options go to read_csv."""
    buffer = io.BytesIO()
    with connection.cursor().copy(f"COPY ({query}) TO STDOUT (FORMAT csv, HEADER)") as copy:
        for block in copy:
            buffer.write(block)
    buffer.seek(0)
    return pandas.read_csv(buffer, **options)


def cpu_name():
    with open("/proc/cpuinfo") as info:
        for line in info:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "could not be installed, and is not measured"


def describe(bench, *packages):
    """When, where and beside what a section was measured."""
    features = bench.value("SELECT features FROM pm_device_info() WHERE device = 'cpu'")
    peers = ", ".join(f"{package} {version(package)}" for package in packages)
    return [
        f"- {datetime.date.today()}, {cpu_name()}, {os.cpu_count()} CPUs, device cpu: {features}",
        f"- PostgreSQL {bench.connection.info.parameter_status('server_version')}; {peers}",
    ]
