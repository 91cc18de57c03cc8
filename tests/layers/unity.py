#!/usr/bin/env python3
"""Checks that the sources of each library can be compiled as one: unity.py SOURCES

A release is (HASIGNER_UNITY): there the anonymous namespaces of a library's sources are one. SOURCES is written by CMake: `library: source;source`
a line. Prints every name that two sources give to different things, and each using directive. Reads what clang-format has written."""

import collections
import pathlib
import re
import sys

TYPE = re.compile(r"(?:template <.*?> )?(?:struct|class|enum class|enum) (\w+)\b(?! \w+\()")
ALIAS = re.compile(r"(?:using|namespace) (\w+) = (.*);")
CONSTANT = re.compile(r"(?:inline |static )*(?:constexpr|const) [^(]*?\b(k[A-Z]\w*)\b")
FUNCTION = re.compile(r"[\w:<>,&*\s\[\]\"]*?\b(\w+)\(([^{]*)\)")


def declarations(text):
    """The beginnings of what stands at the beginning of a line, up to its body or end, and whether in an anonymous namespace."""
    lines = text.split("\n")
    inside = False
    for number, line in enumerate(lines):
        if line in ("namespace {", "}  // namespace"):
            inside = line == "namespace {"
        elif re.match(r"[A-Za-z_\[]", line) and not line.startswith("namespace hasigner"):
            whole = line
            for more in lines[number + 1 : number + 20]:
                if re.search(r"[;{]$", whole):
                    break
                whole += " " + more.strip()
            yield whole, inside


def types_of(parameters):
    return ", ".join(re.sub(r" ?\b\w+( = .*)?$", "", one.strip()) for one in parameters.split(","))


def names_in(text):
    """What the source declares for itself: by name what tells it from another thing of that name that may stand beside it."""
    for whole, inside in declarations(text):
        if alias := ALIAS.match(whole):
            yield alias[1], f"= {alias[2]}"
        elif inside and (kind := TYPE.match(whole)) and "{" in whole:
            yield kind[1], None
        elif inside and (constant := CONSTANT.match(whole)):
            yield constant[1], None
        elif inside and (function := FUNCTION.match(whole)):
            yield f"{function[1]}({types_of(function[2])})", None


def check(libraries):
    """`libraries`: by name the texts of their sources, by file."""
    violations = []
    for library, sources in libraries.items():
        found = collections.defaultdict(list)
        for file, text in sources.items():
            for directive in re.findall(r"(?m)^using namespace .*;", text):
                if "literals" not in directive:
                    violations.append(f"{file}: '{directive}' would hold for the other sources of {library} too")
            for name, meaning in set(names_in(text)):
                found[name].append((file, meaning))
        for name, places in sorted(found.items()):
            meanings = {meaning for _, meaning in places}
            if len(places) > 1 and (None in meanings or len(meanings) > 1):
                violations.append(f"{library}: {name} is declared in " + " and ".join(sorted(file for file, _ in places)))
    return violations


def main():
    libraries = {}
    for line in pathlib.Path(sys.argv[1]).read_text().splitlines():
        library, _, sources = line.partition(": ")
        libraries[library] = {source: pathlib.Path(source).read_text() for source in sources.split(";") if pathlib.Path(source).is_file()}
    assert libraries, "no library is named"
    violations = check(libraries)
    print("\n".join(violations))
    sys.exit(1 if violations else 0)


if __name__ == "__main__":
    main()
