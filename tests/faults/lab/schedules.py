"""Random schedules: faults of all kinds at random moments, as one seed says."""

import random
import threading
import time
from contextlib import ExitStack

import psycopg2

import faults
from clients import Load
from cluster import PostgresCluster
from postgres_proxy import TO_CLIENT, TO_SERVER
from scenarios import scenario

LENGTH_S = 20.0
LONGEST_FAULT_S = 11.0  # more than the stuck-duty age


def faults_of_a_node(cluster, node, dice):
    """(what happens to it, the block)"""
    direction = dice.choice((TO_SERVER, TO_CLIENT))
    return dice.choice((
        ("is killed", node.killed),
        ("is killed", node.killed),
        ("stands still", node.paused),
        ("is cut off", lambda: faults.cut_off(node)),
        (f"is cut off {direction}", lambda: faults.cut_off(node, direction)),
        (f"loses bytes {direction}", lambda: faults.bytes_lost(node, direction)),
        ("is broken at messages", lambda: faults.broken_at_messages(node, random.Random(dice.random()))),
    ))


def faults_of_the_server(cluster, dice):
    table, how = dice.choice(faults.TABLES), dice.choice(("fast", "immediate", "kill"))
    return dice.choice((
        (f"is down ({how})", lambda: faults.server_down(cluster, how)),
        (f"is down ({how})", lambda: faults.server_down(cluster, how)),
        ("stands still", lambda: faults.server_frozen(cluster)),
        ("is read-only", lambda: faults.server_read_only(cluster)),
        ("is crowded", lambda: faults.server_crowded(cluster)),
        (f"has {table} locked", lambda: faults.locked(cluster, faults.lock_of(table))),
    ))


def schedule_of(cluster, dice):
    """Lists of (begin, seconds, name, block), one list for each thing that can be broken: one fault of it at a time."""
    things = [(node.name, lambda node=node: faults_of_a_node(cluster, node, dice)) for node in cluster.nodes]
    things.append(("the server", lambda: faults_of_the_server(cluster, dice)))
    if cluster.vault:
        things.append(("the remote signer", lambda: ("stands still", lambda: vault_paused(cluster))))
    for thing, choose in things:
        steps, at = [], dice.uniform(0, 4)
        while at < LENGTH_S:
            name, block = choose()
            # Short ones mostly: then there are many.
            seconds = min(LONGEST_FAULT_S, dice.expovariate(1 / 1.5)) if thing.startswith("node") else min(4.0, dice.expovariate(1))
            steps.append((at, seconds, f"{thing} {name}", block))
            at += seconds + dice.uniform(0.5, 6)
        yield steps


class vault_paused(ExitStack):
    def __init__(self, cluster):
        super().__init__()
        self.cluster = cluster

    def __enter__(self):
        super().__enter__()
        self.enter_context(self.cluster.store_fault())
        self.enter_context(self.cluster.vault.paused())
        return self


def run_steps(cluster, began, steps):
    for at, seconds, name, block in steps:
        time.sleep(max(0.0, began + at - time.monotonic()))
        try:
            with block():
                time.sleep(seconds)
        except psycopg2.Error:
            pass
        except Exception as error:
            cluster.problems.append(f"the lab could not do this: {name}: {error!r}")
            return


@scenario
def random_schedule(lab):
    """Faults of nodes, network, server and remote signer at random moments."""
    cluster = PostgresCluster(lab, remote=lab.random.random() < 0.7, settings=("max_connections = 30",),
                              standby="standby" if lab.random.random() < 0.4 else None)
    try:
        if cluster.standby:
            cluster.server.set(synchronous_standby_names="standby")
            cluster.server.wait_for("select count(*) = 1 from pg_stat_replication where sync_state = 'sync'")
        plans = list(schedule_of(cluster, lab.random))
        with Load(cluster) as load:
            load.wait_for_signatures(20)
            began = time.monotonic()
            threads = [threading.Thread(target=run_steps, args=(cluster, began, steps)) for steps in plans]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if cluster.standby:
                with cluster.store_fault():
                    cluster.server.kill()
                    cluster.promote_standby()
            load.wait_for_signatures(50)
        cluster.notes.append(f"{sum(map(len, plans))} faults" + (", then a failover to the synchronous standby" if cluster.standby else ""))
        report = cluster.judge()
        if report.problems:
            report.notes += [f"at {at:.2f} s for {seconds:.2f} s: {name}" for at, seconds, name, _ in sorted(sum(plans, []), key=lambda step: step[:2])]
        return report
    finally:
        cluster.close()
