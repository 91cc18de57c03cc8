#include "hasigner/service/console_sessions.hpp"

#include <gmock/gmock.h>

namespace hasigner::service {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

const NewToken kToken = make_token();

Clients clients_with(const std::string& line) {
  return Clients::parse(line + "\nother token:sha256:" + std::string(64, 'a') + " sign,read\n", "clients").value();
}

Fingerprint fingerprint() {
  return fingerprint_of(kToken.token);
}

TEST(ConsoleSessions, give_the_rights_to_read_and_to_operate_and_no_other) {
  const auto clients =
      clients_with("anna " + kToken.credential + " sign,steps,read,operate,unprotected,transactions validators=0x" +
                   std::string(40, '1'));
  ConsoleSessions sessions;
  const auto session = sessions.find(sessions.open(fingerprint(), {}), clients, {});
  ASSERT_TRUE(session);
  EXPECT_EQ(session->client->name, "anna");
  EXPECT_TRUE(session->client->may(Right::kRead));
  EXPECT_TRUE(session->client->may(Right::kOperate));
  EXPECT_EQ(session->client->rights.count(), 2);
  EXPECT_EQ(session->client->validators->size(), 1);
}

TEST(ConsoleSessions, give_no_right_that_the_client_has_not) {
  ConsoleSessions sessions;
  const auto session =
      sessions.find(sessions.open(fingerprint(), {}), clients_with("anna " + kToken.credential + " sign"), {});
  ASSERT_TRUE(session);
  EXPECT_TRUE(session->client->rights.none());
}

TEST(ConsoleSessions, need_both_secrets) {
  const auto clients = clients_with("anna " + kToken.credential + " read");
  ConsoleSessions sessions;
  const auto one = sessions.open(fingerprint(), {}), other = sessions.open(fingerprint(), {});
  EXPECT_FALSE(sessions.find({one.id, other.key}, clients, {}));
  EXPECT_FALSE(sessions.find({other.key, one.key}, clients, {}));
  EXPECT_FALSE(sessions.find({"", ""}, clients, {}));
  EXPECT_TRUE(sessions.find(one, clients, {}));
}

TEST(ConsoleSessions, end_after_their_time_and_when_they_are_ended) {
  const auto clients = clients_with("anna " + kToken.credential + " read");
  ConsoleSessions sessions;
  const auto credential = sessions.open(fingerprint(), {});
  const MonotonicTime end = MonotonicTime{} + ConsoleSessions::kLife;
  ASSERT_TRUE(sessions.find(credential, clients, end - seconds(1)));
  EXPECT_FALSE(sessions.find(credential, clients, end));
  const auto next = sessions.open(fingerprint(), end);
  EXPECT_EQ(sessions.size(), 1);
  sessions.end(sessions.find(next, clients, end)->id);
  EXPECT_FALSE(sessions.find(next, clients, end));
}

TEST(ConsoleSessions, end_with_the_token_of_their_client) {
  ConsoleSessions sessions;
  const auto credential = sessions.open(fingerprint(), {});
  EXPECT_FALSE(sessions.find(credential, clients_with(""), {}));
  EXPECT_FALSE(sessions.find(credential, clients_with("anna " + make_token().credential + " read"), {}));
}

TEST(ConsoleSessions, are_few_of_each_client) {
  const auto clients = clients_with("anna " + kToken.credential + " read");
  ConsoleSessions sessions;
  const auto others = sessions.open(fingerprint_of("another"), {});
  const auto first = sessions.open(fingerprint(), {});
  const auto second = sessions.open(fingerprint(), MonotonicTime{} + seconds(1));
  for (std::size_t i = 2; i <= ConsoleSessions::kMostOfClient; ++i) {
    (void)sessions.open(fingerprint(), MonotonicTime{} + seconds(2));
  }
  EXPECT_EQ(sessions.size(), ConsoleSessions::kMostOfClient + 1);
  EXPECT_FALSE(sessions.find(first, clients, MonotonicTime{} + seconds(2)));
  EXPECT_TRUE(sessions.find(second, clients, MonotonicTime{} + seconds(2)));
}

TEST(SessionCredential, is_read_from_the_cookie_of_the_port_and_the_header) {
  const auto found =
      session_credential("a=1; ha-signer-console-9001=wrong;ha-signer-console-9000=id; b", "key", "127.0.0.1:9000");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->id, "id");
  EXPECT_EQ(found->key, "key");
  EXPECT_FALSE(session_credential("ha-signer-console-9000=id", "", "127.0.0.1:9000"));
  EXPECT_FALSE(session_credential("ha-signer-console-9000=id", "key", "127.0.0.1:9001"));
  EXPECT_FALSE(session_credential("xha-signer-console=id; ; =", "key", "signer.example"));
  EXPECT_EQ(console_cookie("[::1]:9000"), "ha-signer-console-9000");
  for (const auto* const host : {"[::1]", "signer.example", "signer.example:", "a:b", ""}) {
    EXPECT_EQ(console_cookie(host), "ha-signer-console") << host;
  }
}

TEST(ConsoleSessions, end_with_the_line_of_the_client_and_do_not_come_back_with_it) {
  const auto with_line = clients_with("anna " + kToken.credential + " read");
  ConsoleSessions sessions;
  const auto credential = sessions.open(fingerprint(), {});
  sessions.end_without_client(with_line);
  EXPECT_TRUE(sessions.find(credential, with_line, {}));
  sessions.end_without_client(clients_with(""));
  EXPECT_FALSE(sessions.find(credential, with_line, {}));
}

}  // namespace
}  // namespace hasigner::service
