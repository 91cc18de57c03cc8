#include "hasigner/store/lmdb/duty_record.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <sstream>
#include <vector>

#include <nlohmann/json.hpp>

#include "hasigner/store/rows/table_row.hpp"

namespace hasigner::lmdb {
namespace {

using Json = nlohmann::json;
using namespace std::string_view_literals;

constexpr std::string_view kKeyPrefix = "map:signing-protection-duties\0"sv;
/// msgpackr: an extension of type 'r' whose one byte is the record's number, the names of its fields, their values.
constexpr std::string_view kRecord = "\xd4\x72"sv;
/// More than the longest record: a node id has 255 characters at most.
constexpr std::size_t kLongestRecord = 4096;
/// The end of year 9999, in ms: the last time that tables can hold.
constexpr double kLatestMs = 253'402'300'799'999;

/// Ends the reading of a record.
struct Refusal {
  std::string sentence;
};

[[noreturn]] void refuse(const std::string& what) {
  throw Refusal{what};
}

/// One MessagePack value without depth: a scalar, or an array of scalars.
class FlatValue final : public nlohmann::json_sax<Json> {
 public:
  std::vector<Json> values;
  bool is_array = false;

  bool null() override { return keep(nullptr); }
  bool boolean(bool value) override { return keep(value); }
  bool number_integer(number_integer_t value) override { return keep(value); }
  bool number_unsigned(number_unsigned_t value) override { return keep(value); }
  bool number_float(number_float_t value, const string_t&) override { return keep(value); }
  bool string(string_t& value) override { return keep(value); }
  /// msgpackr writes undefined as an extension of type 0.
  bool binary(binary_t& value) override {
    const bool is_undefined = value.has_subtype() && value.subtype() == 0 && value.size() == 1 && value[0] == 0;
    return is_undefined && keep(nullptr);
  }
  bool start_array(std::size_t) override { return !std::exchange(is_array, true) && values.empty(); }
  bool end_array() override { return true; }
  bool start_object(std::size_t) override { return false; }
  bool key(string_t&) override { return false; }
  bool end_object() override { return false; }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }

 private:
  bool keep(Json value) {
    values.push_back(std::move(value));
    return true;
  }
};

/// Reads one value and leaves the stream behind it.
FlatValue next_value(std::istream& bytes, const std::string& what) {
  FlatValue value;
  if (!Json::sax_parse(bytes, &value, Json::input_format_t::msgpack, /*strict=*/false)) {
    refuse(what + " is not MessagePack of a kind that a record has");
  }
  return value;
}

/// The fields of a record by their names; those that hold nothing are left out.
std::map<std::string, Json> fields_of(std::string_view record) {
  if (record.size() > kLongestRecord) refuse("its value has " + std::to_string(record.size()) + " bytes: too many");
  if (!record.starts_with(kRecord) || record.size() <= kRecord.size()) refuse("its value is not a record of msgpackr");
  std::istringstream bytes{std::string(record.substr(kRecord.size() + 1))};
  const FlatValue names = next_value(bytes, "the list of its fields");
  if (!names.is_array) refuse("the list of its fields is not an array");
  std::map<std::string, Json> fields;
  for (const Json& name : names.values) {
    if (!name.is_string()) refuse("the name of a field is not a text");
    const auto text = name.get<std::string>();
    FlatValue value = next_value(bytes, "the field " + printable(text));
    if (value.is_array) refuse("the field " + printable(text) + " is a list");
    if (!fields.try_emplace(text, std::move(value.values.front())).second) {
      refuse("the field " + printable(text) + " stands twice");
    }
  }
  if (bytes.peek() != std::istringstream::traits_type::eof()) refuse("something stands behind its fields");
  std::erase_if(fields, [](const auto& field) { return field.second.is_null(); });
  return fields;
}

/// The fields of a record, taken one by one; those that are left at the end are unknown.
class Fields {
 public:
  explicit Fields(std::map<std::string, Json> fields) : fields_(std::move(fields)) {}

  std::string text(const std::string& name) { return text_of(name, take(name)); }
  std::string text_or_empty(const std::string& name) { return has(name) ? text(name) : ""; }
  /// Decimal digits: a text, or an integer of any form.
  std::string integer(const std::string& name) {
    const Json value = take(name);
    if (value.is_number_integer()) return value.dump();
    if (!value.is_number_float()) return text_of(name, value);
    const auto number = value.get<double>();
    if (!(std::abs(number) <= 9'007'199'254'740'991) || number != std::trunc(number)) refuse_type(name, "an integer");
    return std::to_string(static_cast<std::int64_t>(number));
  }
  std::string integer_or(const std::string& name, const std::string& otherwise) {
    return has(name) ? integer(name) : otherwise;
  }
  UtcTime time(const std::string& name) {
    const Json value = take(name);
    if (!value.is_number()) refuse_type(name, "a number of milliseconds");
    const auto ms = value.get<double>();
    if (!(ms >= 0 && ms <= kLatestMs)) refuse_type(name, "a time up to the year 9999, in milliseconds");
    return UtcTime(std::chrono::microseconds(static_cast<std::int64_t>(ms * 1000)));
  }
  std::optional<UtcTime> time_if_there(const std::string& name) {
    return has(name) ? std::optional(time(name)) : std::nullopt;
  }
  void refuse_others() const {
    if (!fields_.empty()) {
      refuse("it has a field " + printable(fields_.begin()->first) +
             ", which this program does not know: a newer version may");
    }
  }

 private:
  [[nodiscard]] bool has(const std::string& name) const { return fields_.contains(name); }
  Json take(const std::string& name) {
    auto field = fields_.extract(name);
    if (field.empty()) refuse("the field " + name + " is missing");
    return std::move(field.mapped());
  }
  static std::string text_of(const std::string& name, const Json& value) {
    if (!value.is_string()) refuse_type(name, "a text");
    return value.get<std::string>();
  }
  [[noreturn]] static void refuse_type(const std::string& name, const std::string& allowed) {
    refuse("the field " + name + " is not " + allowed);
  }

  std::map<std::string, Json> fields_;
};

DutyEntry entry_of(std::string_view duty, std::string_view value) {
  Fields fields(fields_of(value));
  DutyEntry entry{.rollup = fields.text("rollupAddress"),
                  .validator = fields.text("validatorAddress"),
                  .slot = fields.integer("slot"),
                  .block_number = fields.integer("blockNumber"),
                  .checkpoint_number = fields.integer_or("checkpointNumber", "0"),
                  .block_index = fields.integer("blockIndexWithinCheckpoint"),
                  .duty_type = fields.text("dutyType"),
                  .status = fields.text("status"),
                  .message_hash = fields.text("messageHash"),
                  .signature = fields.text_or_empty("signature"),
                  .node_id = fields.text("nodeId"),
                  .lock_token = fields.text("lockToken"),
                  .started_at = {},
                  .completed_at = {},
                  .expires_at = {}};
  const UtcTime started_at = fields.time("startedAtMs");
  entry.started_at = utc_text(started_at);
  // The clock of a node may have been set back while it signed.
  if (const auto time = fields.time_if_there("completedAtMs"))
    entry.completed_at = utc_text(std::max(*time, started_at));
  // What may have been signed is not for a published node's retention, which would leave no watermark.
  const auto expires_at = fields.time_if_there("expiresAtMs");
  if (expires_at && entry.status == "signed") entry.expires_at = utc_text(*expires_at);
  fields.refuse_others();

  const std::string named =
      entry.rollup + ":" + entry.validator + ":" + entry.slot + ":" + entry.duty_type + ":" + entry.block_index;
  if (duty != named) refuse("its value is that of another duty, " + printable(named, 200));
  if (const auto row = table_row_of(entry); !row) refuse(row.error());
  entry.rollup = lower_case(entry.rollup);
  entry.validator = lower_case(entry.validator);
  return entry;
}

}  // namespace

std::expected<DutyEntry, std::string> parse_duty_record(std::string_view key, std::string_view value) {
  if (!key.starts_with(kKeyPrefix)) {
    return std::unexpected("the key '" + printable(key, 200) + "' is not that of a duty");
  }
  const std::string_view duty = key.substr(kKeyPrefix.size());
  try {
    return entry_of(duty, value);
  } catch (const Refusal& refusal) {
    return std::unexpected("the duty " + printable(duty, 200) + ": " + refusal.sentence);
  } catch (const Json::exception&) {
    return std::unexpected("the duty " + printable(duty, 200) + ": its value is too large");
  }
}

}  // namespace hasigner::lmdb
