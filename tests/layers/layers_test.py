#!/usr/bin/env python3
"""Plants violations in a small tree: layers.py must find each of them, and nothing in the clean tree."""

import pathlib
import tempfile
import unittest

import layers

CLEAN = {
    "duty/duty.hpp": "#include <string>\n",
    "crypto/keccak.hpp": '#include "hasigner/duty/duty.hpp"\n',
    "crypto/keccak.cpp": '#include "hasigner/crypto/keccak.hpp"\n#include <cryptopp/keccak.h>\n',
    "async/asio.hpp": "#include <boost/asio/awaitable.hpp>\n",
    "protection/ports.hpp": '#include "hasigner/duty/duty.hpp"\n#include "hasigner/async/asio.hpp"\n',
    "store/sqlite/store.cpp": '#include "hasigner/protection/ports.hpp"\n#include <sqlite3.h>\n',
    "store/sqlite/store_test.cpp": '#include "hasigner/store/memory/store.hpp"\n#include "tests/support/clock.hpp"\n',
    "store/sqlite/store_fixture.hpp": '#include "tests/support/clock.hpp"\n',
    "store/memory/store.hpp": '#include "hasigner/protection/ports.hpp"\n',
    "factory/factory.cpp": '#include "hasigner/store/sqlite/store.hpp"\n#include "hasigner/store/memory/store.hpp"\n',
    "include/hasigner/hasigner.hpp": '#include "hasigner/factory/node.hpp"\n',
    "include/hasigner/factory/node.hpp": "#include <string>\n",
    "examples/demo/main.cpp": '#include "examples/demo/wire.hpp"\n#include <hasigner/factory/node.hpp>\n',
    "cli/main.cpp": '#include "hasigner/crypto/keccak.hpp"\n#include "hasigner/factory/factory.hpp"\n',
}
CLEAN_LINKS = """\
async hasigner_asio: hasigner_options;Boost::headers;Threads::Threads
duty hasigner_duty: hasigner_options
crypto hasigner_crypto: hasigner_options;hasigner_duty;PkgConfig::cryptopp;PkgConfig::secp256k1
protection hasigner_protection: hasigner_options;hasigner_duty;hasigner_asio
store/memory hasigner_store_memory: hasigner_protection
store/sqlite hasigner_store_sqlite: hasigner_protection;SQLite::SQLite3
factory hasigner_factory: hasigner_store_sqlite;hasigner_store_memory
"""


class LayersTest(unittest.TestCase):
    def check(self, planted=None, links=CLEAN_LINKS):
        with tempfile.TemporaryDirectory() as directory:
            for name, text in {**CLEAN, **(planted or {})}.items():
                path = pathlib.Path(directory, name if name.startswith(("examples/", "include/")) else f"hasigner/{name}")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return layers.check(pathlib.Path(directory), links)

    def expect_found(self, sentence, planted=None, links=CLEAN_LINKS):
        violations = self.check(planted, links)
        self.assertTrue(any(sentence in violation for violation in violations), violations)

    def test_finds_nothing_in_a_clean_tree(self):
        self.assertEqual(self.check(), [])

    def test_finds_an_include_against_the_direction(self):
        self.expect_found("duty/duty.cpp: duty must not use crypto", {"duty/duty.cpp": '#include "hasigner/crypto/keccak.hpp"\n'})
        self.expect_found("crypto must not use protection", {"crypto/a.hpp": ' # include "hasigner/protection/ports.hpp"\n'})
        self.expect_found("protection must not use store/memory",
                          {"protection/a.cpp": "#include <hasigner/store/memory/store.hpp>\n"})

    def test_finds_a_store_that_uses_another_store(self):
        self.expect_found("store/sqlite must not use store/memory",
                          {"store/sqlite/a.cpp": '#include "hasigner/store/memory/store.hpp"\n'})

    def test_finds_an_include_that_does_not_name_its_folder(self):
        self.expect_found('"duty.hpp" does not begin with hasigner/', {"duty/duty.cpp": '#include "duty.hpp"\n'})
        self.expect_found('"tests/support/clock.hpp" does not begin', {"duty/duty.cpp": '#include "tests/support/clock.hpp"\n'})

    def test_finds_a_vendor_header_in_the_wrong_folder_or_in_a_header(self):
        for header, folder in (("libpq-fe.h", "store/sqlite"), ("sqlite3.h", "protection"), ("openssl/ssl.h", "crypto"),
                               ("boost/beast/http.hpp", "protection"), ("secp256k1_recovery.h", "factory")):
            self.expect_found(f"may include {header}", {f"{folder}/a.cpp": f"#include <{header}>\n"})
        self.expect_found("sqlite3.h must stay in .cpp files", {"store/sqlite/a.hpp": "#include <sqlite3.h>\n"})
        self.expect_found("duty must not use Boost", {"duty/a.hpp": "#include <boost/json.hpp>\n"})

    def test_finds_an_example_that_includes_what_is_not_installed(self):
        self.expect_found("examples/demo/a.hpp: examples must not use hasigner/factory/factory.hpp",
                          {"examples/demo/a.hpp": '#include "hasigner/factory/factory.hpp"\n'})
        self.expect_found("must not use hasigner/service/http.hpp", {"examples/a.cpp": "#include <hasigner/service/http.hpp>\n"})

    def test_finds_a_public_header_that_includes_what_is_not_installed(self):
        self.expect_found("include/hasigner/factory/a.hpp: a public header must not use hasigner/duty/duty.hpp",
                          {"include/hasigner/factory/a.hpp": '#include "hasigner/duty/duty.hpp"\n'})

    def test_finds_a_public_header_against_the_direction(self):
        self.expect_found("include/hasigner/duty/a.hpp: duty must not use factory",
                          {"include/hasigner/duty/a.hpp": '#include "hasigner/factory/node.hpp"\n'})

    def test_finds_a_folder_without_a_rule(self):
        self.expect_found("the folder helpers has no rule", {"helpers/a.hpp": ""})
        self.expect_found("the folder store/redis has no rule", {"store/redis/a.hpp": ""})

    def test_finds_a_link_list_that_says_too_much(self):
        self.expect_found("crypto must not link hasigner_protection",
                          links=CLEAN_LINKS.replace("hasigner_duty;PkgConfig", "hasigner_protection;PkgConfig"))
        self.expect_found("protection must not link SQLite::SQLite3",
                          links=CLEAN_LINKS.replace("duty;hasigner_asio", "duty;hasigner_asio;SQLite::SQLite3"))

    def test_finds_a_link_list_that_says_too_little(self):
        self.expect_found("protection includes async but its link list does not say so",
                          links=CLEAN_LINKS.replace("duty;hasigner_asio", "duty"))


if __name__ == "__main__":
    unittest.main()
