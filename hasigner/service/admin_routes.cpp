#include "hasigner/service/admin_routes.hpp"

#include <map>
#include <nlohmann/json.hpp>

#include "hasigner/protection/journaled_store.hpp"
#include "hasigner/service/audit.hpp"
#include "hasigner/service/read_body.hpp"
#include "hasigner/service/responses.hpp"
#include "hasigner/store/rows/utc_time.hpp"

namespace hasigner::service {

namespace {

using nlohmann::ordered_json;

constexpr std::size_t kMostKeys = 10'000;
/// Switches from which on a key that is not here is disabled by a person at the store only: each is read every second.
constexpr std::size_t kMostForeign = 1'000;
constexpr std::size_t kLongestAddressBody = 4'096;
constexpr const char* kSwitchesUnread =
    "this service has not been able yet to read which keys operators have disabled, so it claims and signs nothing; "
    "the "
    "log says why (key_switches_unreadable)";

/// The only member of a body.
Parsed<EthAddress> address_in(std::string_view body) {
  const auto object =
      body.size() <= kLongestAddressBody ? nlohmann::json::parse(body, nullptr, false) : nlohmann::json();
  const bool is_right =
      object.is_object() && object.size() == 1 && object.contains("address") && object["address"].is_string();
  if (!is_right) return std::unexpected(InvalidInput{"body", printable(body), "an object with the member address"});
  return EthAddress::parse(object["address"].get<std::string>(), "address");
}

std::vector<std::string> visible(std::vector<std::string> addresses, const Client& client) {
  std::erase_if(addresses, [&client](const std::string& address) { return !client.may_see(address); });
  return addresses;
}

ordered_json report_json(const std::optional<ReloadReport>& report, const Client& client) {
  if (!report) return nullptr;
  const auto& changes = report->changes;
  return {{"beganAt", iso_text(report->began_at)},
          {"endedAt", iso_text(report->ended_at)},
          {"by", report->by},
          {"succeeded", report->succeeded},
          {"what", printable(report->what, 2'000)},
          {"attestersAdded", visible(changes.attesters_added, client)},
          {"attestersRemoved", visible(changes.attesters_removed, client)},
          {"clientsAdded", changes.clients_added},
          {"clientsRemoved", changes.clients_removed},
          {"clientsChanged", changes.clients_changed}};
}

ordered_json drain_json(const std::optional<Drain>& drain) {
  if (!drain) return nullptr;
  return {{"since", iso_text(drain->since)}, {"by", drain->by}};
}

FailoverGuard* guard_of(const ApplicationParts& parts) {
  const auto journaled = parts.node.journaled_store();
  return journaled ? journaled->guard() : nullptr;
}

ordered_json guard_json(const FailoverGuard* guard) {
  if (!guard) return nullptr;
  const auto status = guard->status();
  return {{"holds", status.holds}, {"reason", printable(status.why, 500)}, {"waitsFor", status.waits_for}};
}

HttpResponse keys_response(const Client& client, const std::vector<EthAddress>& attesters,
                           const std::vector<EthAddress>& publishers, const std::map<EthAddress, KeySwitch>& switches,
                           bool is_current) {
  struct Roles {
    bool is_attester = false, is_publisher = false;
  };
  std::map<EthAddress, Roles> keys;
  for (const auto& key : attesters) keys[key].is_attester = true;
  for (const auto& key : publishers) keys[key].is_publisher = true;
  for (const auto& [key, one] : switches) {
    if (!one.is_enabled) keys.try_emplace(key);
  }
  auto list = ordered_json::array();
  for (const auto& [key, roles] : keys) {
    if (!client.may_use(key) || list.size() == kMostKeys) continue;
    const auto found = switches.find(key);
    const KeySwitch* const changed = found == switches.end() ? nullptr : &found->second;
    list.push_back({{"address", key.to_string()},
                    {"attester", roles.is_attester},
                    {"publisher", roles.is_publisher},
                    {"enabled", !changed || changed->is_enabled},
                    {"changedBy", changed ? ordered_json(printable(changed->changed_by, 300)) : ordered_json(nullptr)},
                    {"changedAt", changed ? ordered_json(iso_time(changed->changed_at)) : ordered_json(nullptr)}});
  }
  return json_response({{"keys", std::move(list)}, {"current", is_current}});
}

/// The right `operate` of a client that may use some validators only does not reach to the service as a whole.
std::optional<Problem> refuse_whole_service(const Client& client) {
  if (!client.validators) return std::nullopt;
  return make_problem("forbidden", "client " + client.name +
                                       " is restricted to some validators, and this would act on all of the service");
}

HttpResponse changed(ApplicationParts& parts, const ActiveRequest& request, const char* event,
                     std::vector<LogField> about = {}) {
  parts.log->write(LogLevel::kWarning, event, {{"by", "client " + request.client.name}});
  audit_action(parts, request, event, std::move(about));
  return answer_service(parts, request.client);
}

}  // namespace

std::optional<Problem> refuse_new(const ApplicationParts& parts, const EthAddress& key) {
  if (const auto& drain = parts.administration->drain) {
    return make_problem("draining", "this service is drained since " + iso_text(drain->since) +
                                        " and signs nothing new: ask another one, or end that with POST "
                                        "/api/v1/undrain");
  }
  if (!parts.key_switches->were_read()) {
    return make_problem("unavailable", kSwitchesUnread);
  }
  const auto* const found = parts.key_switches->find(key);
  if (!found || found->is_enabled) return std::nullopt;
  return make_problem("key_disabled", "the key " + key.to_string() + " is disabled for all services since " +
                                          iso_time(found->changed_at) + "; nothing was claimed or signed");
}

asio::awaitable<HttpResponse> answer_keys(ApplicationParts& parts, ActiveRequestPtr request) {
  const auto& switches = *parts.key_switches;
  std::function<HttpResponse()> write = [request, attesters = parts.keys.attester_addresses(),
                                         publishers = parts.keys.publisher_addresses(), all = switches.all(),
                                         is_current = switches.failure().empty()] {
    return keys_response(request->client, attesters, publishers, all, is_current);
  };
  const auto count = parts.keys.attester_addresses().size() + switches.all().size();
  auto writing = write_answer(parts.work, request, count, std::move(write));
  auto response = co_await std::move(writing);
  co_return response;
}

asio::awaitable<HttpResponse> answer_key_switch(ApplicationParts& parts, ActiveRequestPtr request, KeyState state) {
  const bool is_enabled = state == KeyState::kEnabled;
  const auto key = address_in(request->body);
  if (!key) co_return to_response(problem_of(key.error()), request->head);
  const auto& client = request->client;
  if (!client.may_use(*key)) {
    co_return to_response(
        make_problem("forbidden", "client " + client.name + " may not use the key " + key->to_string()), request->head);
  }
  const auto& switches = *parts.key_switches;
  const auto publishers = parts.keys.publisher_addresses();
  const bool is_known =
      switches.find(*key) || parts.keys.has_attester(*key) || std::ranges::find(publishers, *key) != publishers.end();
  if (!is_known && switches.all().size() >= kMostForeign) {
    const auto why = std::to_string(kMostForeign) +
                     " keys have been disabled already, and this service does not hold " + key->to_string() +
                     ": use ha-signer keys disable";
    co_return to_response(make_problem("forbidden", why), request->head);
  }
  auto setting =
      KeySwitches::set(parts.key_switches, *key, state, "client " + client.name + " at node " + parts.about.node_id);
  const auto changed = co_await std::move(setting);
  const std::string outcome = !changed ? "failed" : *changed ? "changed" : "unchanged";
  audit_action(parts, *request, is_enabled ? "enable_key" : "disable_key",
               {{"signer", key->to_string()}, {"outcome", outcome}});
  if (!changed) {
    co_return to_response(make_problem("unavailable", "the store has not confirmed that the key is " +
                                                          std::string(is_enabled ? "enabled" : "disabled") + ": " +
                                                          printable(changed.error().reason, 1'000)),
                          request->head);
  }
  co_return json_response({{"address", key->to_string()}, {"enabled", is_enabled}, {"changed", *changed}});
}

asio::awaitable<HttpResponse> answer_reload(ApplicationParts& parts, ActiveRequestPtr request) {
  if (const auto refused = refuse_whole_service(request->client)) co_return to_response(*refused, request->head);
  auto reloading = parts.reload("client " + request->client.name);
  const auto reloaded = co_await std::move(reloading);
  if (!reloaded) co_return to_response(make_problem("reload_failed", reloaded.error()), request->head);
  co_return json_response({{"reloaded", *reloaded}});
}

HttpResponse answer_service(const ApplicationParts& parts, const Client& client) {
  const auto& administration = *parts.administration;
  return json_response({{"nodeId", parts.about.node_id},
                        {"version", parts.about.version},
                        {"drained", drain_json(administration.drain)},
                        {"attemptsInFlight", parts.node.signer().attempts_in_flight()},
                        {"guard", guard_json(guard_of(parts))},
                        {"reload",
                         {{"running", administration.reloading},
                          {"last", report_json(administration.last_reload, client)},
                          {"lastFailed", report_json(administration.last_failed_reload, client)}}},
                        {"time", iso_text(std::chrono::system_clock::now())}});
}

HttpResponse answer_drain(ApplicationParts& parts, const ActiveRequest& request) {
  if (const auto refused = refuse_whole_service(request.client)) return to_response(*refused, request.head);
  if (parts.administration->drain) return answer_service(parts, request.client);
  parts.administration->drain = Drain{std::chrono::system_clock::now(), "client " + request.client.name};
  return changed(parts, request, "drain");
}

HttpResponse answer_undrain(ApplicationParts& parts, const ActiveRequest& request) {
  if (const auto refused = refuse_whole_service(request.client)) return to_response(*refused, request.head);
  if (!parts.administration->drain) return answer_service(parts, request.client);
  parts.administration->drain.reset();
  return changed(parts, request, "undrain");
}

HttpResponse answer_release_guard(ApplicationParts& parts, const ActiveRequest& request) {
  if (const auto refused = refuse_whole_service(request.client)) return to_response(*refused, request.head);
  auto* guard = guard_of(parts);
  const auto before = guard ? guard->status() : GuardStatus();
  if (!guard || !guard->release("client " + request.client.name)) return answer_service(parts, request.client);
  std::string waits_for;
  for (const auto& node_id : before.waits_for) waits_for += (waits_for.empty() ? "" : ", ") + printable(node_id, 300);
  return changed(parts, request, "release_guard", {{"reason", before.why}, {"waitsFor", waits_for}});
}

}  // namespace hasigner::service
