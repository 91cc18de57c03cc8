#include "hasigner/store/postgres/connect_failure.hpp"

#include <gtest/gtest.h>

namespace hasigner::postgres {
namespace {

// The texts are libpq's, of version 15, with verbose errors.
TEST(ConnectComplaint, of_a_server_has_its_sqlstate_and_no_line_of_its_source) {
  const auto complaint = read_connect_complaint(
      "connection to server at \"127.0.0.1\", port 5432 failed: FATAL:  3D000: database \"x\" does not exist\n"
      "LOCATION:  InitPostgres, postinit.c:1037\n");
  EXPECT_EQ(complaint.sqlstate, "3D000");
  EXPECT_EQ(complaint.message,
            "connection to server at \"127.0.0.1\", port 5432 failed: FATAL: database \"x\" does not exist");
}

TEST(ConnectComplaint, of_libpq_is_one_line_without_sqlstate) {
  const auto complaint = read_connect_complaint(
      "connection to server at \"127.0.0.1\", port 1 failed: Connection refused\n"
      "\tIs the server running on that host and accepting TCP/IP connections?\n");
  EXPECT_EQ(complaint.sqlstate, "");
  EXPECT_EQ(complaint.message,
            "connection to server at \"127.0.0.1\", port 1 failed: Connection refused "
            "Is the server running on that host and accepting TCP/IP connections?");
}

TEST(ConnectComplaint, that_comes_twice_is_said_once) {
  const auto complaint = read_connect_complaint(
      "connection to server at \"h\", port 1 failed: FATAL:  28P01: password authentication failed for user \"u\"\n"
      "LOCATION:  auth_failed, auth.c:338\n"
      "connection to server at \"h\", port 1 failed: FATAL:  28P01: password authentication failed for user \"u\"\n"
      "LOCATION:  auth_failed, auth.c:338\n");
  EXPECT_EQ(complaint.sqlstate, "28P01");
  EXPECT_EQ(complaint.message,
            "connection to server at \"h\", port 1 failed: FATAL: password authentication failed for user \"u\"");
}

}  // namespace
}  // namespace hasigner::postgres
