#include "examples/demo/wire.hpp"

#include <array>
#include <charconv>

namespace hasigner::demo {

namespace {

constexpr std::array<std::string_view, 11> kEventNames = {"ready",      "holding",     "signed",  "already-signed",
                                                          "other-data", "tried-again", "gave-up", "taken-over",
                                                          "replaced",   "slot-done",   "failed"};
constexpr std::array<std::string_view, 2> kCommandNames = {"slot", "stop"};

/// Takes the first word off a line.
std::string_view take_word(std::string_view& line) {
  const auto end = line.find(' ');
  const auto word = line.substr(0, end);
  line = end == std::string_view::npos ? std::string_view{} : line.substr(end + 1);
  return word;
}

template <class T>
bool read(std::string_view text, T& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size();
}

template <class Kind, std::size_t N>
bool read_name(const std::array<std::string_view, N>& names, std::string_view word, Kind& kind) {
  for (std::size_t i = 0; i < N; ++i) {
    if (names[i] != word) continue;
    kind = static_cast<Kind>(i);
    return true;
  }
  return false;
}

template <class Bytes>
bool read_bytes(std::string_view word, std::optional<Bytes>& bytes) {
  if (word == "-") return true;
  bytes = Bytes::try_parse(word);
  return bytes.has_value();
}

template <class Bytes>
std::string word_of(const std::optional<Bytes>& bytes) {
  return bytes ? bytes->to_string() : "-";
}

std::string one_line(std::string text) {
  for (char& c : text) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  return text;
}

}  // namespace

std::string to_line(const NodeEvent& event) {
  return std::string(kEventNames.at(static_cast<std::size_t>(event.kind))) + ' ' + std::to_string(event.number) + ' ' +
         std::to_string(event.took.count()) + ' ' + word_of(event.message) + ' ' + word_of(event.signature) + ' ' +
         one_line(event.text) + '\n';
}

std::optional<NodeEvent> parse_event(std::string_view line) {
  NodeEvent event;
  std::int64_t micros = 0;
  if (!read_name(kEventNames, take_word(line), event.kind) || !read(take_word(line), event.number) ||
      !read(take_word(line), micros) || !read_bytes(take_word(line), event.message) ||
      !read_bytes(take_word(line), event.signature)) {
    return std::nullopt;
  }
  event.took = std::chrono::microseconds(micros);
  event.text = line;
  return event;
}

std::string setup_text(const NodeSetup& setup, const std::vector<SecretKey>& keys) {
  std::string text;
  // A text that grows would leave copies of keys in memory that it gave back.
  text.reserve(1000 + setup.database_url.size() + keys.size() * 100);
  text += "author " + setup.author + "\nnode-id " + setup.node_id + "\ndatabase-url " + setup.database_url +
          "\nrollup " + setup.rollup.to_string() + "\nslots " + std::to_string(setup.slots) + '\n';
  for (const auto& key : keys) {
    std::string hex = to_hex(key.expose());
    text.append("key 0x").append(hex).append("\n");
    wipe(hex);
  }
  text += "start\n";
  return text;
}

void wipe(std::string& text) {
  volatile char* bytes = text.data();
  for (std::size_t i = 0; i < text.size(); ++i) bytes[i] = 0;
  text.clear();
}

bool take_setup_line(std::string_view line, NodeSetup& setup, bool& complete) {
  const auto name = take_word(line);
  if (name == "author") {
    setup.author = line;
  } else if (name == "node-id") {
    setup.node_id = line;
  } else if (name == "database-url") {
    setup.database_url = line;
  } else if (name == "rollup") {
    const auto rollup = EthAddress::try_parse(line);
    if (!rollup) return false;
    setup.rollup = *rollup;
  } else if (name == "slots") {
    return read(line, setup.slots);
  } else if (name == "key") {
    auto key = SecretKey::parse(line);
    if (!key) return false;
    setup.keys.push_back(std::move(*key));
  } else if (name == "start") {
    complete = true;
  } else {
    return false;
  }
  return true;
}

std::string to_line(const NodeCommand& command) {
  return std::string(kCommandNames.at(static_cast<std::size_t>(command.kind))) + ' ' +
         std::to_string(command.slot_index) + ' ' + std::to_string(command.signing_takes.count()) + '\n';
}

std::optional<NodeCommand> parse_command(std::string_view line) {
  NodeCommand command;
  std::int64_t millis = 0;
  if (!read_name(kCommandNames, take_word(line), command.kind) || !read(take_word(line), command.slot_index) ||
      !read(take_word(line), millis)) {
    return std::nullopt;
  }
  command.signing_takes = std::chrono::milliseconds(millis);
  return command;
}

}  // namespace hasigner::demo
