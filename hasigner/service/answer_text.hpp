#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hasigner/service/http.hpp"
#include "hasigner/service/http_limits.hpp"

namespace hasigner::service {

/// How much of one answer may be sent in full. What follows is short: problems without their fields, no results of
/// queries. Signatures are always there.
inline constexpr std::size_t kAnswerInFull = HttpLimits{}.answer_bytes;
/// What an entry of an answer takes mostly, for reservations.
inline constexpr std::size_t kUsualEntry = 512;

/// The text of an answer, in pieces, so that no large one is moved as it grows.
class AnswerText {
 public:
  void add(std::string_view text) {
    if (pieces_.empty() || pieces_.back().size() + text.size() > kPiece) {
      pieces_.emplace_back();
      pieces_.back().reserve(pieces_.size() > 1 ? kPiece : 0);
    }
    pieces_.back() += text;
    size_ += text.size();
  }
  [[nodiscard]] bool is_large() const { return size_ > kAnswerInFull; }
  void move_to(HttpResponse& response) {
    for (auto& piece : pieces_)
      (response.body.empty() ? response.body : response.more.emplace_back()) = std::move(piece);
  }

 private:
  static constexpr std::size_t kPiece = 64 * 1024;

  std::vector<std::string> pieces_;
  std::size_t size_ = 0;
};

}  // namespace hasigner::service
