#include "hasigner/crypto/json.hpp"

#include <algorithm>
#include <expected>
#include <optional>

#include "hasigner/duty/utf8.hpp"

namespace hasigner {

JsonValue::JsonValue() = default;
JsonValue::~JsonValue() = default;
JsonValue::JsonValue(JsonValue&&) noexcept = default;
JsonValue& JsonValue::operator=(JsonValue&&) noexcept = default;

const JsonValue* JsonValue::find(std::string_view name) const {
  const auto found = std::ranges::find(members_, name, &Member::name);
  return found == members_.end() ? nullptr : &found->value;
}

std::string_view to_string(JsonValue::Kind kind) {
  switch (kind) {
    case JsonValue::Kind::kNull: return "null";
    case JsonValue::Kind::kBool: return "true or false";
    case JsonValue::Kind::kNumber: return "a number";
    case JsonValue::Kind::kString: return "a string";
    case JsonValue::Kind::kArray: return "an array";
    case JsonValue::Kind::kObject: return "an object";
  }
  return "";
}

namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

void append_utf8(SecretText& text, char32_t code) {
  const auto tail = [&](int shift) { text.push_back(static_cast<char>(0x80 | (code >> shift & 0x3f))); };
  if (code < 0x80) return text.push_back(static_cast<char>(code));
  if (code < 0x800) {
    text.push_back(static_cast<char>(0xc0 | code >> 6));
  } else if (code < 0x10000) {
    text.push_back(static_cast<char>(0xe0 | code >> 12));
    tail(6);
  } else {
    text.push_back(static_cast<char>(0xf0 | code >> 18));
    tail(12);
    tail(6);
  }
  tail(0);
}

/// The character that a backslash and this character stand for. Returns nullopt for `u` and for unknown escapes.
std::optional<char> simple_escape(char c) {
  switch (c) {
    case '"':
    case '\\':
    case '/': return c;
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    default: return std::nullopt;
  }
}

}  // namespace

/// Reads by recursive descent, at most kMaxDepth deep.
class JsonReader {
 public:
  /// What is wrong at the position of the reader. It shows no part of the text.
  struct Fault {
    std::string_view what;
  };
  template <class T>
  using Read = std::expected<T, Fault>;

  explicit JsonReader(std::string_view text) : all_(text), rest_(text) {}

  Read<JsonValue> read_document() {
    auto value = read_value(0);
    if (!value) return value;
    skip_space();
    if (!rest_.empty()) return fault("something after the end");
    return value;
  }

  [[nodiscard]] std::string line_and_column() const {
    const auto before = all_.substr(0, all_.size() - rest_.size());
    const auto line = 1 + std::ranges::count(before, '\n');
    const auto last_break = before.rfind('\n');
    const auto column = last_break == std::string_view::npos ? before.size() + 1 : before.size() - last_break;
    return "line " + std::to_string(line) + ", column " + std::to_string(column);
  }

 private:
  static constexpr std::string_view kTwice = "a member that occurs twice";
  /// A linear search is the fastest among so many.
  static constexpr std::size_t kFewMembers = 16;

  static std::unexpected<Fault> fault(std::string_view what) { return std::unexpected(Fault{what}); }

  void skip_space() {
    const auto end = rest_.find_first_not_of(" \t\r\n");
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end);
  }
  bool take(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool take(std::string_view word) {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  bool next_is(char c) {
    skip_space();
    return take(c);
  }

  Read<JsonValue> read_value(std::size_t depth) {
    if (depth > JsonValue::kMaxDepth) return fault("nested too deep");
    if (++values_ > JsonValue::kMaxValues) return fault("more values than one text may hold");
    skip_space();
    if (rest_.empty()) return fault("the end of the text");
    JsonValue value;
    if (take("null")) return value;
    const bool is_true = take("true");
    if (is_true || take("false")) {
      value.kind_ = JsonValue::Kind::kBool;
      value.boolean_ = is_true;
      return value;
    }
    switch (rest_.front()) {
      case '{': return read_object(depth);
      case '[': return read_array(depth);
      case '"': return read_string_value();
      default: return read_number();
    }
  }

  Read<JsonValue> read_object(std::size_t depth) {
    JsonValue object;
    object.kind_ = JsonValue::Kind::kObject;
    take('{');
    if (next_is('}')) return object;
    do {
      skip_space();
      auto name = read_string();
      if (!name) return std::unexpected(name.error());
      if (object.members_.size() < kFewMembers && object.find(name->view())) return fault(kTwice);
      if (!next_is(':')) return fault("no ':' after a member's name");
      auto value = read_value(depth + 1);
      if (!value) return value;
      object.members_.push_back({std::string(name->view()), std::move(*value)});
    } while (next_is(','));
    if (!take('}')) return fault("no ',' or '}' after a member");
    if (object.members_.size() > kFewMembers && has_twice(object)) return fault(kTwice);
    return object;
  }

  /// Sorted and not hashed: names are the client's, and could all have one hash.
  static bool has_twice(const JsonValue& object) {
    std::vector<std::string_view> names;
    names.reserve(object.members_.size());
    for (const auto& member : object.members_) names.push_back(member.name);
    std::ranges::sort(names);
    return std::ranges::adjacent_find(names) != names.end();
  }

  Read<JsonValue> read_array(std::size_t depth) {
    JsonValue array;
    array.kind_ = JsonValue::Kind::kArray;
    take('[');
    if (next_is(']')) return array;
    do {
      auto item = read_value(depth + 1);
      if (!item) return item;
      array.items_.push_back(std::move(*item));
    } while (next_is(','));
    if (!take(']')) return fault("no ',' or ']' after an item");
    return array;
  }

  Read<JsonValue> read_string_value() {
    auto text = read_string();
    if (!text) return std::unexpected(text.error());
    JsonValue value;
    value.kind_ = JsonValue::Kind::kString;
    value.text_ = std::move(*text);
    return value;
  }

  Read<SecretText> read_string() {
    SecretText text;
    if (!take('"')) return fault("no '\"' where a string should begin");
    while (!take('"')) {
      take_plain(text);
      if (take('"')) break;
      if (rest_.empty()) return fault("a string without end");
      if (take('\\')) {
        if (auto escaped = read_escape(text); !escaped) return std::unexpected(escaped.error());
        continue;
      }
      const auto before = rest_;
      const auto character = take_character(rest_);
      if (!character) return fault("bytes that are not UTF-8");
      if (*character < 0x20) return fault("a control character in a string");
      text.append(before.substr(0, before.size() - rest_.size()));
    }
    return text;
  }

  /// Takes all characters up to the next special one at once.
  void take_plain(SecretText& text) {
    const auto is_plain = [](char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; };
    const auto end = std::ranges::find_if_not(rest_, is_plain);
    const auto size = static_cast<std::size_t>(end - rest_.begin());
    text.append(rest_.substr(0, size));
    rest_.remove_prefix(size);
  }

  Read<bool> read_escape(SecretText& text) {
    if (rest_.empty()) return fault("a string without end");
    if (const auto character = simple_escape(rest_.front())) {
      rest_.remove_prefix(1);
      text.push_back(*character);
      return true;
    }
    auto code = take_code_unit();
    if (!code) return fault("an escape that JSON does not know");
    if (*code >= 0xd800 && *code < 0xdc00 && take('\\')) {
      const auto low = take_code_unit();
      if (!low || *low < 0xdc00 || *low > 0xdfff) return fault("half of a surrogate pair");
      code = 0x10000 + ((*code - 0xd800) << 10) + (*low - 0xdc00);
    }
    if (*code >= 0xd800 && *code <= 0xdfff) return fault("half of a surrogate pair");
    append_utf8(text, *code);
    return true;
  }

  std::optional<char32_t> take_code_unit() {
    if (rest_.size() < 5 || rest_.front() != 'u') return std::nullopt;
    char32_t code = 0;
    for (const char c : rest_.substr(1, 4)) {
      const auto digit = std::string_view("0123456789abcdef").find(static_cast<char>(is_digit(c) ? c : c | 0x20));
      if (digit == std::string_view::npos) return std::nullopt;
      code = code << 4 | static_cast<char32_t>(digit);
    }
    rest_.remove_prefix(5);
    return code;
  }

  bool take_digits() {
    const auto before = rest_.size();
    while (!rest_.empty() && is_digit(rest_.front())) rest_.remove_prefix(1);
    return rest_.size() != before;
  }

  Read<JsonValue> read_number() {
    const auto before = rest_;
    take('-');
    if (!take('0') && !take_digits()) return fault("no JSON value");
    if (take('.') && !take_digits()) return fault("a number without digits after its point");
    if (take('e') || take('E')) {
      if (!take('+')) take('-');
      if (!take_digits()) return fault("a number without digits in its exponent");
    }
    JsonValue value;
    value.kind_ = JsonValue::Kind::kNumber;
    value.text_ = SecretText(before.substr(0, before.size() - rest_.size()));
    return value;
  }

  std::string_view all_;
  std::string_view rest_;
  std::size_t values_ = 0;
};

Parsed<JsonValue> JsonValue::parse(std::string_view text, std::string_view field) {
  JsonReader reader(text);
  auto value = reader.read_document();
  if (value) return std::move(*value);
  return std::unexpected(
      InvalidInput{std::string(field),
                   "a text with " + std::string(value.error().what) + " at " + reader.line_and_column(), "JSON"});
}

}  // namespace hasigner
