"""Measures precmkt beside its peers and writes sections of doc/bench.md.

Called by run.sh with a server up (PGHOST, PGUSER, PGDATABASE).
"""

import argparse
import importlib
import warnings

import psycopg

import page
from common import Bench

# a section: its module, which has measure(bench), and its heading
SECTIONS = {
    "kmeans": "Segments: k-means",
    "ctr": "Click models: speed",
    "accuracy": "Click models: accuracy",
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", required=True, help="precmkt_cpu.so")
    parser.add_argument("--build", required=True, help="folder of the compiled programs")
    parser.add_argument("--work", required=True, help="folder for files")
    parser.add_argument("--data", default="", help="folder of the real data")
    parser.add_argument("--output", required=True, help="the page")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="small data, no page written")
    parser.add_argument("sections", nargs="+", choices=SECTIONS)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    connection = psycopg.connect(autocommit=True)
    for name in args.sections:
        lines = importlib.import_module(name).measure(Bench(connection, args))
        if lines is None:
            print(f"SKIP {name}: no real data in ../shared/data or $PRECMKT_DATA", flush=True)
            continue
        print("\n".join([f"## {SECTIONS[name]}", "", *lines, ""]), flush=True)
        if not args.quick:
            page.replace(args.output, SECTIONS[name], lines, list(SECTIONS.values()))


if __name__ == "__main__":
    main()
