"""A network between a client and a PostgreSQL server that knows where the protocol's messages begin, and misbehaves there.

Source of the format: PostgreSQL documentation, "Frontend/Backend Protocol, Message Formats".
"""

import asyncio
import socket
import struct
import threading
from collections import Counter
from dataclasses import dataclass, field

import e2e_support as e2e

TO_SERVER, TO_CLIENT = "to server", "to client"
STARTUP = "startup"
# Requests for encryption have an answer of one byte instead of a message.
ENCRYPTION_REQUESTS = (80877103, 80877104)
ACTIONS = ("cut before", "cut within", "cut after", "delay", "hold", "drop")


@dataclass
class Rule:
    """What happens to the (skip + 1)-th message of a kind that goes in a direction; None: of any kind."""
    direction: str
    kind: str
    action: str
    skip: int = 0
    seconds: float = 0.3  # of a delay, a hold, or of a drop before the connection is cut
    met: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)


class _Loop:
    """One event loop for all proxies, in a thread of its own."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout=20)


_loop = None


def _the_loop():
    global _loop
    _loop = _loop or _Loop()
    return _loop


class _Cut(Exception):
    pass


class _Connection:
    def __init__(self, proxy, client, server):
        self.proxy, self.client, self.server = proxy, client, server
        self.is_starting = True
        self.awaits_one_byte = False
        self.dropped = set()  # directions whose bytes vanish

    def abort(self):
        for _, writer in (self.client, self.server):
            raw = writer.get_extra_info("socket")
            if raw is not None:
                try:
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                except OSError:
                    pass
            writer.transport.abort()

    async def run(self):
        pumps = [asyncio.ensure_future(self._pump(direction)) for direction in (TO_SERVER, TO_CLIENT)]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.abort()
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, direction):
        reader, writer = (self.client[0], self.server[1]) if direction == TO_SERVER else (self.server[0], self.client[1])
        try:
            while True:
                kind, message = await self._read(direction, reader)
                await self._deliver(direction, kind, message, writer)
        except (asyncio.IncompleteReadError, OSError, _Cut):
            return

    async def _read(self, direction, reader):
        if direction == TO_SERVER and self.is_starting:
            length = await reader.readexactly(4)
            body = await reader.readexactly(struct.unpack("!I", length)[0] - 4)
            self.awaits_one_byte = struct.unpack("!I", body[:4])[0] in ENCRYPTION_REQUESTS
            self.is_starting = self.awaits_one_byte
            return STARTUP, length + body
        kind = await reader.readexactly(1)
        if direction == TO_CLIENT and self.awaits_one_byte:
            self.awaits_one_byte = False
            return STARTUP, kind
        length = await reader.readexactly(4)
        return kind.decode("latin-1"), kind + length + await reader.readexactly(struct.unpack("!I", length)[0] - 4)

    async def _deliver(self, direction, kind, message, writer):
        self.proxy.seen[direction, kind] += 1
        rule = self.proxy.take_rule(direction, kind)
        if rule:
            rule.met.set()
            try:
                await self._misbehave(rule, direction, message, writer)
            finally:
                rule.ended.set()
            return
        await self.proxy.may_flow[direction].wait()
        if direction in self.dropped or direction in self.proxy.dropping:
            return
        writer.write(message)
        await writer.drain()

    async def _misbehave(self, rule, direction, message, writer):
        if rule.action in ("cut within", "cut after"):
            writer.write(message if rule.action == "cut after" else message[:max(1, len(message) // 2)])
            await writer.drain()
            # What was written must get there; a reset would take it back.
            await asyncio.sleep(0.01)
        if rule.action.startswith("cut"):
            raise _Cut
        if rule.action == "drop":
            self.dropped.add(direction)
            await asyncio.sleep(rule.seconds)
            raise _Cut
        # A delay holds this connection's direction, a hold also the other one: nothing moves.
        if rule.action == "hold":
            self.proxy.hold()
        try:
            await asyncio.sleep(rule.seconds)
        finally:
            # Also if the client gives up meanwhile, which cancels this.
            if rule.action == "hold":
                self.proxy.go_on()
        writer.write(message)
        await writer.drain()


class PostgresProxy:
    """Thread safety: any thread."""

    def __init__(self, server_port):
        self.server_port = server_port
        self.port = e2e.free_port()
        self.seen = Counter()  # of (direction, kind)
        self.dropping = set()
        self._rules = []
        self._guard = threading.Lock()
        self._connections = set()
        self._tasks = set()
        _the_loop().run(self._open())

    async def _open(self):
        self.may_flow = {direction: asyncio.Event() for direction in (TO_SERVER, TO_CLIENT)}
        for flow in self.may_flow.values():
            flow.set()
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def _accept(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            # A network that is cut off lets no client connect either.
            await self.may_flow[TO_SERVER].wait()
            server = await asyncio.open_connection("127.0.0.1", self.server_port)
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
            return
        connection = _Connection(self, (reader, writer), server)
        self._connections.add(connection)
        try:
            await connection.run()
        except asyncio.CancelledError:
            pass
        finally:
            self._connections.discard(connection)

    def take_rule(self, direction, kind):
        with self._guard:
            for rule in self._rules:
                if rule.direction == direction and rule.kind in (kind, None):
                    if rule.skip:
                        rule.skip -= 1
                        continue
                    self._rules.remove(rule)
                    return rule
        return None

    def add(self, rule):
        with self._guard:
            self._rules.append(rule)
        return rule

    def forget_rules(self):
        with self._guard:
            self._rules.clear()

    def cut(self):
        """Ends all connections with a reset."""
        async def abort():
            for connection in list(self._connections):
                connection.abort()
        _the_loop().run(abort())

    def hold(self, direction=None):
        """Bytes of a direction, or of both, wait until go_on()."""
        for one in (TO_SERVER, TO_CLIENT) if direction is None else (direction,):
            _the_loop().loop.call_soon_threadsafe(self.may_flow[one].clear)

    def drop(self, direction):
        """Bytes of a direction vanish until go_on(), which then ends the connections."""
        self.dropping.add(direction)

    def go_on(self):
        had_dropped = bool(self.dropping)
        self.dropping.clear()
        for flow in self.may_flow.values():
            _the_loop().loop.call_soon_threadsafe(flow.set)
        if had_dropped:
            self.cut()

    def close(self):
        async def end():
            self._listener.close()
            for flow in self.may_flow.values():
                flow.set()
            for connection in list(self._connections):
                connection.abort()
            for task in list(self._tasks):
                task.cancel()
        _the_loop().run(end())
