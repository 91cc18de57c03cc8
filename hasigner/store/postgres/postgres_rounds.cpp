// The part of PostgresStore by which nodes with journals wait for each other.

#include "hasigner/store/postgres/postgres_store.hpp"
#include "hasigner/store/postgres/sql_errors.hpp"
#include "hasigner/store/postgres/sql_values.hpp"

namespace hasigner::postgres {

namespace {

using Row = std::vector<std::optional<std::string>>;
using Parameters = std::vector<std::optional<std::string>>;

/// How long an attempt to forbid slots waits for those that are just writing duties.
constexpr milliseconds kLongestForbidWait{5'000};

JournaledNode journaled_node_of(const Row& row) {
  const auto number = [&](std::size_t column) { return number_of<std::uint64_t>(row.at(column)).value_or(0); };
  return {.node_id = row.at(0).value_or(""),
          .heartbeat = row.at(1).value_or(""),
          .is_alive = row.at(2) == "t",
          .keeps_journal = row.at(3) == "t",
          .asked = number(4),
          .completed = number(5),
          .lost = number(6),
          .slots = ReachedSlots::parse(row.at(7).value_or(""))};
}

Parameters node_parameters(const NodeRegistration& node) {
  return {node.node_id.str(), hex_of(node.incarnation)};
}

}  // namespace

asio::awaitable<StoreResult<std::uint64_t>> PostgresStore::begin_round(NodeRegistration node, Why why,
                                                                       MonotonicTime deadline) {
  Parameters parameters = node_parameters(node);
  parameters.emplace_back(why == Why::kLoss ? "true" : "false");
  const Call call{.priority = SqlPriority::kHeartbeat, .deadline = deadline, .confirm = true, .asked_in = epoch()};
  SqlReply reply = co_await run_one(&SqlTexts::begin_round, std::move(parameters), call);
  if (!reply) co_return std::unexpected(store_error(reply.error()));
  if (reply->front().rows.empty()) {
    co_return std::unexpected(
        StoreError{StoreErrorKind::kUnavailable, "node " + printable(node.node_id.str()) + " is not registered"});
  }
  co_return number_of<std::uint64_t>(reply->front().rows[0].at(0)).value();
}

asio::awaitable<StoreResult<std::vector<JournaledNode>>> PostgresStore::journaled_nodes(MonotonicTime deadline) {
  const Call call{.priority = SqlPriority::kHeartbeat, .deadline = deadline, .asked_in = epoch()};
  Parameters none;
  SqlReply reply = co_await run_one(&SqlTexts::journaled_nodes, std::move(none), call);
  if (!reply) co_return std::unexpected(read_error(reply.error()));
  std::vector<JournaledNode> nodes;
  for (const Row& row : reply->front().rows) nodes.push_back(journaled_node_of(row));
  co_return nodes;
}

asio::awaitable<StoreResult<Unit>> PostgresStore::tell(NodeRegistration node, std::uint64_t completed,
                                                       ReachedSlots slots, MonotonicTime deadline) {
  Parameters parameters = node_parameters(node);
  parameters.emplace_back(std::to_string(completed));
  parameters.emplace_back(slots.text());
  const Call call{.priority = SqlPriority::kHeartbeat, .deadline = deadline, .asked_in = epoch()};
  SqlReply reply = co_await run_one(&SqlTexts::tell_round, std::move(parameters), call);
  if (!reply) co_return std::unexpected(store_error(reply.error()));
  if (reply->front().rows.empty()) {
    co_return std::unexpected(StoreError{StoreErrorKind::kUnavailable, "this node is not registered"});
  }
  co_return Unit{};
}

asio::awaitable<StoreResult<Unit>> PostgresStore::leave(NodeRegistration node, MonotonicTime deadline) {
  Parameters parameters = node_parameters(node);
  const Call call{.priority = SqlPriority::kHeartbeat, .deadline = deadline, .asked_in = epoch()};
  SqlReply reply = co_await run_one(&SqlTexts::leave_rounds, std::move(parameters), call);
  if (!reply) co_return std::unexpected(store_error(reply.error()));
  co_return Unit{};
}

asio::awaitable<StoreResult<Unit>> PostgresStore::give_up(std::vector<std::string> node_ids, MonotonicTime deadline) {
  ArrayText ids;
  for (const auto& node_id : node_ids) ids.add_quoted(node_id);
  Parameters parameters{ids.finish()};
  const Call call{.priority = SqlPriority::kHeartbeat, .deadline = deadline, .asked_in = epoch()};
  SqlReply reply = co_await run_one(&SqlTexts::give_up_nodes, std::move(parameters), call);
  if (!reply) co_return std::unexpected(store_error(reply.error()));
  co_return Unit{};
}

asio::awaitable<StoreResult<Unit>> PostgresStore::forbid_up_to(EthAddress rollup, std::optional<EthAddress> validator,
                                                               std::vector<DutyType> duty_types, Slot slot,
                                                               MonotonicTime deadline) {
  ArrayText types;
  for (const DutyType type : duty_types) types.add_quoted(std::string(to_string(type)));
  Parameters parameters{rollup.to_string(), validator_text(validator), types.finish(), slot.to_string(),
                        std::to_string(kLongestForbidWait.count())};
  const Call call{.priority = SqlPriority::kHeartbeat, .deadline = deadline, .confirm = true, .asked_in = epoch()};
  SqlReply reply = co_await run_one(&SqlTexts::forbid_up_to, std::move(parameters), call);
  if (!reply) co_return std::unexpected(store_error(reply.error()));
  co_return Unit{};
}

}  // namespace hasigner::postgres
