#!/usr/bin/env python3
"""Nodes of their own processes, killed with SIGKILL while they hold duties, on both stores."""

import json
import time
import unittest

import e2e_support as e2e
from e2e_support import ALREADY_SIGNED, OTHER_HASH, SIGNED, SLASHING

# The lease of two seconds, one poll, and what two busy processors need for everything else.
RESCUED_WITHIN = 2.0 + 0.1 + 0.6
RESTARTED_WITHIN = 3.0
# The demonstration's node has seven duties in each slot, three of which it makes its own data for.
DUTIES, OWN_DATA = 7, 3


class Failover(e2e.DatabaseCase):
    def setUp(self):
        super().setUp()
        self.nodes = []

    def tearDown(self):
        for node in self.nodes:
            node.stop()

    def node(self, node_id):
        node = e2e.Node(self.database, node_id)
        self.nodes.append(node)
        return node

    def heartbeat(self, node_id):
        answer = e2e.run("nodes", "--json", "--database-url", self.database, env=e2e.clean_environment())
        return next(node["heartbeat_at"] for node in json.loads(answer.stdout)["nodes"] if node["node_id"] == node_id)

    def wait_for_heartbeats(self, node_id, count):
        seen = {self.heartbeat(node_id)}
        give_up_at = time.monotonic() + 30
        while len(seen) <= count:
            self.assertLess(time.monotonic(), give_up_at, f"{node_id} does not renew its lease")
            seen.add(self.heartbeat(node_id))

    def killed_while_holding(self, node_id="node-1", slot=0):
        """A node that has died with all duties of a slot locked, and when."""
        node = self.node(node_id)
        node.wait("ready")
        node.slot(slot, signing_takes_ms=60_000)
        node.wait("holding", DUTIES)
        return node.kill()

    def test_another_node_signs_what_a_dead_node_held_same_data_or_other(self):
        other = self.node("node-2")
        other.wait("ready")
        killed_at = self.killed_while_holding("node-1")
        other.slot(0)
        signatures = other.wait("signed", DUTIES)
        last = max(when for when, _ in signatures) - killed_at
        self.assertLess(last, RESCUED_WITHIN)

    def test_a_node_that_waits_already_signs_as_soon(self):
        holder = self.node("node-1")
        other = self.node("node-2")
        for node in (holder, other):
            node.wait("ready")
        holder.slot(0, signing_takes_ms=60_000)
        holder.wait("holding", DUTIES)
        other.slot(0)
        # The heartbeat goes on meanwhile: the lease does not run out while the holder lives.
        self.wait_for_heartbeats("node-1", 2)
        killed_at = holder.kill()
        signatures = other.wait("signed", DUTIES)
        self.assertLess(max(when for when, _ in signatures) - killed_at, RESCUED_WITHIN)

    def test_the_shell_signs_other_data_for_a_dead_nodes_duty(self):
        killed_at = self.killed_while_holding("node-1", slot=4)
        signed = self.sign(node="node-2", slot=5, message_hash=OTHER_HASH)
        self.assertEqual(signed.returncode, SIGNED, signed.stderr)
        self.assertLess(time.monotonic() - killed_at, RESCUED_WITHIN)
        self.assertEqual(self.sign(node="node-3", slot=5, message_hash=OTHER_HASH).returncode, ALREADY_SIGNED)
        self.assertEqual(self.sign(node="node-3", slot=5).returncode, SLASHING)

    def test_a_killed_node_signs_again_soon_after_its_restart(self):
        self.killed_while_holding("node-1")
        restarted_at = time.monotonic()
        again = self.node("node-1")
        again.slot(0)
        again.slot(1)
        signatures = again.wait("signed", 2 * DUTIES)
        self.assertLess(signatures[0][0] - restarted_at, RESTARTED_WITHIN)
        self.assertLess(signatures[-1][0] - restarted_at, RESTARTED_WITHIN)

    def test_the_shell_restarts_a_killed_node(self):
        self.killed_while_holding("node-1", slot=4)
        restarted_at = time.monotonic()
        signed = self.sign(node="node-1", slot=5, message_hash=OTHER_HASH)
        self.assertEqual(signed.returncode, SIGNED, signed.stderr)
        self.assertLess(time.monotonic() - restarted_at, RESTARTED_WITHIN)

    def test_a_node_that_hangs_loses_the_same_data_and_keeps_its_own(self):
        holder = self.node("node-1")
        other = self.node("node-2")
        for node in (holder, other):
            node.wait("ready")
        holder.slot(0, signing_takes_ms=1600)
        holder.wait("holding", DUTIES)
        other.slot(0)
        # Same data: taken over, and the holder, too late with its own, learns who signed it.
        other.wait("taken-over", DUTIES - OWN_DATA)
        other.wait("signed", DUTIES - OWN_DATA)
        holder.wait("slot-done")
        other.wait("slot-done")
        self.assertEqual(len([e for _, e in holder.events if e[0] == "signed"]), OWN_DATA)
        self.assertEqual(len([e for _, e in holder.events if e[0] == "already-signed"]), DUTIES - OWN_DATA)
        self.assertEqual(len([e for _, e in other.events if e[0] == "other-data"]), OWN_DATA)


class FailoverOnSqlite(Failover):
    __test__ = True
    store = "sqlite"


class FailoverOnPostgres(Failover):
    __test__ = True
    store = "postgres"


del Failover

if __name__ == "__main__":
    e2e.main()
