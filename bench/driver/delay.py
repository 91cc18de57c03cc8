"""A TCP proxy on loopback that delays what it carries: a network between a client and a server of this machine."""

import contextlib
import queue
import socket
import threading
import time

CHUNK_BYTES = 65536


class DelayingProxy:
    """Delays every byte by `delay_ms` each way, however much is under way, and a new connection with its first byte.

    A thread reads and another writes in each direction, since the timers of an event loop here are rounded up to whole
    milliseconds.
    """

    def __init__(self, server_port, delay_ms):
        self._server_port = server_port
        self._delay_s = delay_ms / 1000
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets = [self._listener]
        self.port = self._listener.getsockname()[1]

    def __enter__(self):
        self._start(self._accept)
        return self

    def __exit__(self, *_):
        for connection in self._sockets:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    @staticmethod
    def _start(function, *arguments):
        threading.Thread(target=function, args=arguments, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._server_port))
            self._sockets += [client, server]
            for connection in (client, server):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for source, sink in ((client, server), (server, client)):
                under_way = queue.SimpleQueue()
                self._start(self._read, source, under_way)
                self._start(self._write, sink, under_way)

    def _read(self, source, under_way):
        """An empty piece is the end of what is sent this way."""
        while True:
            try:
                piece = source.recv(CHUNK_BYTES)
            except OSError:
                piece = b""
            under_way.put((time.monotonic() + self._delay_s, piece))
            if not piece:
                return

    @staticmethod
    def _write(sink, under_way):
        while True:
            due, piece = under_way.get()
            time.sleep(max(0, due - time.monotonic()))
            with contextlib.suppress(OSError):
                if not piece:
                    sink.shutdown(socket.SHUT_WR)
                    return
                sink.sendall(piece)
