#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hasigner/service/clients.hpp"
#include "hasigner/service/duty_query.hpp"
#include "hasigner/service/duty_requests.hpp"
#include "hasigner/service/json_rpc.hpp"
#include "hasigner/service/listen_address.hpp"
#include "hasigner/service/log.hpp"
#include "hasigner/service/request_id.hpp"
#include "hasigner/service/routes.hpp"
#include "hasigner/service/signing_service.hpp"

namespace hasigner::service {
namespace {

using testing::HasSubstr;
using testing::Not;

const SigningDomain kOurs{"31337", *EthAddress::parse("0x5fbdb2315678afecb367f032d93f642f64180aa3")};
constexpr std::string_view kValidator = "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf";

std::string typed_data(std::string_view primary_type, std::string_view name, std::string_view chain,
                       const std::string& rollup) {
  return R"({"types":{")" + std::string(primary_type) +
         R"(":[{"name":"payloadHash","type":"bytes32"}]},"primaryType":")" + std::string(primary_type) +
         R"(","domain":{"name":")" + std::string(name) + R"(","version":"1","chainId":)" + std::string(chain) +
         R"(,"verifyingContract":")" + rollup + R"("},"message":{"payloadHash":"0x)" + std::string(64, 'a') + R"("}})";
}

SigningContext as(DutyType type, std::uint64_t slot = 1) {
  return {.duty_type = type, .slot = *Slot::from(slot)};
}

TypedData aztec(std::string_view primary_type, std::string_view chain = "31337") {
  return *parse_typed_data(typed_data(primary_type, "Aztec Rollup", chain, kOurs.rollup.to_string()));
}

TEST(ListenAddress, reads_addresses_and_knows_which_are_local) {
  const auto all = parse_listen_addresses("127.0.0.1:9000,[::1]:0,unix:/run/x.sock,0.0.0.0:1,[::]:65535", "--listen");
  ASSERT_TRUE(all) << all.error().message();
  std::vector<bool> local;
  std::vector<std::string> shown;
  for (const auto& address : *all) {
    local.push_back(is_local(address));
    shown.push_back(to_string(address));
  }
  EXPECT_EQ(local, (std::vector<bool>{true, true, true, false, false}));
  EXPECT_EQ(shown,
            (std::vector<std::string>{"127.0.0.1:9000", "[::1]:0", "unix:/run/x.sock", "0.0.0.0:1", "[::]:65535"}));
  for (const std::string wrong : {"", ",", "localhost:1", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "::1:1",
                                  "[127.0.0.1]:1", "unix:", "127.0.0.1:1,", "1:1"}) {
    const auto refused = parse_listen_addresses(wrong, "--listen");
    ASSERT_FALSE(refused) << wrong;
    EXPECT_EQ(refused.error().field, "--listen");
  }
  EXPECT_FALSE(parse_listen_addresses("unix:" + std::string(108, 'a'), "--listen"));
}

TEST(ListenAddress, what_other_machines_reach_needs_tls_and_known_clients) {
  const auto is_refused = [](const std::string& address, const Exposure& exposure) {
    return refuse_exposure(parse_listen_addresses(address, "--listen")->front(), exposure).has_value();
  };
  EXPECT_FALSE(is_refused("127.0.0.1:9000", {}));
  EXPECT_FALSE(is_refused("unix:/run/x.sock", {}));
  for (const std::string reachable : {"0.0.0.0:1", "[::]:1", "192.0.2.1:1"}) {
    EXPECT_FALSE(is_refused(reachable, {.has_tls = true, .knows_clients = true})) << reachable;
    EXPECT_FALSE(is_refused(reachable, {.plain_http_allowed = true, .knows_clients = true})) << reachable;
    EXPECT_TRUE(is_refused(reachable, {.knows_clients = true})) << reachable;
    EXPECT_TRUE(is_refused(reachable, {.has_tls = true})) << reachable;
    EXPECT_TRUE(is_refused(reachable, {.plain_http_allowed = true})) << reachable;
  }
}

TEST(AztecPayload, counts_for_its_own_duty_type_chain_and_rollup_only) {
  EXPECT_EQ(refuse_payload(aztec("CheckpointAttestation"), as(DutyType::kAttestation), kOurs), std::nullopt);
  EXPECT_THAT(*refuse_payload(aztec("CheckpointAttestation"), as(DutyType::kTxs), kOurs),
              HasSubstr("of duty type ATTESTATION"));
  EXPECT_THAT(*refuse_payload(aztec("CheckpointAttestation"), std::nullopt, kOurs),
              HasSubstr("without the signing context"));
  EXPECT_EQ(refuse_payload(aztec("SignedTxs"), std::nullopt, kOurs), std::nullopt);
  EXPECT_THAT(*refuse_payload(aztec("CheckpointAttestation", "1"), as(DutyType::kAttestation), kOurs),
              HasSubstr("chainId is 1"));
  const auto elsewhere = "0x" + std::string(40, '9');
  const auto foreign = parse_typed_data(typed_data("CheckpointAttestation", "Aztec Rollup", "31337", elsewhere));
  EXPECT_THAT(*refuse_payload(*foreign, as(DutyType::kAttestation), kOurs), HasSubstr("its rollup is"));
  // Neither the name nor our rollup: nothing to do with Aztec.
  const auto other = parse_typed_data(typed_data("CheckpointAttestation", "Other", "1", elsewhere));
  EXPECT_EQ(refuse_payload(*other, as(DutyType::kGovernanceVote), kOurs), std::nullopt);
}

TEST(DutyRequests, a_request_with_the_right_to_sign_unprotected_still_signs_no_aztec_duty) {
  Client client{.name = "c", .rights = {}, .validators = {}, .duty_types = {}};
  client.rights.set();
  SignDutyRequest request{.validator = *EthAddress::parse(kValidator),
                          .payload = std::make_shared<const keys::Payload>(aztec("BlockProposal")),
                          .context = {}};
  EXPECT_EQ(refuse_request(request, client, kOurs)->kind, "context_missing");
  request.payload = std::make_shared<const keys::Payload>(keys::PersonalMessage{{1, 2}});
  EXPECT_FALSE(refuse_request(request, client, kOurs));
  client.rights.reset(static_cast<std::size_t>(Right::kUnprotected));
  EXPECT_EQ(refuse_request(request, client, kOurs)->kind, "context_missing");
}

TEST(DutyRequests, a_limit_to_duty_types_holds_without_a_context_too) {
  Client client{.name = "c", .rights = {}, .validators = {}, .duty_types = {}};
  client.rights.set();
  client.duty_types = {DutyType::kAttestation};
  SignDutyRequest request{.validator = *EthAddress::parse(kValidator),
                          .payload = std::make_shared<const keys::Payload>(keys::PersonalMessage{{1, 2}}),
                          .context = {}};
  EXPECT_EQ(refuse_request(request, client, kOurs)->kind, "forbidden");
  client.duty_types = {DutyType::kAuthRequest};
  EXPECT_EQ(refuse_request(request, client, kOurs), std::nullopt);
  request.payload = std::make_shared<const keys::Payload>(aztec("SignedTxs"));
  EXPECT_EQ(refuse_request(request, client, kOurs)->kind, "forbidden");
  client.duty_types = {DutyType::kTxs};
  EXPECT_EQ(refuse_request(request, client, kOurs), std::nullopt);
}

TEST(DutyRequests, limits_to_validators_and_duty_types_hold_for_the_steps) {
  const auto validator = *EthAddress::parse(kValidator);
  const ClaimRequest request{.validator = validator, .message_hash = {}, .context = as(DutyType::kAttestation)};
  Client client{.name = "c", .rights = {}, .validators = {}, .duty_types = {}};
  client.rights.set();
  const auto answer = [&] {
    const auto problem = refuse_steps(request, client);
    return problem ? std::string(problem->kind) : "allowed";
  };
  EXPECT_EQ(answer(), "allowed");
  client.validators = {kOurs.rollup};
  EXPECT_EQ(answer(), "forbidden");
  client.validators = {validator};
  client.duty_types = {DutyType::kTxs};
  EXPECT_EQ(answer(), "forbidden");
  client.duty_types = {DutyType::kAttestation};
  EXPECT_EQ(answer(), "allowed");
}

TEST(DutyRequests, lock_tokens_of_the_signers_own_attempts_are_not_taken) {
  const auto body = [](TokenKind kind) {
    return R"({"validator":")" + std::string(kValidator) + R"(","messageHash":"0x)" + std::string(64, 'a') +
           R"(","context":{"dutyType":"ATTESTATION","slot":"7"},"lockToken":")" +
           LockToken::make(Incarnation{}, kind, {}).str() + R"("})";
  };
  EXPECT_TRUE(read_requests<ReleaseRequest>(body(TokenKind::kHandedOut), 1, read_release_request));
  EXPECT_TRUE(read_requests<ReleaseRequest>(body(TokenKind::kTakenOver), 1, read_release_request));
  const auto refused = read_requests<ReleaseRequest>(body(TokenKind::kFenced), 1, read_release_request);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().field, "lockToken");
}

TEST(DutyRequests, one_that_is_wrong_leaves_the_others_alone) {
  const std::string good =
      R"({"validator":")" + std::string(kValidator) + R"(","message":"0x","context":{"dutyType":"TXS","slot":1}})";
  const RequestReader<SignDutyRequest> read = [](const JsonValue& value, std::string_view json_path) {
    Client client;
    client.rights.set();
    return read_sign_request(value, json_path, client);
  };
  const auto requests =
      read_requests<SignDutyRequest>(R"({"duties":[)" + good + R"(,{"validator":5},)" + good + "]}", 3, read);
  ASSERT_TRUE(requests);
  ASSERT_EQ(requests->list.size(), 3);
  EXPECT_TRUE(requests->list[0]);
  EXPECT_EQ(requests->list[1].error().field, "duties[1].validator");
  EXPECT_TRUE(requests->list[2]);
  EXPECT_EQ(read_requests<SignDutyRequest>(R"({"duties":[1,2,3,4]})", 3, read).error().status, 413);
}

TEST(Clients, reads_lines_and_knows_clients_by_their_tokens) {
  const auto made = make_token();
  const auto clients =
      Clients::parse("# clients\n\n  a " + made.credential + " sign,read validators=" + std::string(kValidator) +
                         " duty-types=TXS # the first\r\nb certificate:cn:B read",
                     "clients");
  ASSERT_TRUE(clients) << clients.error().message();
  RequestHead head;
  EXPECT_EQ(clients->identify(head), nullptr);
  head.authorization = "Bearer " + made.token;
  const auto* client = clients->identify(head);
  ASSERT_NE(client, nullptr);
  EXPECT_EQ(client->name, "a");
  EXPECT_TRUE(client->may(Right::kSign) && client->may(Right::kRead) && !client->may(Right::kOperate));
  EXPECT_TRUE(client->may_use(*EthAddress::parse(kValidator)));
  EXPECT_FALSE(client->may_use(EthAddress{}));
  EXPECT_TRUE(client->may_sign(DutyType::kTxs));
  EXPECT_FALSE(client->may_sign(DutyType::kAttestation));
  for (const auto& wrong : {"Bearer " + made.credential, std::string("Bearer"), std::string("Bearer "),
                            "Basic " + made.token, made.token}) {
    head.authorization = wrong;
    head.certificate = ClientCertificate{"B", ""};
    EXPECT_EQ(clients->identify(head), nullptr) << wrong;
  }
  head.authorization.clear();
  EXPECT_EQ(clients->identify(head)->name, "b");
  head.certificate = ClientCertificate{"", ""};
  EXPECT_EQ(clients->identify(head), nullptr);
}

TEST(Clients, a_client_may_as_much_as_another_only_with_all_of_its_rights_validators_and_duty_types) {
  const auto validator = *EthAddress::parse(kValidator);
  Client before{.name = "c", .rights = {}, .validators = std::set{validator}, .duty_types = std::set{DutyType::kTxs}};
  before.rights.set(static_cast<std::size_t>(Right::kSign));
  EXPECT_TRUE(before.may_as_much_as(before));
  auto now = before;
  now.rights.set();
  now.validators->insert(EthAddress{});
  now.duty_types->insert(DutyType::kAttestation);
  EXPECT_TRUE(now.may_as_much_as(before));
  EXPECT_FALSE(before.may_as_much_as(now));
  now.rights.reset(static_cast<std::size_t>(Right::kSign));
  EXPECT_FALSE(now.may_as_much_as(before)) << "a right is gone";
  now = before;
  now.validators = std::set{EthAddress{}};
  EXPECT_FALSE(now.may_as_much_as(before)) << "a validator is gone";
  now = before;
  now.duty_types = std::set{DutyType::kAttestation};
  EXPECT_FALSE(now.may_as_much_as(before)) << "a duty type is gone";
  now = before;
  now.validators.reset();
  now.duty_types.reset();
  EXPECT_TRUE(now.may_as_much_as(before));
  EXPECT_FALSE(before.may_as_much_as(now)) << "it was not restricted";
}

TEST(Clients, knows_a_certificate_by_its_whole_fingerprint) {
  const std::string first(64, 'a');
  const std::string second(64, 'b');
  const auto clients =
      Clients::parse("a certificate:sha256:" + first + " sign\nb certificate:sha256:" + second + " read", "clients");
  ASSERT_TRUE(clients) << clients.error().message();
  const auto name = [&clients](const std::string& fingerprint) {
    RequestHead head;
    head.certificate = ClientCertificate{"a", fingerprint};
    const auto* client = clients->identify(head);
    return client ? client->name : "not known";
  };
  EXPECT_EQ(name(first), "a");
  EXPECT_EQ(name(second), "b");
  EXPECT_EQ(name(std::string(63, 'a') + "b"), "not known");
  EXPECT_EQ(name(""), "not known");
}

TEST(Clients, says_where_a_line_is_wrong_and_never_what_it_holds) {
  const auto made = make_token();
  const auto refused = Clients::parse("\na " + made.token + " sign", "clients");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().field, "clients:2");
  EXPECT_THAT(refused.error().message(), Not(HasSubstr(made.token)));
}

TEST(Clients, refuses_rights_that_would_sign_a_duty_without_protection) {
  const auto refusal = [](const std::string& rights) {
    const auto clients = Clients::parse("a certificate:cn:A " + rights, "clients");
    return clients ? "" : clients.error().message();
  };
  EXPECT_EQ(refusal("sign,claimed,auth-requests"), "");
  EXPECT_EQ(refusal("sign,unprotected"), "");
  EXPECT_THAT(refusal("sign,unprotected,claimed"), HasSubstr("claimed,auth-requests where all nodes"));
  EXPECT_THAT(refusal("sign,auth-requests"), HasSubstr("auth-requests without claimed"));
}

TEST(DutyQuery, decodes_and_refuses_by_name) {
  const auto filter = parse_duty_query("nodeId=a%20b+c&fromSlot=3&limit=7&status=signed");
  ASSERT_TRUE(filter) << filter.error().message();
  EXPECT_EQ(filter->node_id, "a b c");
  EXPECT_EQ(filter->limit, 7);
  EXPECT_EQ(parse_duty_query("slot=x").error().field, "slot");
  EXPECT_EQ(parse_duty_query("limit=5&limit=5").error().field, "limit");
  EXPECT_FALSE(parse_duty_query("nodeId=%4"));
}

// ---- Votes (upstream: ethereum/src/contracts/empire_base.ts, slashing_proposer.ts)

std::string vote(std::string_view domain, std::string_view primary_type, std::string_view fields,
                 std::string_view message) {
  return R"({"types":{")" + std::string(primary_type) + R"(":[)" + std::string(fields) + R"(]},"primaryType":")" +
         std::string(primary_type) + R"(","domain":{"name":")" + std::string(domain) +
         R"(","version":"1","chainId":31337,"verifyingContract":"0x2222222222222222222222222222222222222222"},"message":)" +
         std::string(message) + "}";
}
std::string signal(std::string_view slot, const std::string& instance = kOurs.rollup.to_string()) {
  return vote(
      "EmpireBase", "Signal",
      R"({"name":"payload","type":"address"},{"name":"slot","type":"uint256"},{"name":"instance","type":"address"})",
      R"({"payload":"0x1111111111111111111111111111111111111111","slot":)" + std::string(slot) + R"(,"instance":")" +
          instance + R"("})");
}
std::string slashing_vote(std::string_view domain, std::string_view slot_type = "uint256") {
  return vote(domain, "Vote",
              R"({"name":"votes","type":"bytes"},{"name":"slot","type":")" + std::string(slot_type) + R"("})",
              R"({"votes":"0x00","slot":"42"})");
}

TEST(Votes, count_for_their_own_duty_type_and_slot_only) {
  const auto governance = *parse_typed_data(signal("\"42\""));
  EXPECT_EQ(refuse_payload(governance, as(DutyType::kGovernanceVote, 42), kOurs), std::nullopt);
  EXPECT_THAT(*refuse_payload(governance, as(DutyType::kGovernanceVote, 43), kOurs), HasSubstr("it is for slot 42"));
  for (const auto type : {DutyType::kSlashingVote, DutyType::kAttestation, DutyType::kAuthRequest, DutyType::kTxs}) {
    EXPECT_THAT(*refuse_payload(governance, as(type, 42), kOurs), HasSubstr("of duty type GOVERNANCE_VOTE"));
  }
  EXPECT_THAT(*refuse_payload(governance, std::nullopt, kOurs), HasSubstr("cannot be protected"));
  for (const auto* slot : {"42", "\"0x2a\""}) {
    EXPECT_EQ(refuse_payload(*parse_typed_data(signal(slot)), as(DutyType::kGovernanceVote, 42), kOurs), std::nullopt);
  }
  for (const auto* domain : {"SlashingProposer", "TallySlashingProposer"}) {
    const auto slashing = *parse_typed_data(slashing_vote(domain));
    EXPECT_EQ(refuse_payload(slashing, as(DutyType::kSlashingVote, 42), kOurs), std::nullopt);
    EXPECT_TRUE(refuse_payload(slashing, as(DutyType::kSlashingVote, 41), kOurs));
    EXPECT_TRUE(refuse_payload(slashing, as(DutyType::kGovernanceVote, 42), kOurs));
  }
}

TEST(Votes, of_another_shape_chain_or_rollup_are_signed_as_nothing) {
  const auto refused = [](const std::string& json, DutyType type) {
    return refuse_payload(*parse_typed_data(json), as(type, 42), kOurs).value_or("");
  };
  EXPECT_THAT(refused(signal("42", "0x2222222222222222222222222222222222222222"), DutyType::kGovernanceVote),
              HasSubstr("its instance is"));
  EXPECT_THAT(refused(slashing_vote("SlashingProposer", "string"), DutyType::kSlashingVote),
              HasSubstr("does not have the fields"));
  EXPECT_THAT(refused(signal("\"0x10000000000000000000\""), DutyType::kGovernanceVote), HasSubstr("not a slot"));
  EXPECT_THAT(refused(slashing_vote("EmpireBase"), DutyType::kSlashingVote), HasSubstr("no duty signs"));
  auto elsewhere = signal("42");
  elsewhere.replace(elsewhere.find("31337"), 5, "1");
  EXPECT_THAT(refused(elsewhere, DutyType::kGovernanceVote), HasSubstr("chainId"));
}

TEST(Votes, of_the_empire_slashing_proposer_are_slashing_votes) {
  const auto vote = *parse_typed_data(signal("42"));
  auto ours = kOurs;
  EXPECT_THAT(*refuse_payload(vote, as(DutyType::kSlashingVote, 42), ours), HasSubstr("--empire-slashing-proposer"));
  ours.empire_slashing_proposer = vote.domain.verifying_contract;
  EXPECT_EQ(refuse_payload(vote, as(DutyType::kSlashingVote, 42), ours), std::nullopt);
  for (const auto type : {DutyType::kGovernanceVote, DutyType::kAuthRequest, DutyType::kTxs}) {
    EXPECT_THAT(*refuse_payload(vote, as(type, 42), ours), HasSubstr("of duty type SLASHING_VOTE"));
  }
  EXPECT_TRUE(refuse_payload(vote, as(DutyType::kSlashingVote, 41), ours));
  EXPECT_TRUE(refuse_payload(vote, std::nullopt, ours));
  ours.empire_slashing_proposer = EthAddress{};
  EXPECT_EQ(refuse_payload(vote, as(DutyType::kGovernanceVote, 42), ours), std::nullopt);
}

/// A contract of another name may count them.
TEST(Votes, are_known_by_their_type_too_whatever_their_domain_is_called) {
  auto renamed = signal("42");
  renamed.replace(renamed.find("EmpireBase"), 10, "NewerBase");
  for (const auto& json : {renamed, slashing_vote("NewerProposer")}) {
    const auto vote = *parse_typed_data(json);
    for (const auto type : {DutyType::kGovernanceVote, DutyType::kSlashingVote, DutyType::kAuthRequest}) {
      EXPECT_THAT(*refuse_payload(vote, as(type, 42), kOurs), HasSubstr("a vote by its type"));
    }
    EXPECT_TRUE(refuse_payload(vote, std::nullopt, kOurs));
  }
  // A vote of something else has another type.
  EXPECT_EQ(refuse_payload(*parse_typed_data(slashing_vote("Club", "string")), as(DutyType::kAuthRequest, 1), kOurs),
            std::nullopt);
}

TEST(Votes, are_signed_for_no_client_as_anything_else) {
  Client client;
  client.rights.set();
  const auto refused = [&](const std::string& json, const std::optional<SigningContext>& context) {
    SignDutyRequest request{.validator = *EthAddress::parse(kValidator),
                            .payload = std::make_shared<const keys::Payload>(*parse_typed_data(json)),
                            .context = context};
    const auto problem = refuse_request(request, client, kOurs);
    return problem ? problem->kind : "";
  };
  for (const auto& vote : {signal("42"), slashing_vote("SlashingProposer"), slashing_vote("TallySlashingProposer")}) {
    EXPECT_EQ(refused(vote, std::nullopt), "context_missing") << vote;
    for (const auto type : {DutyType::kAuthRequest, DutyType::kTxs, DutyType::kAttestation}) {
      EXPECT_EQ(refused(vote, as(type, 42)), "invalid_input") << vote;
    }
  }
  EXPECT_EQ(refused(signal("42"), as(DutyType::kGovernanceVote, 42)), "");
  EXPECT_EQ(refused(slashing_vote("TallySlashingProposer"), as(DutyType::kSlashingVote, 42)), "");
}

// ---- What a node has claimed

SignDutyRequest without_context(std::shared_ptr<const keys::Payload> payload) {
  return {.validator = *EthAddress::parse(kValidator), .payload = std::move(payload), .context = {}};
}
std::shared_ptr<const keys::Payload> message_of(std::size_t bytes) {
  return std::make_shared<const keys::Payload>(keys::PersonalMessage{std::vector<std::uint8_t>(bytes, 0xaa)});
}
Client client_with(std::initializer_list<Right> rights) {
  Client client{.name = "node", .rights = {}, .validators = {}, .duty_types = {}};
  for (const auto right : rights) client.rights.set(static_cast<std::size_t>(right));
  return client;
}

TEST(ClaimedRequest, is_a_payload_or_32_bytes_of_a_client_with_the_right) {
  auto client = client_with({Right::kSign, Right::kClaimed});
  const auto typed =
      read_claimed(without_context(std::make_shared<const keys::Payload>(aztec("BlockProposal"))), client, kOurs);
  ASSERT_TRUE(typed && *typed);
  EXPECT_EQ((*typed)->message.duty_types, std::vector{DutyType::kBlockProposal});
  EXPECT_EQ((*typed)->message.key.message_hash, (*typed)->message.key.digest);
  EXPECT_EQ((*typed)->message.key.rollup, kOurs.rollup);

  const auto message = read_claimed(without_context(message_of(32)), client, kOurs);
  ASSERT_TRUE(message && *message);
  EXPECT_EQ((*message)->message.duty_types.size(), 4U);
  EXPECT_EQ((*message)->message.key.message_hash.to_string(), "0x" + std::string(64, 'a'));
  EXPECT_NE((*message)->message.key.message_hash, (*message)->message.key.digest);
  EXPECT_FALSE((*message)->is_auth_request);
  EXPECT_EQ(read_claimed(without_context(message_of(31)), client, kOurs).error().kind, "invalid_input");

  const auto signal_vote = std::make_shared<const keys::Payload>(*parse_typed_data(signal("42")));
  EXPECT_EQ((*read_claimed(without_context(signal_vote), client, kOurs))->message.slot, *Slot::from(42));

  client.duty_types = {DutyType::kAttestation};
  EXPECT_EQ((*read_claimed(without_context(message_of(32)), client, kOurs))->message.duty_types,
            std::vector{DutyType::kAttestation});
  EXPECT_EQ(read_claimed(without_context(signal_vote), client, kOurs).error().kind, "forbidden");

  const auto none = client_with({Right::kSign});
  EXPECT_FALSE(*read_claimed(without_context(message_of(32)), none, kOurs));
  auto with_context = without_context(message_of(32));
  with_context.context = as(DutyType::kAttestation);
  EXPECT_FALSE(*read_claimed(with_context, client, kOurs));
}

TEST(ClaimedRequest, transactions_need_no_row_and_messages_without_one_need_a_right) {
  const auto client = client_with({Right::kSign, Right::kClaimed});
  const auto txs = without_context(std::make_shared<const keys::Payload>(aztec("SignedTxs")));
  EXPECT_FALSE(*read_claimed(txs, client, kOurs));
  EXPECT_EQ(refuse_request(txs, client, kOurs), std::nullopt);
  EXPECT_EQ(refuse_request(txs, client_with({Right::kSign}), kOurs)->kind, "context_missing");

  auto newer = client_with({Right::kSign, Right::kClaimed, Right::kAuthRequests});
  const auto types_of = [&] {
    const auto request = *read_claimed(without_context(message_of(32)), newer, kOurs);
    EXPECT_TRUE(request->is_auth_request);
    return request->message.duty_types.size();
  };
  EXPECT_EQ(types_of(), 4U);
  newer.duty_types = {DutyType::kAttestation, DutyType::kAuthRequest};
  EXPECT_EQ(types_of(), 4U) << "a row of any type tells what the message is";
  EXPECT_EQ(read_claimed(without_context(message_of(31)), newer, kOurs).error().kind, "invalid_input");
  newer.duty_types = {DutyType::kAttestation};
  EXPECT_EQ(read_claimed(without_context(message_of(32)), newer, kOurs).error().kind, "forbidden");
  const auto typed = std::make_shared<const keys::Payload>(aztec("CheckpointAttestation"));
  EXPECT_FALSE((*read_claimed(without_context(typed), newer, kOurs))->is_auth_request);
}

TEST(JsonRpc, reads_each_call_for_itself) {
  const auto request = parse_rpc(R"([{"jsonrpc":"2.0","id":1,"method":"eth_accounts","params":[]},
      {"jsonrpc":"2.0","id":"two","method":"eth_sign","params":["0x7e5f4552091a69125d5dfcb7b8c2659029395bdf","0x00"]},
      {"jsonrpc":"2.0","method":"eth_accounts"},
      {"jsonrpc":"2.0","id":4.5e1,"method":"personal_sign","params":["0x00","0x7e5f4552091a69125d5dfcb7b8c2659029395bdf",
        {"dutyType":"BLOCK_PROPOSAL","slot":9223372036854775807,"blockNumber":"3","blockIndexWithinCheckpoint":0}]}])",
                                 4, 31337, client_with({Right::kSign, Right::kUnprotected}));
  ASSERT_TRUE(request) << request.error().detail;
  EXPECT_EQ(request->shape, RequestShape::kMany);
  EXPECT_EQ(std::get<RpcQuery>(request->calls[0].what), RpcQuery::kAccounts);
  EXPECT_FALSE(std::get<SignDutyRequest>(request->calls[1].what).context);
  EXPECT_EQ(request->calls[1].id, "\"two\"");
  EXPECT_EQ(std::get<Problem>(request->calls[2].what).kind, "bad_request");
  EXPECT_EQ(request->calls[3].id, "4.5e1");
  const auto context = *std::get<SignDutyRequest>(request->calls[3].what).context;
  EXPECT_EQ(context.slot.value(), 0x7fff'ffff'ffff'ffff);
  EXPECT_EQ(context.block_number->value(), 3);
  EXPECT_EQ(context.block_index, 0);
  EXPECT_EQ(parse_rpc("[1,2]", 1, 31337, {}).error().status, 413);
  // The numbers that the specification reserves: parse error, invalid request.
  EXPECT_EQ(problem_kind(parse_rpc("{", 1, 31337, {}).error().kind).rpc_code, -32700);
  EXPECT_EQ(problem_kind(parse_rpc("[]", 1, 31337, {}).error().kind).rpc_code, -32600);
  EXPECT_EQ(quantity("31337"), "0x7a69");
}

// ---- Rights come before work

/// Typed data that cannot be hashed, so that an error about it says that it was read.
constexpr std::string_view kUnhashable = R"({"types":{},"primaryType":"None","domain":{},"message":{}})";

std::string kind_for(const Client& client, const std::string& body) {
  const auto request = parse_rpc(body, 1, 31337, client);
  const auto* const problem = request ? std::get_if<Problem>(&request->calls[0].what) : nullptr;
  return problem ? problem->kind : "read";
}

TEST(Rights, are_asked_before_what_is_to_be_signed_is_read) {
  const auto context = [](std::string_view type) {
    return R"(,{"dutyType":")" + std::string(type) + R"(","slot":1}])";
  };
  const auto call = [](std::string_view method, const std::string& params) {
    return R"({"jsonrpc":"2.0","id":1,"method":")" + std::string(method) + R"(","params":)" + params + "}";
  };
  const std::string start = R"([")" + std::string(kValidator) + R"(",)" + std::string(kUnhashable);
  const auto typed = call("eth_signTypedData_v4", start + context("ATTESTATION"));
  const auto without_context = call("eth_signTypedData_v4", start + "]");
  const auto transaction = call("eth_signTransaction", "[{}]");
  auto client = client_with({Right::kRead, Right::kSteps});
  EXPECT_EQ(kind_for(client, typed), "forbidden");
  EXPECT_EQ(kind_for(client, call("eth_sign", R"([5,6,7,8])")), "forbidden");
  EXPECT_EQ(kind_for(client, transaction), "forbidden");
  client = client_with({Right::kSign});
  EXPECT_EQ(kind_for(client, typed), "invalid_input");
  EXPECT_EQ(kind_for(client, without_context), "context_missing");
  EXPECT_EQ(kind_for(client, transaction), "forbidden");
  EXPECT_EQ(kind_for(client_with({Right::kSign, Right::kClaimed}), without_context), "invalid_input");
  client.duty_types = {DutyType::kTxs};
  EXPECT_EQ(kind_for(client, typed), "forbidden");
  client.duty_types.reset();
  client.validators = {EthAddress{}};
  EXPECT_EQ(kind_for(client, typed), "forbidden");
  EXPECT_EQ(kind_for(client_with({Right::kTransactions}), transaction), "invalid_input");
}

TEST(Rights, of_each_member_of_a_list_are_asked_before_its_typed_data_is_read) {
  const auto client = client_with({Right::kSign});
  const RequestReader<SignDutyRequest> read = [&client](const JsonValue& value, std::string_view json_path) {
    return read_sign_request(value, json_path, client);
  };
  const auto duty = [](const std::string& context) {
    return R"({"validator":")" + std::string(kValidator) + R"(",)" + context + R"("typedData":)" +
           std::string(kUnhashable) + "}";
  };
  const auto requests = read_requests<SignDutyRequest>(
      R"({"duties":[)" + duty("") + "," + duty(R"("context":{"dutyType":"TXS","slot":1},)") + "]}", 2, read);
  ASSERT_TRUE(requests);
  EXPECT_EQ(requests->list[0].error().kind, "context_missing");
  EXPECT_EQ(requests->list[1].error().kind, "invalid_input");
}

TEST(RequestId, takes_what_may_stand_in_a_log_and_makes_one_otherwise) {
  EXPECT_EQ(request_id("a-B_9."), "a-B_9.");
  for (const std::string wrong : {"", "a b", "a\n", "\"", "é"}) EXPECT_THAT(request_id(wrong), testing::SizeIs(16));
  EXPECT_THAT(request_id(std::string(65, 'a')), testing::SizeIs(16));
}

TEST(LogLine, is_one_line_of_json_or_text_for_any_fields) {
  const LogLine line{
      "2026-01-31T12:00:00.000000Z", LogLevel::kWarning, "request", {{"path", "/a\n\"b\xff"}, {"status", "404"}}};
  EXPECT_EQ(to_text(line, LogFormat::kJson),
            "{\"time\":\"2026-01-31T12:00:00.000000Z\",\"level\":\"warning\",\"event\":\"request\",\"path\":\"/"
            "a?\\\"b?\",\"status\":\"404\"}\n");
  EXPECT_EQ(to_text(line, LogFormat::kText),
            "2026-01-31T12:00:00.000000Z warning request path=\"/a?\\\"b?\" status=404\n");
}

TEST(Routes, head_is_served_where_get_is) {
  EXPECT_TRUE(find_route("HEAD", "/readyz").method_fits);
  EXPECT_FALSE(find_route("HEAD", "/api/v1/sign").method_fits);
  EXPECT_EQ(find_route("GET", "/readyz/").route, nullptr);
  // A route that is open to all must not sign, show or change anything.
  for (const auto& route : routes()) EXPECT_TRUE(route.access == Access::kClients || !route.right) << route.path;
}

}  // namespace
}  // namespace hasigner::service
