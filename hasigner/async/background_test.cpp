#include "hasigner/async/background.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace hasigner {
namespace {

std::string text_of(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "not an exception of the library";
  }
}

struct BackgroundTest : testing::Test {
  ReportFailure report() {
    return [this](std::string_view work, const std::exception_ptr& failure) {
      reports.push_back(std::string(work) + ": " + text_of(failure));
    };
  }

  asio::io_context context{1};
  std::vector<std::string> reports;
};

asio::awaitable<void> fail_until_third(int& count) {
  if (++count == 1) throw std::runtime_error("first");
  if (count == 2) throw 42;
  co_return;
}

TEST_F(BackgroundTest, a_loop_goes_on_after_an_exception_and_ends_when_it_returns) {
  int count = 0;
  spawn_loop(
      context.get_executor(), "the loop", [&count] { return fail_until_third(count); }, report(),
      std::chrono::milliseconds(1));
  context.run();
  EXPECT_EQ(count, 3);
  EXPECT_EQ(reports, (std::vector<std::string>{"the loop: first", "the loop: not an exception of the library"}));
}

TEST_F(BackgroundTest, of_a_loop_that_fails_over_and_over_the_first_failure_can_be_reported_alone) {
  int count = 0;
  spawn_loop(
      context.get_executor(), "the loop", [&count] { return fail_until_third(count); }, first_only(report()),
      std::chrono::milliseconds(1));
  context.run();
  EXPECT_EQ(count, 3);
  EXPECT_EQ(reports, (std::vector<std::string>{"the loop: first"}));
}

TEST_F(BackgroundTest, work_that_ends_by_an_exception_is_reported) {
  int count = 0;
  spawn_once(context.get_executor(), "the work", fail_until_third(count), report());
  context.run();
  EXPECT_EQ(reports, (std::vector<std::string>{"the work: first"}));
}

}  // namespace
}  // namespace hasigner
