#!/usr/bin/env python3
"""The harness itself: it passes a quiet service, and fails for a service that is stopped for a while or that refuses."""

import signal
import time

import attack_support
from attack_support import AttackCase, attack_rounds


class HarnessTests(AttackCase):
    def test_a_quiet_service_passes(self):
        service = self.serve()
        with self.honest_beside(service) as honest:
            for _ in attack_rounds(0.5):
                time.sleep(0.1)
        self.assertGreater(len(honest[0].answers()), 20)

    def test_a_service_that_stands_still_fails(self):
        service = self.serve()
        with self.assertRaisesRegex(AssertionError, "waited too long"):
            with self.honest_beside(service) as honest:
                service.process.send_signal(signal.SIGSTOP)
                time.sleep(max(attack_support.LOWEST_BAR, 10 * max(answer[1] for answer in honest[0].answers())) + 3)
                service.process.send_signal(signal.SIGCONT)

    def test_a_service_that_refuses_fails(self):
        line, token = self.client("honest", "sign")
        service = self.serve(clients=line)
        with self.assertRaisesRegex(AssertionError, "was refused"):
            with self.honest_beside(service, token=token) as honest:
                service.write_clients(self.client("other", "sign")[0])
                service.process.send_signal(signal.SIGHUP)
                service.wait_for("reloaded")
                honest[0].wait_for(3, since=time.monotonic())


if __name__ == "__main__":
    attack_support.main()
