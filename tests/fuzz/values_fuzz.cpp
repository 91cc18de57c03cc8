// Every value that arrives as text: what is accepted is written back the same, what is refused can be shown.

#include <algorithm>
#include <cctype>
#include <string>

#include "hasigner/duty/assert.hpp"
#include "hasigner/duty/duty.hpp"
#include "hasigner/duty/ownership.hpp"
#include "tests/fuzz/fuzz_target.hpp"

namespace {

using namespace hasigner;

constexpr std::size_t kLongestShown = 80 + 3;

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

template <class T>
void check_refusal(const Parsed<T>& refused) {
  HASIGNER_ASSERT(refused.error().value.size() <= kLongestShown);
  test::check_showable(refused.error().message());
}

template <class Bytes>
void check_bytes(std::string_view text) {
  const auto value = Bytes::parse(text);
  if (!value) return check_refusal(value);
  HASIGNER_ASSERT(value->to_string() == lower(text));
  HASIGNER_ASSERT(Bytes::parse(value->to_string()) == value);
}

template <class N>
void check_number(std::string_view text) {
  const auto number = N::parse(text);
  if (!number) return check_refusal(number);
  HASIGNER_ASSERT(number->value() <= N::kMax);
  const auto digits = text.substr(std::min(text.find_first_not_of('0'), text.size() - 1));
  HASIGNER_ASSERT(number->to_string() == digits);
}

void check_node_id(std::string_view text) {
  const auto id = NodeId::parse(text);
  if (!id) return check_refusal(id);
  HASIGNER_ASSERT(id->str() == text && !text.empty() && text.size() <= 4 * 255);
  test::check_showable(text);
}

void check_lock_token(std::string_view text) {
  const LockToken token{std::string(text)};
  HASIGNER_ASSERT(token.kind().has_value() == token.incarnation().has_value());
  if (!token.kind()) return;
  HASIGNER_ASSERT(text.size() == 32 && lower(text).starts_with(hex_of(*token.incarnation())));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const auto text = test::text_of(bytes, size);
  test::check_showable(printable(text));
  HASIGNER_ASSERT(printable(text).size() <= kLongestShown);
  check_bytes<EthAddress>(text);
  check_bytes<MessageHash>(text);
  check_bytes<Signature>(text);
  check_bytes<Incarnation>(text);
  check_number<Slot>(text);
  check_node_id(text);
  check_lock_token(text);
  const auto type = parse_duty_type(text);
  HASIGNER_ASSERT(!type || to_string(*type) == text);
  return 0;
}
