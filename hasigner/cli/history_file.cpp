#include "hasigner/cli/history_file.hpp"

#include <algorithm>
#include <ostream>
#include <set>
#include <vector>

#include <nlohmann/json.hpp>

#include "hasigner/cli/contains.hpp"
#include "hasigner/cli/duty_fields.hpp"
#include "hasigner/cli/nearest.hpp"
#include "hasigner/cli/output.hpp"
#include "hasigner/store/rows/table_row.hpp"
#include "hasigner/store/rows/utc_time.hpp"

namespace hasigner::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr int kDeepest = 3;  // the file, a list, an entry

/// Ends the reading of a file; becomes the error of parse_history().
struct HistoryRefusal {
  std::string sentence;
};

[[noreturn]] void refuse(const std::string& path, const std::string& what) {
  throw HistoryRefusal{path + " " + what};
}

std::string quoted(const Json& value) {
  return "'" +
         printable(value.is_string() ? value.get<std::string>()
                                     : value.dump(-1, ' ', false, Json::error_handler_t::replace)) +
         "'";
}

/// An object whose fields are taken one by one; those that are left at the end are unknown.
class Fields {
 public:
  Fields(const Json& object, std::string path) : object_(object), path_(std::move(path)) {
    if (!object.is_object()) refuse(path_, "is " + quoted(object) + ", but must be an object");
  }

  const Json& take(std::string_view name) {
    taken_.emplace_back(name);
    const auto found = object_.find(std::string(name));
    if (found == object_.end()) refuse(path_of(name), "is missing");
    return *found;
  }
  std::string text(std::string_view name) {
    const Json& value = take(name);
    if (!value.is_string()) refuse(path_of(name), "is " + quoted(value) + ", but must be a text");
    return value.get<std::string>();
  }
  /// Null is an empty text.
  std::string text_or_null(std::string_view name) {
    const Json& value = take(name);
    if (value.is_null()) return "";
    if (!value.is_string() || value.get<std::string>().empty())
      refuse(path_of(name), "is " + quoted(value) + ", but must be a text or null");
    return value.get<std::string>();
  }
  std::optional<Slot> slot_or_null(std::string_view name) {
    const std::string text = text_or_null(name);
    if (text.empty()) return std::nullopt;
    const auto slot = Slot::parse(text, path_of(name));
    if (!slot) throw HistoryRefusal{slot.error().message()};
    return *slot;
  }
  /// In the form that the tables have.
  std::string time(std::string_view name) { return time_of(name, text(name)); }
  /// Null is an empty text.
  std::string time_or_null(std::string_view name) {
    const std::string text = text_or_null(name);
    return text.empty() ? "" : time_of(name, text);
  }
  void refuse_others() const {
    for (const auto& [name, value] : object_.items()) {
      if (!contains(taken_, name))
        refuse(path_of(printable(name)), "is not a field of this format" + did_you_mean(name, taken_));
    }
  }
  [[nodiscard]] std::string path_of(std::string_view name) const {
    return path_.empty() ? std::string(name) : path_ + "." + std::string(name);
  }

 private:
  [[nodiscard]] std::string time_of(std::string_view name, const std::string& text) const {
    std::string time = table_time(text);
    if (time.empty())
      refuse(path_of(name), "is '" + printable(text) + "', but must be a time such as 2026-01-31T12:00:00.000000Z");
    return time;
  }

  const Json& object_;
  std::string path_;
  std::vector<std::string> taken_;
};

/// JSON allows a key twice, and readers disagree about which one counts; here it is an error.
class KeysSeen {
 public:
  /// `depth`: how many objects and lists the event stands in.
  void on(int depth, Json::parse_event_t event, const Json& parsed) {
    const auto level = static_cast<std::size_t>(depth);
    if (event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start) {
      if (depth >= kDeepest) throw HistoryRefusal{"the file holds lists or objects deeper than this format has"};
      if (keys_.size() <= level + 1) keys_.resize(level + 2);
      keys_[level + 1].clear();
    } else if (event == Json::parse_event_t::key) {
      const auto key = parsed.get<std::string>();
      if (!keys_.at(level).insert(key).second)
        throw HistoryRefusal{"the field " + printable(key) + " stands twice in one object"};
    }
  }

 private:
  std::vector<std::set<std::string>> keys_ = std::vector<std::set<std::string>>(2);
};

Json parse_json(std::string_view text) {
  KeysSeen seen;
  try {
    return Json::parse(text, [&seen](int depth, Json::parse_event_t event, Json& parsed) {
      seen.on(depth, event, parsed);
      return true;
    });
  } catch (const Json::parse_error& error) {
    throw HistoryRefusal{"the file is not JSON: something is wrong at byte " + std::to_string(error.byte)};
  } catch (const Json::exception&) {
    throw HistoryRefusal{"the file is not JSON that this format has: a number is too large"};
  }
}

const Json& list(Fields& fields, std::string_view name) {
  const Json& value = fields.take(name);
  if (!value.is_array()) refuse(std::string(name), "is " + quoted(value) + ", but must be a list");
  return value;
}

DutyEntry parse_duty(const Json& object, const std::string& path) {
  Fields fields(object, path);
  DutyEntry entry;
  for (const auto& field : kDutyFields) {
    const bool is_nullable_time = field.is_time && field.nullable;
    entry.*field.member = is_nullable_time ? fields.time_or_null(field.name)
                          : field.is_time  ? fields.time(field.name)
                          : field.nullable ? fields.text_or_null(field.name)
                                           : fields.text(field.name);
  }
  fields.refuse_others();
  // Every row that a table can hold is accepted: a foreign node's odd row protects too.
  if (const auto row = table_row_of(entry); !row) throw HistoryRefusal{path + ": " + row.error()};
  return entry;
}

WatermarkEntry parse_watermark(const Json& object, const std::string& path) {
  Fields fields(object, path);
  WatermarkEntry entry;
  entry.rollup = fields.text("rollup_address");
  entry.validator = fields.text("validator_address");
  entry.duty_type = fields.text("duty_type");
  entry.watermarks.low = fields.slot_or_null("low_slot");
  entry.watermarks.high = fields.slot_or_null("high_slot");
  entry.updated_at = fields.time("updated_at");
  fields.refuse_others();
  if (const auto wrong = wrong_in(entry)) throw HistoryRefusal{path + ": " + *wrong};
  return entry;
}

HistoryFile parse_file(std::string_view text) {
  const Json document = parse_json(text);
  Fields fields(document, "");
  if (const auto& format = fields.take("format"); format != kHistoryFormat) {
    refuse("format", "is " + quoted(format) + ", but must be '" + std::string(kHistoryFormat) + "'");
  }
  if (const auto& version = fields.take("version"); !version.is_number_integer() || version != kHistoryVersion) {
    refuse("version", "is " + quoted(version) + ", but this program reads version " + std::to_string(kHistoryVersion));
  }
  HistoryFile file;
  file.exported_at = iso_time(fields.time("exported_at"));
  file.exported_by = fields.text("exported_by");
  file.cluster_id = fields.text_or_null("cluster_id");
  const Json& duties = list(fields, "duties");
  for (std::size_t i = 0; i < duties.size(); ++i) {
    file.snapshot.duties.push_back(parse_duty(duties[i], "duties[" + std::to_string(i) + "]"));
  }
  const Json& watermarks = list(fields, "watermarks");
  for (std::size_t i = 0; i < watermarks.size(); ++i) {
    file.snapshot.watermarks.push_back(parse_watermark(watermarks[i], "watermarks[" + std::to_string(i) + "]"));
  }
  fields.refuse_others();
  return file;
}

/// Why an entry as it is written would not be read. Returns nullopt when it would be.
template <class Entry>
std::optional<std::string> refusal_of(const Json& written, Entry (*parse)(const Json&, const std::string&),
                                      const std::string& name) {
  try {
    // As the file has it: bytes that are not UTF-8 are replaced there.
    static_cast<void>(parse(Json::parse(written.dump(-1, ' ', false, Json::error_handler_t::replace)), name));
    return std::nullopt;
  } catch (const HistoryRefusal& refusal) {
    return refusal.sentence;
  }
}

}  // namespace

std::vector<std::string> take_out_unreadable(HistorySnapshot& snapshot) {
  std::vector<std::string> sentences;
  std::erase_if(snapshot.duties, [&sentences](const DutyEntry& entry) {
    const auto name = "the duty " + printable(entry.duty_type) + " of validator " + printable(entry.validator) +
                      " for slot " + printable(entry.slot);
    auto refusal = refusal_of(duty_json(entry), parse_duty, name);
    if (refusal) sentences.push_back(std::move(*refusal));
    return refusal.has_value();
  });
  std::erase_if(snapshot.watermarks, [&sentences](const WatermarkEntry& entry) {
    const auto name = "the watermark of " + printable(entry.duty_type) + " of validator " + printable(entry.validator);
    auto refusal = refusal_of(watermark_json(entry), parse_watermark, name);
    if (refusal) sentences.push_back(std::move(*refusal));
    return refusal.has_value();
  });
  return sentences;
}

void write_history(std::ostream& out, const HistoryFile& file) {
  auto duties = Json::array();
  for (const auto& entry : file.snapshot.duties) duties.push_back(duty_json(entry));
  auto watermarks = Json::array();
  for (const auto& entry : file.snapshot.watermarks) watermarks.push_back(watermark_json(entry));
  print_json(out, {{"format", kHistoryFormat},
                   {"version", kHistoryVersion},
                   {"exported_at", file.exported_at},
                   {"exported_by", file.exported_by},
                   {"cluster_id", file.cluster_id.empty() ? Json(nullptr) : Json(file.cluster_id)},
                   {"duties", std::move(duties)},
                   {"watermarks", std::move(watermarks)}});
}

std::expected<HistoryFile, std::string> parse_history(std::string_view text) {
  try {
    return parse_file(text);
  } catch (const HistoryRefusal& refusal) {
    return std::unexpected(refusal.sentence);
  }
}

}  // namespace hasigner::cli
