"""What can be broken in a cluster on PostgreSQL, each as a block: it is broken while the block lasts."""

import threading
import time
from contextlib import contextmanager

import psycopg2

from postgres_proxy import ACTIONS, TO_CLIENT, TO_SERVER, Rule

# What PostgreSQL's client library and server send each other while duties are signed.
MESSAGES = {TO_SERVER: ("startup", "P", "B", "D", "E", "S", "Q"), TO_CLIENT: ("startup", "R", "S", "K", "Z", "1", "2", "T", "D", "C", "n")}
MESSAGES_OF_A_NEW_SESSION = ("startup", "R", "S", "K", "P", "Q", "1", "T")


# ---- the server


@contextmanager
def server_down(cluster, how, before_start=lambda: None):
    """`how`: fast, immediate (as pg_ctl stop has it), or kill."""
    with cluster.store_fault():
        cluster.server.kill() if how == "kill" else cluster.server.stop(how)
        try:
            yield
        finally:
            before_start()
            cluster.server.start()


@contextmanager
def server_frozen(cluster):
    with cluster.store_fault(), cluster.server.frozen():
        yield


@contextmanager
def server_read_only(cluster):
    with cluster.store_fault():
        cluster.server.set(default_transaction_read_only="on")
        try:
            yield
        finally:
            cluster.server.set(default_transaction_read_only=None)


@contextmanager
def server_crowded(cluster):
    """Other clients have every connection that the server has."""
    crowd = [cluster.server.session(cluster.database)]
    with cluster.store_fault():
        try:
            until = time.monotonic() + 10
            while time.monotonic() < until:
                with crowd[0].cursor() as cursor:
                    cursor.execute("select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'client backend' "
                                   "and pid <> all(%s)", ([session.info.backend_pid for session in crowd],))
                    if cursor.rowcount == 0:
                        break
                try:
                    while True:
                        crowd.append(cluster.server.session(cluster.database))
                except psycopg2.OperationalError:
                    pass
            yield
        finally:
            for session in crowd:
                session.close()


@contextmanager
def locked(cluster, statement):
    """`statement`: what takes the locks, within a transaction."""
    session = cluster.server.session(cluster.database)
    session.autocommit = False
    with cluster.store_fault():
        try:
            with session.cursor() as cursor:
                cursor.execute(statement)
            yield session
        finally:
            session.rollback()
            session.close()


TABLES = ("validator_duties", "ha_signer_nodes", "ha_signer_watermarks")


def lock_of(table, mode="access exclusive"):
    return f"lock table {table} in {mode} mode"


# ---- the network


@contextmanager
def cut_off(node, direction=None):
    """Nothing gets through, in one direction or in both; what was sent meanwhile arrives afterwards."""
    with node.fault():
        for proxy in node.proxies:
            proxy.hold(direction)
        try:
            yield
        finally:
            for proxy in node.proxies:
                proxy.go_on()


@contextmanager
def bytes_lost(node, direction):
    """What is sent in a direction vanishes; then the connections end."""
    with node.fault():
        for proxy in node.proxies:
            proxy.drop(direction)
        try:
            yield
        finally:
            for proxy in node.proxies:
                proxy.go_on()


def break_at_message(node, direction, kind, action, *, skip=0, seconds=0.3, patience=1.0):
    """Breaks one connection at one message. Returns whether the message came."""
    rule = node.proxies[0].add(Rule(direction, kind, action, skip, seconds))
    with node.fault():
        if rule.met.wait(patience):
            rule.ended.wait(seconds + 2)
        node.proxies[0].forget_rules()
    return rule.met.is_set()


@contextmanager
def broken_at_messages(node, random):
    """One message after the other is broken."""
    over = threading.Event()

    def go():
        while not over.is_set():
            direction = random.choice((TO_SERVER, TO_CLIENT))
            break_at_message(node, direction, random.choice(MESSAGES[direction]), random.choice(ACTIONS), skip=random.randrange(4), patience=0.3)
            over.wait(random.uniform(0, 0.3))

    thread = threading.Thread(target=go, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
