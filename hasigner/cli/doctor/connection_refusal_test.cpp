#include "hasigner/cli/doctor/connection_refusal.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hasigner::cli::doctor {
namespace {

using testing::HasSubstr;

const ConnectionAttempt kAttempt{.role = "signer", .database = "Duties 1", .url_setting = "VALIDATOR_HA_DATABASE_URL"};

TEST(ConnectionRefusal, gives_the_statement_with_the_names_as_SQL_writes_them) {
  EXPECT_EQ(mend_of_refusal("FATAL: role \"signer\" is not permitted to log in", kAttempt),
            "run as a superuser: alter role signer login");
  EXPECT_EQ(mend_of_refusal("FATAL: permission denied for database \"Duties 1\"", kAttempt),
            "run as a superuser: grant connect on database \"Duties 1\" to signer");
  EXPECT_THAT(mend_of_refusal("FATAL: database \"Duties 1\" does not exist", kAttempt),
              HasSubstr("create database \"Duties 1\"; "));
  EXPECT_THAT(mend_of_refusal("FATAL: role \"signer\" does not exist", kAttempt),
              HasSubstr("create role signer login"));
}

TEST(ConnectionRefusal, leaves_open_what_the_url_does_not_name) {
  EXPECT_EQ(
      mend_of_refusal("role \"x\" is not permitted to log in", {.role = "", .database = "d", .url_setting = "URL"}),
      "run as a superuser: alter role ROLE login");
}

TEST(ConnectionRefusal, says_nothing_of_a_message_that_it_does_not_know) {
  EXPECT_EQ(mend_of_refusal("Connection refused", kAttempt), "");
  EXPECT_EQ(mend_of_refusal("server at alerts.example has not answered", kAttempt), "");
}

}  // namespace
}  // namespace hasigner::cli::doctor
