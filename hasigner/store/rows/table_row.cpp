#include "hasigner/store/rows/table_row.hpp"

#include <charconv>
#include <limits>

namespace hasigner {
namespace {

constexpr std::size_t kMaxTokenLength = 64;
constexpr std::size_t kMaxSignatureLength = 132;
constexpr std::size_t kMaxHashLength = 66;
constexpr std::size_t kMaxNodeIdLength = 4 * 255;  // characters of UTF-8

template <class Integer>
std::optional<Integer> integer(std::string_view text) {
  Integer value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// Collects the first thing that is wrong with an entry.
struct EntryCheck {
  const DutyEntry& entry;
  std::optional<std::string> wrong;

  void require(bool condition, std::string_view field, std::string_view value, std::string_view allowed) {
    if (condition || wrong) return;
    wrong = printable(entry.duty_type) + " of " + printable(entry.validator) + " for slot " + printable(entry.slot) +
            ": " + InvalidInput{std::string(field), printable(value), std::string(allowed)}.message();
  }
  template <class Integer>
  Integer number(std::string_view field, const std::string& text) {
    const auto value = integer<Integer>(text);
    require(value.has_value(), field, text,
            "a whole number up to " + std::to_string(std::numeric_limits<Integer>::max()));
    return value.value_or(0);
  }
  std::optional<UtcTime> time(std::string_view field, const std::string& text) {
    if (text.empty()) return std::nullopt;
    const auto value = parse_utc_text(text);
    require(value.has_value(), field, text, "YYYY-MM-DD HH:MM:SS.ffffff in UTC");
    return value;
  }
};

}  // namespace

std::optional<std::string> validators_between_commas(const DutyFilter& filter) {
  if (filter.validator) return "," + filter.validator->to_string() + ",";
  if (filter.validators.empty()) return std::nullopt;
  std::string text = ",";
  for (const auto& validator : filter.validators) text += validator.to_string() + ",";
  return text;
}

std::string_view to_text(DutyStatus status) {
  return status == DutyStatus::kSigned ? "signed" : "signing";
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

std::string describe(const TableRow& row) {
  std::string text = row.duty_type + " of " + row.validator + " for slot " + std::to_string(row.slot);
  if (row.block_index != kNoBlockIndex) text += ", block index " + std::to_string(row.block_index);
  return text;
}

TableRow signing_row(const Duty& duty, const NodeId& node_id, const LockToken& token, UtcTime now) {
  return TableRow{.rollup = duty.key.rollup.to_string(),
                  .validator = duty.key.validator.to_string(),
                  .slot = static_cast<std::int64_t>(duty.key.slot.value()),
                  .block_number = static_cast<std::int64_t>(duty.block_number.value()),
                  .checkpoint_number = static_cast<std::int64_t>(duty.checkpoint_number.value()),
                  .block_index = duty.key.block_index,
                  .duty_type = std::string(to_string(duty.key.duty_type)),
                  .status = DutyStatus::kSigning,
                  .message_hash = duty.message_hash.to_string(),
                  .signature = std::nullopt,
                  .node_id = node_id.str(),
                  .lock_token = token.str(),
                  .started_at = now,
                  .completed_at = std::nullopt,
                  .expires_at = std::nullopt};
}

bool is_repetition(const SignedClaim& claim, const DutyRow& row) {
  return row.status == DutyStatus::kSigned && row.lock_token == claim.token &&
         row.message_hash == claim.duty.message_hash && row.signature == claim.signature;
}

DutyRow duty_row_of(const TableRow& row, HolderState holder) {
  return DutyRow{.status = row.status,
                 .message_hash = MessageHash::try_parse(row.message_hash),
                 .signature = row.signature ? Signature::try_parse(*row.signature) : std::nullopt,
                 .node_id = row.node_id,
                 .lock_token = LockToken(row.lock_token),
                 .holder = holder};
}

DutyEntry duty_entry_of(const TableRow& row) {
  return DutyEntry{.rollup = row.rollup,
                   .validator = row.validator,
                   .slot = std::to_string(row.slot),
                   .block_number = std::to_string(row.block_number),
                   .checkpoint_number = std::to_string(row.checkpoint_number),
                   .block_index = std::to_string(row.block_index),
                   .duty_type = row.duty_type,
                   .status = std::string(to_text(row.status)),
                   .message_hash = row.message_hash,
                   .signature = row.signature.value_or(""),
                   .node_id = row.node_id,
                   .lock_token = row.lock_token,
                   .started_at = utc_text(row.started_at),
                   .completed_at = row.completed_at ? utc_text(*row.completed_at) : "",
                   .expires_at = row.expires_at ? utc_text(*row.expires_at) : ""};
}

std::expected<TableRow, std::string> table_row_of(const DutyEntry& entry) {
  EntryCheck check{entry, std::nullopt};
  check.require(EthAddress::try_parse(entry.rollup).has_value(), "rollup", entry.rollup,
                "0x and 40 hexadecimal digits");
  check.require(EthAddress::try_parse(entry.validator).has_value(), "validator", entry.validator,
                "0x and 40 hexadecimal digits");
  const auto type = parse_duty_type(entry.duty_type);
  check.require(type && is_protected(*type), "duty type", entry.duty_type, "a protected duty type");
  check.require(entry.status == "signing" || entry.status == "signed", "status", entry.status, "signing or signed");
  check.require(!entry.message_hash.empty() && entry.message_hash.size() <= kMaxHashLength, "message hash",
                entry.message_hash, "0x and 64 hexadecimal digits");
  check.require(entry.signature.size() <= kMaxSignatureLength, "signature", entry.signature,
                "0x and 130 hexadecimal digits");
  check.require(entry.node_id.size() <= kMaxNodeIdLength, "node id", entry.node_id, "at most 255 characters");
  check.require(!entry.lock_token.empty() && entry.lock_token.size() <= kMaxTokenLength, "lock token", entry.lock_token,
                "1 to 64 characters");

  TableRow row{.rollup = entry.rollup,
               .validator = entry.validator,
               .slot = check.number<std::int64_t>("slot", entry.slot),
               .block_number = check.number<std::int64_t>("block number", entry.block_number),
               .checkpoint_number = check.number<std::int64_t>("checkpoint number", entry.checkpoint_number),
               .block_index = check.number<std::int32_t>("block index", entry.block_index),
               .duty_type = entry.duty_type,
               .status = entry.status == "signed" ? DutyStatus::kSigned : DutyStatus::kSigning,
               .message_hash = entry.message_hash,
               .signature = entry.signature.empty() ? std::nullopt : std::optional(entry.signature),
               .node_id = entry.node_id,
               .lock_token = entry.lock_token,
               .started_at = {},
               .completed_at = check.time("completed_at", entry.completed_at),
               .expires_at = check.time("expires_at", entry.expires_at)};
  const auto started_at = check.time("started_at", entry.started_at);
  check.require(started_at.has_value(), "started_at", entry.started_at, "YYYY-MM-DD HH:MM:SS.ffffff in UTC");
  row.started_at = started_at.value_or(UtcTime{});
  check.require(!row.completed_at || *row.completed_at >= row.started_at, "completed_at", entry.completed_at,
                "not before started_at");
  if (check.wrong) return std::unexpected(*check.wrong);
  return row;
}

std::optional<std::string> wrong_in(const WatermarkEntry& entry) {
  const auto wrong = [](std::string_view field, const std::string& value, std::string_view allowed) {
    return "watermark: " + InvalidInput{std::string(field), printable(value), std::string(allowed)}.message();
  };
  constexpr std::string_view kAddress = "0x and 40 hexadecimal digits";
  if (!EthAddress::try_parse(entry.rollup)) return wrong("rollup", entry.rollup, kAddress);
  if (entry.validator != kEveryValidator && !EthAddress::try_parse(entry.validator)) {
    return wrong("validator", entry.validator, std::string(kAddress) + ", or every");
  }
  const auto type = parse_duty_type(entry.duty_type);
  if (!type || !is_protected(*type)) return wrong("duty type", entry.duty_type, "a protected duty type");
  return std::nullopt;
}

}  // namespace hasigner
