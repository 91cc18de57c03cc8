#include "hasigner/service/watermark_routes.hpp"

#include <nlohmann/json.hpp>
#include <set>

#include "hasigner/protection/plausible_slots.hpp"
#include "hasigner/service/audit.hpp"
#include "hasigner/service/responses.hpp"

namespace hasigner::service {

namespace {

using nlohmann::ordered_json;

constexpr std::size_t kLongestBody = 4'096;
constexpr milliseconds kReadTimeout{5'000};
/// Half of it is waited for the table's lock, behind which the claims of all nodes wait.
constexpr milliseconds kSetTimeout{3'000};
constexpr const char* kAll = "all";

struct Wish {
  std::optional<EthAddress> validator;  ///< nullopt: all
  std::vector<DutyType> types;
  WatermarkChange change = {.low = {}, .high = {}, .extent = WatermarkChange::Extent::kTightenOnly};
};

std::unexpected<InvalidInput> wrong(std::string field, const std::string& value, std::string allowed) {
  return std::unexpected(InvalidInput{std::move(field), printable(value), std::move(allowed)});
}

Parsed<std::vector<DutyType>> types_in(const std::string& text) {
  if (text == kAll) return std::vector<DutyType>(kProtectedDutyTypes.begin(), kProtectedDutyTypes.end());
  const auto type = parse_duty_type(text);
  if (!type || !is_protected(*type)) return wrong("dutyType", text, "one of the six protected types, or all");
  return std::vector<DutyType>{*type};
}

Parsed<Slot> slot_in(const nlohmann::json& value, const std::string& field) {
  if (value.is_number_unsigned()) return Slot::from(value.get<std::uint64_t>(), field);
  if (value.is_string()) return Slot::parse(value.get<std::string>(), field);
  return wrong(field, value.dump(), "a whole number, or a text of its decimal digits");
}

Parsed<Wish> read_wish(std::string_view body) {
  const auto object = body.size() <= kLongestBody ? nlohmann::json::parse(body, nullptr, false) : nlohmann::json();
  if (!object.is_object()) return wrong("body", std::string(body), "a JSON object of at most 4096 bytes");
  Wish wish;
  bool has_validator = false;
  for (const auto& [name, value] : object.items()) {
    if (name == "validator" && value.is_string()) {
      has_validator = true;
      if (value == kAll) continue;
      auto validator = EthAddress::parse(value.get<std::string>(), "validator");
      if (!validator) return std::unexpected(std::move(validator.error()));
      wish.validator = *validator;
    } else if (name == "dutyType" && value.is_string()) {
      auto types = types_in(value.get<std::string>());
      if (!types) return std::unexpected(std::move(types.error()));
      wish.types = std::move(*types);
    } else if (name == "low") {
      auto slot = slot_in(value, name);
      if (!slot) return std::unexpected(std::move(slot.error()));
      wish.change.low = std::optional<Slot>(*slot);
    } else {
      // Not high: it would forbid every slot to come, and only the owner of the database could allow them again.
      return wrong(name, value.dump(), "validator (an address or all), dutyType (a type or all), low");
    }
  }
  if (!has_validator) return wrong("validator", "", "an address, or all");
  if (wish.types.empty()) return wrong("dutyType", "", "a duty type, or all");
  if (!wish.change.low) return wrong("low", "", "a slot");
  return wish;
}

/// A slot that cannot have begun would silence validators until the owner of the database lowers the bound again.
std::optional<InvalidInput> refuse_absurd(const ApplicationParts& parts, const Wish& wish) {
  const auto slots = parts.node.plausible_slots();
  if (!slots || !*wish.change.low) return std::nullopt;
  return slots->refuse(**wish.change.low, "low");
}

/// Those of the wish that the client may use. All: the attesters of this service, and what the store has bounds of.
asio::awaitable<StoreResult<std::vector<EthAddress>>> validators_of(ApplicationParts& parts, Client client, Wish wish) {
  if (wish.validator) co_return std::vector{*wish.validator};
  auto reading = parts.node.history().watermarks(parts.node.clock().now() + kReadTimeout);
  const auto entries = co_await std::move(reading);
  if (!entries) co_return std::unexpected(entries.error());
  std::set<EthAddress> all;
  for (const auto& attester : parts.keys.attester_addresses()) all.insert(attester);
  for (const auto& entry : *entries) {
    if (entry.rollup != parts.domain.rollup.to_string()) continue;
    if (const auto validator = EthAddress::try_parse(entry.validator)) all.insert(*validator);
  }
  std::erase_if(all, [&client](const auto& validator) { return !client.may_use(validator); });
  co_return std::vector<EthAddress>(all.begin(), all.end());
}

ordered_json bound_json(const std::optional<Slot>& bound) {
  return bound ? ordered_json(bound->to_string()) : ordered_json(nullptr);
}

std::string bound_text(const std::optional<Slot>& bound) {
  return bound ? bound->to_string() : "none";
}

ordered_json outcome_json(const EthAddress& validator, DutyType type, const WatermarkOutcome& outcome) {
  return {{"validator", validator.to_string()},
          {"dutyType", to_string(type)},
          {"applied", outcome.applied},
          {"low", bound_json(outcome.after.low)},
          {"high", bound_json(outcome.after.high)}};
}

void audit(const ApplicationParts& parts, const ActiveRequest& request, const EthAddress& validator, DutyType type,
           const WatermarkOutcome& outcome) {
  audit_action(parts, request, "set_watermark",
               {{"signer", validator.to_string()},
                {"dutyType", std::string(to_string(type))},
                {"low", bound_text(outcome.after.low)},
                {"high", bound_text(outcome.after.high)},
                {"outcome", outcome.applied ? "applied" : "refused: it would allow more"}});
}

}  // namespace

asio::awaitable<HttpResponse> answer_set_watermarks(ApplicationParts& parts, ActiveRequestPtr request) {
  const auto wish = read_wish(request->body);
  if (!wish) co_return to_response(problem_of(wish.error()), request->head);
  if (const auto absurd = refuse_absurd(parts, *wish)) co_return to_response(problem_of(*absurd), request->head);
  const auto& client = request->client;
  if (wish->validator && !client.may_use(*wish->validator)) {
    co_return to_response(make_problem("forbidden", "client " + client.name + " may not use the validator " +
                                                        wish->validator->to_string()),
                          request->head);
  }
  auto finding = validators_of(parts, client, *wish);
  const auto validators = co_await std::move(finding);
  if (!validators) {
    co_return to_response(make_problem("unavailable", printable(validators.error().reason, 1'000)), request->head);
  }
  auto changes = ordered_json::array();
  for (const auto& validator : *validators) {
    for (const auto type : wish->types) {
      const auto deadline = parts.node.clock().now() + kSetTimeout;
      auto setting = parts.node.history().set_watermarks(parts.domain.rollup, validator, type, wish->change, deadline);
      const auto outcome = co_await std::move(setting);
      if (!outcome) {
        const auto set = std::to_string(changes.size()) + " of " +
                         std::to_string(validators->size() * wish->types.size()) + " watermarks were set before: ";
        audit_action(parts, *request, "set_watermark", {{"signer", validator.to_string()}, {"outcome", "failed"}});
        co_return to_response(make_problem("unavailable", set + printable(outcome.error().reason, 1'000)),
                              request->head);
      }
      audit(parts, *request, validator, type, *outcome);
      changes.push_back(outcome_json(validator, type, *outcome));
    }
  }
  co_return json_response({{"watermarks", std::move(changes)}});
}

}  // namespace hasigner::service
