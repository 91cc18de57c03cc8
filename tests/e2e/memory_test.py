#!/usr/bin/env python3
"""Keys in the memory of a service: they stand where no core file and no swap gets them, and their sources are gone.

Root may read the memory of any process, so run as root this looks for keys in what a core file would hold. Run by
another user it finds that the process cannot be read, which is as good.
"""

import json
import os
import re
import secrets
import signal
import unittest
from pathlib import Path
from unittest import mock

import e2e_support as e2e
import service_support
from e2e_support import HASH

MNEMONIC = "legal winner thank year wave sausage worth useful legal winner thank yellow"
PASSWORD = "only-this-test-knows-" + secrets.token_hex(8)


class Mapping:
    def __init__(self, header, flags):
        begin, end = header.split()[0].split("-")
        self.begin, self.end = int(begin, 16), int(end, 16)
        self.is_readable = header.split()[1].startswith("r")
        self.name = header.split(maxsplit=5)[5].strip() if len(header.split()) > 5 else ""
        self.flags = flags


def mappings(process):
    text = Path(f"/proc/{process}/smaps").read_text()
    parts = re.findall(r"^([0-9a-f]+-[0-9a-f]+ .*?)$(.*?)^VmFlags: (.*?)$", text, re.MULTILINE | re.DOTALL)
    return [Mapping(header, flags.split()) for header, _, flags in parts]


def memory(process, mapping):
    with open(f"/proc/{process}/mem", "rb", 0) as file:
        file.seek(mapping.begin)
        try:
            return file.read(mapping.end - mapping.begin)
        except OSError:  # the kernel's own pages
            return b""


def forms_of(key):
    digits = key.removeprefix("0x")
    return [bytes.fromhex(digits), digits.encode(), digits.upper().encode()]


@unittest.skipUnless(os.geteuid() == 0, "only root can look into the memory of a process that is closed to others")
class MemoryTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = e2e.Folder()
        cls.addClassCleanup(cls.folder.remove)
        cls.plain, cls.encrypted = ("0x" + secrets.token_hex(32) for _ in range(2))
        imported = e2e.run("keys", "import", "--json", "--key-file", cls.folder.file("key", cls.encrypted), "--directory", str(cls.folder.path),
                           "--password-file", cls.folder.file("password", PASSWORD))
        assert imported.returncode == 0, imported.stderr
        file = json.loads(imported.stdout)["imported"][0]["file"]
        keys = [cls.plain, {"path": file, "password": PASSWORD}]
        cls.service = service_support.Service(cls.folder.path, keys=keys)
        cls.addClassCleanup(cls.service.stop)
        cls.mnemonic_service = service_support.Service(cls.folder.path, keys=[{"mnemonic": MNEMONIC}], name="mnemonic")
        cls.addClassCleanup(cls.mnemonic_service.stop)
        for service in (cls.service, cls.mnemonic_service):
            accounts = service.rpc("eth_accounts")["result"]
            for slot, account in enumerate(accounts):
                signed = service.rpc("eth_sign", account, HASH, {"dutyType": "ATTESTATION", "slot": 1 + slot})
                assert "result" in signed, signed

    def find(self, service, needles):
        """Where they stand in what a core file would hold: all that is readable and not left out of dumps."""
        process = service.process.pid
        found = []
        for mapping in mappings(process):
            if "dd" in mapping.flags or not mapping.is_readable:
                continue
            content = memory(process, mapping)
            found += [(mapping.name or hex(mapping.begin), i) for i, needle in enumerate(needles) if needle in content]
        return found

    def test_no_key_stands_where_a_core_file_would_hold_it(self):
        self.assertEqual(self.find(self.service, forms_of(self.plain) + forms_of(self.encrypted)), [])

    def test_passwords_and_mnemonics_are_gone_once_the_keys_are_open(self):
        self.assertEqual(self.find(self.service, [PASSWORD.encode()]), [])
        # The first words; not the last, which a search for the whole would miss when its end is overwritten.
        self.assertEqual(self.find(self.mnemonic_service, [b"winner thank", b"sausage worth"]), [])

    def test_the_search_finds_what_is_there(self):
        account = self.service.rpc("eth_accounts")["result"][0]
        self.assertNotEqual(self.find(self.service, [str(self.service.key_file).encode()]), [], account)

    def test_keys_stand_on_pages_that_are_neither_dumped_nor_swapped(self):
        for key in (self.plain, self.encrypted):
            raw = forms_of(key)[0]
            pages = [mapping for mapping in mappings(self.service.process.pid)
                      if "dd" in mapping.flags and mapping.is_readable and raw in memory(self.service.process.pid, mapping)]
            self.assertEqual(len(pages), 1)
            if self.may_lock():
                self.assertIn("lo", pages[0].flags, "locked")

    def may_lock(self):
        """Whether the limits allow it, and no sanitizer has replaced mlock() by nothing."""
        process = self.service.process.pid
        limit = re.search(r"^Max locked memory +(\S+)", Path(f"/proc/{process}/limits").read_text(), re.MULTILINE)[1]
        return limit != "0" and not self.is_sanitized()

    def is_sanitized(self):
        return any(re.search(r"lib[a-z]+san\.so", mapping.name) for mapping in mappings(self.service.process.pid))

    def test_says_once_when_keys_could_not_be_locked(self):
        if self.is_sanitized():
            self.skipTest("mlock() does nothing")
        # Root's capability to lock beyond the limit is taken away.
        script = Path(self.folder.file("limited", f'#!/bin/sh\nexec setpriv --bounding-set=-ipc_lock prlimit --memlock=0 {e2e.PROGRAM} "$@"\n'))
        script.chmod(0o700)
        with mock.patch.object(e2e, "PROGRAM", str(script)):
            service = service_support.Service(self.folder.path, keys=[self.plain], name="unlocked", node="node-3")
        self.addCleanup(service.stop)
        service.process.send_signal(signal.SIGHUP)
        service.wait_for("reloaded")
        lines = [line for line in service.log().splitlines() if "keys_may_be_swapped" in line]
        self.assertEqual(len(lines), 1, service.log())
        for word in ("1 of 1 memory pages", "LimitMEMLOCK", "ulimit -l"):
            self.assertIn(word, lines[0])
        self.assertNotIn("keys_may_be_swapped", self.service.log() if self.may_lock() else "")

    def test_many_keys_share_locked_pages(self):
        # 64 KiB, which many systems allow, held 16 keys when each had a page of its own.
        script = Path(self.folder.file("narrow", f'#!/bin/sh\nexec setpriv --bounding-set=-ipc_lock prlimit --memlock=65536 {e2e.PROGRAM} "$@"\n'))
        script.chmod(0o700)
        with mock.patch.object(e2e, "PROGRAM", str(script)):
            service = service_support.Service(self.folder.path, keys=[service_support.key_of(1 + i) for i in range(500)], name="many", node="node-4")
        self.addCleanup(service.stop)
        self.assertNotIn("keys_may_be_swapped", service.log())

    def test_the_process_leaves_no_core_file(self):
        limits = Path(f"/proc/{self.service.process.pid}/limits").read_text()
        self.assertRegex(limits, r"Max core file size +0 +0 ")
        other = service_support.Service(self.folder.path, keys=[self.plain], name="aborted", node="node-2")
        other.process.send_signal(signal.SIGABRT)
        status = os.waitid(os.P_PID, other.process.pid, os.WEXITED | os.WNOWAIT)
        other.process.wait()
        other.stop()
        self.assertEqual(status.si_code, os.CLD_KILLED, "not CLD_DUMPED")


if __name__ == "__main__":
    e2e.main()
