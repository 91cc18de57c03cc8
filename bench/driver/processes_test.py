"""Run: PYTHONPATH=bench python3 -m unittest driver.processes_test"""

import os
import sys
import unittest

from driver import processes

WITHOUT_END = "import time; time.sleep(600)"


def gone(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


class Bounds(unittest.TestCase):
    def test_a_child_that_does_not_end_is_ended_with_its_own_children(self):
        child_code = (f"import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', {WITHOUT_END!r}]);"
                      "open(sys.argv[1], 'w').write(str(child.pid)); child.wait()")
        read, write = os.pipe()
        with self.assertRaisesRegex(processes.Failed, "sleeper did not end within 2 s"):
            processes.run([sys.executable, "-c", child_code, f"/dev/fd/{write}"], "sleeper", 2, pass_fds=(write,))
        os.close(write)
        grandchild = os.read(read, 32)
        self.assertTrue(grandchild)
        # The group's members are killed at once, yet the kernel may take a moment to unlist one: end of file tells.
        self.assertEqual(os.read(read, 1), b"")
        self.assertTrue(gone(int(grandchild)))

    def test_an_error_carries_the_exit_code_and_what_was_said(self):
        with self.assertRaisesRegex(processes.Failed, "teller ended with 75: too late") as caught:
            processes.run([sys.executable, "-c", "import sys; print('too late', file=sys.stderr); sys.exit(75)"],
                          "teller", 10)
        self.assertEqual(caught.exception.exit_code, 75)

    def test_what_was_started_is_ended_at_the_end(self):
        child = processes.start([sys.executable, "-c", WITHOUT_END])
        processes.end_all()
        self.assertIsNotNone(child.returncode)


if __name__ == "__main__":
    unittest.main()
