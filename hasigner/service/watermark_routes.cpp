#include "hasigner/service/watermark_routes.hpp"

#include <nlohmann/json.hpp>
#include <set>

#include "hasigner/protection/plausible_slots.hpp"
#include "hasigner/service/audit.hpp"
#include "hasigner/service/read_body.hpp"
#include "hasigner/service/responses.hpp"

namespace hasigner::service {

namespace {

using nlohmann::ordered_json;

constexpr std::size_t kLongestWatermarkBody = 4'096;
constexpr milliseconds kWatermarksReadTimeout{5'000};
/// Half of it is waited for the table's lock, behind which the claims of all nodes wait.
constexpr milliseconds kWatermarkSetTimeout{3'000};
constexpr const char* kAll = "all";

struct Wish {
  enum class Whose : std::uint8_t { kOne, kKnown, kEvery };
  Whose whose = Whose::kOne;
  std::optional<EthAddress> validator;
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
  const auto object =
      body.size() <= kLongestWatermarkBody ? nlohmann::json::parse(body, nullptr, false) : nlohmann::json();
  if (!object.is_object()) return wrong("body", std::string(body), "a JSON object of at most 4096 bytes");
  Wish wish;
  bool has_validator = false;
  for (const auto& [name, value] : object.items()) {
    if (name == "validator" && value.is_string()) {
      has_validator = true;
      wish.whose = value == kAll              ? Wish::Whose::kKnown
                   : value == kEveryValidator ? Wish::Whose::kEvery
                                              : Wish::Whose::kOne;
      if (wish.whose != Wish::Whose::kOne) continue;
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
      return wrong(name, value.dump(), "validator (an address, all or every), dutyType (a type or all), low");
    }
  }
  if (!has_validator) return wrong("validator", "", "an address, all or every");
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

/// Why the client may not wish that.
std::optional<std::string> refuse_client(const Client& client, const Wish& wish) {
  if (wish.validator && !client.may_use(*wish.validator)) {
    return "client " + client.name + " may not use the validator " + wish.validator->to_string();
  }
  if (wish.whose != Wish::Whose::kEvery || !client.validators) return std::nullopt;
  return "client " + client.name +
         " is restricted to some validators, and watermarks of every validator are those of all";
}

/// Those of the wish that the client may use. All: the attesters of this service, and what the store has bounds of.
asio::awaitable<StoreResult<std::vector<std::optional<EthAddress>>>> validators_of(ApplicationParts& parts,
                                                                                   Client client, Wish wish) {
  using Validators = std::vector<std::optional<EthAddress>>;
  if (wish.whose != Wish::Whose::kKnown) co_return Validators{wish.validator};
  auto reading = parts.node.history().watermarks(parts.node.clock().now() + kWatermarksReadTimeout);
  const auto entries = co_await std::move(reading);
  if (!entries) co_return std::unexpected(entries.error());
  std::set<EthAddress> all;
  for (const auto& attester : parts.keys.attester_addresses()) all.insert(attester);
  for (const auto& entry : *entries) {
    if (entry.rollup != parts.domain.rollup.to_string()) continue;
    if (const auto validator = EthAddress::try_parse(entry.validator)) all.insert(*validator);
  }
  std::erase_if(all, [&client](const auto& validator) { return !client.may_use(validator); });
  co_return Validators(all.begin(), all.end());
}

ordered_json bound_json(const std::optional<Slot>& bound) {
  return bound ? ordered_json(bound->to_string()) : ordered_json(nullptr);
}

std::string bound_text(const std::optional<Slot>& bound) {
  return bound ? bound->to_string() : "none";
}

ordered_json outcome_json(const WatermarkSubject& subject, const WatermarkOutcome& outcome) {
  return {{"validator", validator_text(subject.validator)},
          {"dutyType", to_string(subject.duty_type)},
          {"applied", outcome.applied},
          {"low", bound_json(outcome.after.low)},
          {"high", bound_json(outcome.after.high)}};
}

void audit(const ApplicationParts& parts, const ActiveRequest& request, const WatermarkSubject& subject,
           const WatermarkOutcome& outcome) {
  audit_action(parts, request, "set_watermark",
               {{"signer", validator_text(subject.validator)},
                {"dutyType", std::string(to_string(subject.duty_type))},
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
  if (auto refused = refuse_client(client, *wish)) {
    co_return to_response(make_problem("forbidden", std::move(*refused)), request->head);
  }
  const auto turns = parts.watermark_turns;
  const auto place = Reads::enter(turns->waiting, request->share);
  if (!place) {
    co_return to_response(
        make_problem("too_many_requests", "too many changes of watermarks wait: at most " +
                                              std::to_string(Reads::kMostOfClient) + " of one client, and " +
                                              std::to_string(Reads::kMost) + " in all; ask again later"),
        request->head);
  }
  auto taking = take_turn(turns->queue, request, 1);
  const auto turn = co_await std::move(taking);
  if (!turn) co_return to_response(turn.error(), request->head);
  if (turns->next > parts.node.clock().now()) {
    auto pausing = WatermarkTurns::pause(turns);
    co_await std::move(pausing);
    if (const auto refused = request->refuse_after_wait()) co_return to_response(*refused, request->head);
  }
  auto finding = validators_of(parts, client, *wish);
  const auto validators = co_await std::move(finding);
  if (!validators) {
    co_return to_response(make_problem("unavailable", printable(validators.error().reason, 1'000)), request->head);
  }
  std::vector<WatermarkSubject> subjects;
  for (const auto& validator : *validators) {
    for (const auto type : wish->types) subjects.push_back({validator, type});
  }
  const auto began = parts.node.clock().now();
  auto setting =
      parts.node.history().set_watermarks(parts.domain.rollup, subjects, wish->change, began + kWatermarkSetTimeout);
  const auto outcomes = co_await std::move(setting);
  turns->changed(began, parts.node.clock().now());
  if (!outcomes) {
    for (const auto& validator : *validators) {
      audit_action(parts, *request, "set_watermark", {{"signer", validator_text(validator)}, {"outcome", "failed"}});
    }
    co_return to_response(
        make_problem("unavailable", "no watermark was confirmed: " + printable(outcomes.error().reason, 1'000)),
        request->head);
  }
  auto changes = ordered_json::array();
  for (std::size_t i = 0; i < subjects.size(); ++i) {
    audit(parts, *request, subjects[i], (*outcomes)[i]);
    changes.push_back(outcome_json(subjects[i], (*outcomes)[i]));
  }
  co_return json_response({{"watermarks", std::move(changes)}});
}

}  // namespace hasigner::service
