"""Nodes on PostgreSQL, one kind of fault at a time."""

import time
from contextlib import ExitStack, contextmanager

import psycopg2

import faults
from clients import Load
from cluster import STUCK_AGE_S, LabServer, PostgresCluster, ballast
from postgres_proxy import ACTIONS, TO_CLIENT, TO_SERVER
from scenarios import scenario

NODE_ID_TAKEN = 2
# Of the points of the protocol some come too seldom for the time that each is waited for.
POINTS_MET = 0.6


@contextmanager
def cluster_of(lab, **options):
    cluster = PostgresCluster(lab, **options)
    try:
        yield cluster
    finally:
        cluster.close()


# ---- processes


@scenario
def kill_nodes(lab):
    """kill -9 of nodes, one or all at once; duties are claimed first and recorded when they are signed."""
    with cluster_of(lab, remote=True) as cluster:
        with Load(cluster) as load:
            for _ in range(lab.times(6)):
                load.wait_for_signatures(30)
                lab.pause(0.1)
                lab.random.choice(cluster.nodes).kill()
            for _ in range(lab.times(2)):
                load.wait_for_signatures(30)
                lab.pause(0.1)
                for node in cluster.nodes:
                    node.kill()
            with cluster.nodes[0].killed(), cluster.nodes[1].killed():
                load.wait_for_signatures(100)
        return cluster.judge()


@scenario
def kill_nodes_with_local_keys(lab):
    """The same where claim and record are one statement."""
    with cluster_of(lab) as cluster:
        with Load(cluster) as load:
            for _ in range(lab.times(8)):
                load.wait_for_signatures(50)
                lab.pause(0.1)
                lab.random.choice(cluster.nodes).kill()
        return cluster.judge()


@scenario
def pause_nodes(lab):
    """SIGSTOP of nodes that hold duties: for less than the lease, and for longer than the stuck-duty age."""
    with cluster_of(lab, remote=True) as cluster:
        with Load(cluster) as load:
            for seconds in lab.sample((0.5, 1.5, 3.0, STUCK_AGE_S + 3), lab.times(4)):
                load.wait_for_signatures(50)
                lab.pause(0.1)
                with lab.random.choice(cluster.nodes).paused():
                    time.sleep(seconds)
        return cluster.judge()


@scenario
def pause_all_nodes(lab):
    """SIGSTOP of two nodes, then of the third as the first go on, each longer than its lease."""
    with cluster_of(lab, remote=True) as cluster:
        with Load(cluster) as load:
            load.wait_for_signatures(50)
            with ExitStack() as first:
                first.enter_context(cluster.nodes[0].paused())
                first.enter_context(cluster.nodes[1].paused())
                time.sleep(4)
                last = cluster.nodes[2].paused()
                last.__enter__()
            time.sleep(4)
            last.__exit__(None, None, None)
        return cluster.judge()


@scenario
def remote_signer_hangs(lab):
    """The remote signer stands still: shorter than a call may take, and longer; then a node dies while it does."""
    with cluster_of(lab, remote=True) as cluster:
        with Load(cluster) as load:
            for seconds in (0.5, 3):
                load.wait_for_signatures(50)
                with cluster.store_fault(), cluster.vault.paused():
                    time.sleep(seconds)
            load.wait_for_signatures(50)
            with cluster.store_fault(), cluster.vault.paused():
                time.sleep(1)
                cluster.nodes[0].kill()
                time.sleep(0.5)
        return cluster.judge()


@scenario
def twins_of_one_node_id(lab):
    """A second process with the id of a node: refused while that lives; when it has taken the id over, the first signs no more."""
    with cluster_of(lab, remote=True) as cluster:
        first = cluster.nodes[0]
        with Load(cluster) as load:
            load.wait_for_signatures(30)
            refused = cluster.add_node("refused", node_id=first.name, restarts=False, allowed_exits=(NODE_ID_TAKEN,))
            refused.supervisor.join(timeout=20)
            cluster.nodes.remove(refused)
            cluster.must(refused.exits == [NODE_ID_TAKEN], f"a twin of a live node was not refused: exits {refused.exits}")
            with first.fault():
                with first.paused():
                    time.sleep(1)
                    twin = cluster.add_node("twin", node_id=first.name)
                    twin.wait_until_live()
                    load.wait_for_signatures(50)
                load.wait_for_signatures(100)
                cluster.nodes.remove(twin)
                twin.end()
                first.kill()
            first.wait_until_live()
        for proxy in refused.proxies + twin.proxies:
            proxy.close()
        return cluster.judge()


# ---- the server


@scenario
def restart_postgres(lab):
    """The server is stopped, stopped at once, and killed, and started again."""
    with cluster_of(lab, remote=True) as cluster:
        with Load(cluster) as load:
            for how in lab.sample(("fast", "immediate", "kill", "fast", "immediate", "kill"), lab.times(6)):
                load.wait_for_signatures(60)
                with faults.server_down(cluster, how):
                    lab.pause(1)
        return cluster.judge()


@scenario
def postgres_stands_still(lab):
    """SIGSTOP of the server: for less than a lease, and for longer than an attempt."""
    with cluster_of(lab, remote=True) as cluster:
        with Load(cluster) as load:
            for seconds in (1, 3, 7):
                load.wait_for_signatures(60)
                with faults.server_frozen(cluster):
                    time.sleep(seconds)
        return cluster.judge()


@scenario
def postgres_without_connections(lab):
    """Other clients have all connections of the server, and sessions of the nodes are ended."""
    with cluster_of(lab, remote=True, settings=("max_connections = 20",)) as cluster:
        with Load(cluster) as load:
            for seconds in (1, 3, 6):
                load.wait_for_signatures(60)
                with faults.server_crowded(cluster), cluster.must_stop_signing():
                    time.sleep(seconds)
        return cluster.judge()


@scenario(needs_root=True)
def postgres_without_disk(lab):
    """The server's file system is full: its tables cannot grow."""
    server = LabServer("autovacuum = off", tmpfs_mb=160)
    with cluster_of(lab, remote=True, server=server) as cluster:
        with Load(cluster) as load:
            for seconds in (2, 6):
                load.wait_for_signatures(100)
                with cluster.store_fault(), ballast(server.data):
                    time.sleep(seconds)
        cluster.must_have_logged("No space left on device", "the server wrote all that it was asked to")
        return cluster.judge()


@scenario(needs_root=True)
def postgres_without_disk_for_its_log(lab):
    """The server cannot write its log any more (WAL), so it goes down; then it gets room and is started."""
    server = LabServer("max_wal_size = 4MB", "min_wal_size = 2MB", "wal_recycle = off", tmpfs_mb=160, initdb=("--wal-segsize=1",))
    with cluster_of(lab, remote=True, server=server) as cluster:
        with Load(cluster) as load:
            for _ in range(2):
                load.wait_for_signatures(100)
                with cluster.store_fault():
                    with ballast(server.data):
                        until = time.monotonic() + 8
                        while time.monotonic() < until and server.is_running():
                            write_log(cluster)
                            time.sleep(0.1)
                    bring_up(server)
        cluster.must("PANIC" in (server.folder.path / "log").read_text(), "the server could write its log all the time")
        return cluster.judge()


def write_log(cluster):
    try:
        cluster.ask("select pg_logical_emit_message(true, 'fault-lab', repeat('x', 300000))")
    except psycopg2.Error:
        pass


def bring_up(server):
    """Starts a server that has gone down, or waits until it has recovered."""
    until = time.monotonic() + 30
    while True:
        try:
            if not server.is_running():
                server.start()
            server.ask("select 1")
            return
        except (psycopg2.Error, RuntimeError):
            assert time.monotonic() < until, "the server does not come up"
            time.sleep(0.1)


@scenario
def postgres_read_only(lab):
    """`default_transaction_read_only` is on for some seconds."""
    with cluster_of(lab, remote=True) as cluster:
        with Load(cluster) as load:
            for seconds in (1, 4):
                load.wait_for_signatures(60)
                with faults.server_read_only(cluster), cluster.must_stop_signing():
                    time.sleep(seconds)
        cluster.must_have_logged("in a read-only transaction", "the server refused no write")
        return cluster.judge()


@scenario
def postgres_demoted(lab):
    """The server comes back as a standby, which must not be signed on, and is promoted later."""
    with cluster_of(lab, remote=True) as cluster:
        with Load(cluster) as load:
            load.wait_for_signatures(60)
            with cluster.store_fault():
                cluster.server.stop("fast")
                (cluster.server.data / "standby.signal").touch()
                cluster.server.start()
                time.sleep(3)
                cluster.server.ask("select pg_promote()")
                cluster.server.wait_for("select not pg_is_in_recovery()")
            load.wait_for_signatures(60)
        return cluster.judge()


@contextmanager
def cluster_with_standby(lab, *, synchronous):
    with cluster_of(lab, remote=True, standby="standby") as cluster:
        if synchronous:
            cluster.server.set(synchronous_standby_names="standby")
            cluster.server.wait_for("select count(*) = 1 from pg_stat_replication where sync_state = 'sync'")
        else:
            cluster.server.wait_for("select count(*) = 1 from pg_stat_replication where state = 'streaming'")
        yield cluster


@scenario
def failover_to_a_synchronous_standby(lab):
    """The primary is killed while nodes sign, its synchronous standby is promoted, and the former primary comes back for a while."""
    with cluster_with_standby(lab, synchronous=True) as cluster:
        with Load(cluster) as load:
            load.wait_for_signatures(150)
            lab.pause(0.3)
            with cluster.store_fault():
                cluster.server.kill()
                lab.pause(1)
                former = cluster.promote_standby()
            load.wait_for_signatures(100)
            # Not a fault of the store: the nodes must find the new primary beside the former one.
            former.start()
            load.wait_for_signatures(200)
            former.kill()
            load.wait_for_signatures(60)
        return cluster.judge()


@scenario
def failover_from_a_primary_that_lives(lab):
    """The primary stands still, its synchronous standby is promoted, and the former primary goes on as if nothing had happened."""
    with cluster_with_standby(lab, synchronous=True) as cluster:
        with Load(cluster) as load:
            load.wait_for_signatures(150)
            lab.pause(0.3)
            with cluster.store_fault():
                with cluster.server.frozen():
                    time.sleep(2)
                    cluster.promote_standby()
                # Sessions that were there before go on; a new one would find two servers that can be written.
                time.sleep(3)
                cluster.standby.kill()
            load.wait_for_signatures(100)
        return cluster.judge()


@scenario
def failover_to_an_asynchronous_standby(lab):
    """As above, but commits wait for no standby, and this one lags: what was confirmed last is lost."""
    with cluster_with_standby(lab, synchronous=False) as cluster:
        with Load(cluster) as load:
            load.wait_for_signatures(150)
            with cluster.store_fault():
                cluster.standby.set(primary_conninfo="host=127.0.0.1 port=1")
                cluster.server.wait_for("select count(*) = 0 from pg_stat_replication")
                load.wait_for_signatures(100)
                cluster.server.kill()
                cluster.promote_standby()
            load.wait_for_signatures(100)
        lost = len(cluster.ledger.not_recorded(cluster.rows()))
        cluster.must(lost > 0, "the failover lost nothing")
        cluster.notes.append(f"{lost} released messages were lost")
        return cluster.judge(known_limit="what the asynchronous standby had not got is forgotten")


# ---- locks


@scenario
def long_locks(lab):
    """Other sessions lock tables, and rows that are being signed, for longer than a lease and for longer than an attempt."""
    with cluster_of(lab, remote=True) as cluster:
        with Load(cluster) as load:
            for table in faults.TABLES:
                load.wait_for_signatures(60)
                with faults.locked(cluster, faults.lock_of(table)):
                    time.sleep(lab.random.choice((3, 6)))
            for _ in range(3):
                load.wait_for_signatures(60)
                with ExitStack() as held:
                    held.enter_context(cluster.store_fault())
                    with cluster.vault.paused():
                        time.sleep(0.3)
                        held.enter_context(faults.locked(cluster, "select from validator_duties where status = 'signing' for update"))
                    time.sleep(3)
        return cluster.judge()


@scenario
def deadlocks(lab):
    """Sessions lock the tables in the opposite order of a claim, so that the server ends one of the two."""
    with cluster_of(lab, remote=True, settings=("deadlock_timeout = 5ms",)) as cluster:
        with Load(cluster) as load:
            for _ in range(lab.times(12)):
                load.wait_for_signatures(40)
                with cluster.store_fault():
                    try:
                        with faults.locked(cluster, faults.lock_of("ha_signer_watermarks")) as session, session.cursor() as cursor:
                            time.sleep(0.05)
                            cursor.execute(faults.lock_of("validator_duties"))
                    except psycopg2.errors.DeadlockDetected:
                        pass
        found = cluster.ask("select deadlocks from pg_stat_database where datname = current_database()")[0][0]
        cluster.must(found > 0, "no deadlock came about")
        cluster.notes.append(f"{found} deadlocks")
        return cluster.judge()


# ---- the network


@scenario
def every_message_of_the_protocol(lab):
    """Each kind of message, in each direction, cut before, within and after, delayed, held and dropped."""
    with cluster_of(lab, remote=True) as cluster:
        points = [(direction, kind, action) for direction, kinds in faults.MESSAGES.items() for kind in kinds for action in ACTIONS]
        tried = lab.sample(points, 12 if lab.is_short else len(points))
        came = 0
        with Load(cluster):
            for point in tried:
                node = lab.random.choice(cluster.nodes)
                # Messages at the begin of a session come when one is made.
                if point[1] in faults.MESSAGES_OF_A_NEW_SESSION:
                    with node.fault():
                        faults.proxy_of(node).cut()
                came += faults.break_at_message(node, *point, skip=lab.random.randrange(2), seconds=lab.random.choice((0.1, 0.1, 0.5, 2.5)), wait_s=0.4)
        seen = sorted({f"{direction} {kind}" for node in cluster.nodes for proxy in node.proxies for direction, kind in proxy.seen})
        cluster.notes.append(f"{came} of {len(tried)} points met; messages seen: {', '.join(seen)}")
        cluster.must(came >= POINTS_MET * len(tried), f"{came} of {len(tried)} points were met")
        return cluster.judge()


@scenario
def network_cut_off(lab):
    """Nodes are cut off from the server, in one direction or both, for shorter and longer than a lease."""
    with cluster_of(lab, remote=True) as cluster:
        with Load(cluster) as load:
            for seconds in (0.5, 2.5, 6):
                for direction in (None, TO_SERVER, TO_CLIENT):
                    load.wait_for_signatures(40)
                    node = lab.random.choice(cluster.nodes)
                    with faults.cut_off(node, direction) if direction is None or lab.random.random() < 0.5 else faults.bytes_lost(node, direction):
                        time.sleep(seconds)
        return cluster.judge()


# ---- clocks


@scenario
def time_zones(lab):
    """Nodes, sessions and the database in other time zones, changed while nodes start again."""
    zones = ("Asia/Tokyo", "America/Los_Angeles", "Pacific/Kiritimati")
    with cluster_of(lab, remote=True, environments=[{"TZ": zone, "PGTZ": zone} for zone in zones]) as cluster:
        with Load(cluster) as load:
            for zone in (*zones, "UTC"):
                cluster.ask(f"alter database {cluster.database} set timezone = '{zone}'")
                load.wait_for_signatures(40)
                lab.random.choice(cluster.nodes).kill()
        return cluster.judge()


@scenario
def clocks_of_nodes(lab):
    """The nodes' clocks are days and years away from the server's and from each other, and nodes die."""
    clock = faults.Clock(ahead_s=2 * 86400)
    environments = [faults.faked(FAKETIME=offset) for offset in ("+0", "+3600", "+3y")]
    with cluster_of(lab, remote=True, environments=environments, server=LabServer(variables=clock.environment)) as cluster:
        with Load(cluster) as load:
            for _ in range(4):
                load.wait_for_signatures(50)
                lab.random.choice(cluster.nodes).kill()
        cluster.must_be_ahead(clock.offset)
        report = cluster.judge()
    clock.folder.remove()
    return report


@scenario
def clock_of_the_server(lab):
    """The database's clock jumps: forward by more than the stuck-duty age, and back by some seconds."""
    clock = faults.Clock()
    with cluster_of(lab, remote=True, server=LabServer(variables=clock.environment)) as cluster:
        began = cluster.ask("select now()")[0][0]
        with Load(cluster) as load:
            for seconds in (40, -5, 55, -2, 52):
                load.wait_for_signatures(60)
                clock.jump(seconds)
                lab.pause(2)
        passed = (cluster.ask("select now()")[0][0] - began).total_seconds()
        cluster.must(passed > 140, f"the server's clock did not jump: {passed} s have passed for it")
        report = cluster.judge()
    clock.folder.remove()
    return report
