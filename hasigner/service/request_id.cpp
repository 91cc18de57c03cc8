#include "hasigner/service/request_id.hpp"

#include <algorithm>
#include <array>

#include "hasigner/duty/bytes.hpp"
#include "hasigner/protection/system_clock.hpp"

namespace hasigner::service {

namespace {

constexpr std::size_t kLongestId = 64;

bool may_stand_in_a_log(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '_' || c == '-';
}

}  // namespace

std::string request_id(std::string_view chosen) {
  if (!chosen.empty() && chosen.size() <= kLongestId && std::ranges::all_of(chosen, may_stand_in_a_log)) {
    return std::string(chosen);
  }
  std::array<std::uint8_t, 8> random{};
  SystemRandom().fill(random);
  return to_hex(random);
}

}  // namespace hasigner::service
