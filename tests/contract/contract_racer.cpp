// One racer as a process of its own: contract_racer URL RACER DUTIES [STANDS_STILL_AFTER]
//
// Writes the number of each duty whose record was confirmed, a line each, at once; and `still` when it stands still.

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "hasigner/factory/open_store.hpp"
#include "hasigner/protection/async.hpp"
#include "hasigner/protection/system_clock.hpp"
#include "tests/contract/racer.hpp"

namespace hasigner::contract {
namespace {

/// In one write, so that a kill leaves whole lines.
void say(const std::string& word) {
  const std::string line = word + "\n";
  if (::write(STDOUT_FILENO, line.data(), line.size()) != static_cast<ssize_t>(line.size())) std::_Exit(3);
}

asio::awaitable<void> take_part(asio::any_io_executor executor, std::vector<std::string> arguments) {
  auto clock = std::make_shared<SystemClock>(executor);
  StoreSettings settings;
  settings.database_url = arguments.at(0);
  settings.pool.max = 3;
  auto opened = co_await open_store(std::move(settings), executor, clock);
  RaceEntry entry{.connection = {opened.store, opened.history},
                  .clock = clock,
                  .executor = executor,
                  .node_id = NodeId::parse("racer-" + arguments.at(1)).value(),
                  .racer = static_cast<std::uint8_t>(std::stoul(arguments.at(1))),
                  .duties = std::stoull(arguments.at(2)),
                  .confirmed = [](std::uint64_t number) { say(std::to_string(number)); },
                  .stands_still_after = {},
                  .standing_still = {}};
  if (arguments.size() > 3) entry.stands_still_after = std::stoull(arguments[3]);
  entry.standing_still = [clock, executor]() -> asio::awaitable<void> {
    say("still");
    // A signal may stop the process for any length of time; the test continues or kills it.
    return sleep_until(executor, *clock, clock->now() + milliseconds(300));
  };
  co_await race(std::move(entry));
  co_await opened.store->close();
}

}  // namespace
}  // namespace hasigner::contract

int main(int count, char** values) {
  using namespace hasigner;
  if (count < 4) {
    std::fprintf(stderr, "contract_racer URL RACER DUTIES [STANDS_STILL_AFTER]\n");
    return 2;
  }
  asio::io_context context;
  int code = 0;
  asio::co_spawn(context,
                 contract::take_part(context.get_executor(), std::vector<std::string>(values + 1, values + count)),
                 [&](const std::exception_ptr& error) {
                   try {
                     if (error) std::rethrow_exception(error);
                   } catch (const std::exception& e) {
                     std::fprintf(stderr, "racer %s: %s\n", values[2], e.what());
                     code = 1;
                   }
                   context.stop();
                 });
  context.run();
  return code;
}
