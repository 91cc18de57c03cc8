#include "hasigner/service/duty_requests.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <initializer_list>

#include "hasigner/crypto/json_text.hpp"

namespace hasigner::service {

namespace {

using Kind = JsonValue::Kind;

std::string join(std::string_view json_path, std::string_view name) {
  return std::string(json_path) + (json_path.empty() ? "" : ".") + std::string(name);
}

std::unexpected<InvalidInput> refuse(std::string json_path, std::string value, std::string allowed) {
  return std::unexpected(InvalidInput{std::move(json_path), std::move(value), std::move(allowed)});
}

std::string shown(const JsonValue& value) {
  const bool has_text = value.is(Kind::kString) || value.is(Kind::kNumber);
  return has_text ? printable(value.text()) : std::string(to_string(value.kind()));
}

std::string list_of(std::initializer_list<std::string_view> names) {
  std::string text;
  for (const auto name : names) text += (text.empty() ? "" : ", ") + std::string(name);
  return text;
}

/// Checks that the value is an object with no other members than these.
Parsed<const JsonValue*> strict_object(const JsonValue& value, std::string_view json_path,
                                       std::initializer_list<std::string_view> names) {
  if (!value.is(Kind::kObject)) return refuse(std::string(json_path), shown(value), "an object of " + list_of(names));
  for (const auto& [name, member] : value.members()) {
    if (std::ranges::find(names, name) != names.end()) continue;
    return refuse(join(json_path, printable(name)), "a member that is not known", "one of " + list_of(names));
  }
  return &value;
}

/// The text of a member that must be there and be a string.
Parsed<std::string_view> required_text(const JsonValue& object, std::string_view json_path, std::string_view name) {
  const auto* const member = object.find(name);
  if (!member) return refuse(join(json_path, name), "missing", "given");
  if (!member->is(Kind::kString)) return refuse(join(json_path, name), shown(*member), "a string");
  return member->text();
}

template <class T>
Parsed<T> required(const JsonValue& object, std::string_view json_path, std::string_view name) {
  const auto text = required_text(object, json_path, name);
  if (!text) return std::unexpected(text.error());
  return T::parse(*text, join(json_path, name));
}

/// A whole number, or a text of its digits.
template <class T>
Parsed<std::optional<T>> optional_number(const JsonValue& object, std::string_view json_path, std::string_view name) {
  const auto* const member = object.find(name);
  if (!member || member->is(Kind::kNull)) return std::optional<T>();
  const bool has_digits = member->is(Kind::kNumber) || member->is(Kind::kString);
  if (!has_digits) return refuse(join(json_path, name), shown(*member), "a whole number");
  auto number = T::parse(member->text(), join(json_path, name));
  if (!number) return std::unexpected(number.error());
  return std::optional<T>(*number);
}

Parsed<std::optional<std::int64_t>> optional_index(const JsonValue& object, std::string_view json_path,
                                                   std::string_view name) {
  const auto* const member = object.find(name);
  if (!member || member->is(Kind::kNull)) return std::optional<std::int64_t>();
  std::int64_t index = 0;
  const auto text = member->text();
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) {
    return refuse(join(json_path, name), shown(*member), "a whole number");
  }
  return std::optional<std::int64_t>(index);
}

/// Applies the rule of the duty for its block index.
std::optional<InvalidInput> wrong_index(const SigningContext& context) {
  if (!is_protected(context.duty_type)) return std::nullopt;
  auto duty = make_duty({}, {}, {}, context);
  return duty ? std::nullopt : std::optional(std::move(duty.error()));
}

std::unexpected<Problem> problem(const InvalidInput& input) {
  return std::unexpected(problem_of(input));
}

Parsed<SigningContext> required_context(const JsonValue& object, std::string_view json_path) {
  const auto* const context = object.find("context");
  if (!context) return refuse(join(json_path, "context"), "missing", "given");
  return read_context(*context, join(json_path, "context"));
}

/// A token that the step API can have handed out.
Parsed<LockToken> required_token(const JsonValue& object, std::string_view json_path) {
  const auto text = required_text(object, json_path, "lockToken");
  if (!text) return std::unexpected(text.error());
  LockToken token{std::string(*text)};
  const auto kind = token.kind();
  if (kind == TokenKind::kHandedOut || kind == TokenKind::kTakenOver) return token;
  // The text may be the token of another claim, so it is not shown.
  return refuse(join(json_path, "lockToken"), "another text", "the lock token of a claim made through this service");
}

Parsed<ClaimRequest> read_duty(const JsonValue& object, std::string_view json_path) {
  const auto validator = required<EthAddress>(object, json_path, "validator");
  if (!validator) return std::unexpected(validator.error());
  const auto hash = required<MessageHash>(object, json_path, "messageHash");
  if (!hash) return std::unexpected(hash.error());
  const auto context = required_context(object, json_path);
  if (!context) return std::unexpected(context.error());
  return ClaimRequest{*validator, *hash, *context};
}

Parsed<std::shared_ptr<const keys::Payload>> read_payload(const JsonValue& object, std::string_view json_path) {
  const auto* const typed_data = object.find("typedData");
  const auto* const message = object.find("message");
  if ((typed_data == nullptr) == (message == nullptr)) {
    return refuse(join(json_path, "typedData"), typed_data ? "given together with message" : "missing, as is message",
                  "given, or message instead: exactly one of them");
  }
  return typed_data ? read_typed_payload(*typed_data, join(json_path, "typedData"))
                    : read_message_payload(*message, join(json_path, "message"));
}

std::string missing_context() {
  return "the signing context is missing, so the duty cannot be protected: add {\"dutyType\": …, \"slot\": …} (for a "
         "BLOCK_PROPOSAL also \"blockIndexWithinCheckpoint\"; \"blockNumber\" and \"checkpointNumber\" where there are "
         "such) as the additional last parameter of JSON-RPC, or as \"context\" of POST /api/v1/sign; without it only "
         "a client with the right `unprotected` may sign";
}

}  // namespace

Parsed<SigningContext> read_context(const JsonValue& value, std::string_view json_path) {
  const auto object = strict_object(
      value, json_path, {"dutyType", "slot", "blockNumber", "checkpointNumber", "blockIndexWithinCheckpoint"});
  if (!object) return std::unexpected(object.error());
  const auto type_text = required_text(value, json_path, "dutyType");
  if (!type_text) return std::unexpected(type_text.error());
  auto type = parse_duty_type(*type_text);
  if (!type) {
    type.error().field = join(json_path, "dutyType");
    return std::unexpected(type.error());
  }
  const auto slot = optional_number<Slot>(value, json_path, "slot");
  if (!slot) return std::unexpected(slot.error());
  if (!*slot) return refuse(join(json_path, "slot"), "missing", "given");
  const auto block = optional_number<BlockNumber>(value, json_path, "blockNumber");
  if (!block) return std::unexpected(block.error());
  const auto checkpoint = optional_number<CheckpointNumber>(value, json_path, "checkpointNumber");
  if (!checkpoint) return std::unexpected(checkpoint.error());
  const auto index = optional_index(value, json_path, "blockIndexWithinCheckpoint");
  if (!index) return std::unexpected(index.error());
  const SigningContext context{*type, **slot, *block, *checkpoint, *index};
  if (auto wrong = wrong_index(context)) {
    wrong->field = join(json_path, "blockIndexWithinCheckpoint");
    return std::unexpected(std::move(*wrong));
  }
  return context;
}

Parsed<std::shared_ptr<const keys::Payload>> read_typed_payload(const JsonValue& value, std::string_view json_path) {
  auto typed_data = value.is(Kind::kString) ? parse_typed_data(value.text(), json_path)
                                            : read_typed_data(value, json_text(value), json_path);
  if (!typed_data) return std::unexpected(typed_data.error());
  return std::make_shared<const keys::Payload>(std::move(*typed_data));
}

Parsed<std::shared_ptr<const keys::Payload>> read_message_payload(const JsonValue& value, std::string_view json_path) {
  const auto wrong = [&](std::string what) {
    return refuse(std::string(json_path), std::move(what), "0x and an even number of hexadecimal digits");
  };
  if (!value.is(Kind::kString)) return wrong(shown(value));
  const auto text = value.text();
  if (!text.starts_with("0x") || text.size() % 2 != 0) return wrong(printable(text));
  std::vector<std::uint8_t> bytes(text.size() / 2 - 1);
  if (!from_hex(text.substr(2), bytes)) return wrong(printable(text));
  return std::make_shared<const keys::Payload>(keys::PersonalMessage{std::move(bytes)});
}

std::optional<Problem> refuse_unread(const EthAddress& validator, const std::optional<SigningContext>& context,
                                     const Client& client) {
  if (!client.may(Right::kSign)) {
    return make_problem("forbidden", "client " + client.name + " lacks the right sign");
  }
  if (!client.may_use(validator)) {
    return make_problem("forbidden", "client " + client.name + " may not use validator " + validator.to_string());
  }
  if (!context && !client.may(Right::kUnprotected) && !client.may(Right::kClaimed)) {
    return make_problem("context_missing", missing_context());
  }
  if (context && !client.may_sign(context->duty_type)) {
    return make_problem("forbidden",
                        "client " + client.name + " may not sign " + std::string(to_string(context->duty_type)));
  }
  return std::nullopt;
}

ReadResult<SignDutyRequest> read_sign_request(const JsonValue& value, std::string_view json_path,
                                              const Client& client) {
  const auto object = strict_object(value, json_path, {"validator", "context", "typedData", "message"});
  if (!object) return problem(object.error());
  const auto validator = required<EthAddress>(value, json_path, "validator");
  if (!validator) return problem(validator.error());
  SignDutyRequest request{.validator = *validator, .payload = {}, .context = {}};
  if (const auto* const context = value.find("context"); context && !context->is(Kind::kNull)) {
    const auto read = read_context(*context, join(json_path, "context"));
    if (!read) return problem(read.error());
    request.context = *read;
  }
  if (auto refused = refuse_unread(request.validator, request.context, client)) {
    return std::unexpected(std::move(*refused));
  }
  auto payload = read_payload(value, json_path);
  if (!payload) return problem(payload.error());
  request.payload = std::move(*payload);
  return request;
}

ReadResult<ClaimRequest> read_claim_request(const JsonValue& value, std::string_view json_path) {
  const auto object = strict_object(value, json_path, {"validator", "messageHash", "context"});
  if (!object) return problem(object.error());
  const auto duty = read_duty(value, json_path);
  if (!duty) return problem(duty.error());
  return *duty;
}

ReadResult<ReleaseRequest> read_release_request(const JsonValue& value, std::string_view json_path) {
  const auto object = strict_object(value, json_path, {"validator", "messageHash", "context", "lockToken"});
  if (!object) return problem(object.error());
  const auto duty = read_duty(value, json_path);
  if (!duty) return problem(duty.error());
  const auto token = required_token(value, json_path);
  if (!token) return problem(token.error());
  return ReleaseRequest{*duty, *token};
}

ReadResult<RecordRequest> read_record_request(const JsonValue& value, std::string_view json_path) {
  const auto object =
      strict_object(value, json_path, {"validator", "messageHash", "context", "lockToken", "signature"});
  if (!object) return problem(object.error());
  const auto duty = read_duty(value, json_path);
  if (!duty) return problem(duty.error());
  const auto token = required_token(value, json_path);
  if (!token) return problem(token.error());
  const auto signature = required<Signature>(value, json_path, "signature");
  if (!signature) return problem(signature.error());
  return RecordRequest{*duty, *token, *signature};
}

template <class T>
ReadResult<RequestList<T>> read_requests(std::string_view body, std::size_t most, RequestReader<T> read) {
  const auto document = JsonValue::parse(body, "the body");
  if (!document) return std::unexpected(not_json(document.error()));
  const auto* const duties = document->find("duties");
  RequestList<T> requests;
  if (!duties) {
    auto request = read(*document, "");
    if (!request) return std::unexpected(std::move(request.error()));
    requests.list.push_back(std::move(request));
    return requests;
  }
  const auto object = strict_object(*document, "", {"duties"});
  if (!object) return problem(object.error());
  if (!duties->is(Kind::kArray)) return problem(InvalidInput{"duties", shown(*duties), "an array"});
  if (duties->items().size() > most) {
    return std::unexpected(make_problem("too_large", "one request may have " + std::to_string(most) + " duties"));
  }
  requests.shape = RequestShape::kMany;
  requests.list.reserve(duties->items().size());
  for (std::size_t i = 0; i < duties->items().size(); ++i) {
    requests.list.push_back(read(duties->items()[i], "duties[" + std::to_string(i) + "]"));
  }
  return requests;
}

template ReadResult<RequestList<SignDutyRequest>> read_requests(std::string_view, std::size_t,
                                                                RequestReader<SignDutyRequest>);
template ReadResult<RequestList<ClaimRequest>> read_requests(std::string_view, std::size_t,
                                                             RequestReader<ClaimRequest>);
template ReadResult<RequestList<ReleaseRequest>> read_requests(std::string_view, std::size_t,
                                                               RequestReader<ReleaseRequest>);
template ReadResult<RequestList<RecordRequest>> read_requests(std::string_view, std::size_t,
                                                              RequestReader<RecordRequest>);

std::optional<Problem> refuse_request(const SignDutyRequest& request, const Client& client,
                                      const SigningDomain& domain) {
  if (auto refused = refuse_unread(request.validator, request.context, client)) return refused;
  const auto type = request.context ? std::optional(request.context->duty_type) : std::nullopt;
  const auto* const typed_data = std::get_if<TypedData>(request.payload.get());
  const auto kind = typed_data ? aztec_payload(*typed_data, domain) : std::nullopt;
  // Transactions are recognised by what they are.
  const bool are_txs = client.may(Right::kClaimed) && kind && kind->duty_type == DutyType::kTxs;
  if (!type && !client.may(Right::kUnprotected) && !are_txs) {
    return make_problem("context_missing", missing_context());
  }
  // Without a context the duty type is that of the payload, or else the one that the signer signs it as.
  const auto limited_as = type.value_or(kind && kind->duty_type ? *kind->duty_type : DutyType::kAuthRequest);
  if (!client.may_sign(limited_as)) {
    return make_problem("forbidden", "client " + client.name + " may not sign " + std::string(to_string(limited_as)) +
                                         (type ? "" : ", the duty type of data without a signing context"));
  }
  if (!typed_data) return std::nullopt;
  if (auto refused = refuse_payload(*typed_data, request.context, domain)) {
    auto wrong = make_problem(type ? "invalid_input" : "context_missing", std::move(*refused));
    wrong.field = "typedData";
    return wrong;
  }
  return std::nullopt;
}

namespace {

/// What `eth_sign` is asked for by nodes before 5.0; votes are typed data everywhere.
constexpr std::array kDutyTypesOfMessages = {DutyType::kBlockProposal, DutyType::kCheckpointProposal,
                                             DutyType::kAttestation, DutyType::kAttestationsAndSigners};

Problem may_not_sign(const Client& client, const std::string& what) {
  return make_problem("forbidden", "client " + client.name + " may not sign " + what);
}

ReadResult<std::optional<ClaimedRequest>> read_claimed_typed_data(const TypedData& typed_data, ClaimedRequest claimed,
                                                                  const Client& client, const SigningDomain& domain) {
  const auto payload = aztec_payload(typed_data, domain);
  if (!payload) return std::nullopt;
  if (payload->duty_type && !is_protected(*payload->duty_type)) return std::nullopt;
  if (payload->wrong || !payload->duty_type) {
    auto wrong = make_problem("invalid_input", refuse_payload(typed_data, std::nullopt, domain).value());
    wrong.field = "typedData";
    return std::unexpected(std::move(wrong));
  }
  if (!client.may_sign(*payload->duty_type)) {
    return std::unexpected(may_not_sign(client, std::string(to_string(*payload->duty_type))));
  }
  claimed.message.key.message_hash = typed_data.digest;
  claimed.message.duty_types = {*payload->duty_type};
  claimed.message.slot = payload->slot;
  return claimed;
}

/// The row has the message itself, and not what is signed, which has a prefix before it.
ReadResult<std::optional<ClaimedRequest>> read_claimed_message(const keys::PersonalMessage& message,
                                                               ClaimedRequest claimed, const Client& client) {
  auto& hash = claimed.message.key.message_hash;
  if (message.bytes.size() != hash.bytes().size()) {
    auto wrong = make_problem("invalid_input",
                              "without a signing context a message must be the 32 bytes of a duty, and this "
                              "one has " +
                                  std::to_string(message.bytes.size()));
    wrong.field = "message";
    return std::unexpected(std::move(wrong));
  }
  std::ranges::copy(message.bytes, hash.bytes().begin());
  claimed.is_auth_request = client.may(Right::kAuthRequests);
  if (claimed.is_auth_request && !client.may_sign(DutyType::kAuthRequest)) {
    return std::unexpected(may_not_sign(client, std::string(to_string(DutyType::kAuthRequest))));
  }
  // A row of any type tells that the message is not an AUTH_REQUEST.
  std::ranges::copy_if(kDutyTypesOfMessages, std::back_inserter(claimed.message.duty_types),
                       [&](DutyType type) { return claimed.is_auth_request || client.may_sign(type); });
  if (!claimed.message.duty_types.empty()) return claimed;
  return std::unexpected(may_not_sign(client, "any duty that is signed as a message"));
}

}  // namespace

ReadResult<std::optional<ClaimedRequest>> read_claimed(const SignDutyRequest& request, const Client& client,
                                                       const SigningDomain& domain) {
  if (request.context || !client.may(Right::kClaimed)) return std::nullopt;
  if (!client.may_use(request.validator)) {
    return std::unexpected(
        make_problem("forbidden", "client " + client.name + " may not use validator " + request.validator.to_string()));
  }
  ClaimedRequest claimed{.message = {.key = {.rollup = domain.rollup,
                                             .validator = request.validator,
                                             .message_hash = {},
                                             .digest = keys::digest_of(*request.payload)},
                                     .duty_types = {},
                                     .slot = {},
                                     .signature = {}}};
  if (const auto* const typed_data = std::get_if<TypedData>(request.payload.get())) {
    return read_claimed_typed_data(*typed_data, std::move(claimed), client, domain);
  }
  return read_claimed_message(std::get<keys::PersonalMessage>(*request.payload), std::move(claimed), client);
}

std::optional<Problem> refuse_steps(const ClaimRequest& request, const Client& client) {
  if (!client.may_use(request.validator)) {
    return make_problem("forbidden",
                        "client " + client.name + " may not use validator " + request.validator.to_string());
  }
  if (!client.may_sign(request.context.duty_type)) {
    return make_problem("forbidden",
                        "client " + client.name + " may not sign " + std::string(to_string(request.context.duty_type)));
  }
  return std::nullopt;
}

}  // namespace hasigner::service
