"""Medians, ratios and bars: pure functions from samples to the printed table."""

import collections
import dataclasses
import statistics

# What one number is: a figure of a workload, measured on a rival.
Key = collections.namedtuple("Key", "workload rival figure")

# The first two of each store: claimed and recorded in one round trip, and in two. Where there is a choice, OURS takes one.
OURS, TWO_STEPS = "hasigner", "hasigner-two-steps"
SQLITE, SQLITE_TWO_STEPS = "hasigner-sqlite", "hasigner-sqlite-two-steps"
JOURNAL, SQLITE_JOURNAL = "hasigner-journal", "hasigner-sqlite-journal"  # one round trip, and a journal is kept
PUBLISHED = "published"
PGBENCH_ONE, PGBENCH_MANY = "pgbench-1", ("pgbench-10", "pgbench-50")
COLUMNS = ("workload", "figure", "hasigner", "published", "pgbench", "ratio", "in the rounds", "bar", "result")
RIGHT_ALIGNED = {"hasigner", "published", "pgbench"}


@dataclasses.dataclass(frozen=True)
class Bar:
    """What must hold for `key`, divided by `against` where that is given."""

    key: Key
    against: tuple = ()  # Keys; the one with the highest median counts.
    name: str = ""
    at_least: float = None
    at_most: float = None
    aim: float = None

    def text(self):
        unit = f" x {self.name}" if self.against else f" {self.name}"
        if self.at_least is not None:
            return f">= {self.at_least:g}{unit}" + (f" (aim {self.aim:g})" if self.aim else "")
        return f"<= {self.at_most:g}{unit}" if self.at_most is not None else ""

    def result(self, measured):
        if self.at_least is None and self.at_most is None:
            return ""
        if measured is None:
            return "not measured"
        met = measured >= self.at_least if self.at_least is not None else measured <= self.at_most
        return "met" if met else "MISSED"


@dataclasses.dataclass(frozen=True)
class Row:
    workload: str
    figure: str
    ours: Key
    published: Key = None
    pgbench: tuple = ()
    bars: tuple = ()


def medians(samples):
    """The median over the rounds of every figure, by Key."""
    rounds = collections.defaultdict(list)
    for sample in samples:
        for figure, value in sample["figures"].items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                rounds[Key(sample["workload"], sample["rival"], figure)].append(value)
    return {key: statistics.median(values) for key, values in rounds.items()}


def per_round(samples, key):
    return {sample["round"]: sample["figures"][key.figure] for sample in samples
            if sample["workload"] == key.workload and sample["rival"] == key.rival and key.figure in sample["figures"]}


def highest(keys, middle):
    """The key with the highest median, or None where none was measured."""
    return max((key for key in keys if key in middle), key=lambda key: middle[key], default=None)


def measured_ratio(bar, middle):
    """The quotient of the medians; the median itself where nothing is compared; None where one is missing."""
    value = middle.get(bar.key)
    if not bar.against or value is None:
        return value
    other = highest(bar.against, middle)
    return value / middle[other] if other and middle[other] else None


def ratio_range(bar, samples, middle):
    """The lowest and highest quotient of one round, which shows how steady the ratio is."""
    mine = per_round(samples, bar.key)
    other = highest(bar.against, middle)
    if not bar.against:
        quotients = list(mine.values())
    else:
        theirs = per_round(samples, other) if other else {}
        quotients = [mine[number] / theirs[number] for number in mine if theirs.get(number)]
    return (min(quotients), max(quotients)) if quotients else None


def _against_published(workload, figure, ours=OURS, **limits):
    return Bar(Key(workload, ours, figure), (Key(workload, PUBLISHED, figure),), "published", **limits)


def _against_two_steps(workload, figure, ours=OURS, **limits):
    two_steps = SQLITE_TWO_STEPS if ours == SQLITE else TWO_STEPS
    return Bar(Key(workload, ours, figure), (Key(workload, two_steps, figure),), "two steps", **limits)


def _pair(label, figure_text, workload, figure, limits=None, pgbench=(), more_bars=(), ours=OURS):
    bars = (_against_published(workload, figure, ours, **(limits or {})), *more_bars)
    return Row(label, figure_text, Key(workload, ours, figure), Key(workload, PUBLISHED, figure), pgbench, bars)


def _sqlite_rows(label, figure_text, workload, figure):
    compared = _against_two_steps(workload, figure, SQLITE)
    yield Row(f"{label}, SQLite", figure_text, compared.key, bars=(compared,))
    yield Row(f"{label}, SQLite, two steps", figure_text, Key(workload, SQLITE_TWO_STEPS, figure))


def _serial_rows():
    label = "one after the other"
    for ours, suffix, most in ((OURS, "", 1.0), (TWO_STEPS, ", two steps", None)):
        for figure, limits in (("p50_ms", {"at_most": most}), ("p95_ms", {}), ("p99_ms", {})):
            pgbench = (Key("serial", PGBENCH_ONE, figure),)
            bars = (Bar(Key("serial", ours, figure), pgbench, "pgbench", **limits),)
            if ours == OURS:
                bars += (_against_two_steps("serial", figure),)
            yield _pair(f"{label}{suffix}", f"{figure[:3]} ms", "serial", figure, None, pgbench, bars, ours)
    yield from _sqlite_rows(label, "p50 ms", "serial", "p50_ms")


def _journal_rows():
    """What a journal costs: it is written while the store is at work."""
    for ours, without, name in ((JOURNAL, OURS, ""), (SQLITE_JOURNAL, SQLITE, ", SQLite")):
        latency = Bar(Key("serial", ours, "p50_ms"), (Key("serial", without, "p50_ms"),), "no journal")
        yield Row(f"one after the other{name}, journal", "p50 ms", latency.key, bars=(latency,))
        rate = Bar(Key("inflight", ours, "duties_per_s"), (Key("inflight", without, "duties_per_s"),), "no journal",
                   at_least=0.9 if ours == JOURNAL else None)
        yield Row(f"1,000 in flight{name}, journal", "duties/s", rate.key, bars=(rate,))


def _delayed_rows():
    label = "one after the other, 5 ms each way"
    compared = _against_two_steps("delayed", "p50_ms", at_most=0.6)
    yield _pair(label, "p50 ms", "delayed", "p50_ms", None, (), (compared,))
    yield _pair(f"{label}, two steps", "p50 ms", "delayed", "p50_ms", ours=TWO_STEPS)


def _in_flight_rows():
    label, text, figure = "1,000 in flight", "duties/s", "duties_per_s"
    pgbench = tuple(Key("inflight", rival, figure) for rival in PGBENCH_MANY)
    published = {"at_least": 12, "aim": 20}
    one = (Bar(Key("inflight", OURS, figure), pgbench, "best pgbench", at_least=5),
           _against_two_steps("inflight", figure, at_least=1.4))
    two = (Bar(Key("inflight", TWO_STEPS, figure), pgbench, "best pgbench", at_least=3.5),)
    yield _pair(label, text, "inflight", figure, published, pgbench, one)
    yield _pair(f"{label}, two steps", text, "inflight", figure, published, pgbench, two, TWO_STEPS)
    real = _against_two_steps("inflight-real", figure)
    yield Row(f"{label}, real keys", text, real.key, bars=(real,))
    yield Row(f"{label}, real keys, two steps", text, Key("inflight-real", TWO_STEPS, figure))
    yield from _sqlite_rows(label, text, "inflight", figure)


def _slot_rows():
    for keys, text in (("noop", "no-op"), ("real", "real keys")):
        label = f"slot of 1,000 validators, {text}"
        yield _pair(label, "first ms", f"slot-{keys}", "first_ms")
        yield _pair(label, "last ms", f"slot-{keys}", "last_ms", {"at_most": 0.1})
    yield Row("slot of 1,000 validators, SQLite", "last ms", Key("slot-noop", SQLITE, "last_ms"))


def _other_rows():
    yield _pair("three processes race", "ms", "race", "ms")
    yield _pair("three processes race", "false time-outs", "race", "false_timeouts")
    yield Row("three processes race, SQLite", "ms", Key("race", SQLITE, "ms"))
    yield _pair("waiting node learns", "p50 ms", "waiter", "p50_ms")
    learns = Bar(Key("waiter", OURS, "p95_ms"), name="ms", at_most=10)
    yield _pair("waiting node learns", "p95 ms", "waiter", "p95_ms", None, (), (learns,))
    yield _pair("start to first signature", "ms", "start", "ms", {"at_most": 0.2})
    resident = Bar(Key("start", OURS, "rss_mb"), name="MB", at_most=25)
    yield _pair("resident after it", "MB", "start", "rss_mb", None, (), (resident,))


def _service_rows():
    for figure, text in (("library_p50_ms", "library p50 ms"), ("service_p50_ms", "service p50 ms")):
        yield Row("one request on loopback", text, Key("service-one", OURS, figure))
    added = Bar(Key("service-one", OURS, "added_p50_ms"), name="ms", at_most=0.3)
    yield Row("one request on loopback", "added p50 ms", added.key, bars=(added,))
    yield Row("requests of 1,000 duties", "library duties/s", Key("service-many", OURS, "library_per_s"))
    many = Bar(Key("service-many", OURS, "duties_per_s"), (Key("service-many", OURS, "library_per_s"),), "library",
               at_least=0.8)
    yield Row("requests of 1,000 duties", "duties/s", many.key, bars=(many,))
    for who, name in ((OURS, "beside a greedy client"), (SQLITE, "beside a greedy client, SQLite")):
        yield Row(name, "alone p95 ms", Key("service-fair", who, "alone_p95_ms"))
        fair = Bar(Key("service-fair", who, "beside_p95_ms"), (Key("service-fair", who, "alone_p95_ms"),), "alone", at_most=3)
        yield Row(name, "p95 ms", fair.key, bars=(fair,))
        yield Row(name, "its duties/s", Key("service-fair", who, "greedy_per_s"))
    twice = Bar(Key("service-hashing", OURS, "twice_the_size"), name="x the time", at_most=3)
    yield Row("typed data of twice the size", "times as long", twice.key, bars=(twice,))


def _large_rows(sizes):
    """Each size as measured, then what the largest costs in units of the smallest, for both rivals."""
    kinds = (("with", "p50_ms", "p50 ms"), ("with", "in_flight_us", "us/duty in flight"),
             ("without", "p50_ms", "p50 ms"), ("without", "in_flight_us", "us/duty in flight"))
    for size in sizes:
        for statistic, figure, text in kinds:
            yield _pair(f"{size:,} rows, {statistic} statistics", text, f"large-{size}-{statistic}", figure)
    if len(sizes) < 2:
        return
    for rival, limits in ((OURS, {"at_most": 1.25}), (PUBLISHED, {})):
        for statistic, figure, text in kinds:
            most, least = (Key(f"large-{size}-{statistic}", rival, figure) for size in (sizes[-1], sizes[0]))
            bar = Bar(most, (least,), f"{sizes[0]:,} rows", **limits)
            label = f"{rival}, {sizes[-1]:,} rows, {statistic} statistics"
            yield Row(label, text, most if rival == OURS else None, most if rival == PUBLISHED else None, (), (bar,))


def rows(sizes=()):
    return [*_serial_rows(), *_delayed_rows(), *_in_flight_rows(), *_journal_rows(), *_slot_rows(), *_other_rows(), *_service_rows(),
            *_large_rows(sizes)]


def _number(value):
    if value is None:
        return "-"
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3g}"


def _cell(key, middle):
    return _number(middle.get(key))


def _pgbench_cell(keys, middle):
    best = highest(keys, middle)
    text = _cell(best, middle)
    return f"{text} ({best.rival.split('-')[1]} clients)" if best and len(keys) > 1 else text


def _lines(row, samples, middle):
    """A line for each bar or ratio; figures stand on the first only. Rows of workloads that were not run are left out."""
    keys = [key for key in (row.ours, row.published, *row.pgbench) if key]
    if not any(key in middle for key in keys):
        return
    cells = [row.workload, row.figure, _cell(row.ours, middle) if row.ours else "",
             _cell(row.published, middle) if row.published else "",
             _pgbench_cell(row.pgbench, middle) if row.pgbench else ""]
    shown = [bar for bar in row.bars if bar.text() or measured_ratio(bar, middle) is not None]
    for bar in shown or (None,):
        yield cells + (_bar_cells(bar, samples, middle) if bar else [""] * 4)
        cells = [""] * 5


def _bar_cells(bar, samples, middle):
    ratio, spread = measured_ratio(bar, middle), ratio_range(bar, samples, middle)
    name = f"x {bar.name}" if bar.against else bar.name
    return [f"{_number(ratio)} {name}" if ratio is not None else "-",
            f"{_number(spread[0])} .. {_number(spread[1])}" if spread else "",
            bar.text(), bar.result(ratio)]


def bars(samples, sizes=()):
    """Every bar with its ratio and result, for the raw file; a bar whose workload was not run is left out."""
    middle = medians(samples)
    workloads = {sample["workload"] for sample in samples}
    judged = [(row, bar) for row in rows(sizes) for bar in row.bars if bar.text() and bar.key.workload in workloads]
    return [{"workload": row.workload, "figure": row.figure, "bar": bar.text(), "measured": measured_ratio(bar, middle),
             "result": bar.result(measured_ratio(bar, middle))} for row, bar in judged]


def text(samples, sizes=()):
    middle = medians(samples)
    lines = [list(COLUMNS)]
    for row in rows(sizes):
        lines += _lines(row, samples, middle)
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    lines.insert(1, ["-" * width for width in widths])
    right = [name in RIGHT_ALIGNED for name in COLUMNS]
    return "\n".join(
        "  ".join(cell.rjust(width) if to_right else cell.ljust(width)
                  for cell, width, to_right in zip(line, widths, right)).rstrip()
        for line in lines)
