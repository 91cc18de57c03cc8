#include "hasigner/service/audit_chain.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "hasigner/service/clients.hpp"

namespace hasigner::service {

namespace {

constexpr std::size_t kHashDigits = 64;
constexpr std::string_view kBeforeHash = R"(,"hash":")";
constexpr std::string_view kAfterHash = R"("})";
constexpr std::size_t kLongestAuditField = 2'000;

std::string hash_of(std::string_view text) {
  return to_hex(fingerprint_of(text));
}

bool is_hash(std::string_view text) {
  const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  return text.size() == kHashDigits && std::ranges::all_of(text, is_digit);
}

using Why = std::optional<std::string>;

/// Whether the line follows the head. The head before the first line is empty.
Why refuse_position(const AuditLine& line, const std::optional<AuditHead>& before) {
  if (!before) {
    const bool begins = line.head.sequence == 1;
    if (begins != (line.previous == AuditHead().hash)) return "is not the first line of a chain, nor a later one";
    return std::nullopt;
  }
  if (line.head.sequence != before->sequence + 1) {
    return "has the sequence number " + std::to_string(line.head.sequence) + ", and " +
           std::to_string(before->sequence + 1) + " is expected: lines are missing, or were moved or added";
  }
  if (line.previous != before->hash) return "does not follow the line before it: that one was changed or replaced";
  return std::nullopt;
}

class Verifier {
 public:
  explicit Verifier(const std::optional<AuditHead>& known) : known_(known) {}

  /// Returns false after a fault.
  bool take(const std::filesystem::path& file) {
    std::ifstream text(file, std::ios::binary);
    if (!text) return fail(file, 0, std::string("cannot be read: ") + std::strerror(errno));
    std::string line;
    const auto lines_before = verdict_.lines;
    for (std::uint64_t number = 1; std::getline(text, line); ++number) {
      if (text.eof()) {
        fail(file, number, "has no end: the file was cut, or its writer was killed");
        verdict_.fault->is_torn = true;
        return false;
      }
      if (auto why = refuse(line)) return fail(file, number, std::move(*why));
    }
    if (text.bad()) return fail(file, 0, "cannot be read to its end");
    if (verdict_.lines == lines_before) return fail(file, 0, "is empty: its lines were removed, or none was written");
    return true;
  }

  AuditVerdict verdict(const std::filesystem::path& last_file) {
    if (!verdict_.fault && known_ && !has_seen_known_) {
      const bool ends_before = verdict_.head.sequence < known_->sequence;
      fail(last_file, 0,
           ends_before ? "ends with line " + std::to_string(verdict_.head.sequence) + ", before the known line " +
                             std::to_string(known_->sequence) + ": lines are missing at the end"
                       : "begins after the known line " + std::to_string(known_->sequence));
    }
    return std::move(verdict_);
  }

 private:
  bool fail(const std::filesystem::path& file, std::uint64_t line, std::string reason) {
    verdict_.fault = AuditVerdict::Fault{.file = file, .line = line, .reason = std::move(reason)};
    return false;
  }

  Why refuse(std::string_view text) {
    auto line = read_audit_line(text);
    if (!line) return std::move(line.error());
    const bool is_first = !verdict_.before;
    if (auto why = refuse_position(*line, is_first ? std::nullopt : std::optional(verdict_.head))) return why;
    if (known_ && line->head.sequence == known_->sequence) {
      if (line->head.hash != known_->hash) return "is not the known line of this number: the log was written anew";
      has_seen_known_ = true;
    }
    if (is_first) verdict_.before = AuditHead{line->head.sequence - 1, line->previous};
    verdict_.head = line->head;
    ++verdict_.lines;
    return std::nullopt;
  }

  std::optional<AuditHead> known_;
  bool has_seen_known_ = false;
  AuditVerdict verdict_;
};

}  // namespace

std::string to_string(const AuditHead& head) {
  return std::to_string(head.sequence) + ":" + head.hash;
}

Parsed<AuditHead> parse_audit_head(std::string_view text, std::string_view field) {
  const auto colon = std::min(text.find(':'), text.size());
  const auto sequence = Number<SlotTag>::parse(text.substr(0, colon));
  const auto hash = text.substr(std::min(colon + 1, text.size()));
  if (!sequence || sequence->value() == 0 || !is_hash(hash)) {
    return std::unexpected(InvalidInput{std::string(field), printable(text),
                                        "a sequence number, a colon and the 64 hex digits of the line's hash"});
  }
  return AuditHead{sequence->value(), std::string(hash)};
}

std::string next_audit_line(AuditHead& head, std::chrono::system_clock::time_point time, std::string_view event,
                            const std::vector<LogField>& fields) {
  nlohmann::ordered_json object = {{"sequence", ++head.sequence}, {"time", iso_text(time)}, {"event", event}};
  for (const auto& [name, value] : fields) object[std::string(name)] = printable(value, kLongestAuditField);
  object["previous"] = head.hash;
  auto line = object.dump();
  line.pop_back();
  head.hash = hash_of(line);
  line.append(kBeforeHash).append(head.hash).append(kAfterHash).append("\n");
  return line;
}

std::expected<AuditLine, std::string> read_audit_line(std::string_view line) {
  constexpr auto kEnd = kBeforeHash.size() + kHashDigits + kAfterHash.size();
  const auto not_a_line = std::unexpected(std::string("is not a line of an audit log"));
  if (line.size() < kEnd || !line.ends_with(kAfterHash)) return not_a_line;
  const auto body = line.substr(0, line.size() - kEnd);
  const auto hash = line.substr(body.size() + kBeforeHash.size(), kHashDigits);
  if (!line.substr(body.size()).starts_with(kBeforeHash) || !is_hash(hash)) return not_a_line;
  if (hash != hash_of(body)) return std::unexpected("was changed: its hash is not that of its text");
  const auto object = nlohmann::json::parse(line, nullptr, false);
  if (!object.is_object()) return not_a_line;
  const auto sequence = object.find("sequence");
  const auto previous = object.find("previous");
  if (sequence == object.end() || !sequence->is_number_unsigned() || sequence->get<std::uint64_t>() == 0 ||
      previous == object.end() || !previous->is_string() || !is_hash(previous->get<std::string>())) {
    return not_a_line;
  }
  return AuditLine{{sequence->get<std::uint64_t>(), std::string(hash)}, previous->get<std::string>()};
}

AuditVerdict verify_audit(std::span<const std::filesystem::path> files, const std::optional<AuditHead>& known) {
  Verifier verifier(known);
  for (const auto& file : files) {
    if (!verifier.take(file)) break;
  }
  return verifier.verdict(files.empty() ? std::filesystem::path() : files.back());
}

}  // namespace hasigner::service
