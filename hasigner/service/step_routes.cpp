#include "hasigner/service/step_routes.hpp"

#include <boost/asio/redirect_error.hpp>
#include <nlohmann/json.hpp>

#include "hasigner/keys/gather.hpp"
#include "hasigner/service/admin_routes.hpp"
#include "hasigner/service/answer_text.hpp"
#include "hasigner/service/audit.hpp"
#include "hasigner/service/duty_json.hpp"
#include "hasigner/service/duty_requests.hpp"
#include "hasigner/service/read_body.hpp"
#include "hasigner/service/responses.hpp"

namespace hasigner::service {

namespace {

using nlohmann::ordered_json;

/// Claims of one look, and how long a client waits for the next: what a client can make the store do.
constexpr std::size_t kClaimsLookedUp = 2'000;
constexpr milliseconds kBetweenLeaseLooks{1'000};
constexpr milliseconds kLeaseLookTimeout{2'000};

using Step = asio::awaitable<DutyResult>;

Step refuse_step(Problem problem) {
  co_return std::unexpected(std::move(problem));
}

Problem too_many_claims(const Client& client, std::size_t most) {
  return make_problem("too_many_open_claims", "client " + client.name + " has " + std::to_string(most) +
                                                  " claims that it has neither recorded nor released, which is the "
                                                  "most (--max-open-claims): record or release some of them first");
}

/// The permit for one more open claim of its client, until it is known whether the claim is made.
class ClaimPermit {
 public:
  ClaimPermit(std::shared_ptr<OpenClaims> claims, std::string client)
      : claims_(std::move(claims)), client_(std::move(client)) {}
  ~ClaimPermit() {
    if (claims_) claims_->refused(client_);
  }
  ClaimPermit(const ClaimPermit&) = delete;
  ClaimPermit& operator=(const ClaimPermit&) = delete;

  void keep(const HeldDuty& held, MonotonicTime now) {
    std::exchange(claims_, nullptr)->opened(client_, {held.duty.key, held.lock_token}, now);
  }

 private:
  std::shared_ptr<OpenClaims> claims_;
  std::string client_;
};

/// Ends a look, also when it is given up.
class LookEnds {
 public:
  explicit LookEnds(std::shared_ptr<OpenClaims::Look> look) : look_(std::move(look)) {}
  ~LookEnds() {
    look_->is_over = true;
    look_->ended.cancel();
  }
  LookEnds(const LookEnds&) = delete;
  LookEnds& operator=(const LookEnds&) = delete;

 private:
  std::shared_ptr<OpenClaims::Look> look_;
};

bool is_open(const DutyView& view, const LockToken& token) {
  return view.row && view.row->status == DutyStatus::kSigning && view.row->lock_token == token;
}

asio::awaitable<void> close_what_has_ended(ApplicationParts& parts, std::string client) {
  const auto claims = parts.open_claims->oldest(client, kClaimsLookedUp);
  std::vector<DutyKey> keys;
  for (const auto& claim : claims) keys.push_back(claim.key);
  auto looking = parts.node.store().look(std::move(keys), parts.node.clock().now() + kLeaseLookTimeout);
  const auto views = co_await std::move(looking);
  if (!views) co_return;
  for (std::size_t i = 0; i < claims.size(); ++i) {
    if (!is_open((*views)[i], claims[i].token)) parts.open_claims->close(claims[i].token);
  }
}

/// Stops counting claims that were recorded or released elsewhere, where the client may not have so many more.
asio::awaitable<void> make_room(ApplicationParts& parts, std::string client, std::size_t more) {
  if (parts.open_claims->has_room(client, more)) co_return;
  const auto now = parts.node.clock().now();
  auto& latest = parts.open_claims->latest_look(client);
  if (latest && latest->is_over && latest->began + kBetweenLeaseLooks > now) co_return;
  if (latest && !latest->is_over) {
    const auto look = latest;
    boost::system::error_code cancelled;
    auto token = asio::redirect_error(asio::use_awaitable, cancelled);
    co_await look->ended.async_wait(token);
    co_return;
  }
  latest = std::make_shared<OpenClaims::Look>(now, asio::steady_timer(parts.node.executor(), MonotonicTime::max()));
  const LookEnds ends(latest);
  auto looking = close_what_has_ended(parts, std::move(client));
  co_await std::move(looking);
}

Step claim(ApplicationParts& parts, ActiveRequestPtr by, SignRequest request) {
  // An operator may have drained the service, or disabled the key, while the claim waited for its turn.
  if (auto refused = refuse_new(parts, request.validator)) co_return std::unexpected(std::move(*refused));
  if (!parts.open_claims->begin(by->share, parts.node.clock().now())) {
    co_return std::unexpected(too_many_claims(by->client, parts.open_claims->most()));
  }
  ClaimPermit permit(parts.open_claims, by->share);
  auto claiming = parts.node.signer().check_and_record(std::move(request));
  auto held = co_await std::move(claiming);
  if (!held) co_return std::unexpected(problem_of(held.error()));
  permit.keep(*held, parts.node.clock().now());
  ordered_json object = {{"lockToken", held->lock_token.str()}, {"duty", duty_key_json(held->duty.key)}};
  co_return object.dump();
}

Step record(ApplicationParts& parts, HeldDuty held, Signature signature) {
  const auto token = held.lock_token;
  auto recording = parts.node.signer().record_success(std::move(held), signature);
  const auto recorded = co_await std::move(recording);
  // A lock that is lost need not be that of the claim: the client may have named another message or slot.
  if (!recorded) co_return std::unexpected(problem_of(recorded.error()));
  parts.open_claims->close(token);
  co_return ordered_json{{"recorded", true}}.dump();
}

Step release(ApplicationParts& parts, HeldDuty held) {
  const auto token = held.lock_token;
  auto releasing = parts.node.signer().delete_duty(std::move(held));
  const auto released = co_await std::move(releasing);
  if (!released) co_return std::unexpected(problem_of(released.error()));
  if (*released) parts.open_claims->close(token);
  co_return ordered_json{{"released", *released}}.dump();
}

ReadResult<HeldDuty> held_duty(const ApplicationParts& parts, const ClaimRequest& request, const LockToken& token) {
  auto duty = make_duty(parts.domain.rollup, request.validator, request.message_hash, request.context);
  if (!duty) return std::unexpected(problem_of(duty.error()));
  return HeldDuty{std::move(*duty), token};
}

Step begin(ApplicationParts& parts, ActiveRequestPtr by, const ClaimRequest& request) {
  const auto& client = by->client;
  if (parts.keys.has_attester(request.validator) && !client.may(Right::kStepsHeldKeys)) {
    return refuse_step(make_problem("forbidden", "client " + client.name +
                                                     " lacks the right steps-held-keys: this service holds the key of "
                                                     "validator " +
                                                     request.validator.to_string() + ", so ask it to sign"));
  }
  return claim(parts, std::move(by), {request.validator, request.message_hash, request.context});
}

Step begin(ApplicationParts& parts, const ActiveRequestPtr& /*by*/, const RecordRequest& request) {
  auto held = held_duty(parts, request.duty, request.lock_token);
  if (!held) return refuse_step(std::move(held.error()));
  return record(parts, std::move(*held), request.signature);
}

Step begin(ApplicationParts& parts, const ActiveRequestPtr& /*by*/, const ReleaseRequest& request) {
  auto held = held_duty(parts, request.duty, request.lock_token);
  if (!held) return refuse_step(std::move(held.error()));
  return release(parts, std::move(*held));
}

const ClaimRequest& duty_of(const ClaimRequest& request) {
  return request;
}
const ClaimRequest& duty_of(const auto& request) {
  return request.duty;
}

template <class T>
constexpr std::string_view kStepName = "claim";
template <>
constexpr std::string_view kStepName<RecordRequest> = "record";
template <>
constexpr std::string_view kStepName<ReleaseRequest> = "release";

/// Takes a step in turn with other clients.
template <class T>
Step in_turn(ApplicationParts& parts, ActiveRequestPtr request, Step step, std::optional<ClaimRequest> duty) {
  std::optional<FairQueue::Turn> in_flight;
  // What a client holds it may always record and release, however many of its duties wait.
  if constexpr (std::is_same_v<T, ClaimRequest>) {
    auto entering = take_turn(parts.work->in_flight(), request, 1);
    auto entered = co_await std::move(entering);
    if (!entered) co_return std::unexpected(std::move(entered.error()));
    in_flight.emplace(std::move(*entered));
  }
  auto taking = take_turn(parts.work->signing(), request, 1);
  auto turn = co_await std::move(taking);
  if (!turn) co_return std::unexpected(turn.error());
  const EndsInTime ends(std::move(*turn), parts.node.executor());
  auto result = co_await std::move(step);
  if (!result) parts.problems->note(*request, result.error());
  if (duty) {
    const AuditedDuty audited{duty->validator, duty->message_hash, duty->context, audited_outcome(result, "done")};
    audit_duty(parts, *request, std::string(kStepName<T>), audited);
  }
  co_return result;
}

template <class T>
Step begin_if_allowed(ApplicationParts& parts, ActiveRequestPtr by, const ReadResult<T>& request) {
  if (!request) return refuse_step(request.error());
  if (auto problem = refuse_steps(duty_of(*request), by->client)) return refuse_step(std::move(*problem));
  return begin(parts, std::move(by), *request);
}

/// Reads the requests of the body, takes a step for each at once, and answers all of them.
template <class T>
asio::awaitable<HttpResponse> answer_steps(ApplicationParts& parts, ActiveRequestPtr request, RequestReader<T> read) {
  const auto requests = co_await read_request_list<T>(parts, request, read);
  if (!requests) co_return to_response(requests.error(), request->head);
  if (!request->reserve_answer(kUsualEntry * requests->list.size())) {
    co_return to_response(answers_wait(), request->head);
  }
  if constexpr (std::is_same_v<T, ClaimRequest>) {
    auto making_room = make_room(parts, request->share, requests->list.size());
    co_await std::move(making_room);
    if (const auto refused = request->refuse_lost_rights()) co_return to_response(*refused, request->head);
  }
  std::vector<Step> steps;
  for (const auto& one : requests->list) {
    auto duty = one ? std::optional(duty_of(*one)) : std::nullopt;
    steps.push_back(in_turn<T>(parts, request, begin_if_allowed(parts, request, one), std::move(duty)));
  }
  auto gathered = co_await keys::gather(std::move(steps));
  const auto results = std::make_shared<const std::vector<DutyResult>>(std::move(gathered));
  std::function<HttpResponse()> write = [request, results, shape = requests->shape] {
    return results_response(*results, shape, request->head, "done");
  };
  auto writing = write_answer(parts.work, request, results->size(), std::move(write));
  auto response = co_await std::move(writing);
  co_return response;
}

}  // namespace

asio::awaitable<HttpResponse> answer_claim(ApplicationParts& parts, ActiveRequestPtr request) {
  return answer_steps<ClaimRequest>(parts, std::move(request), read_claim_request);
}

asio::awaitable<HttpResponse> answer_record(ApplicationParts& parts, ActiveRequestPtr request) {
  return answer_steps<RecordRequest>(parts, std::move(request), read_record_request);
}

asio::awaitable<HttpResponse> answer_release(ApplicationParts& parts, ActiveRequestPtr request) {
  return answer_steps<ReleaseRequest>(parts, std::move(request), read_release_request);
}

}  // namespace hasigner::service
