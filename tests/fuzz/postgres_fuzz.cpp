// What a PostgreSQL server answers: one row a line, columns separated by tabs, \N for null. The check of a session, and
// views of duties through a store whose executor answers so.

#include <memory>
#include <string>
#include <vector>

#include "hasigner/duty/assert.hpp"
#include "hasigner/store/postgres/postgres_store.hpp"
#include "tests/fuzz/fuzz_target.hpp"

namespace {

using namespace hasigner;
using namespace hasigner::postgres;
using Row = std::vector<std::optional<std::string>>;

constexpr std::size_t kCheckColumns = 18, kMostRows = 50, kDuties = 2;

std::string_view take_until(std::string_view& text, char end) {
  const auto at = std::min(text.find(end), text.size());
  const auto part = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return part;
}

/// libpq gives a row as many columns as the statement asks for.
SqlRows rows_of(std::string_view text, std::size_t columns) {
  SqlRows rows;
  while (!text.empty() && rows.rows.size() < kMostRows) {
    auto line = take_until(text, '\n');
    Row row(columns);
    for (auto& column : row) {
      const auto value = take_until(line, '\t');
      if (value != "\\N") column = value;
    }
    rows.rows.push_back(std::move(row));
  }
  return rows;
}

/// That of a server that serves: what the check of a session wants.
SqlRows sound_server() {
  const Row row{"f",
                "public",
                "1",
                "t",
                "rollup_address,validator_address,slot,block_number,block_index_within_checkpoint,duty_type,status,"
                "message_hash,signature,node_id,lock_token,started_at,completed_at,checkpoint_number,expires_at",
                "rollup_address,validator_address,slot,duty_type,block_index_within_checkpoint",
                "f",
                "3",
                "",
                "1",
                "0123456789abcdef0123456789abcdef",
                "16384",
                "16400",
                "1764200000.123456",
                "t",
                "t",
                "7000000000000000000",
                "00000001"};
  return {.rows = {row}};
}

/// Answers every statement with the same rows.
class Answering final : public SqlExecutor {
 public:
  explicit Answering(SqlRows rows) : rows_(std::move(rows)) {}
  asio::awaitable<SqlReply> run(SqlRequest request) override {
    if (!is_checked_) {
      is_checked_ = true;
      co_return std::vector<SqlRows>{sound_server()};
    }
    co_return std::vector<SqlRows>(request.statements.size(), rows_);
  }
  void set_session_check(SessionCheck) override {}
  [[nodiscard]] std::size_t parallel_requests() const override { return 1; }
  asio::awaitable<std::expected<bool, SqlError>> lost_sessions_alive(MonotonicTime) override { co_return false; }
  asio::awaitable<void> close() override { co_return; }

 private:
  SqlRows rows_;
  bool is_checked_ = false;
};

class NoTime final : public Clock {
 public:
  [[nodiscard]] MonotonicTime now() const override { return {}; }
  TimerId call_at(MonotonicTime, std::move_only_function<void()>) override { return 0; }
  void cancel(TimerId) override {}
};

template <class T>
T answer_of(asio::awaitable<T> work) {
  asio::io_context io;
  auto future = asio::co_spawn(io, std::move(work), asio::use_future);
  io.run();
  return future.get();
}

/// A server is used only if it is a primary with the whole of what the rule needs.
void check_session(std::string_view text) {
  const auto rows = rows_of(text, kCheckColumns);
  const auto known = std::make_shared<KnownDatabase>();
  const auto check = session_check(known, WithoutTimeline::kRefused);
  if (check.judge(rows).refusal) return;
  HASIGNER_ASSERT(rows.rows.size() == 1);
  const auto& row = rows.rows[0];
  HASIGNER_ASSERT(row[0] != "t" && row[2] == "1" && row[3] == "t" && row[8].value_or("").empty() && row[9] == "1");
  HASIGNER_ASSERT(known->schema_version >= kOldestSchemaVersion && known->schema_version <= kNewestSchemaVersion);
  HASIGNER_ASSERT(known->epoch && !known->epoch->cluster_id.empty() && known->epoch->timeline > 0);
}

Duty duty(std::uint64_t slot) {
  EthAddress address;
  address.bytes().fill(0x11);
  MessageHash hash;
  hash.bytes().fill(0x22);
  return make_duty(address, address, hash, {.duty_type = DutyType::kAttestation, .slot = Slot::from(slot).value()})
      .value();
}

/// Of a fenced claim, which is not written a second time.
LockToken token(std::uint8_t number) {
  return LockToken::make(Incarnation{}, TokenKind::kFenced, {0, 0, 0, 0, 0, 0, number});
}

/// The statement numbers the elements of its arrays.
void keep_ords_in_range(SqlRows& rows) {
  for (auto& row : rows.rows) {
    auto& ord = row[kOrd];
    if (ord != "1" && ord != "2") ord.reset();
  }
}

/// Whether a row of this duty is a claim under the token that may go on.
bool has_claim(const SqlRows& rows, const std::string& ord, const std::string& token) {
  return std::ranges::any_of(rows.rows, [&](const Row& row) {
    return row[kOrd] == ord && row[kRowLockToken] == token && row[kRowStatus].has_value();
  });
}

void check_views(std::string_view text) {
  auto rows = rows_of(text, kLookColumns);
  keep_ords_in_range(rows);
  NoTime clock;
  PostgresStore looking(std::make_shared<Answering>(rows), clock);
  const auto views = answer_of(looking.look({duty(1).key, duty(2).key}, {}));
  HASIGNER_ASSERT(views && views->size() == kDuties);
  PostgresStore claiming(std::make_shared<Answering>(rows), clock);
  const auto node = NodeId::parse("node").value();
  const auto outcomes = answer_of(claiming.claim(node, {{duty(1), token(1)}, {duty(2), token(2)}}, {}));
  HASIGNER_ASSERT(outcomes && outcomes->size() == kDuties);
  for (std::size_t i = 0; i < kDuties; ++i) {
    const auto number = static_cast<std::uint8_t>(i + 1);
    if ((*outcomes)[i].outcome != RowOutcome::kApplied) continue;
    HASIGNER_ASSERT(has_claim(rows, std::to_string(number), token(number).str()));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const auto text = test::text_of(bytes, size);
  check_session(text);
  check_views(text);
  return 0;
}
