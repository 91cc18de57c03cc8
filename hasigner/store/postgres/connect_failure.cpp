#include "hasigner/store/postgres/connect_failure.hpp"

#include <algorithm>
#include <array>

namespace hasigner::postgres {
namespace {

/// Takes the SQLSTATEs out of libpq's text, and gives the last one: `FATAL:  3D000: database …`.
std::string take_out_sqlstate(std::string& text) {
  std::string sqlstate;
  for (std::size_t at = text.find(":  "); at != std::string::npos; at = text.find(":  ", at + 3)) {
    const auto code = std::string_view(text).substr(at + 3, 5);
    const bool is_code = code.size() == 5 &&
                         code.find_first_not_of("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == code.npos &&
                         std::string_view(text).substr(at + 8, 2) == ": ";
    if (!is_code) continue;
    sqlstate = code;
    text.erase(at + 2, 8);
  }
  return sqlstate;
}

/// A line `LOCATION:  function, file.c:123`, whose first word may be translated.
bool is_location(std::string_view line) {
  return line.contains(".c:") && line.find_last_not_of("0123456789") + 1 != line.size() && line.contains(":  ");
}

}  // namespace

std::string one_line(std::string_view text) {
  std::string line;
  for (const char c : text) {
    if (c == '\n' || c == '\r' || c == '\t') {
      if (!line.empty() && line.back() != ' ') line += ' ';
    } else {
      line += c;
    }
  }
  while (line.ends_with(' ')) line.pop_back();
  return line;
}

bool is_permanent(const ConnectComplaint& complaint) {
  const std::string& sqlstate = complaint.sqlstate;
  if (!sqlstate.empty()) return sqlstate.starts_with("28") || sqlstate == "3D000" || sqlstate == "42501";
  constexpr std::array<std::string_view, 6> kOwnFaults{"no password supplied",     "certificate verify failed",
                                                       "does not match host name", "does not support SSL",
                                                       "root certificate file",    "certificate file"};
  return std::ranges::any_of(kOwnFaults, [&](std::string_view fault) { return complaint.message.contains(fault); });
}

ConnectComplaint read_connect_complaint(std::string_view libpq_text) {
  ConnectComplaint complaint;
  std::string text(libpq_text);
  complaint.sqlstate = take_out_sqlstate(text);
  for (std::size_t begin = 0; begin < text.size();) {
    const auto end = std::min(text.find('\n', begin), text.size());
    const auto line = one_line(std::string_view(text).substr(begin, end - begin));
    if (!line.empty() && !is_location(line) && !complaint.message.contains(line)) {
      complaint.message += (complaint.message.empty() ? "" : " ") + line;
    }
    begin = end + 1;
  }
  return complaint;
}

}  // namespace hasigner::postgres
