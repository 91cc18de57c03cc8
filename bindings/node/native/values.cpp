#include "values.hpp"

#include <cmath>
#include <limits>

namespace hasigner::node {

std::string text_of(const Napi::Value& value) {
  if (value.IsString()) return value.As<Napi::String>().Utf8Value();
  if (value.IsUndefined() || value.IsNull()) return {};
  return value.ToString().Utf8Value();
}

namespace {

Parsed<std::optional<std::int64_t>> block_index_of(const Napi::Value& value) {
  if (value.IsUndefined() || value.IsNull()) return std::optional<std::int64_t>{};
  const auto refuse = [&] {
    return std::unexpected(
        InvalidInput{"block index", printable(text_of(value)), "a whole number from 0 to 2147483647, or -1 for none"});
  };
  double number = std::numeric_limits<double>::quiet_NaN();
  if (value.IsNumber()) number = value.As<Napi::Number>().DoubleValue();
  if (value.IsBigInt()) {
    bool is_exact = false;
    const std::int64_t whole = value.As<Napi::BigInt>().Int64Value(&is_exact);
    if (is_exact) return std::optional(whole);
  }
  if (!std::isfinite(number) || std::floor(number) != number || std::abs(number) > 1e15) return refuse();
  return std::optional(static_cast<std::int64_t>(number));
}

}  // namespace

Parsed<SignRequest> sign_request_of(const Napi::CallbackInfo& arguments, std::size_t first) {
  const auto validator = EthAddress::parse(text_of(arguments[first]), "validator address");
  if (!validator) return std::unexpected(validator.error());
  const auto hash = MessageHash::parse(text_of(arguments[first + 1]));
  if (!hash) return std::unexpected(hash.error());
  const auto type = parse_duty_type(text_of(arguments[first + 2]));
  if (!type) return std::unexpected(type.error());
  const auto slot = number_of<Slot>(arguments[first + 3]);
  if (!slot) return std::unexpected(slot.error());
  if (!*slot && is_protected(*type)) {
    return std::unexpected(InvalidInput{"slot", "missing", "a whole number from 0 to 9223372036854775807"});
  }
  auto block = number_of<BlockNumber>(arguments[first + 4]);
  if (!block) return std::unexpected(block.error());
  auto checkpoint = number_of<CheckpointNumber>(arguments[first + 5]);
  if (!checkpoint) return std::unexpected(checkpoint.error());
  auto index = block_index_of(arguments[first + 6]);
  if (!index) return std::unexpected(index.error());
  return SignRequest{*validator, *hash, SigningContext{*type, slot->value_or(Slot{}), *block, *checkpoint, *index}};
}

Parsed<DutyKey> duty_key_of(const Napi::CallbackInfo& arguments, std::size_t first) {
  const auto rollup = EthAddress::parse(text_of(arguments[first]), "rollup address");
  if (!rollup) return std::unexpected(rollup.error());
  const auto validator = EthAddress::parse(text_of(arguments[first + 1]), "validator address");
  if (!validator) return std::unexpected(validator.error());
  const auto slot = number_of<Slot>(arguments[first + 2]);
  if (!slot) return std::unexpected(slot.error());
  const auto type = parse_duty_type(text_of(arguments[first + 3]));
  if (!type) return std::unexpected(type.error());
  const auto index = block_index_of(arguments[first + 4]);
  if (!index) return std::unexpected(index.error());
  const bool has_index = *type == DutyType::kBlockProposal;
  const std::int64_t wanted = has_index ? index->value_or(-1) : kNoBlockIndex;
  if (has_index && (wanted < 0 || wanted > std::numeric_limits<std::int32_t>::max())) {
    return std::unexpected(InvalidInput{"block index", std::to_string(wanted), "a whole number from 0 to 2147483647"});
  }
  return DutyKey{*rollup, *validator, slot->value_or(Slot{}), *type, static_cast<std::int32_t>(wanted)};
}

std::size_t count_of(const Napi::Object& object, const char* name, std::size_t otherwise) {
  const Napi::Value value = object.Get(name);
  if (!value.IsNumber()) return otherwise;
  const double number = value.As<Napi::Number>().DoubleValue();
  return number >= 0 && number < 1e15 ? static_cast<std::size_t>(number) : otherwise;
}

milliseconds ms_of(const Napi::Object& object, const char* name, milliseconds otherwise) {
  return milliseconds(static_cast<std::int64_t>(count_of(object, name, static_cast<std::size_t>(otherwise.count()))));
}

std::optional<std::chrono::hours> retention_of(const Napi::Object& object) {
  if (!object.Get("retentionHours").IsNumber()) return std::nullopt;
  return std::chrono::hours(static_cast<std::int64_t>(count_of(object, "retentionHours", 1)));
}

CallId id_of(const Napi::Value& value) {
  return static_cast<CallId>(value.As<Napi::Number>().Int64Value());
}

}  // namespace hasigner::node
