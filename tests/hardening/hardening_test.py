#!/usr/bin/env python3
"""How binaries are hardened: hardening_test.py [--release] FILE…

Asks readelf. A file of a release is asked for more: fortified calls, and code that can run under Intel CET.
A release is checked by hand: tests/hardening/hardening_test.py --release build/release/ha-signer"""

import re
import subprocess
import sys

ENDBR64 = bytes.fromhex("f30f1efa")


def readelf(option, file):
    return subprocess.run(["readelf", "--wide", option, file], check=True, capture_output=True, text=True).stdout


def code_at(file, address, size):
    for line in readelf("--segments", file).splitlines():
        words = line.split()
        if words[:1] == ["LOAD"]:
            offset, begin, length = int(words[1], 16), int(words[2], 16), int(words[4], 16)
            if begin <= address < begin + length:
                with open(file, "rb") as content:
                    content.seek(offset + address - begin)
                    return content.read(size)
    raise AssertionError(f"{file}: no segment has {address:x}")


def address_of(file, symbol):
    found = re.search(rf"^\s*\d+: ([0-9a-f]+)\s+\d+ FUNC .* {symbol}$", readelf("--symbols", file), re.MULTILINE)
    return int(found[1], 16) if found else None


def address_of_main(file):
    """In a stripped program: what its start passes to the C library, `lea main(%rip), %rdi`."""
    entry = int(re.search(r"Entry point address:\s+(0x[0-9a-f]+)", readelf("--file-header", file))[1], 16)
    offset = code_at(file, entry, 64).find(b"\x48\x8d\x3d")
    assert offset >= 0, f"{file}: its start is not the C library's"
    return entry + offset + 7 + int.from_bytes(code_at(file, entry + offset + 3, 4), "little", signed=True)


def begins_with_endbr64(file, is_library):
    """Whether a function begins with the instruction to which an indirect branch may lead (Intel CET)."""
    address = address_of(file, "napi_register_module_v1") if is_library else address_of(file, "main") or address_of_main(file)
    assert address, f"{file} has no function to look at"
    return code_at(file, address, 4) == ENDBR64


def complaints(file, is_release):
    """What is missing, in words."""
    header, dynamic, segments = readelf("--file-header", file), readelf("--dynamic", file), readelf("--segments", file)
    symbols = readelf("--dyn-syms", file)
    is_library = file.endswith((".node", ".so"))
    flags = " ".join(re.findall(r"\((?:FLAGS|FLAGS_1)\)\s+(.*)", dynamic))
    wanted = {
        "position-independent (PIE)": "DYN" in header and (is_library or "PIE" in flags),
        "GNU_RELRO": "GNU_RELRO" in segments,
        "BIND_NOW, without which RELRO is partial": "BIND_NOW" in flags or "NOW" in flags.split(),
        "a stack that cannot be executed": re.search(r"GNU_STACK\s.*\sRW\s", segments) is not None,
        "no segment that can be written and executed": re.search(r"LOAD\s.*\sRWE\s", segments) is None,
        "no relocations in code": "TEXTREL" not in dynamic,
        "the stack protector": "__stack_chk_fail" in symbols,
    }
    if is_release:
        wanted["fortified calls"] = re.search(r"\b__\w+_chk\b(?<!__stack_chk)", symbols.replace("__stack_chk_fail", "")) is not None
    if is_release and "X86-64" in header:
        wanted["CET: endbr64 at functions"] = begins_with_endbr64(file, is_library)
    return [what for what, has in wanted.items() if not has]


def main():
    arguments = sys.argv[1:]
    is_release = "--release" in arguments
    files = [argument for argument in arguments if argument != "--release"]
    if not files:
        sys.exit(__doc__)
    failed = False
    for file in files:
        missing = complaints(file, is_release)
        failed = failed or bool(missing)
        print(f"{file}: " + ("lacks " + "; ".join(missing) if missing else "hardened"))
    sys.exit(failed)


if __name__ == "__main__":
    main()
