#pragma once

#include <napi.h>

#include <string>

#include "environment.hpp"
#include "hasigner/duty/duty.hpp"
#include "hasigner/protection/errors.hpp"
#include "hasigner/protection/ports.hpp"

namespace hasigner::node {

/// Text, also of a number; empty for undefined and null.
[[nodiscard]] std::string text_of(const Napi::Value& value);

[[nodiscard]] CallId id_of(const Napi::Value& value);

/// A member that is a whole number; `otherwise` when it is missing or not a number.
[[nodiscard]] std::size_t count_of(const Napi::Object& object, const char* name, std::size_t otherwise);
[[nodiscard]] milliseconds ms_of(const Napi::Object& object, const char* name, milliseconds otherwise);
/// The member `retentionHours`, or nullopt when it is missing.
[[nodiscard]] std::optional<std::chrono::hours> retention_of(const Napi::Object& object);

/// A whole number that arrives as number, bigint or decimal text. Returns nullopt for undefined and null.
/// Errors: InvalidInput naming the field.
template <class Number>
[[nodiscard]] Parsed<std::optional<Number>> number_of(const Napi::Value& value) {
  if (value.IsUndefined() || value.IsNull()) return std::optional<Number>{};
  if (value.IsNumber()) {
    const double number = value.As<Napi::Number>().DoubleValue();
    constexpr double kExact = 9007199254740992.0;
    if (number >= 0 && number < kExact && number == static_cast<double>(static_cast<std::uint64_t>(number))) {
      const auto whole = Number::from(static_cast<std::uint64_t>(number));
      if (!whole) return std::unexpected(whole.error());
      return std::optional<Number>(*whole);
    }
  }
  auto parsed = Number::parse(text_of(value));
  if (!parsed) return std::unexpected(std::move(parsed.error()));
  return std::optional(*parsed);
}

/// What signWithProtection() and checkAndRecord() give, in this order from `first`: validator, message hash, duty type,
/// slot, block number, checkpoint number, block index.
/// Errors: InvalidInput naming the field.
[[nodiscard]] Parsed<SignRequest> sign_request_of(const Napi::CallbackInfo& arguments, std::size_t first);

/// A duty's key, in this order from `first`: rollup, validator, slot, duty type, block index.
[[nodiscard]] Parsed<DutyKey> duty_key_of(const Napi::CallbackInfo& arguments, std::size_t first);

}  // namespace hasigner::node
