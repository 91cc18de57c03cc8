#pragma once

#include <iosfwd>
#include <string>
#include <string_view>

#include "examples/demo/tally.hpp"

namespace hasigner::demo {

/// Colours for a terminal, or none.
class Paint {
 public:
  explicit Paint(bool colours) : colours_(colours) {}

  [[nodiscard]] std::string bold(std::string_view text) const { return painted("1", text); }
  [[nodiscard]] std::string faint(std::string_view text) const { return painted("2", text); }
  [[nodiscard]] std::string good(std::string_view text) const { return painted("32", text); }
  [[nodiscard]] std::string bad(std::string_view text) const { return painted("1;31", text); }
  /// Each node has a colour of its own.
  [[nodiscard]] std::string node(std::size_t index, std::string_view text) const;

 private:
  [[nodiscard]] std::string painted(std::string_view code, std::string_view text) const;

  bool colours_;
};

/// `node-1` and so on.
[[nodiscard]] std::string node_name(std::size_t index);

/// `38 ms`, `2.05 s`.
[[nodiscard]] std::string shown_duration(std::chrono::microseconds duration);

/// One slot: who signed each duty, as digits grouped by validator where a line has room for them.
[[nodiscard]] std::string slot_line(const Tally& tally, std::size_t slot_index, const Paint& paint);

/// What happened, for a terminal of 80 columns.
void print_report(std::ostream& out, const Tally& tally, const Verdict& verdict, const Paint& paint);

/// The same for programs: one JSON object, times in milliseconds.
void print_report_json(std::ostream& out, const Tally& tally, const Verdict& verdict);

}  // namespace hasigner::demo
