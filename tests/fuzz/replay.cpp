// Runs a fuzz target without libFuzzer: replay SEEDS_DIR [SEED [ROUNDS]]. Each file as it is, then seeded variations.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "tests/fuzz/fuzz_target.hpp"

namespace {

constexpr std::uint64_t kDefaultSeed = 20'251'122;
constexpr std::size_t kDefaultRounds = 20'000;
constexpr std::size_t kLongestInput = 4096;

std::vector<std::string> read_inputs(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) files.push_back(entry.path());
  std::ranges::sort(files);  // so that a seed means the same everywhere
  std::vector<std::string> inputs;
  for (const auto& file : files) {
    std::ifstream in(file, std::ios::binary);
    inputs.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  return inputs;
}

/// Modulo instead of a distribution: the standard leaves open what a distribution makes of the same seed.
class Variations {
 public:
  Variations(const std::vector<std::string>& inputs, std::uint64_t seed) : inputs_(inputs), random_(seed) {}

  std::string next() {
    std::string text = pick();
    for (std::size_t changes = 1 + below(4); changes > 0; --changes) change(text);
    text.resize(std::min(text.size(), kLongestInput));
    return text;
  }

 private:
  std::size_t below(std::size_t bound) { return bound == 0 ? 0 : random_() % bound; }
  const std::string& pick() { return inputs_[below(inputs_.size())]; }
  std::string tail_of(const std::string& text) { return text.substr(below(text.size() + 1)); }
  char any_byte() { return static_cast<char>(below(256)); }

  void change(std::string& text) {
    const std::size_t at = below(text.size() + 1);
    switch (below(6)) {
      case 0: text.insert(at, 1, any_byte()); break;
      case 1: text.erase(at, 1 + below(4)); break;
      case 2: text.replace(at, std::string::npos, tail_of(pick())); break;
      case 3: text.insert(at, text.substr(below(text.size() + 1), below(64))); break;
      case 4:
        if (at < text.size()) text[at] = any_byte();
        break;
      default:
        if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
        break;
    }
  }

  const std::vector<std::string>& inputs_;
  std::mt19937_64 random_;
};

/// What is being run, for the signal handler.
const std::string* current = nullptr;

/// A broken promise aborts; the input that broke it is kept, as libFuzzer does.
void keep_current(int) {
  const int file = open("broken_promise.input", O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (file < 0 || write(file, current->data(), current->size()) < 0) _exit(2);
  constexpr std::string_view kSentence = "the input is kept in broken_promise.input\n";
  if (write(STDERR_FILENO, kSentence.data(), kSentence.size()) < 0) _exit(2);
  _exit(1);
}

void run(const std::string& input) {
  current = &input;
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: " << argv[0] << " SEEDS_DIR [SEED [ROUNDS]]\n";
    return 2;
  }
  const std::uint64_t seed = argc > 2 ? std::stoull(argv[2]) : kDefaultSeed;
  const std::size_t rounds = argc > 3 ? std::stoull(argv[3]) : kDefaultRounds;
  const auto inputs = read_inputs(argv[1]);
  if (inputs.empty()) {
    std::cerr << argv[1] << " holds no inputs to begin with\n";
    return 1;
  }
  // Before the run, since a broken promise ends the program.
  std::cout << inputs.size() << " inputs and " << rounds << " variations, seed " << seed << std::endl;
  std::signal(SIGABRT, keep_current);
  for (const auto& input : inputs) run(input);
  Variations variations(inputs, seed);
  for (std::size_t round = 0; round < rounds; ++round) run(variations.next());
}
