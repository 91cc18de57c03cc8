#include "hasigner/keys/web3signer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "hasigner/crypto/secp256k1.hpp"
#include "hasigner/keys/gather.hpp"
#include "tests/support/web3signer_server.hpp"
#include "tests/vectors/vectors.hpp"

namespace hasigner::keys {
namespace {

using testing::HasSubstr;
using testing::Not;
using namespace std::chrono_literals;

const test::SignedDataVectors& vectors() {
  static const auto all = test::signed_data_vectors();
  return all;
}

EthAddress attester() {
  return address_of(*SecretKey::parse(vectors().private_key));
}

std::shared_ptr<const Payload> typed_data(std::size_t i) {
  return std::make_shared<const Payload>(*parse_typed_data(vectors().typed_data.at(i).json));
}

std::shared_ptr<const Payload> personal(std::size_t i) {
  const auto& hex = vectors().personal.at(i).message;
  std::vector<std::uint8_t> message((hex.size() - 2) / 2);
  if (!from_hex(hex.substr(2), message)) throw std::runtime_error(hex);
  return std::make_shared<const Payload>(PersonalMessage(std::move(message)));
}

/// What a call gave, as text: the signature, or the reason.
std::string text_of(const SignResult<Signature>& result) {
  return result ? result->to_string() : std::get<SignFunctionFailed>(result.error()).cause;
}

RemoteSigner at(std::string url) {
  return {.url = std::move(url), .cert_path = {}, .cert_password = {}};
}

class Web3SignerTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = new test::Web3SignerServer({attester().to_string()}); }
  static void TearDownTestSuite() { delete server_; }
  static test::Web3SignerServer& server() { return *server_; }

  Web3SignerTest() { settings_.ca_file = server().file("ca.crt"); }
  ~Web3SignerTest() override { network_.join(); }

  std::shared_ptr<Web3Signer> signer_for(const RemoteSigner& remote) {
    auto signer = Web3Signer::create({remote}, settings_, network_.get_executor());
    if (!signer) throw std::runtime_error(signer.error().message());
    return *signer;
  }
  template <class T>
  T run(asio::awaitable<T> work) {
    return asio::co_spawn(network_, std::move(work), asio::use_future).get();
  }
  std::string sign(Web3Signer& signer, const RemoteSigner& remote, std::shared_ptr<const Payload> payload) {
    return text_of(run(signer.sign(remote, "", attester(), std::move(payload))));
  }
  /// One signature by a client of its own.
  std::string sign_at(const RemoteSigner& remote) { return sign(*signer_for(remote), remote, typed_data(0)); }
  std::string sign_at(const std::string& url) { return sign_at(at(url)); }
  std::string accounts_at(const std::string& url) {
    const auto remote = at(url);
    const auto accounts = run(signer_for(remote)->accounts(remote));
    return accounts ? std::to_string(accounts->size()) + " accounts" : accounts.error();
  }
  static const std::string& signature() { return vectors().typed_data[0].signature; }
  static int count(const std::string& what) {
    const auto counts = server().counts();
    const auto found = counts.find(what);
    return found == counts.end() ? 0 : found->second;
  }

  Web3SignerSettings settings_;
  asio::thread_pool network_{2};

 private:
  static test::Web3SignerServer* server_;
};
test::Web3SignerServer* Web3SignerTest::server_ = nullptr;

TEST_F(Web3SignerTest, gets_the_signatures_that_viem_makes) {
  const auto remote = at(server().url());
  const auto signer = signer_for(remote);
  for (std::size_t i = 0; i < vectors().typed_data.size(); ++i) {
    EXPECT_EQ(sign(*signer, remote, typed_data(i)), vectors().typed_data[i].signature) << i;
  }
  for (std::size_t i = 0; i < vectors().personal.size(); ++i) {
    EXPECT_EQ(sign(*signer, remote, personal(i)), vectors().personal[i].signature) << i;
  }
}

TEST_F(Web3SignerTest, uses_one_connection_for_one_call_after_another) {
  const int before = count("connections");
  for (const auto& remote : {at(server().url("well")), at(server().tls_url("server", "well"))}) {
    const auto signer = signer_for(remote);
    for (int i = 0; i < 20; ++i) ASSERT_EQ(sign(*signer, remote, typed_data(0)), signature());
  }
  EXPECT_EQ(count("connections") - before, 2);
}

TEST_F(Web3SignerTest, opens_no_more_connections_than_allowed_and_serves_all_calls) {
  settings_.max_connections = 3;
  const auto remote = at(server().url("well"));
  const auto signer = signer_for(remote);
  const int before = count("connections");
  std::vector<asio::awaitable<SignResult<Signature>>> calls;
  for (std::size_t i = 0; i < 100; ++i) calls.push_back(signer->sign(remote, "", attester(), typed_data(i % 12)));
  const auto results = run(gather(std::move(calls)));
  for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(text_of(results[i]), vectors().typed_data[i % 12].signature);
  EXPECT_LE(count("connections") - before, 3);
}

TEST_F(Web3SignerTest, refuses_calls_when_too_many_wait) {
  settings_.max_connections = 1;
  settings_.max_waiting = 1;
  settings_.call_timeout = 300ms;
  const auto remote = at(server().url("never"));
  const auto signer = signer_for(remote);
  std::vector<asio::awaitable<SignResult<Signature>>> calls;
  for (int i = 0; i < 3; ++i) calls.push_back(signer->sign(remote, "", attester(), typed_data(0)));
  int refused = 0;
  for (const auto& result : run(gather(std::move(calls)))) {
    const auto text = text_of(result);
    // The one that waits may get the connection of the first in the last moment.
    const bool is_refused = text.contains("1 calls wait for a connection already, 1 of them of this client");
    EXPECT_TRUE(is_refused || text.contains("in time") || text.contains("no connection became free")) << text;
    if (is_refused) ++refused;
  }
  EXPECT_EQ(refused, 1);
}

// Connections that end.

TEST_F(Web3SignerTest, notices_a_connection_that_the_server_has_closed_meanwhile) {
  const auto remote = at(server().url("close-after"));
  const auto signer = signer_for(remote);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(sign(*signer, remote, typed_data(0)), signature());
  EXPECT_EQ(count("POST /close-after"), 10);
}

TEST_F(Web3SignerTest, asks_again_when_a_used_connection_is_closed_before_any_answer) {
  for (const auto& remote : {at(server().url("drop-second")), at(server().tls_url("server", "drop-second"))}) {
    const auto signer = signer_for(remote);
    const int before = count("POST /drop-second");
    EXPECT_EQ(sign(*signer, remote, typed_data(0)), signature());
    EXPECT_EQ(sign(*signer, remote, typed_data(0)), signature());
    EXPECT_EQ(count("POST /drop-second") - before, 3);
  }
}

TEST_F(Web3SignerTest, asks_once_only_when_a_new_connection_is_closed) {
  EXPECT_THAT(sign_at(server().url("cut")), HasSubstr("closed the connection without an answer"));
  EXPECT_EQ(count("POST /cut"), 1);
}

TEST_F(Web3SignerTest, asks_once_only_when_an_answer_breaks_off) {
  const auto remote = at(server().url("half"));
  const auto signer = signer_for(remote);
  EXPECT_THAT(sign(*signer, remote, typed_data(0)), HasSubstr("in the middle of its answer"));
  EXPECT_EQ(count("POST /half"), 1);
}

TEST_F(Web3SignerTest, goes_on_after_the_server_has_failed_a_call) {
  const auto well = at(server().url());
  const auto signer = signer_for(well);
  EXPECT_THAT(text_of(run(signer->sign(well, "", EthAddress(), typed_data(0)))), HasSubstr("no such key"));
  EXPECT_EQ(sign(*signer, well, typed_data(0)), signature());
}

// Time and size.

TEST_F(Web3SignerTest, waits_no_longer_than_allowed) {
  settings_.call_timeout = 200ms;
  settings_.connect_timeout = 200ms;
  const int before = count("POST /never");
  for (const auto& url : {server().url("never"), server().url("trickle"), server().tls_url("server", "never"),
                          server().tls_url("silent")}) {
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_THAT(sign_at(url), HasSubstr("in time")) << url;
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s) << url;
  }
  EXPECT_EQ(count("POST /never") - before, 2) << "a call that ran out of time is not repeated";
}

TEST_F(Web3SignerTest, reads_no_more_than_allowed) {
  EXPECT_THAT(sign_at(server().url("huge")), HasSubstr("answered with more than 65536 bytes"));
  EXPECT_THAT(sign_at(server().url("endless")), HasSubstr("answered with more than 65536 bytes"));
  EXPECT_THAT(sign_at(server().url("headers")), HasSubstr("too many headers"));
}

// Answers that are wrong.

TEST_F(Web3SignerTest, accepts_only_a_signature_of_the_asked_key_for_the_data) {
  EXPECT_THAT(sign_at(server().url("other-data")), HasSubstr("answered with a signature of 0x"));
  EXPECT_THAT(sign_at(server().url("short")), HasSubstr("not a signature of 65 bytes"));
  EXPECT_THAT(sign_at(server().url("null")), HasSubstr("not a signature of 65 bytes"));
  EXPECT_EQ(sign_at(server().url("parity")), signature());
  EXPECT_EQ(sign_at(server().url("high-s")), signature()) << "the twin with low s";
  EXPECT_EQ(sign_at(server().url("bare")), signature()) << "0x may be missing";
}

TEST_F(Web3SignerTest, says_what_was_wrong_with_an_answer) {
  const auto prefix = "the remote signer " + server().url("error") + " ";
  EXPECT_THAT(sign_at(server().url("error")), testing::StartsWith(prefix + "refused: the vault is sealed??xxx"));
  EXPECT_THAT(sign_at(server().url("error")), HasSubstr("... (code -32000)"));
  EXPECT_THAT(sign_at(server().url("garbage")), HasSubstr("not HTTP"));
  EXPECT_THAT(sign_at(server().url("html")), HasSubstr("not JSON-RPC"));
  EXPECT_THAT(sign_at(server().url("deep")), HasSubstr("not JSON-RPC"));
  EXPECT_THAT(sign_at(server().url("status/502")), HasSubstr("HTTP status 502"));
  EXPECT_THAT(sign_at(server().url("redirect")), HasSubstr("HTTP status 307"));
  EXPECT_THAT(sign_at(server().url("other-id")), HasSubstr("another request"));
  EXPECT_THAT(sign_at(server().url("no-result")), HasSubstr("without a result"));
}

TEST_F(Web3SignerTest, says_why_the_server_could_not_be_asked) {
  settings_.connect_timeout = 2s;
  EXPECT_THAT(sign_at("http://127.0.0.1:1"), HasSubstr("cannot be connected to: Connection refused"));
  EXPECT_THAT(sign_at("http://signer.invalid:9000"), HasSubstr("could not be found"));
}

TEST_F(Web3SignerTest, asks_for_the_accounts) {
  EXPECT_EQ(accounts_at(server().url()), "1 accounts");
  EXPECT_EQ(accounts_at(server().url("capitals")), "1 accounts");
  EXPECT_EQ(accounts_at(server().url("no-accounts")), "0 accounts");
  EXPECT_THAT(accounts_at(server().url("names")), HasSubstr("something that is not an address"));
  EXPECT_THAT(accounts_at(server().url("null")), HasSubstr("not a list of addresses"));
}

// Secrets.

TEST_F(Web3SignerTest, sends_user_and_password_and_does_not_show_them) {
  auto url = server().url("authorized");
  url.insert(url.find("127"), "alice:open%20sesame@");
  EXPECT_EQ(sign_at(url), signature());
  EXPECT_EQ(count("Authorization Basic YWxpY2U6b3BlbiBzZXNhbWU="), 1);
  for (const std::string path : {"cut", "error", "status/401", "never"}) {
    settings_.call_timeout = 200ms;
    auto failing = server().url(path + "?token=secret-token");
    failing.insert(failing.find("127"), "alice:sesame@");
    const auto text = sign_at(failing);
    EXPECT_THAT(text, HasSubstr("127.0.0.1"));
    for (const auto* secret : {"alice", "sesame", "secret-token"}) EXPECT_THAT(text, Not(HasSubstr(secret)));
  }
}

TEST_F(Web3SignerTest, shows_no_secret_that_a_server_sends_back) {
  for (const std::string path : {"echo", "echo/decoded"}) {
    auto url = server().url(path + "?token=secret-token");
    url.insert(url.find("127"), "alice:open%20sesame@");
    const auto text = sign_at(url);
    EXPECT_THAT(text, HasSubstr("refused: (not shown"));
    for (const auto* secret : {"sesame", "secret-token", "YWxpY2U6b3BlbiBzZXNhbWU"}) {
      EXPECT_THAT(text, Not(HasSubstr(secret)));
    }
  }
}

// TLS.

TEST_F(Web3SignerTest, signs_over_tls_with_a_host_that_the_authority_vouches_for) {
  EXPECT_EQ(sign_at(server().tls_url("server")), signature());
  EXPECT_EQ(sign_at("https://127.0.0.1:" + std::to_string(server().port("server"))), signature());
}

TEST_F(Web3SignerTest, refuses_servers_without_a_trusted_certificate) {
  EXPECT_THAT(sign_at(server().tls_url("expired")), HasSubstr("not accepted: certificate has expired"));
  EXPECT_THAT(sign_at(server().tls_url("other-host")), HasSubstr("not accepted: hostname mismatch"));
  EXPECT_THAT(sign_at(server().tls_url("unknown")), HasSubstr("not accepted: unable to get local issuer certificate"));
  EXPECT_THAT(sign_at("https://127.0.0.1:" + std::to_string(server().port("other-host"))),
              HasSubstr("IP address mismatch"));
  EXPECT_THAT(sign_at(server().tls_url("http")), HasSubstr("TLS handshake"));
  settings_.ca_file = {};
  EXPECT_THAT(sign_at(server().tls_url("server")), HasSubstr("not accepted"));
}

class Web3SignerClientCertificate : public Web3SignerTest {
 protected:
  static RemoteSigner remote(const std::string& file, std::optional<std::string> password = {}) {
    auto remote = at(server().tls_url("mutual"));
    if (!file.empty()) remote.cert_path = server().file(file);
    if (password) remote.cert_password = std::make_shared<const SecretText>(*password);
    return remote;
  }
  std::string why_unusable(const RemoteSigner& remote) {
    const auto signer = Web3Signer::create({remote}, settings_, network_.get_executor());
    return signer ? "usable" : signer.error().message();
  }
};

TEST_F(Web3SignerClientCertificate, is_shown_from_pem_and_pkcs12) {
  const auto password = server().client_password();
  EXPECT_EQ(sign_at(remote("client.pem")), signature());
  EXPECT_EQ(sign_at(remote("client-encrypted.pem", password)), signature());
  EXPECT_EQ(sign_at(remote("client.p12", password)), signature());
  EXPECT_EQ(sign_at(remote("client-rc2.p12", password)), signature());
}

TEST_F(Web3SignerClientCertificate, is_asked_for_by_the_server) {
  EXPECT_THAT(sign_at(remote("")), HasSubstr("the remote signer https://localhost"));
  EXPECT_NE(sign_at(remote("")), signature());
  EXPECT_NE(sign_at(remote("stranger.pem")), signature());
}

TEST_F(Web3SignerClientCertificate, is_refused_when_it_cannot_be_used) {
  const auto wrong = why_unusable(remote("client.p12", "wrong-password"));
  EXPECT_THAT(wrong, HasSubstr("client.p12"));
  EXPECT_THAT(wrong, Not(HasSubstr("wrong-password")));
  // About one wrong password in 200 decrypts to something that the decoders call unsupported.
  for (int i = 0; i < 800; ++i) {
    ASSERT_THAT(why_unusable(remote("client-encrypted.pem", "wrong-password-" + std::to_string(i))),
                HasSubstr("that certPass opens"));
  }
  EXPECT_THAT(why_unusable(remote("client-encrypted.pem")), HasSubstr("that certPass opens"));
  EXPECT_THAT(why_unusable(remote("client.crt")), HasSubstr("chmod 600"));
  EXPECT_THAT(why_unusable(remote("mixed.pem")), HasSubstr("do not belong together"));
  EXPECT_THAT(why_unusable(remote("missing.pem")), HasSubstr("No such file"));
  settings_.ca_file = server().file("missing.crt");
  EXPECT_THAT(why_unusable(remote("client.pem")), HasSubstr("missing.crt"));
}

}  // namespace
}  // namespace hasigner::keys
