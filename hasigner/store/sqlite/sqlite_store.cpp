#include "hasigner/store/sqlite/sqlite_store.hpp"

#include "hasigner/protection/async.hpp"
#include "hasigner/store/sqlite/worker.hpp"

namespace hasigner::sqlite {
namespace {

using Kind = Task::Kind;
template <class R>
using Work = std::move_only_function<R(Tables&)>;

/// The worker has clocks of its own: deadlines reach it as what is left of them.
std::chrono::steady_clock::time_point on_worker(MonotonicTime deadline, const Clock& clock) {
  constexpr MonotonicTime::duration kNever = std::chrono::hours(24 * 365);
  return std::chrono::steady_clock::now() + std::min(kNever, deadline - clock.now());
}

/// Longer than any transaction; after it the store's destructor waits for the rest.
constexpr auto kLongestClose = std::chrono::minutes(1);

std::optional<std::string> expiry_of(const Tables& tables, std::optional<milliseconds> retention) {
  if (!retention) return std::nullopt;
  return utc_text(tables.now() + *retention);
}

}  // namespace

struct SqliteStore::Call {
  Kind kind = Kind::kRead;
  MonotonicTime deadline;
  std::size_t weight = 1;
  std::move_only_function<void(Tables&)> undo = {};
};

SqliteStore::SqliteStore(std::shared_ptr<Clock> clock, asio::any_io_executor executor, SqliteOptions options)
    : clock_(std::move(clock)), executor_(std::move(executor)), options_(options) {}

SqliteStore::~SqliteStore() = default;

asio::awaitable<StoreResult<std::shared_ptr<SqliteStore>>> SqliteStore::open(std::string path,
                                                                             std::shared_ptr<Clock> clock,
                                                                             asio::any_io_executor executor,
                                                                             SqliteOptions options,
                                                                             MonotonicTime deadline) {
  using Outcome = StoreResult<std::string>;
  const std::shared_ptr<SqliteStore> store(new SqliteStore(clock, executor, options));
  auto arrival = std::make_shared<Arrival<Outcome>>(executor);
  store->worker_ = std::make_unique<Worker>(
      path, WorkerLimits{.max_waiting = options.max_waiting}, on_worker(deadline, *clock),
      [arrival, executor](Outcome outcome) {
        asio::post(executor, [arrival, outcome = std::move(outcome)]() mutable { arrival->set(std::move(outcome)); });
      });
  auto opened = co_await Arrival<Outcome>::wait(arrival, *clock, deadline);
  if (!opened || !*opened) {
    co_await store->close();
    if (opened) co_return std::unexpected(opened->error());
    co_return std::unexpected(
        StoreError{StoreErrorKind::kUnavailable, "the database \"" + path + "\" could not be opened in time"});
  }
  store->epoch_ = std::make_shared<const StoreEpoch>(StoreEpoch{.cluster_id = **opened, .system_id = {}});
  co_return store;
}

StoreCapabilities SqliteStore::capabilities() const {
  // Two batches: while the disk is at work for one, the next one collects.
  return {.signed_claims = true, .parallel_batches = 2};
}

template <class R>
asio::awaitable<StoreResult<R>> SqliteStore::call(Call call, std::move_only_function<R(Tables&)> work) {
  using Result = StoreResult<R>;
  auto arrival = std::make_shared<Arrival<Result>>(executor_);
  auto result = std::make_shared<std::optional<R>>();
  auto task = std::make_shared<Task>();
  task->kind = call.kind;
  task->weight = call.weight;
  task->deadline = on_worker(call.deadline, *clock_);
  task->work = [result, work = std::move(work)](Tables& tables) mutable { result->emplace(work(tables)); };
  task->undo = std::move(call.undo);
  task->finish = [arrival, result, executor = executor_](std::optional<StoreError> error) {
    asio::post(executor, [arrival, result, error = std::move(error)]() mutable {
      if (error) {
        arrival->set(std::unexpected(std::move(*error)));
      } else {
        arrival->set(std::move(**result));
      }
    });
  };
  if (auto refusal = worker_->submit(task)) co_return std::unexpected(*refusal);

  auto answer = co_await Arrival<Result>::wait(arrival, *clock_, call.deadline);
  if (answer) co_return std::move(*answer);
  arrival->close();
  auto queued = Task::Stage::kQueued;
  const bool was_dropped = task->stage.compare_exchange_strong(queued, Task::Stage::kDropped);
  // What runs, runs to its end: only its caller has stopped waiting.
  const bool may_be_written = !was_dropped && call.kind == Kind::kWrite;
  co_return std::unexpected(StoreError{may_be_written ? StoreErrorKind::kInDoubt : StoreErrorKind::kUnavailable,
                                       "the database gave no answer in time"});
}

StoreBatch<ClaimOutcome> SqliteStore::claim(NodeId node_id, std::vector<DutyClaim> claims, MonotonicTime deadline) {
  using Reply = std::vector<ClaimOutcome>;
  Call how{.kind = Kind::kWrite, .deadline = deadline, .weight = claims.size()};
  Work<Reply> work = [retention = options_.retention, node_id, claims = std::move(claims)](Tables& tables) {
    const auto expires_at = expiry_of(tables, retention);
    for (const DutyClaim& claim : claims) tables.insert_claim(node_id, claim, expires_at);
    Reply outcomes;
    outcomes.reserve(claims.size());
    for (const DutyClaim& claim : claims) {
      outcomes.push_back(claim_outcome(claim.token, tables.view(claim.duty.key)));
    }
    return outcomes;
  };
  auto reply = co_await call<Reply>(std::move(how), std::move(work));
  co_return reply;
}

StoreBatch<SignedClaimOutcome> SqliteStore::claim_signed(NodeId node_id, std::vector<SignedClaim> claims,
                                                         MonotonicTime deadline) {
  using Reply = std::vector<SignedClaimOutcome>;
  Call how{.kind = Kind::kWrite, .deadline = deadline, .weight = claims.size()};
  Work<Reply> work = [retention = options_.retention, node_id, claims = std::move(claims)](Tables& tables) {
    const auto expires_at = expiry_of(tables, retention);
    Reply outcomes;
    outcomes.reserve(claims.size());
    for (const SignedClaim& claim : claims) outcomes.push_back(tables.claim_signed(node_id, claim, expires_at));
    return outcomes;
  };
  auto reply = co_await call<Reply>(std::move(how), std::move(work));
  co_return reply;
}

StoreBatch<DutyView> SqliteStore::look(std::vector<DutyKey> keys, MonotonicTime deadline) {
  using Reply = std::vector<DutyView>;
  Call how{.kind = Kind::kRead, .deadline = deadline, .weight = keys.size()};
  Work<Reply> work = [keys = std::move(keys)](Tables& tables) {
    Reply outcomes;
    outcomes.reserve(keys.size());
    for (const DutyKey& key : keys) outcomes.push_back(tables.view(key));
    return outcomes;
  };
  auto reply = co_await call<Reply>(std::move(how), std::move(work));
  co_return reply;
}

StoreBatch<RowOutcome> SqliteStore::take_over(NodeId node_id, std::vector<Takeover> takeovers, MonotonicTime deadline) {
  using Reply = std::vector<RowOutcome>;
  Call how{.kind = Kind::kWrite, .deadline = deadline, .weight = takeovers.size()};
  Work<Reply> work = [node_id, takeovers = std::move(takeovers)](Tables& tables) {
    Reply outcomes;
    for (const Takeover& takeover : takeovers) outcomes.push_back(tables.take_over(node_id, takeover));
    return outcomes;
  };
  auto reply = co_await call<Reply>(std::move(how), std::move(work));
  co_return reply;
}

StoreBatch<RowOutcome> SqliteStore::record(std::vector<DutyRecord> records, MonotonicTime deadline) {
  using Reply = std::vector<RowOutcome>;
  Call how{.kind = Kind::kWrite, .deadline = deadline, .weight = records.size()};
  Work<Reply> work = [records = std::move(records)](Tables& tables) {
    Reply outcomes;
    for (const DutyRecord& record : records) outcomes.push_back(tables.record(record));
    return outcomes;
  };
  auto reply = co_await call<Reply>(std::move(how), std::move(work));
  co_return reply;
}

asio::awaitable<StoreResult<ReleaseReply>> SqliteStore::release(std::vector<DutyRelease> releases,
                                                                MonotonicTime deadline) {
  Call how{.kind = Kind::kWrite, .deadline = deadline, .weight = releases.size()};
  Work<ReleaseReply> work = [releases = std::move(releases)](Tables& tables) {
    // Settled: an earlier claim went through the same worker, so it has been carried out or never will be.
    ReleaseReply reply;
    for (const DutyRelease& release : releases) reply.outcomes.push_back(tables.release(release));
    return reply;
  };
  auto reply = co_await call<ReleaseReply>(std::move(how), std::move(work));
  co_return reply;
}

StoreBatch<bool> SqliteStore::confirm_stored(NodeId node_id, std::vector<StoredSignature> signatures,
                                             MonotonicTime deadline) {
  using Reply = std::vector<bool>;
  Call how{.kind = Kind::kWrite, .deadline = deadline, .weight = signatures.size()};
  Work<Reply> work = [node_id, signatures = std::move(signatures)](Tables& tables) {
    return tables.confirm_stored(node_id, signatures);
  };
  auto reply = co_await call<Reply>(std::move(how), std::move(work));
  co_return reply;
}

asio::awaitable<StoreResult<RegistrationOutcome>> SqliteStore::register_node(NodeRegistration registration,
                                                                             MonotonicTime deadline) {
  Call how{.kind = Kind::kWrite, .deadline = deadline, .weight = 1, .undo = [registration](Tables& tables) {
             tables.registry().undo_registration(registration);
           }};
  Work<RegistrationOutcome> work = [registration](Tables& tables) {
    return tables.registry().register_node(registration, tables.now());
  };
  auto reply = co_await call<RegistrationOutcome>(std::move(how), std::move(work));
  co_return reply;
}

asio::awaitable<StoreResult<bool>> SqliteStore::renew(NodeRegistration registration, MonotonicTime deadline) {
  Call how{.kind = Kind::kWrite, .deadline = deadline};
  Work<bool> work = [registration](Tables& tables) { return tables.registry().renew(registration, tables.now()); };
  auto reply = co_await call<bool>(std::move(how), std::move(work));
  co_return reply;
}

asio::awaitable<StoreResult<void>> SqliteStore::end_lease(NodeRegistration registration, MonotonicTime deadline) {
  Call how{.kind = Kind::kWrite, .deadline = deadline};
  Work<Unit> work = [registration](Tables& tables) {
    tables.registry().end_lease(registration, tables.now());
    return Unit{};
  };
  auto reply = co_await call<Unit>(std::move(how), std::move(work));
  if (!reply) co_return std::unexpected(reply.error());
  co_return StoreResult<void>{};
}

asio::awaitable<StoreResult<RemovalOutcome>> SqliteStore::remove(RemovalRequest request, MonotonicTime deadline) {
  const bool asks_for_foreign_rows = deletes_signed(request.what);
  for (;;) {
    if (asks_for_foreign_rows) {
      // In steps that let other requests through, and without the write lock.
      Work<Tables::ForeignRows> look_on = [](Tables& tables) { return tables.look_for_foreign_rows(); };
      Call looking{.kind = Kind::kRead, .deadline = deadline};
      auto seen = co_await call<Tables::ForeignRows>(std::move(looking), std::move(look_on));
      if (!seen) co_return std::unexpected(seen.error());
      if (*seen == Tables::ForeignRows::kNotAllSeen) continue;
    }
    Call how{.kind = Kind::kWrite, .deadline = deadline};
    Work<std::optional<RemovalOutcome>> work =
        [request, asks_for_foreign_rows](Tables& tables) -> std::optional<RemovalOutcome> {
      const auto seen = asks_for_foreign_rows ? tables.look_for_foreign_rows() : Tables::ForeignRows::kNone;
      switch (seen) {
        case Tables::ForeignRows::kNone: return RemovalOutcome{.removed = tables.remove(request)};
        case Tables::ForeignRows::kFound: return RemovalOutcome{.removed = 0, .refused_for_foreign_nodes = true};
        case Tables::ForeignRows::kNotAllSeen: break;
      }
      return std::nullopt;
    };
    auto outcome = co_await call<std::optional<RemovalOutcome>>(std::move(how), std::move(work));
    if (!outcome) co_return std::unexpected(outcome.error());
    if (*outcome) co_return **outcome;
  }
}

asio::awaitable<void> SqliteStore::close() {
  auto ended = std::make_shared<Arrival<Unit>>(executor_);
  worker_->stop([ended, executor = executor_] { asio::post(executor, [ended] { ended->set(Unit{}); }); });
  co_await Arrival<Unit>::wait(ended, *clock_, clock_->now() + kLongestClose);
}

asio::awaitable<StoreResult<std::vector<DutyEntry>>> SqliteStore::duties(DutyFilter filter, MonotonicTime deadline) {
  using Reply = std::vector<DutyEntry>;
  Work<Reply> work = [filter](Tables& tables) { return tables.duties(filter); };
  Call how{.kind = Kind::kRead, .deadline = deadline};
  auto reply = co_await call<Reply>(std::move(how), std::move(work));
  co_return reply;
}

asio::awaitable<StoreResult<std::vector<NodeEntry>>> SqliteStore::nodes(MonotonicTime deadline) {
  using Reply = std::vector<NodeEntry>;
  Work<Reply> work = [](Tables& tables) { return tables.registry().nodes(); };
  Call how{.kind = Kind::kRead, .deadline = deadline};
  auto reply = co_await call<Reply>(std::move(how), std::move(work));
  co_return reply;
}

asio::awaitable<StoreResult<NodeRemoval>> SqliteStore::remove_node(NodeId node_id, MonotonicTime deadline) {
  Work<NodeRemoval> work = [node_id](Tables& tables) { return tables.registry().remove(node_id); };
  Call how{.kind = Kind::kWrite, .deadline = deadline};
  auto reply = co_await call<NodeRemoval>(std::move(how), std::move(work));
  co_return reply;
}

asio::awaitable<StoreResult<std::vector<WatermarkEntry>>> SqliteStore::watermarks(MonotonicTime deadline) {
  using Reply = std::vector<WatermarkEntry>;
  Work<Reply> work = [](Tables& tables) { return tables.watermarks(); };
  Call how{.kind = Kind::kRead, .deadline = deadline};
  auto reply = co_await call<Reply>(std::move(how), std::move(work));
  co_return reply;
}

asio::awaitable<StoreResult<std::vector<WatermarkOutcome>>> SqliteStore::set_watermarks(
    EthAddress rollup, std::vector<WatermarkSubject> subjects, WatermarkChange change, MonotonicTime deadline) {
  using Reply = std::vector<WatermarkOutcome>;
  // The write lock of a transaction is the lock that lets no attempt slip past.
  Work<Reply> work = [rollup, subjects = std::move(subjects), change](Tables& tables) {
    Reply outcomes;
    outcomes.reserve(subjects.size());
    for (const auto& subject : subjects) outcomes.push_back(tables.set_watermarks(rollup, subject, change));
    return outcomes;
  };
  Call how{.kind = Kind::kWrite, .deadline = deadline};
  auto reply = co_await call<Reply>(std::move(how), std::move(work));
  co_return reply;
}

asio::awaitable<StoreResult<std::vector<KeySwitch>>> SqliteStore::key_switches(MonotonicTime deadline) {
  using Reply = std::vector<KeySwitch>;
  Work<Reply> work = [](Tables& tables) { return tables.key_switches(); };
  Call how{.kind = Kind::kRead, .deadline = deadline};
  auto reply = co_await call<Reply>(std::move(how), std::move(work));
  co_return reply;
}

asio::awaitable<StoreResult<bool>> SqliteStore::set_key_switch(EthAddress address, KeyState state, std::string by,
                                                               MonotonicTime deadline) {
  Work<bool> work = [address, state, by = std::move(by)](Tables& tables) {
    return tables.set_key_switch(address, state, by);
  };
  Call how{.kind = Kind::kWrite, .deadline = deadline};
  auto reply = co_await call<bool>(std::move(how), std::move(work));
  co_return reply;
}

asio::awaitable<StoreResult<RemovalPreview>> SqliteStore::preview(RemovalRequest request, MonotonicTime deadline) {
  Work<RemovalPreview> work = [request](Tables& tables) { return tables.preview(request); };
  Call how{.kind = Kind::kRead, .deadline = deadline};
  auto reply = co_await call<RemovalPreview>(std::move(how), std::move(work));
  co_return reply;
}

asio::awaitable<StoreResult<HistorySnapshot>> SqliteStore::export_history(MonotonicTime deadline) {
  Work<HistorySnapshot> work = [](Tables& tables) { return tables.export_history(); };
  Call how{.kind = Kind::kRead, .deadline = deadline};
  auto reply = co_await call<HistorySnapshot>(std::move(how), std::move(work));
  co_return reply;
}

asio::awaitable<StoreResult<ImportOutcome>> SqliteStore::import_history(HistorySnapshot snapshot,
                                                                        MonotonicTime deadline) {
  Call how{.kind = Kind::kWrite, .deadline = deadline, .weight = snapshot.duties.size()};
  Work<ImportOutcome> work = [snapshot = std::move(snapshot)](Tables& tables) {
    return tables.import_history(snapshot);
  };
  auto reply = co_await call<ImportOutcome>(std::move(how), std::move(work));
  co_return reply;
}

asio::awaitable<StoreResult<std::optional<std::string>>> SqliteStore::imported_state(std::string source,
                                                                                     MonotonicTime deadline) {
  using Reply = std::optional<std::string>;
  Call how{.kind = Kind::kRead, .deadline = deadline};
  Work<Reply> work = [source = std::move(source)](Tables& tables) { return tables.imported_state(source); };
  auto reply = co_await call<Reply>(std::move(how), std::move(work));
  co_return reply;
}

asio::awaitable<StoreResult<ImportOutcome>> SqliteStore::import_once(ImportSource source, HistorySnapshot snapshot,
                                                                     MonotonicTime deadline) {
  Call how{.kind = Kind::kWrite, .deadline = deadline, .weight = snapshot.duties.size()};
  Work<ImportOutcome> work = [source = std::move(source), snapshot = std::move(snapshot)](Tables& tables) {
    return tables.import_once(source, snapshot);
  };
  auto reply = co_await call<ImportOutcome>(std::move(how), std::move(work));
  co_return reply;
}

}  // namespace hasigner::sqlite
