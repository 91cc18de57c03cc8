"""What can be broken in a cluster on PostgreSQL, each as a block: it is broken while the block lasts."""

import threading
import time
from contextlib import contextmanager
from pathlib import Path

import psycopg2

import e2e_support as e2e
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
                try:
                    while True:
                        crowd.append(cluster.server.session(cluster.database))
                except psycopg2.OperationalError:
                    pass
                # The others that are there now are the only ones that can have a connection besides the crowd.
                with crowd[0].cursor() as cursor:
                    cursor.execute("select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'client backend' "
                                   "and pid <> all(%s)", ([session.info.backend_pid for session in crowd],))
                    if cursor.rowcount == 0:
                        break
            yield
        finally:
            for session in crowd:
                session.close()


@contextmanager
def sessions_ended(cluster):
    cluster.ask("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()")
    yield


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


@contextmanager
def failed_over(cluster):
    """The standby takes the place of the server, which stays away."""
    with cluster.store_fault():
        cluster.server.kill()
        cluster.promote_standby()
        cluster.has_failed_over = True
    yield


# ---- clocks


FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


def faked(**settings):
    """The wall clock of a process is ahead; its monotonic clock is not. It cannot be behind: libfaketime adds the difference to
    absolute times of timers of the monotonic clock, too, so that a timer which has expired would fire days later."""
    assert FAKETIME, "libfaketime is not installed: scripts/install-dependencies"
    return {"LD_PRELOAD": str(FAKETIME), "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1", "FAKETIME_DISABLE_SHM": "1"} | settings


class Clock:
    """The clock of a server, which jumps."""

    def __init__(self, ahead_s=0):
        self.folder = e2e.Folder()
        self.folder.path.chmod(0o755)
        self.offset = ahead_s
        self.jump(0)
        self.environment = faked(FAKETIME_TIMESTAMP_FILE=str(self.folder.path / "clock"), FAKETIME_NO_CACHE="1")

    def jump(self, seconds):
        self.offset += seconds
        draft = self.folder.path / "draft"
        draft.write_text(f"{self.offset:+d}\n")
        draft.rename(self.folder.path / "clock")


# ---- the network


@contextmanager
def _proxies_that(hinder, node, direction):
    with node.fault():
        for proxy in node.proxies:
            hinder(proxy, direction)
        try:
            yield
        finally:
            for proxy in node.proxies:
                proxy.go_on()


def cut_off(node, direction=None):
    """Nothing gets through, in one direction or in both; what was sent meanwhile arrives afterwards."""
    return _proxies_that(lambda proxy, which: proxy.hold(which), node, direction)


def bytes_lost(node, direction):
    """What is sent in a direction vanishes; then the connections end."""
    return _proxies_that(lambda proxy, which: proxy.drop(which), node, direction)


def proxy_of(node):
    """The one before the server that can be written: after a failover another one."""
    return next(proxy for proxy in node.proxies if proxy.server_port == node.cluster.server.port)


def break_at_message(node, direction, kind, action, *, skip=0, seconds=0.3, wait_s=1.0):
    """Breaks one connection at one message. Returns whether the message came."""
    proxy = proxy_of(node)
    rule = proxy.add(Rule(direction, kind, action, skip, seconds))
    with node.fault():
        if rule.met.wait(wait_s):
            rule.ended.wait(seconds + 2)
        proxy.forget_rules()
    return rule.met.is_set()


@contextmanager
def broken_at_messages(node, random):
    """One message after the other is broken."""
    over = threading.Event()

    def go():
        while not over.is_set():
            direction = random.choice((TO_SERVER, TO_CLIENT))
            break_at_message(node, direction, random.choice(MESSAGES[direction]), random.choice(ACTIONS), skip=random.randrange(4), wait_s=0.3)
            over.wait(random.uniform(0, 0.3))

    thread = threading.Thread(target=go, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
