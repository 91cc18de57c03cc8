#include "hasigner/store/postgres/connection_string.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace hasigner::postgres {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

std::string parameter(const ConnectionString& string, std::string_view key) {
  const auto& all = string.parameters();
  const auto found = std::ranges::find(all, key, &std::pair<std::string, std::string>::first);
  return found == all.end() ? "not set" : found->second;
}

std::string complaint(std::string_view text) {
  const auto parsed = ConnectionString::parse(text);
  if (parsed) return "accepted";
  EXPECT_EQ(parsed.error().field, "database URL");
  return parsed.error().message();
}

TEST(ConnectionString, reads_a_url) {
  const auto parsed = ConnectionString::parse(
      "postgres://ann:s%40cret@db.example:5433/duties?sslmode=verify-full&sslrootcert=/etc/ca.pem");
  ASSERT_TRUE(parsed) << parsed.error().message();
  ASSERT_EQ(parsed->servers().size(), 1u);
  EXPECT_EQ(parsed->servers()[0].host, "db.example");
  EXPECT_EQ(parsed->servers()[0].port, "5433");
  EXPECT_EQ(parameter(*parsed, "user"), "ann");
  EXPECT_EQ(parameter(*parsed, "password"), "s@cret");
  EXPECT_EQ(parameter(*parsed, "dbname"), "duties");
  EXPECT_EQ(parameter(*parsed, "sslmode"), "verify-full");
  EXPECT_EQ(parameter(*parsed, "sslrootcert"), "/etc/ca.pem");
}

TEST(ConnectionString, refuses_poolers_that_are_known_to_keep_no_session) {
  EXPECT_THAT(
      complaint("postgresql://ann:pw@ep-cool-darkness-123456-pooler.us-east-2.aws.neon.tech/duties?sslmode=require"),
      HasSubstr("leave -pooler out of the host name"));
  EXPECT_EQ(complaint("postgresql://ann:pw@ep-cool-darkness-123456.us-east-2.aws.neon.tech/duties?sslmode=require"),
            "accepted");
  EXPECT_THAT(complaint("postgres://postgres.abc:pw@aws-0-eu-west-1.pooler.supabase.com:6543/postgres"),
              HasSubstr("use port 5432"));
  EXPECT_THAT(complaint("postgres://postgres:pw@db.abc.supabase.co:6543/postgres"), HasSubstr("use port 5432"));
  EXPECT_EQ(complaint("postgres://postgres.abc:pw@aws-0-eu-west-1.pooler.supabase.com:5432/postgres"), "accepted");
  EXPECT_EQ(complaint("postgres://postgres:pw@db.abc.supabase.co:5432/postgres"), "accepted");
  EXPECT_EQ(complaint("postgres://postgres:pw@db.example:6543/postgres"), "accepted");
}

TEST(ConnectionString, reads_keywords_and_values) {
  const auto parsed = ConnectionString::parse("host=/run/postgresql dbname=duties password='it''s'");
  EXPECT_FALSE(parsed) << "libpq escapes a quote by a backslash";
  const auto better = ConnectionString::parse("host=/run/postgresql dbname=duties password='it\\'s'");
  ASSERT_TRUE(better) << better.error().message();
  EXPECT_EQ(better->servers()[0].host, "/run/postgresql");
  EXPECT_EQ(parameter(*better, "password"), "it's");
}

TEST(ConnectionString, adds_what_notices_a_dead_server_and_insists_on_one_that_takes_writes) {
  const auto parsed = ConnectionString::parse("postgresql://localhost/duties");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parameter(*parsed, "keepalives"), "1");
  EXPECT_EQ(parameter(*parsed, "keepalives_idle"), "10");
  EXPECT_EQ(parameter(*parsed, "keepalives_interval"), "5");
  EXPECT_EQ(parameter(*parsed, "keepalives_count"), "3");
  EXPECT_EQ(parameter(*parsed, "tcp_user_timeout"), "10000");
  EXPECT_EQ(parameter(*parsed, "target_session_attrs"), "read-write");
  EXPECT_THAT(parameter(*parsed, "application_name"), testing::MatchesRegex("ha-signer [0-9.]+"));
  EXPECT_EQ(parsed->connect_timeout(), 5s);
}

TEST(ConnectionString, a_look_at_each_server_takes_standbys_too_and_changes_nothing_else) {
  const auto parsed = ConnectionString::parse("postgresql://u:secret@one,two/duties");
  ASSERT_TRUE(parsed);
  const auto any = parsed->for_any_server();
  EXPECT_EQ(any.parameter("target_session_attrs"), "any");
  EXPECT_EQ(parsed->parameter("target_session_attrs"), "read-write");
  EXPECT_EQ(any.parameter("password"), "secret");
  EXPECT_EQ(any.parameter("sslcrl"), "");
  EXPECT_EQ(any.servers().size(), 2U);
}

TEST(ConnectionString, what_the_url_says_goes_before_defaults) {
  const auto parsed = ConnectionString::parse(
      "postgresql://localhost/"
      "duties?keepalives_idle=60&application_name=mine&target_session_attrs=primary&connect_timeout=2"
      "&client_encoding=latin1");
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_EQ(parameter(*parsed, "keepalives_idle"), "60");
  EXPECT_EQ(parameter(*parsed, "application_name"), "mine");
  EXPECT_EQ(parameter(*parsed, "target_session_attrs"), "primary");
  EXPECT_EQ(parsed->connect_timeout(), 2s);
  EXPECT_EQ(parameter(*parsed, "connect_timeout"), "not set");
  EXPECT_EQ(parameter(*parsed, "client_encoding"), "UTF8") << "the texts sent are UTF-8, whatever the URL says";
}

TEST(ConnectionString, several_servers_keep_their_order_and_ports) {
  const auto parsed = ConnectionString::parse("postgresql://a:1,[::1]:2,c:3/duties");
  ASSERT_TRUE(parsed) << parsed.error().message();
  ASSERT_EQ(parsed->servers().size(), 3u);
  EXPECT_EQ(parsed->servers()[0].host, "a");
  EXPECT_EQ(parsed->servers()[1].host, "::1");
  EXPECT_EQ(parsed->servers()[2].port, "3");
  const auto one_port = ConnectionString::parse("host=a,b port=5433");
  ASSERT_TRUE(one_port);
  EXPECT_EQ(one_port->servers()[1].port, "5433");
  EXPECT_THAT(complaint("host=a,b,c port=1,2"), HasSubstr("as many ports and addresses as hosts"));
}

TEST(ConnectionString, refuses_a_port_that_is_none) {
  EXPECT_THAT(complaint("postgresql://h:70000/d"), HasSubstr("a port is a number from 1 to 65535"));
  EXPECT_THAT(complaint("host=h port=x"), HasSubstr("a port is a number from 1 to 65535"));
  EXPECT_THAT(complaint("postgresql://ann:12345/6@h/d"), HasSubstr("must be percent-encoded"));
}

TEST(ConnectionString, refuses_what_is_not_a_connection_string) {
  for (const auto* text : {"", "duties", "mysql://u:p@h/d", "http://h", "sqlite:duties.db", "h:5432", "postgres:/h"}) {
    EXPECT_THAT(complaint(text), HasSubstr("must be a PostgreSQL URL")) << text;
  }
}

TEST(ConnectionString, says_what_is_wrong_with_a_url) {
  EXPECT_THAT(complaint("postgresql://h/d?sslmode=no-verify"),
              HasSubstr("what node-postgres calls no-verify is require here"));
  EXPECT_THAT(complaint("postgresql://h/d?sslmode=on"), HasSubstr("not on"));
  EXPECT_THAT(complaint("postgresql://h/d?x"), HasSubstr("must be a PostgreSQL URL"));
  EXPECT_THAT(complaint("postgresql://h/d?target_session_attrs=standby"), HasSubstr("a signer must write"));
  EXPECT_THAT(complaint("postgresql://h/d?connect_timeout=soon"), HasSubstr("number of seconds"));
  EXPECT_THAT(complaint("postgresql://u:50%@h/d"), HasSubstr("two hexadecimal digits"));
}

TEST(ConnectionString, names_a_parameter_that_libpq_does_not_know_and_what_to_do_about_it) {
  for (const auto& [query, advice] : std::vector<std::pair<std::string, std::string>>{
           {"schema=duties", "without the parameter schema, which libpq does not know: write options=-csearch_path%3D"},
           {"currentSchema=duties", "options=-csearch_path%3D"},
           {"pgbouncer=true", "pool_mode=session"},
           {"uselibpqcompat=true", "sslmode means here what it means to libpq"},
           {"statement_timeout=30000", "deadline of its attempt"},
           {"connection_limit=5", "pool_max"},
           {"ssl=no-verify", "write sslmode=require"},
           {"sslmode=require&nonsense=hunter2", "without the parameter nonsense, which libpq does not know"}}) {
    for (const std::string url :
         {"postgresql://ann:hunter2@h:5432/d?", "postgres://h/d?", "postgresql://[::1]:5432/d?"}) {
      EXPECT_THAT(complaint(url + query), HasSubstr(advice)) << url << query;
      EXPECT_THAT(complaint(url + query), Not(HasSubstr("hunter2")));
    }
  }
  EXPECT_EQ(complaint("postgresql://h/d?ssl=true&application_name=a&options=-csearch_path%3Dduties"), "accepted");
}

TEST(ConnectionString, shows_no_value_of_a_parameter_that_is_not_known) {
  EXPECT_EQ(mask_password("postgresql://ann:hunter2@h/d?schema=x&token=hunter2"), "postgresql://ann:***@h/d?...");
}

TEST(ConnectionString, leaves_out_white_space_as_the_published_packages_driver_does) {
  // `new URL(text)` of Node.js 20, which pg-connection-string calls.
  for (const auto* text :
       {"postgresql://ann:hunter2@h/d\n", " postgresql://ann:hunter2@h/d\r\n", "postgresql://ann:hunter2\n@h/\td"}) {
    const auto parsed = ConnectionString::parse(text);
    ASSERT_TRUE(parsed) << parsed.error().message();
    EXPECT_EQ(parameter(*parsed, "dbname"), "d");
    EXPECT_EQ(parameter(*parsed, "password"), "hunter2");
    EXPECT_EQ(mask_password(text), "postgresql://ann:***@h/d");
  }
  const auto parsed = ConnectionString::parse("host=h\ndbname=d\n");
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_EQ(parameter(*parsed, "dbname"), "d");
}

TEST(ConnectionString, no_complaint_shows_a_password) {
  for (const auto* text : {
           "postgresql://ann:hunter2@h/d?sslmode=no-verify",
           "postgresql://ann:hunter2@h:port/d",
           "postgresql://ann:hunter2%@h/d",
           "postgresql://ann:hunter2/@h/d",
           "postgresql://ann:hunter2@x@h/d?nonsense=1",
           "postgresql://ann@corp:hunter2@h/d",
           "ann:hunter2@h/d",
           "mysql://ann:hunter2@h/d",
           "password=hunter2 nonsense=1",
           "password = 'hunter2 hunter2' x",
           "postgresql://h/d?password=hunter2&nonsense=1",
           "postgresql://h/d?sslpassword=hunter2&sslmode=x",
           "host=h sslpassword=hunter2 sslmode=x",
           "postgresql://ann:hunter2?@h/d",
           "postgresql://ann:x?hunter2=1@h/d",
           "postgresql://:hunter2#@h",
       }) {
    EXPECT_THAT(complaint(text), Not(HasSubstr("hunter2"))) << text;
    EXPECT_THAT(mask_password(text), Not(HasSubstr("hunter2"))) << text;
  }
}

TEST(ConnectionString, is_shown_as_a_url_without_its_password) {
  EXPECT_EQ(mask_password("postgres://ann:hunter2@db:5433/duties?sslmode=require"),
            "postgresql://ann:***@db:5433/duties?sslmode=require");
  EXPECT_EQ(mask_password("host=/run/pg user=ann password=hunter2 dbname=duties"),
            "postgresql://ann:***@/duties?host=/run/pg");
  EXPECT_EQ(mask_password("postgresql:///duties?host=/run/pg&port=5433"),
            "postgresql:///duties?host=/run/pg&port=5433");
  EXPECT_EQ(mask_password("postgresql://%2Frun%2Fpg/duties"), "postgresql:///duties?host=/run/pg");
  EXPECT_EQ(mask_password("postgresql:///d?host=@abstract"), "postgresql:///d?host=%40abstract");
  EXPECT_EQ(mask_password("host=/run/pg,db dbname=d"), "postgresql://%2Frun%2Fpg,db/d");
  EXPECT_EQ(mask_password("postgresql://a,b:2/d"), "postgresql://a,b:2/d");
  EXPECT_EQ(mask_password("postgresql://[::1]:2/d"), "postgresql://[::1]:2/d");
  EXPECT_EQ(ConnectionString::parse("postgresql://ann:hunter2@db/d")->shown(), "postgresql://ann:***@db/d");
}

TEST(ConnectionString, a_shown_url_means_the_same_servers) {
  for (const auto* text : {"host=/run/pg dbname=d", "host=/run/pg port=5433", "host=/run/pg,b port=1,2", "host=@x",
                           "postgresql://a:1,b:2/d", "postgresql://u@[::1]/d", "host=h port=3 user=u"}) {
    const auto once = ConnectionString::parse(text);
    const auto again = ConnectionString::parse(once->shown());
    ASSERT_TRUE(again) << once->shown();
    ASSERT_EQ(once->servers().size(), again->servers().size());
    for (std::size_t i = 0; i < once->servers().size(); ++i) {
      EXPECT_EQ(once->servers()[i].host, again->servers()[i].host);
      EXPECT_EQ(once->servers()[i].port, again->servers()[i].port);
    }
  }
}

TEST(ConnectionString, takes_its_secrets_out_of_other_texts) {
  const auto parsed = ConnectionString::parse("postgresql://ann:hunter2@db/d?sslpassword=other");
  EXPECT_EQ(parsed->scrub("auth with hunter2 and other, hunter2"), "auth with *** and ***, ***");
  const auto same_as_name = ConnectionString::parse("postgresql://postgres:postgres@db/d");
  EXPECT_EQ(same_as_name->scrub("no such user \"postgres\""), "no such user \"postgres\"");
}

}  // namespace
}  // namespace hasigner::postgres
