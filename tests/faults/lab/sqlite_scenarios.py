"""Nodes on SQLite: kills at every write, power cuts, a full disk, two processes, copies."""

import http.client
import os
import signal
import sqlite3
import subprocess
import time
from contextlib import contextmanager

import e2e_support as e2e
from clients import Load, ask_for_other_data, duties_of, post, take
from cluster import Report, SqliteCluster, ballast
from power import Power
from scenarios import scenario


@contextmanager
def cluster_of(lab, **options):
    cluster = SqliteCluster(lab, **options)
    try:
        yield cluster
    finally:
        cluster.close()


# A start and a few duties change files more often.
FEWEST_KILLS = 20


@scenario
def judge_notices_two_stores(lab):
    """Two nodes with the same keys and a file each, as no operator may have them: the judge must see two messages."""
    with cluster_of(lab, nodes=2, shared=False) as cluster:
        with Load(cluster) as load:
            load.wait_for_signatures(100)
        return must_be_noticed(cluster)


def must_be_noticed(cluster):
    """Judges a cluster that was broken on purpose."""
    report = cluster.judge(known_limit="broken on purpose")
    if not cluster.ledger.two_messages():
        report.problems.append("the judge noticed no duty with two messages, though the cluster was broken on purpose")
    else:
        report.notes.append(f"{len(cluster.ledger.two_messages())} duties have two messages, as they must here")
    report.known_limits = []
    return report


@scenario
def judge_notices_the_rest(lab):
    """A crash, a stuck row, a signed row that is deleted, a signature of other data, a missed duty: made on purpose, to be noticed."""
    with cluster_of(lab) as cluster:
        node = cluster.nodes[0]
        with Load(cluster) as load:
            load.wait_for_signatures(60)
        duty, *_, other = cluster.ledger.duties()
        cluster.ledger.asked([duty._replace(slot=999_999)])
        cluster.ledger.signed(*cluster.ledger.a_signature_of(duty)[:2], cluster.ledger.a_signature_of(other)[2])
        with sqlite3.connect(cluster.file) as session:
            session.execute("delete from validator_duties where validator_address = ? and slot = ? and duty_type = ?", duty)
            columns = [name for _, name, *_ in session.execute("pragma table_info(validator_duties)")]
            foreign = {"slot": "999998", "status": "'signing'", "signature": "null", "lock_token": "'foreign'", "completed_at": "null"}
            session.execute(f"insert into validator_duties ({', '.join(columns)}) select "
                            f"{', '.join(foreign.get(name, name) for name in columns)} from validator_duties limit 1")
        session.close()
        address = node.address
        os.kill(node.service.process.pid, signal.SIGABRT)
        while node.address == address:
            time.sleep(0.01)
        report = cluster.judge()
        text = "\n".join(report.problems)
        for what in ("ended with -6", "whose released message no row has", "not of the message", "missed duties", "rows are *signing*"):
            if what not in text:
                report.notes.append(f"not noticed: {what}")
        report.problems, report.misses = [note for note in report.notes if note.startswith("not noticed")], 0
        report.notes = [text] if report.problems else ["all of it was noticed"]
        return report


@scenario
def two_processes_on_one_file(lab):
    """Two nodes on one file, killed in turn."""
    with cluster_of(lab, nodes=2) as cluster:
        with Load(cluster) as load:
            for _ in range(lab.times(8)):
                load.wait_for_signatures(50)
                lab.pause(0.1)
                lab.random.choice(cluster.nodes).kill()
        return cluster.judge()


@scenario
def killed_at_every_write(lab):
    """A node is killed at its first, second, third … change of a file, half a write done, from the first start on."""
    return _killed_at_every(lab, 1)


@scenario
def killed_at_every_write_with_remote_keys(lab):
    """The same where duties are claimed first, at every other change."""
    return _killed_at_every(lab, 2, remote=True)


def _killed_at_every(lab, step, **options):
    total = Report("")
    changes = kills = 0
    while True:
        changes = changes + step if not lab.is_short else lab.random.randrange(1, 80)
        report, was_killed = _killed_at(lab, changes, **options)
        for field in ("attempts", "signatures", "refusals", "misses", "problems"):
            setattr(total, field, getattr(total, field) + getattr(report, field))
        total.longest_gap_s = max(total.longest_gap_s, report.longest_gap_s)
        kills += was_killed
        total.notes = [f"killed {kills} times; the last point: change {changes}"]
        # In a short run a point may be one that the process does not come to.
        if (lab.is_enough(6) and (kills or lab.is_enough(30))) if lab.is_short else not was_killed:
            break
    if kills < (1 if lab.is_short else FEWEST_KILLS):
        total.problems.append(f"the node was killed {kills} times only")
    return total


def _killed_at(lab, changes, **options):
    folder = e2e.Folder()
    disk = {"LD_PRELOAD": str(lab.disk), "HASIGNER_DISK_FOLDER": str(folder.path), "HASIGNER_DISK_KILL_AT": str(changes)}
    with cluster_of(lab, folder=folder.path, first_environment=disk, allowed_exits=(-signal.SIGKILL,), **options) as cluster:
        node = cluster.nodes[0]
        asked = []
        for slot in range(1, 5):
            duties = list(duties_of(slot, cluster.validators[:2], 1))
            asked += [duty for duty, _ in duties]
            if not _ask(cluster, node, duties):
                # A client asks for other data first; then the one that saw its connection end asks again.
                node.wait_until_live()
                ask_for_other_data(cluster.ledger, node.address, asked)
                _ask(cluster, node, duties)
        report = cluster.judge()
        folder.remove()
        return report, bool(node.exits and node.exits[0] == -signal.SIGKILL)


def _ask(cluster, node, duties):
    """False: the node died meanwhile."""
    cluster.ledger.asked([duty for duty, _ in duties])
    node.wait_until_live()
    address = node.address
    try:
        results = post(address, duties)
    except (OSError, http.client.HTTPException):
        # Until the supervisor has seen it, too.
        while node.address == address:
            time.sleep(0.01)
        return False
    for (duty, message), result in zip(duties, results):
        take(cluster.ledger, duty, message, result)
    return True


@scenario
def power_cut(lab):
    """The power goes, again and again; of what was not synced any sector may be missing."""
    with _powered_cluster(lab) as cluster:
        _cut_power_under_load(lab, cluster, lab.times(9))
        return cluster.judge()


@scenario
def power_cut_with_remote_keys(lab):
    """The same where duties are claimed first."""
    with _powered_cluster(lab, remote=True) as cluster:
        _cut_power_under_load(lab, cluster, lab.times(9))
        return cluster.judge()


@scenario
def judge_notices_synchronous_normal(lab):
    """The same with `pragma synchronous=normal`, which must not be: the judge must see two messages."""
    with _powered_cluster(lab, HASIGNER_DISK_SYNCHRONOUS="normal") as cluster:
        _cut_power_under_load(lab, cluster, 3)
        return must_be_noticed(cluster)


@contextmanager
def _powered_cluster(lab, remote=False, **variables):
    folder = e2e.Folder()
    durable = e2e.Folder()
    power = Power(lab.disk, folder.path, durable.path / "disk")
    try:
        with cluster_of(lab, nodes=2, remote=remote, folder=folder.path, environment=power.environment | variables) as cluster:
            cluster.power = power
            yield cluster
    finally:
        folder.remove()
        durable.remove()


def _cut_power_under_load(lab, cluster, times):
    first, second = cluster.nodes
    with Load(cluster) as load:
        for _ in range(times):
            load.wait_for_signatures(80)
            lab.pause(0.3)
            known = cluster.ledger.duties()[-200:]
            with first.killed(), second.killed():
                cluster.power.cut(lab.random)
            first.wait_until_live()
            ask_for_other_data(cluster.ledger, first.address, known)


@scenario
def random_schedule_on_sqlite(lab):
    """Kills, pauses, locks of another program and power cuts at random moments, two nodes on one file."""
    with _powered_cluster(lab, remote=lab.random.random() < 0.5) as cluster:
        with Load(cluster) as load:
            load.wait_for_signatures(20)
            until = time.monotonic() + 20
            while time.monotonic() < until:
                lab.pause(1)
                _random_fault(lab, cluster, lab.random.choice(cluster.nodes))
        return cluster.judge()


def _random_fault(lab, cluster, node):
    kind = lab.random.choice(("kill", "kill", "pause", "lock", "power", "power"))
    if kind == "kill":
        node.kill()
    elif kind == "pause":
        with node.paused():
            lab.pause(lab.random.choice((1, 5, 10)))
    elif kind == "lock":
        cluster.wait_until_live()
        with cluster.store_fault(), write_locked(cluster.file):
            lab.pause(lab.random.choice((1, 7)))
    else:
        with cluster.nodes[0].killed(), cluster.nodes[1].killed():
            lab.pause(1)
            cluster.power.cut(lab.random)


@contextmanager
def write_locked(file):
    """Another program has the file's only write lock."""
    session = sqlite3.connect(file, timeout=20, isolation_level=None)
    session.execute("begin immediate")
    try:
        yield
    finally:
        session.execute("rollback")
        session.close()


def truncate_log(file):
    session = sqlite3.connect(file, timeout=20)
    session.execute("pragma wal_checkpoint(truncate)")
    session.close()


@scenario
def locks_of_another_program(lab):
    """Another program holds the write lock of the file, longer than a lease and than an attempt; then it empties the log."""
    with cluster_of(lab, nodes=2, remote=True) as cluster:
        with Load(cluster) as load:
            for seconds in (1, 3, 7):
                load.wait_for_signatures(100)
                with cluster.store_fault(), write_locked(cluster.file), cluster.must_stop_signing():
                    time.sleep(seconds)
                truncate_log(cluster.file)
        return cluster.judge()


@scenario(needs_root=True)
def full_disk(lab):
    """The file system is full for some seconds, several times."""
    folder = e2e.Folder()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=700", "fault-lab", folder.path], check=True)
    try:
        with cluster_of(lab, nodes=2, folder=folder.path) as cluster:
            with Load(cluster) as load:
                for _ in range(lab.times(4)):
                    load.wait_for_signatures(100)
                    # What the log has room for already would be written.
                    truncate_log(cluster.file)
                    with cluster.store_fault(), ballast(folder.path), cluster.must_stop_signing():
                        time.sleep(2)
                        lab.pause(5)
            return cluster.judge()
    finally:
        subprocess.run(["umount", folder.path], check=True)
        folder.remove()


def copy_store(source, target):
    """As `.backup` does it, while others write."""
    with sqlite3.connect(source, timeout=10) as from_, sqlite3.connect(target) as to:
        from_.backup(to)
    from_.close()
    to.close()
    target.chmod(0o600)


@scenario
def file_replaced_under_a_node(lab):
    """An older copy takes the place of the file while the node runs: it must sign nothing more until the file is back."""
    with cluster_of(lab) as cluster:
        node, file = cluster.nodes[0], cluster.file
        with Load(cluster) as load:
            load.wait_for_signatures(50)
            copy, original = file.with_name("copy"), file.with_name("original")
            copy_store(file, copy)
            load.wait_for_signatures(50)
            with cluster.store_fault():
                known = cluster.ledger.duties()[-100:]
                file.rename(original)
                copy.rename(file)
                ask_for_other_data(cluster.ledger, node.address, known)
                original.rename(file)
                node.kill()
            node.wait_until_live()
            load.wait_for_signatures(50)
        return cluster.judge()


@scenario
def copied_file(lab):
    """A second node works on a copy of the file: two stores, which no node can notice."""
    with cluster_of(lab) as cluster:
        with Load(cluster) as load:
            load.wait_for_signatures(50)
            copy_store(cluster.file, cluster.file.with_name("copy.db"))
            load.wait_for_signatures(50)
        cluster.add_node("node-2", "copy.db").wait_until_live()
        report = cluster.judge(known_limit="nodes on a copy do not know of each other")
        cluster.must(cluster.ledger.two_messages(), "no duty has two messages, though its nodes worked on two files")
        return report
