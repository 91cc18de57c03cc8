"""Run: PYTHONPATH=bench python3 -m unittest driver.delay_test"""

import socket
import threading
import time
import unittest

from driver.delay import DelayingProxy

DELAY_MS = 20


def echo_once(listener):
    connection, _ = listener.accept()
    with connection:
        while piece := connection.recv(65536):
            connection.sendall(piece)


class Delay(unittest.TestCase):
    def setUp(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.listener.close)
        echoing = threading.Thread(target=echo_once, args=(self.listener,))
        echoing.start()
        self.addCleanup(echoing.join)
        self.proxy = self.enterContext(DelayingProxy(self.listener.getsockname()[1], DELAY_MS))
        self.client = self.enterContext(socket.create_connection(("127.0.0.1", self.proxy.port)))

    def receive(self, size):
        received = b""
        while len(received) < size and (piece := self.client.recv(65536)):
            received += piece
        return received

    def test_each_way_takes_the_delay(self):
        start = time.monotonic()
        self.client.sendall(b"ping")
        self.assertEqual(self.receive(4), b"ping")
        self.assertGreaterEqual(1000 * (time.monotonic() - start), 2 * DELAY_MS)

    def test_pieces_do_not_wait_for_each_other(self):
        sent = bytes(range(256)) * 4096
        start = time.monotonic()
        writer = threading.Thread(target=self.client.sendall, args=(sent,))
        writer.start()
        self.assertEqual(self.receive(len(sent)), sent)
        writer.join()
        # One delay for each of the pieces, of which there are at least 16, would take longer.
        self.assertLess(1000 * (time.monotonic() - start), 2 * DELAY_MS * len(sent) / 65536)

    def test_the_end_of_what_a_client_sends_comes_through(self):
        self.client.sendall(b"last words")
        self.client.shutdown(socket.SHUT_WR)
        self.assertEqual(self.receive(1000), b"last words")


if __name__ == "__main__":
    unittest.main()
