#!/usr/bin/env python3
"""Plants clashes in small sources: unity.py must find each of them, and nothing where sources can be compiled as one."""

import unittest

import unity

BEFORE, AFTER = "namespace hasigner {\n\nnamespace {\n\n", "\n}  // namespace\n\n}  // namespace hasigner\n"


def source(text):
    return BEFORE + text + AFTER


class UnityTest(unittest.TestCase):
    def found(self, first, second):
        return unity.check({"library": {"a.cpp": first, "b.cpp": second}})

    def test_finds_what_two_sources_call_alike(self):
        for first, second, name in (
                ("constexpr int kMost = 3;\n", "constexpr std::size_t kMost{4};\n", "kMost"),
                ("struct Options {\n};\n", "class Options {\n};\n", "Options"),
                ("enum class Next : std::uint8_t { kOne };\n", "struct Next {\n};\n", "Next"),
                ("std::string quoted(const std::string& path) {\n}\n", "std::string quoted(const std::string& text) {\n}\n", "quoted(const std::string&)"),
                ("[[noreturn]] void refuse(std::string what) {\n}\n", "int refuse(std::string why) {\n}\n", "refuse(std::string)"),
                ("asio::awaitable<void> ask(int a,\n                          int b) {\n}\n", "void ask(int one, int two) {\n}\n", "ask(int, int)"),
                ("using Endpoint = int;\n", "using Endpoint = std::string;\n", "Endpoint"),
                ("using Kind = int;\n", "struct Kind {\n};\n", "Kind")):
            with self.subTest(name):
                self.assertEqual(self.found(source(first), source(second)), [f"library: {name} is declared in a.cpp and b.cpp"])

    def test_finds_a_directive_that_would_reach_others(self):
        self.assertEqual(len(self.found(source("using namespace doctor;\n"), source(""))), 1)
        self.assertEqual(self.found(source("using namespace std::string_view_literals;\n"), source("")), [])

    def test_finds_nothing_in_what_can_stand_together(self):
        for first, second in (
                ("std::string text(int a) {\n}\n", "std::string text(bool a) {\n}\n"),
                ("using Words = std::vector<std::string>;\n", "using Words = std::vector<std::string>;\n"),
                ("namespace http = boost::beast::http;\n", "namespace http = boost::beast::http;\n"),
                ("struct Forward;\n", "struct Forward;\n"),
                ("int one(int a) {\n  return two(a);\n}\n", "int three(int a) {\n  return one(a);\n}\n")):
            self.assertEqual(self.found(source(first), source(second)), [])
        # What others may use is declared once, in a header.
        self.assertEqual(self.found("namespace hasigner {\n\nint one(int a) {\n}\n}\n", "namespace hasigner {\n\nint two(int a) {\n}\n}\n"), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
