"""doc/bench.md: sections that are measured, and replaced, one by one."""

import os
import re

INTRODUCTION = """# Benchmarks

Written by `make bench`; `bash test/bench/run.sh kmeans` (or `ctr`, `accuracy`; the last one is `make accuracy` too) measures one
section anew and leaves the others as they are. Each pair was measured in turn in one run on the same data; times are medians. Ratio = the peer's time / ours: above 1
precmkt is faster. Absolute times are those of one small machine; compare ratios.
"""


def split(text):
    """The sections of a page by their headings, in order."""
    parts = re.split(r"^## (.*)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


def join(sections, order):
    """The page; sections that the order does not name come last."""
    headings = [heading for heading in order if heading in sections]
    headings += [heading for heading in sections if heading not in order]
    return INTRODUCTION + "".join(
        f"\n## {heading}\n\n{sections[heading].strip()}\n" for heading in headings)


def replace(file, heading, lines, order):
    """Put a section into the page, in the place of what it was before."""
    sections = {}
    if os.path.exists(file):
        with open(file) as page:
            sections = split(page.read())
    sections[heading] = "\n".join(lines)
    with open(file + ".new", "w") as page:
        page.write(join(sections, order))
    os.replace(file + ".new", file)
