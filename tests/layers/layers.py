#!/usr/bin/env python3
"""Checks the dependency rules of the folders: layers.py REPOSITORY LINKS

LINKS is written by CMake: the link list of each folder's library. Prints every violation and fails if there is one.
"""

import pathlib
import re
import sys

# The folders that each folder may include and link. A new folder needs a line here and a reason in docs/adr/.
ROWS = {"duty", "protection", "async", "store/rows"}
ALLOWED = {
    "duty": set(),
    "async": set(),
    "crypto": {"duty"},
    "protection": {"duty", "async"},
    # What tables hold, as text: shared by the stores that have tables.
    "store/rows": {"duty", "protection", "async"},
    # Statements made of SQL files: shared by the stores that have SQL.
    "store/sql": set(),
    "store/memory": ROWS,
    "store/sqlite": ROWS | {"store/sql"},
    "store/postgres": ROWS | {"store/sql"},
    # Reads what a published node has, and writes nothing.
    "store/lmdb": ROWS,
    "keys": {"duty", "async", "protection", "crypto"},
    "factory": ROWS | {"store/memory", "store/sqlite", "store/postgres", "store/lmdb", "crypto"},
}
# The header directly in include/hasigner/ is the library's public entry, and belong to no folder.
ALLOWED[""] = set(ALLOWED)
# The program and the service wire everything together.
MAY_USE_ALL = {"service", "cli"}

# Vendor headers, and the folders whose .cpp files adapt them; no header of ours includes them.
VENDORS = {
    "libpq-fe.h": {"store/postgres"},
    "pg_config": {"store/postgres"},
    "postgres_ext.h": {"store/postgres"},
    "sqlite3": {"store/sqlite"},
    "secp256k1": {"crypto"},
    "cryptopp/": {"crypto"},
    "openssl/": {"keys", "service"},
    "utf8proc": {"keys"},
    "boost/beast": {"keys", "service"},
    "prometheus/": {"service"},
}
VENDOR_LINKS = {
    "PostgreSQL::PostgreSQL": {"store/postgres"},
    "SQLite::SQLite3": {"store/sqlite"},
    "PkgConfig::secp256k1": {"crypto"},
    "PkgConfig::cryptopp": {"crypto"},
    "OpenSSL::SSL": {"keys", "service"},
    "OpenSSL::Crypto": {"keys", "service"},
    "PkgConfig::prometheus": {"service"},
    "PkgConfig::utf8proc": {"keys"},
}
# async/ is Boost; the others get it from there. These two do no I/O.
WITHOUT_BOOST = {"duty", "crypto"}

# Tests and what they share: they may use what their folder may not. None is installed.
FOR_TESTS = ("_test.cpp", "_pgtest.cpp", "_fixture.hpp")

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.MULTILINE)


def folder_of(path):
    """The folder of a path below hasigner/: its first part, or two below store/."""
    parts = path.parts[:-1]
    return "/".join(parts[:2] if parts[:1] == ("store",) else parts[:1])


def may_use(folder, other):
    return folder == other or folder in MAY_USE_ALL or other in ALLOWED.get(folder, set())


def check_includes(repository):
    """Yields a sentence for each #include that is not allowed; collects what each folder includes."""
    included = {}
    violations = []
    # The public headers stand apart, in folders of the same names.
    for root, path in [(root, path) for root in (repository / "hasigner", repository / "include/hasigner")
                       for path in sorted([*root.rglob("*.hpp"), *root.rglob("*.cpp")])]:
        folder = folder_of(path.relative_to(root))
        name = path.relative_to(repository)
        if folder not in ALLOWED and folder not in MAY_USE_ALL:
            violations.append(f"{name}: the folder {folder} has no rule in tests/layers/layers.py")
            continue
        is_test = path.name.endswith(FOR_TESTS)
        for quote, header in INCLUDE.findall(path.read_text()):
            if "include" in name.parts and header.startswith("hasigner/") and not is_public(repository, header):
                violations.append(f"{name}: a public header must not use {header}, which is not installed")
            violations += [f"{name}: {what}" for what in check_include(folder, path.suffix, is_test, quote, header)]
            if header.startswith("hasigner/") and not is_test:
                included.setdefault(folder, set()).add(folder_of(pathlib.PurePath(header).relative_to("hasigner")))
    return violations, included


def is_public(repository, header):
    return (repository / "include" / header).exists()


def check_examples(repository):
    """Yields a sentence for each #include of a header that is not installed: examples use the library as its users do."""
    root = repository / "examples"
    for path in sorted([*root.rglob("*.hpp"), *root.rglob("*.cpp")]):
        for _, header in INCLUDE.findall(path.read_text()):
            if header.startswith("hasigner/") and not is_public(repository, header):
                yield f"{path.relative_to(repository)}: examples must not use {header}, which is not installed"


def check_include(folder, suffix, is_test, quote, header):
    if header.startswith("hasigner/"):
        other = folder_of(pathlib.PurePath(header).relative_to("hasigner"))
        if not is_test and not may_use(folder, other):
            yield f"{folder} must not use {other} (#include {header})"
    elif quote == '"' and not (is_test and header.startswith("tests/")):
        yield f'#include "{header}" does not begin with hasigner/'
    if header.startswith("boost/") and folder in WITHOUT_BOOST:
        yield f"{folder} must not use Boost (#include {header})"
    for vendor, owners in VENDORS.items():
        if header.startswith(vendor):
            if folder not in owners:
                yield f"only {' and '.join(sorted(owners))} may include {header}"
            elif suffix != ".cpp":
                yield f"{header} must stay in .cpp files"


def check_links(text, included):
    """Says which link lists name a folder or vendor that they may not, or lack one that the folder's code includes."""
    folders = {}
    links = {}
    for line in text.splitlines():
        target, _, names = line.partition(": ")
        folder, target = target.split()
        folders[target.removeprefix("hasigner_")] = folder
        links.setdefault(folder, []).extend(re.split(r"[;\s]+", names))
    violations = []
    linked = {folder: set() for folder in links}
    for folder, names in links.items():
        for name in filter(None, names):
            library = re.sub(r"^hasigner(_|::)", "", name)
            if library in folders and name != library:
                linked[folder].add(folders[library])
                if not may_use(folder, folders[library]):
                    violations.append(f"hasigner/{folder}/CMakeLists.txt: {folder} must not link {name}")
            if folder not in VENDOR_LINKS.get(name, {folder}):
                violations.append(f"hasigner/{folder}/CMakeLists.txt: {folder} must not link {name}")
    for folder in sorted(set(included) & set(links)):
        for other in sorted(included[folder] - reachable(folder, linked)):
            violations.append(f"hasigner/{folder}/CMakeLists.txt: {folder} includes {other} but its link list does not say so")
    return violations


def reachable(folder, linked):
    found, waiting = set(), [folder]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting += linked.get(current, ())
    return found


def check(repository, links):
    repository = pathlib.Path(repository)
    violations, included = check_includes(repository)
    return violations + [*check_examples(repository)] + check_links(links, included)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    violations = check(sys.argv[1], pathlib.Path(sys.argv[2]).read_text())
    print("\n".join(violations) or "Every folder keeps its dependency rule.")
    sys.exit(1 if violations else 0)


if __name__ == "__main__":
    main()
