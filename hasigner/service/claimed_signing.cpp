#include "hasigner/service/claimed_signing.hpp"

#include <algorithm>

#include "hasigner/crypto/ethereum.hpp"
#include "hasigner/protection/plausible_slots.hpp"

namespace hasigner::service {

namespace {

constexpr milliseconds kFirstPause{2};
constexpr milliseconds kLongestPause{200};
constexpr milliseconds kLookTime{2'000};

constexpr std::size_t kShownText = 100;

std::string missing_row(const ClaimedMessage& message) {
  std::string types;
  for (const auto type : message.duty_types) types += (types.empty() ? "" : ", ") + std::string(to_string(type));
  return "validator_duties has no row *signing* with message_hash " + message.key.message_hash.to_string() +
         " for validator " + message.key.validator.to_string() + ", rollup " + message.key.rollup.to_string() +
         (message.slot ? ", slot " + message.slot->to_string() : "") + " and duty type " + types;
}

std::string name_of(const FoundDuty& found) {
  return printable(found.duty_type, kShownText) + " at slot " + printable(found.slot, kShownText) + " by node " +
         printable(found.node_id, kShownText);
}

/// Why a row that has the message does not count.
std::vector<std::string> faults_of(const FoundDuty& row, const ClaimedMessage& message) {
  std::vector<std::string> faults;
  const auto rollup = EthAddress::try_parse(row.rollup);
  if (rollup != message.key.rollup) {
    faults.push_back("is of rollup " + printable(row.rollup, kShownText));
  } else if (row.rollup != message.key.rollup.to_string()) {
    faults.push_back("has upper-case digits in its rollup_address");
  }
  if (row.validator != message.key.validator.to_string()) {
    faults.emplace_back("has upper-case digits in its validator_address");
  }
  if (row.message_hash != message.key.message_hash.to_string()) {
    faults.emplace_back("has upper-case digits in its message_hash");
  }
  const auto type = parse_duty_type(row.duty_type);
  if (!type || std::ranges::find(message.duty_types, *type) == message.duty_types.end()) {
    faults.push_back("has the duty type " + printable(row.duty_type, kShownText));
  }
  if (message.slot && row.slot != message.slot->to_string()) {
    faults.push_back("has slot " + printable(row.slot, kShownText));
  }
  const bool has_index = !row.block_index.starts_with('-');
  if (type && has_index != (*type == DutyType::kBlockProposal)) {
    faults.push_back("has block index " + printable(row.block_index, kShownText));
  }
  if (row.status != "signing") faults.push_back("is *" + printable(row.status, kShownText) + "* already");
  return faults;
}

std::string joined_faults(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::string what_stands(const FoundDuty& found, const ClaimedMessage& message) {
  switch (found.what) {
    case FoundDuty::What::kRow: {
      const auto faults = faults_of(found, message);
      return "the row of " + name_of(found) + " has this message, but it " +
             (faults.empty() ? "came or was locked just now: ask again" : joined_faults(faults));
    }
    case FoundDuty::What::kReleased:
      return "the message was released for " + printable(found.duty_type, kShownText) + " at slot " +
             printable(found.slot, kShownText) + " by service " + printable(found.node_id, kShownText);
    case FoundDuty::What::kInstead:
      return "the newest row of such a duty, " + name_of(found) + ", is *" + printable(found.status, kShownText) +
             "* with message_hash " + printable(found.message_hash, kShownText);
  }
  return {};
}

/// Which row is missing, and what stands there instead.
std::string not_claimed(const ClaimedMessage& message, const std::vector<FoundDuty>& found) {
  std::string text = missing_row(message);
  for (const auto& duty : found) text += "; " + what_stands(duty, message);
  if (found.empty()) text += "; nor has it another row of this validator for such a duty";
  return text + ". A node must claim the duty in this database, with HA signing on, and ask while its row stands";
}

/// Turns what became of a message into the answer for its client. Returns nullopt when the store must be asked again.
struct Judge {
  const ClaimedMessage& message;
  const PlausibleSlots* slots;  ///< null: every slot is plausible
  using Answer = std::optional<std::expected<Released, Problem>>;

  Answer operator()(Released& released) const { return std::move(released); }
  Answer operator()(NotClaimed&) const {
    return std::unexpected(make_problem("duty_not_claimed", missing_row(message)));
  }
  Answer operator()(ClaimLocked&) const { return std::nullopt; }
  Answer operator()(SlashingProtection& refused) const {
    return std::unexpected(problem_of(SigningError(std::move(refused))));
  }
  Answer operator()(OutsideWatermark& refused) const {
    // The batch has one bound, which may be that of another message of the same moment.
    if (slots) {
      if (auto implausible = slots->refuse(refused.duty.slot)) {
        implausible->field = "the slot of the row of " + std::string(to_string(refused.duty.duty_type));
        return std::unexpected(problem_of(*implausible));
      }
    }
    return std::unexpected(problem_of(SigningError(refused)));
  }
};

/// The signature that stands for the message. Others may have written it, unless it is the one that was made here.
std::expected<Signature, Problem> given(const ClaimedMessage& message, const Signature& stored) {
  const auto& [rollup, validator, hash, digest] = message.key;
  if (message.signature == stored || is_signature_of(validator, hash, stored)) return stored;
  auto problem =
      make_problem("duty_already_signed", "the message " + hash.to_string() +
                                              " has been released already; its row holds no signature of validator " +
                                              validator.to_string() + " for it, so none is given");
  problem.signature_unusable = true;
  return std::unexpected(std::move(problem));
}

}  // namespace

ClaimedSigning::ClaimedSigning(HaNode& node, keys::HaKeyStore& keys, std::shared_ptr<ServiceMetrics> metrics,
                               NodeId node_id, milliseconds time_limit)
    : node_(node), keys_(keys), metrics_(std::move(metrics)), time_limit_(time_limit) {
  Lane::Limits limits;
  // The statement joins what it has read with what it has written, row by row.
  limits.max_batch = 250;
  limits.max_in_flight = std::max<std::size_t>(1, node.store().capabilities().parallel_batches);
  auto send = [store = node.claimed_messages(), node_id = std::move(node_id)](std::vector<ClaimedMessage> messages,
                                                                              MonotonicTime deadline) {
    return store->release_claimed(node_id, std::move(messages), deadline);
  };
  lane_ = std::make_shared<Lane>(node.executor(), node.shared_clock(), limits, std::move(send));
}

asio::awaitable<SignResult<Signature>> ClaimedSigning::sign_now(std::shared_ptr<ClaimedSigning> self,
                                                                std::string client, EthAddress validator,
                                                                std::shared_ptr<const keys::Payload> payload) {
  // What needs no protection is signed directly. Here the signature waits for the release.
  const SigningContext directly{.duty_type = DutyType::kAuthRequest, .slot = {}};
  auto signature = co_await self->keys_.sign_for(std::move(client), validator, std::move(payload), directly);
  co_return signature;
}

asio::awaitable<ClaimedSigning::Outcome> ClaimedSigning::release(std::shared_ptr<ClaimedSigning> self,
                                                                 ClaimedMessage message, MonotonicTime deadline) {
  asio::steady_timer timer(self->node_.executor());
  bool in_doubt = false;
  std::string last_error = "another session kept the row locked, or the server's history is not the known one";
  auto pause = kFirstPause;
  while (self->node_.clock().now() < deadline) {
    const auto arrival = self->lane_->submit(message);
    auto result = co_await Arrival<Lane::Result>::wait(arrival, self->node_.clock(), deadline);
    if (!result) {
      in_doubt = true;
      last_error = "no answer in time";
      break;
    }
    if (*result) {
      auto answer = std::visit(Judge{message, self->node_.plausible_slots().get()}, **result);
      if (answer) co_return std::move(*answer);
    } else {
      const auto& error = result->error();
      in_doubt = in_doubt || error.kind != StoreErrorKind::kUnavailable;
      last_error = error.reason;
      if (error.kind == StoreErrorKind::kIncompatible) break;
    }
    timer.expires_after(pause);
    pause = std::min(pause * 2, kLongestPause);
    co_await timer.async_wait(asio::use_awaitable);
  }
  // Without a signature the message was to be reserved before a remote signer is asked for one.
  const std::string unconfirmed =
      std::string("the store has not confirmed that the message is the one of its duty, so ") +
      (message.signature ? "the signature was destroyed" : "the remote signer was not asked") + "; ask again: ";
  const std::string refused = in_doubt ? unconfirmed : "nothing was signed; ask again: ";
  co_return std::unexpected(
      make_problem(in_doubt ? "in_doubt" : "unavailable", printable(refused + last_error, 2'000)));
}

asio::awaitable<StoreResult<std::vector<FoundDuty>>> ClaimedSigning::find(std::shared_ptr<ClaimedSigning> self,
                                                                          ClaimedMessage message) {
  const auto claimed_messages = self->node_.claimed_messages();
  const auto deadline = self->node_.clock().now() + kLookTime;
  auto found = co_await claimed_messages->about_message(std::move(message), deadline);
  co_return found;
}

asio::awaitable<std::expected<Signature, Problem>> ClaimedSigning::sign_auth_request(
    std::shared_ptr<ClaimedSigning> self, ClaimedRequest request, std::shared_ptr<const keys::Payload> payload) {
  const auto validator = request.message.key.validator;
  const auto found = co_await find(self, std::move(request.message));
  if (!found) {
    co_return std::unexpected(
        make_problem("unavailable", "nothing was signed; ask again: " + printable(found.error().reason, 2'000)));
  }
  for (const auto& duty : *found) {
    if (duty.what == FoundDuty::What::kInstead) continue;
    co_return std::unexpected(make_problem(
        "forbidden", "the message is that of a duty (" + name_of(duty) +
                         "), and a client with the right auth-requests may have messages signed only as AUTH_REQUEST: "
                         "nodes before Aztec 5.0, which sign duties as messages, must not have this right"));
  }
  auto signature = co_await sign_now(self, std::move(request.client), validator, std::move(payload));
  if (!signature) co_return std::unexpected(problem_of(signature.error()));
  co_return *signature;
}

asio::awaitable<std::expected<Signature, Problem>> ClaimedSigning::sign(std::shared_ptr<ClaimedSigning> self,
                                                                        ClaimedRequest request,
                                                                        std::shared_ptr<const keys::Payload> payload) {
  const bool is_auth_request = request.is_auth_request;
  auto work = is_auth_request ? sign_auth_request(self, std::move(request), std::move(payload))
                              : sign_claimed(self, std::move(request), std::move(payload));
  auto signature = co_await std::move(work);
  const std::string_view released = is_auth_request ? "auth_request" : "signed";
  self->metrics_->claimed_request(signature ? released : std::string_view(signature.error().kind));
  co_return signature;
}

asio::awaitable<std::expected<Signature, Problem>> ClaimedSigning::sign_claimed(
    std::shared_ptr<ClaimedSigning> self, ClaimedRequest request, std::shared_ptr<const keys::Payload> payload) {
  auto& message = request.message;
  const auto deadline = self->node_.clock().now() + self->time_limit_;
  if (const auto slots = self->node_.plausible_slots()) message.latest_slot = slots->latest();
  const auto validator = message.key.validator;
  const auto remote = self->keys_.remote_signer(validator);
  const bool is_local = remote && !remote->has_value();
  std::optional<Outcome> released;
  if (!is_local) {
    released = co_await release(self, message, deadline);
    if (*released && (*released)->signature) co_return given(message, *(*released)->signature);
  }
  if (!released || *released) {
    auto signature = co_await sign_now(self, std::move(request.client), validator, payload);
    if (!signature) co_return std::unexpected(problem_of(signature.error()));
    message.signature = std::move(*signature);
    released = co_await release(self, message, deadline);
  }
  if (*released && (*released)->signature) co_return given(message, *(*released)->signature);
  if (*released) co_return std::unexpected(make_problem("in_doubt", "the stored signature cannot be read"));
  auto& refusal = released->error();
  if (refusal.kind == "duty_not_claimed") {
    // Without an answer the refusal still names the row that is missing.
    const auto found = co_await find(self, message);
    if (found) refusal = make_problem(refusal.kind, not_claimed(message, *found));
  }
  co_return std::unexpected(std::move(refusal));
}

}  // namespace hasigner::service
