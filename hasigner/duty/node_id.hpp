#pragma once

#include <string>
#include <string_view>

#include "hasigner/duty/invalid_input.hpp"

namespace hasigner {

/// The stable name of one node, unique in its cluster: 1 to 255 characters of UTF-8 without control characters.
class NodeId {
 public:
  [[nodiscard]] static Parsed<NodeId> parse(std::string_view text, std::string_view field = "node id");
  [[nodiscard]] const std::string& str() const { return text_; }
  friend auto operator<=>(const NodeId&, const NodeId&) = default;

 private:
  explicit NodeId(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

}  // namespace hasigner
