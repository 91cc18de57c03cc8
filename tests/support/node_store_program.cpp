// Writes the protection history of a published node into a folder, for tests that are not C++:
//
//   node_store FOLDER [--rollup ADDRESS] [--validator ADDRESS] [--schema N] [--count N] [--hold] [DUTY…]
//
// DUTY is SLOT:TYPE:INDEX:STATUS:DIGIT, for example 7:ATTESTATION:-1:signed:a; the digit fills the message hash. With
// --schema it writes db_version as well; with --count N that many signed attestations, for slots 1 to N. With --hold it
// says `open`, and keeps the folder open until its standard input ends.

#include <iostream>
#include <sstream>

#include "tests/support/node_store.hpp"

namespace {

using hasigner::test::NodeDuty;

NodeDuty duty_of(const std::string& text, NodeDuty duty) {
  std::istringstream parts(text);
  std::string slot, type, index, status, digit;
  std::getline(parts, slot, ':');
  std::getline(parts, type, ':');
  std::getline(parts, index, ':');
  std::getline(parts, status, ':');
  std::getline(parts, digit, ':');
  duty.slot = std::stoull(slot);
  duty.type = type;
  duty.block_index = std::stoi(index);
  duty.is_signed = status == "signed";
  duty.hash_digit = digit.at(0);
  return duty;
}

}  // namespace

int main(int count, char** arguments) {
  const std::vector<std::string> given(arguments + 1, arguments + count);
  const std::string& folder = given.at(0);
  int schema = 2;
  bool writes_version = false, holds = false;
  NodeDuty duty;
  std::vector<std::pair<std::string, std::string>> entries;
  for (std::size_t i = 1; i < given.size(); ++i) {
    if (given[i] == "--schema") {
      schema = std::stoi(given.at(++i));
      writes_version = true;
    } else if (given[i] == "--hold") {
      holds = true;
    } else if (given[i] == "--rollup") {
      duty.rollup = given.at(++i);
    } else if (given[i] == "--validator") {
      duty.validator = given.at(++i);
    } else if (given[i] == "--count") {
      const auto last = std::stoull(given.at(++i));
      for (duty.slot = 1; duty.slot <= last; ++duty.slot) entries.emplace_back(duty.key(), duty.value(schema));
    } else {
      const NodeDuty one = duty_of(given[i], duty);
      entries.emplace_back(one.key(), one.value(schema));
    }
  }
  hasigner::test::NodeStore store(folder);
  store.put_all(entries);
  if (writes_version) hasigner::test::write_version(folder, schema, duty.rollup);
  if (!holds) return 0;
  std::cout << "open" << std::endl;
  while (std::cin.get() != std::istream::traits_type::eof()) continue;
  return 0;
}
