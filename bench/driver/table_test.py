"""Run: PYTHONPATH=bench python3 -m unittest driver.table_test. Expected values are worked out by hand."""

import unittest

from driver import table


def sample(workload, rival, round_number, **figures):
    return {"workload": workload, "rival": rival, "round": round_number, "figures": figures}


def in_flight(ours, published, *pgbench, two_steps=()):
    samples = [sample("inflight", "hasigner", n, duties_per_s=value) for n, value in enumerate(ours)]
    samples += [sample("inflight", "hasigner-two-steps", n, duties_per_s=value) for n, value in enumerate(two_steps)]
    samples += [sample("inflight", "published", n, duties_per_s=value) for n, value in enumerate(published)]
    for rival, values in zip(table.PGBENCH_MANY, pgbench):
        samples += [sample("inflight", rival, n, duties_per_s=value) for n, value in enumerate(values)]
    return samples


def results(samples, sizes=()):
    return {(bar["workload"], bar["figure"], bar["bar"]): (bar["measured"], bar["result"])
            for bar in table.bars(samples, sizes)}


class Bars(unittest.TestCase):
    def test_a_ratio_is_the_quotient_of_the_medians(self):
        judged = results(in_flight([20000, 30000, 90000], [1000, 2000, 2500]))
        ratio = judged["1,000 in flight", "duties/s", ">= 12 x published (aim 20)"]
        self.assertEqual(ratio, (15.0, "met"))

    def test_the_best_pgbench_is_the_one_with_the_highest_median(self):
        judged = results(in_flight([20000], [2000], [4000], [8000]))
        ratio = judged["1,000 in flight", "duties/s", ">= 5 x best pgbench"]
        self.assertEqual(ratio, (2.5, "MISSED"))

    def test_one_round_trip_is_compared_with_two_steps_and_both_with_the_rivals(self):
        judged = results(in_flight([30000], [2000], [4000], two_steps=[15000]))
        self.assertEqual(judged["1,000 in flight", "duties/s", ">= 1.4 x two steps"], (2.0, "met"))
        self.assertEqual(judged["1,000 in flight, two steps", "duties/s", ">= 3.5 x best pgbench"], (3.75, "met"))
        self.assertEqual(judged["1,000 in flight, two steps", "duties/s", ">= 12 x published (aim 20)"], (7.5, "MISSED"))

    def test_the_service_is_compared_with_the_library_of_the_same_run(self):
        judged = results([sample("service-many", "hasigner", 0, library_per_s=20000, duties_per_s=15000)])
        self.assertEqual(judged["requests of 1,000 duties", "duties/s", ">= 0.8 x library"], (0.75, "MISSED"))

    def test_a_bar_without_its_rival_is_not_measured(self):
        judged = results(in_flight([20000], []))
        self.assertEqual(judged["1,000 in flight", "duties/s", ">= 12 x published (aim 20)"], (None, "not measured"))

    def test_a_bar_in_milliseconds_compares_with_nothing(self):
        judged = results([sample("waiter", "hasigner", n, p50_ms=2, p95_ms=p95) for n, p95 in enumerate((9, 11, 12))])
        self.assertEqual(judged["waiting node learns", "p95 ms", "<= 10 ms"], (11, "MISSED"))

    def test_the_largest_table_is_compared_with_the_smallest(self):
        samples = [sample(f"large-{size}-with", "hasigner", 0, p50_ms=p50, in_flight_us=20)
                   for size, p50 in ((1000, 0.5), (10000, 0.9), (100000, 0.6))]
        judged = results(samples, (1000, 10000, 100000))
        name = "hasigner, 100,000 rows, with statistics"
        self.assertEqual(judged[name, "p50 ms", "<= 1.25 x 1,000 rows"], (1.2, "met"))
        self.assertEqual(judged[name, "us/duty in flight", "<= 1.25 x 1,000 rows"], (1.0, "met"))


class Text(unittest.TestCase):
    def test_shows_the_spread_of_the_rounds_and_leaves_out_what_was_not_run(self):
        printed = table.text(in_flight([20000, 30000], [1000, 2000]))
        self.assertIn("15 .. 20", printed)
        self.assertNotIn("start to first signature", printed)


if __name__ == "__main__":
    unittest.main()
