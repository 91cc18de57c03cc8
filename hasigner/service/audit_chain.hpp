#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hasigner/duty/invalid_input.hpp"
#include "hasigner/service/log.hpp"

namespace hasigner::service {

// An audit log is a text of lines. Each is a JSON object with `sequence`, `time`, `event`, the fields of the event,
// `previous` (the `hash` of the line before) and, at the end, `hash`: SHA-256 of the line's bytes before `,"hash":`. So
// no line can be changed, removed, added or moved without writing anew all that follow.

/// The position of a line in its chain.
struct AuditHead {
  std::uint64_t sequence = 0;               ///< 0: before the first line
  std::string hash = std::string(64, '0');  ///< 64 lower-case hex digits

  friend bool operator==(const AuditHead&, const AuditHead&) = default;
};

/// `SEQUENCE:HASH`.
[[nodiscard]] std::string to_string(const AuditHead& head);
/// Errors: InvalidInput for what to_string() does not give.
[[nodiscard]] Parsed<AuditHead> parse_audit_head(std::string_view text, std::string_view field);

/// The next line of a chain, with its end. Moves the head there. Values must not be secrets.
[[nodiscard]] std::string next_audit_line(AuditHead& head, std::chrono::system_clock::time_point time,
                                          std::string_view event, const std::vector<LogField>& fields);

/// What a line says of its own position.
struct AuditLine {
  AuditHead head;
  std::string previous;
};
/// Reads a line without its end. Errors: the predicate of a sentence whose subject is the line.
[[nodiscard]] std::expected<AuditLine, std::string> read_audit_line(std::string_view line);

struct AuditVerdict {
  struct Fault {
    std::filesystem::path file;
    std::uint64_t line = 0;  ///< from 1; 0: the file as a whole
    std::string reason;      ///< the predicate of a sentence whose subject is the line or the file
    bool is_torn = false;    ///< the last line has no end, as a kill leaves it
  };
  std::uint64_t lines = 0;          ///< that are in order
  std::optional<AuditHead> before;  ///< the position before the first line
  AuditHead head;                   ///< of the last line that is in order
  std::optional<Fault> fault;       ///< the first one
};

/// Checks that the lines of the files, which are given from the oldest on, are one chain without a gap. An empty file
/// is a fault. With `known`, a head that was noted elsewhere, the chain must contain it: only so it is seen that lines
/// are missing at the end, or that everything was written anew.
[[nodiscard]] AuditVerdict verify_audit(std::span<const std::filesystem::path> files,
                                        const std::optional<AuditHead>& known = std::nullopt);

}  // namespace hasigner::service
