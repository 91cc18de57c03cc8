"""Random schedules: faults of all kinds at random moments, as one seed says."""

import random
import threading
import time
from contextlib import contextmanager, nullcontext

import psycopg2

import faults
from clients import Load
from cluster import LabServer, PostgresCluster
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
        ("ends all sessions", lambda: faults.sessions_ended(cluster)),
        ("fails over, if it has a standby", lambda: faults.failed_over(cluster) if cluster.may_fail_over() else nullcontext()),
    ))


def schedule_of(cluster, clock, dice):
    """Lists of (begin, seconds, name, block), one list for each thing that can be broken: one fault of it at a time."""
    things = [(node.name, lambda node=node: faults_of_a_node(cluster, node, dice)) for node in cluster.nodes]
    things.append(("the server", lambda: faults_of_the_server(cluster, dice)))
    if clock:
        things.append(("the server's clock", lambda: jump_of(clock, dice.choice((1, 3, 30, 60, -1, -2)))))
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


def jump_of(clock, seconds):
    return f"jumps by {seconds} s", lambda: nullcontext(clock.jump(seconds))


@contextmanager
def vault_paused(cluster):
    with cluster.store_fault(), cluster.vault.paused():
        yield


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
    """Faults of nodes, network, server, clocks and remote signer at random moments."""
    clock = faults.Clock(ahead_s=5 * 10**6) if lab.random.random() < 0.3 else None
    settings = ("max_connections = 30",)
    environments = [environment_of_a_node(lab.random) for _ in range(3)] if lab.random.random() < 0.5 else ()
    cluster = PostgresCluster(lab, remote=lab.random.random() < 0.7, environments=environments,
                              server=LabServer(*settings, variables=clock.environment if clock else {}),
                              standby="standby" if lab.random.random() < 0.5 and not clock else None)
    try:
        if cluster.standby:
            cluster.server.set(synchronous_standby_names="standby")
            cluster.server.wait_for("select count(*) = 1 from pg_stat_replication where sync_state = 'sync'")
        plans = list(schedule_of(cluster, clock, lab.random))
        with Load(cluster) as load:
            load.wait_for_signatures(20)
            began = time.monotonic()
            threads = [threading.Thread(target=run_steps, args=(cluster, began, steps)) for steps in plans]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            load.wait_for_signatures(50)
        if clock:
            cluster.must_be_ahead(5 * 10**6)
        cluster.notes.append(f"{sum(map(len, plans))} faults" + (", one a failover to the synchronous standby" if cluster.has_failed_over else ""))
        report = cluster.judge()
        if report.problems:
            report.notes += [f"at {at:.2f} s for {seconds:.2f} s: {name}" for at, seconds, name, _ in sorted(sum(plans, []), key=lambda step: step[:2])]
        return report
    finally:
        cluster.close()
        if clock:
            clock.folder.remove()


def environment_of_a_node(dice):
    zone = dice.choice(("UTC", "Asia/Tokyo", "America/Los_Angeles", "Pacific/Kiritimati"))
    return faults.faked(FAKETIME=f"+{dice.randrange(10**7)}") | {"TZ": zone, "PGTZ": zone}
