#include "hasigner/service/unknown_client_log.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>

namespace hasigner::service {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

/// A log that can be read, and a clock of its own.
struct UnknownClientLogTest : testing::Test {
  UnknownClientLogTest() {
    EXPECT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
    log = std::make_shared<Log>(pipe[1], LogFormat::kJson);
    lines = std::make_unique<UnknownClientLog>(context.get_executor(), log, std::chrono::milliseconds(1));
  }
  ~UnknownClientLogTest() override {
    for (const int end : pipe) ::close(end);
  }

  /// Lets the interval end, and returns what was written then.
  std::string next_interval() {
    context.restart();
    context.run();
    // A line of our own, so that there is something to wait for.
    log->write(LogLevel::kInfo, "end", {});
    std::string text;
    while (text.find(R"("event":"end")") == std::string::npos || !text.ends_with('\n')) {
      std::array<char, 4'096> piece{};
      const auto size = ::read(pipe[0], piece.data(), piece.size());
      if (size <= 0) break;
      text.append(piece.data(), static_cast<std::size_t>(size));
    }
    return text.substr(0, text.rfind("{\"time\""));
  }

  std::array<int, 2> pipe{};
  asio::io_context context{1};
  std::shared_ptr<Log> log;
  std::unique_ptr<UnknownClientLog> lines;
};

TEST_F(UnknownClientLogTest, shows_some_of_many_and_then_how_many_more_there_were) {
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(lines->may_write("192.0.2.1", 401));
  for (int i = 0; i < 500; ++i) EXPECT_FALSE(lines->may_write("192.0.2.1", 401));
  EXPECT_TRUE(lines->may_write("192.0.2.1", 404));
  EXPECT_TRUE(lines->may_write("192.0.2.2", 401));
  EXPECT_THAT(next_interval(), AllOf(HasSubstr(R"("peer":"192.0.2.1","status":"401","count":"500")"),
                                     testing::Not(HasSubstr("192.0.2.2"))));
  EXPECT_TRUE(lines->may_write("192.0.2.1", 401));
  EXPECT_THAT(next_interval(), IsEmpty());
}

TEST_F(UnknownClientLogTest, counts_those_of_very_many_addresses_together) {
  for (int i = 0; i < 10'000; ++i) static_cast<void>(lines->may_write(std::to_string(i), 401));
  EXPECT_THAT(next_interval(), HasSubstr(R"("peer":"other addresses","status":"401","count":"8990")"));
}

}  // namespace
}  // namespace hasigner::service
