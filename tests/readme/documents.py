"""The commands of documents, run as a reader would run them."""

import re
import subprocess
import threading


def commands(document, section=None):
    """The blocks marked `sh` as (heading above it, text); of the one section if it is named."""
    found = []
    heading = None
    lines = iter(document.read_text().splitlines())
    for line in lines:
        if re.match(r"#{1,3} ", line):
            heading = line.lstrip("# ")
        if line != "```sh":
            continue
        block = []
        for inside in lines:
            if inside == "```":
                break
            block.append(inside)
        if section in (None, heading):
            found.append((heading, "\n".join(block) + "\n"))
    return found


class Shell:
    """One bash for all blocks of a document, so that variables and background jobs live on, as they do for a reader."""

    def __init__(self, folder, environment):
        self.log = open(folder / "shell.log", "w+")
        self.process = subprocess.Popen(["bash"], cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.log, text=True, start_new_session=True)
        # Background jobs get process groups of their own, as at a terminal.
        self.process.stdin.write("set -m -o pipefail\n")

    def run(self, block, timeout=120):
        """What the block prints, and the exit code of the first of its commands that failed, or 0."""
        lines = []
        done = threading.Event()

        def read():
            for line in self.process.stdout:
                if line.startswith("-- exit code "):
                    lines.append(int(line.split()[-1]))
                    done.set()
                    return
                lines.append(line)
            lines.append(None)
            done.set()

        # `trap … ERR` and not `set -e`, which would end the shell.
        self.process.stdin.write(f"failed=0; trap 'code=$?; (( failed )) || failed=$code' ERR\n{block}\ntrap - ERR; echo; echo \"-- exit code $failed\"\n")
        self.process.stdin.flush()
        threading.Thread(target=read, daemon=True).start()
        if not done.wait(timeout):
            raise AssertionError(f"does not end: {block}\n{''.join(map(str, lines))}\n{self.errors()}")
        return "".join(lines[:-1]), lines[-1]

    def errors(self):
        self.log.flush()
        self.log.seek(0)
        return self.log.read()

    def end(self):
        """Ends the shell and the jobs that it has started."""
        if self.process.poll() is None:
            self.process.stdin.write("kill $(jobs -p) 2>/dev/null; wait; exit 0\n")
            self.process.stdin.close()
            self.process.wait(timeout=60)
        self.process.stdout.close()
        self.log.close()
