#include "hasigner/service/step_routes.hpp"

#include <nlohmann/json.hpp>

#include "hasigner/keys/gather.hpp"
#include "hasigner/service/duty_json.hpp"
#include "hasigner/service/duty_requests.hpp"
#include "hasigner/service/read_body.hpp"
#include "hasigner/service/responses.hpp"

namespace hasigner::service {

namespace {

using nlohmann::ordered_json;
using Step = asio::awaitable<DutyResult>;

Step refuse_step(Problem problem) {
  co_return std::unexpected(std::move(problem));
}

Step claim(HaSigner& signer, SignRequest request) {
  auto held = co_await signer.check_and_record(std::move(request));
  if (!held) co_return std::unexpected(problem_of(held.error()));
  ordered_json object = {{"lockToken", held->lock_token.str()}, {"duty", duty_key_json(held->duty.key)}};
  co_return object.dump();
}

Step record(HaSigner& signer, HeldDuty held, Signature signature) {
  const auto recorded = co_await signer.record_success(std::move(held), signature);
  if (!recorded) co_return std::unexpected(problem_of(recorded.error()));
  co_return ordered_json{{"recorded", true}}.dump();
}

Step release(HaSigner& signer, HeldDuty held) {
  const auto released = co_await signer.delete_duty(std::move(held));
  if (!released) co_return std::unexpected(problem_of(released.error()));
  co_return ordered_json{{"released", *released}}.dump();
}

ReadResult<HeldDuty> held_duty(const ApplicationParts& parts, const ClaimRequest& request, const LockToken& token) {
  auto duty = make_duty(parts.domain.rollup, request.validator, request.message_hash, request.context);
  if (!duty) return std::unexpected(problem_of(duty.error()));
  return HeldDuty{std::move(*duty), token};
}

Step begin(ApplicationParts& parts, const ClaimRequest& request) {
  return claim(parts.node.signer(), {request.validator, request.message_hash, request.context});
}

Step begin(ApplicationParts& parts, const RecordRequest& request) {
  auto held = held_duty(parts, request.duty, request.lock_token);
  if (!held) return refuse_step(std::move(held.error()));
  return record(parts.node.signer(), std::move(*held), request.signature);
}

Step begin(ApplicationParts& parts, const ReleaseRequest& request) {
  auto held = held_duty(parts, request.duty, request.lock_token);
  if (!held) return refuse_step(std::move(held.error()));
  return release(parts.node.signer(), std::move(*held));
}

const ClaimRequest& duty_of(const ClaimRequest& request) {
  return request;
}
const ClaimRequest& duty_of(const auto& request) {
  return request.duty;
}

/// Takes a step in turn with other clients.
Step in_turn(ApplicationParts& parts, ActiveRequestPtr request, Step step) {
  auto taking = take_turn(parts.work->signing(), request, 1);
  auto turn = co_await std::move(taking);
  if (!turn) co_return std::unexpected(turn.error());
  const EndsInTime ends(std::move(*turn), parts.node.executor());
  auto result = co_await std::move(step);
  co_return result;
}

template <class T>
Step begin_if_allowed(ApplicationParts& parts, const Client& client, const ReadResult<T>& request) {
  if (!request) return refuse_step(request.error());
  if (auto problem = refuse_steps(duty_of(*request), client)) return refuse_step(std::move(*problem));
  return begin(parts, *request);
}

/// Reads the requests of the body, takes a step for each at once, and answers all of them.
template <class T>
asio::awaitable<HttpResponse> answer_steps(ApplicationParts& parts, ActiveRequestPtr request, RequestReader<T> read) {
  const auto requests = co_await read_request_list<T>(parts, request, read);
  if (!requests) co_return to_response(requests.error(), request->head);
  std::vector<Step> steps;
  for (const auto& one : requests->list) {
    steps.push_back(in_turn(parts, request, begin_if_allowed(parts, request->client, one)));
  }
  const auto results = co_await keys::gather(std::move(steps));
  co_return results_response(results, requests->shape, request->head, "done");
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
