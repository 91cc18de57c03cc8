#include "tests/simulation/faulty_store.hpp"

#include "hasigner/protection/async.hpp"

namespace hasigner::simulation {

namespace {

std::string shown(const LockToken& token) {
  return token.str().substr(0, 18);
}

/// As a store that asks no watermark when it claims and records at once.
void sign_in_spite_of_watermark(SharedState& shared, const SignedClaim& claim, SignedClaimOutcome& outcome) {
  const bool is_refused = outcome.outcome == RowOutcome::kNotMatched && !outcome.view.row &&
                          !outcome.view.watermarks.allow(claim.duty.key.slot);
  if (!is_refused) return;
  auto row = signing_row(claim.duty, *NodeId::parse("sabotage"), claim.token, shared.tables->now());
  row.status = DutyStatus::kSigned;
  row.signature = claim.signature.to_string();
  row.completed_at = shared.tables->now();
  shared.tables->insert_row(std::move(row));
  outcome = {.outcome = RowOutcome::kApplied, .view = {}};
}

/// As a store that takes no lease for ended.
void call_dead_holder_alive(SharedState& shared, DutyView& view) {
  if (shared.settings.sabotage != Sabotage::kDeadHolderSeemsAlive || !view.row) return;
  if (view.row->holder == HolderState::kExpired) view.row->holder = HolderState::kAlive;
}

}  // namespace

template <class T>
asio::awaitable<StoreResult<T>> FaultyStore::send(std::vector<std::function<T(T)>> parts, MonotonicTime deadline,
                                                  MakesRows makes_rows, Goes goes) {
  life_->require_alive();
  auto& shared = shared_;
  auto& time = shared.time;
  auto& chance = shared.chance;
  auto arrival = std::make_shared<Arrival<StoreResult<T>>>(time.io.get_executor());
  auto carried_out_at = time.now() + chance.between(milliseconds(0), milliseconds(3));
  const auto give = [life = life_, arrival](StoreResult<T> result) {
    life->run_inside([arrival, result]() mutable { arrival->set(std::move(result)); });
  };
  const auto fail = [&](StoreErrorKind kind, milliseconds after) {
    time.at(time.now() + after, [give, kind] { give(std::unexpected(StoreError{kind, "simulated"})); });
  };
  const auto is_known = [this] {
    return known_epoch_ == shared_.epoch || (known_epoch_ && shared_.epoch && *known_epoch_ == *shared_.epoch);
  };
  if (!shared.out() && !shared.is_another() && !is_known()) {
    const bool is_first = !std::exchange(known_epoch_, shared.epoch);
    if (!is_first && goes == Goes::kWhereItWasAsked) {
      co_return std::unexpected(StoreError{StoreErrorKind::kUnavailable, "asked in another history"});
    }
  }
  const auto asked_in = known_epoch_;
  bool carried_out = true, answered = true, twice = false, incompatible = false;
  milliseconds reply_delay = chance.between(milliseconds(0), milliseconds(3));
  if (shared.out()) {
    carried_out = answered = false;
    const bool refuses = shared.settings.sabotage == Sabotage::kUnavailableAfterCommit;
    if (refuses || chance.happens(0.7))
      fail(StoreErrorKind::kUnavailable, chance.between(milliseconds(1), milliseconds(50)));
  } else if (shared.is_another()) {
    carried_out = answered = false;
    fail(StoreErrorKind::kIncompatible, chance.between(milliseconds(1), milliseconds(50)));
  } else if (shared.happens(shared.settings.trouble)) {
    switch (shared.settings.only_lost_replies ? 2 : chance.below(8)) {
      case 0:  // refused at once
        carried_out = answered = false;
        fail(StoreErrorKind::kUnavailable, milliseconds(1));
        break;
      case 1:  // request lost; sometimes noticed, sometimes only at the deadline
        carried_out = answered = false;
        if (chance.happens(0.5)) fail(StoreErrorKind::kInDoubt, chance.between(milliseconds(1), milliseconds(300)));
        break;
      case 2:  // reply lost
        answered = false;
        if (shared.settings.only_lost_replies || chance.happens(0.5)) {
          const bool lies = shared.settings.sabotage == Sabotage::kUnavailableAfterCommit;
          // It is believed only if the record cannot be repeated until the deadline.
          if (lies) shared.outage_until = time.now() + milliseconds(5'000);
          fail(lies ? StoreErrorKind::kUnavailable : StoreErrorKind::kInDoubt,
               chance.between(milliseconds(4), milliseconds(300)));
        }
        break;
      case 3:  // given up by the client, carried out by the server much later
        answered = false;
        carried_out_at += chance.between(milliseconds(50), milliseconds(20'000));
        fail(StoreErrorKind::kInDoubt, chance.between(milliseconds(1), milliseconds(100)));
        break;
      case 4:  // slow
        carried_out_at += chance.between(milliseconds(5), milliseconds(4'000));
        break;
      case 5:  // answered late; the caller may have given up by then
        reply_delay = chance.between(milliseconds(5), milliseconds(4'000));
        break;
      case 6:  // carried out now and once more later
        twice = true;
        ++shared.report.carried_out_twice;
        break;
      case 7:  // the session turns out to be another database's, perhaps after the commit
        incompatible = true;
        carried_out = chance.happens(0.5);
        if (!carried_out) fail(StoreErrorKind::kIncompatible, chance.between(milliseconds(1), milliseconds(50)));
        break;
    }
  }
  if (carried_out) {
    const bool late = makes_rows == MakesRows::kYes && (!answered || twice);
    if (late) ++*in_limbo_;
    const auto carry_out = [&](MonotonicTime from, bool is_last, std::move_only_function<void(T)> then) {
      auto state = std::make_shared<T>();
      auto and_then = std::make_shared<std::move_only_function<void(T)>>(std::move(then));
      for (std::size_t i = 0; i < parts.size(); ++i) {
        time.at(from, [&shared, state, and_then, part = parts[i], is_end = i + 1 == parts.size(),
                       frees = late && is_last ? in_limbo_ : nullptr, server_life = shared.server_life] {
          const bool lives = server_life == shared.server_life;
          if (lives) *state = part(std::move(*state));
          if (!is_end) return;
          if (frees) --*frees;
          if (lives) (*and_then)(std::move(*state));
        });
        from += chance.between(milliseconds(0), milliseconds(2));
      }
    };
    carry_out(carried_out_at, !twice, [&time, give, answered, incompatible, reply_delay](T result) {
      if (!answered) return;
      time.at(time.now() + reply_delay, [give, incompatible, result = std::move(result)]() mutable {
        if (incompatible) return give(std::unexpected(StoreError{StoreErrorKind::kIncompatible, "simulated"}));
        give(std::move(result));
      });
    });
    if (twice) carry_out(carried_out_at + chance.between(milliseconds(1), milliseconds(10'000)), true, [](T) {});
  }
  auto reply = co_await Arrival<StoreResult<T>>::wait(arrival, *life_, deadline);
  life_->require_alive();
  if (!reply) {
    // The deadline passed in flight: the server may still carry it out.
    co_return std::unexpected(StoreError{StoreErrorKind::kInDoubt, "simulated silence"});
  }
  // As the session of a server that has been replaced: what it answers counts for nothing.
  if (asked_in != known_epoch_) {
    const bool is_read = goes == Goes::kAnywhere;
    co_return std::unexpected(
        StoreError{is_read ? StoreErrorKind::kUnavailable : StoreErrorKind::kInDoubt, "replaced"});
  }
  co_return std::move(*reply);
}

template <class T>
StoreBatch<T> FaultyStore::send_batch(std::vector<std::function<std::vector<T>(std::vector<T>)>> parts,
                                      MonotonicTime deadline, MakesRows makes_rows, Goes goes) {
  auto outcomes = co_await send<std::vector<T>>(std::move(parts), deadline, makes_rows, goes);
  if (!outcomes) co_return std::unexpected(outcomes.error());
  co_return std::move(*outcomes);
}

StoreBatch<ClaimOutcome> FaultyStore::claim(NodeId node_id, std::vector<DutyClaim> claims, MonotonicTime deadline) {
  using Outcomes = std::vector<ClaimOutcome>;
  auto& shared = shared_;
  if (shared.settings.sabotage == Sabotage::kNewTokenOnRetry) {
    // As a claim that draws its token anew each time it is sent.
    for (auto& claim : claims) {
      std::array<std::uint8_t, 7> random{};
      life_->fill(random);
      claim.token = LockToken::make(*claim.token.incarnation(), TokenKind::kFenced, random);
    }
  }
  std::vector<std::function<Outcomes(Outcomes)>> parts;
  parts.push_back([&shared, node_id, claims](Outcomes) {
    Outcomes outcomes(claims.size());
    std::vector<DutyClaim> not_locked;
    for (std::size_t i = 0; i < claims.size(); ++i) {
      outcomes[i].outcome = shared.happens(shared.settings.locked) ? RowOutcome::kLocked : RowOutcome::kNotMatched;
      if (outcomes[i].outcome != RowOutcome::kLocked) not_locked.push_back(claims[i]);
    }
    shared.tables->insert_claims(node_id, not_locked);
    shared.remember_undurable(not_locked);
    for (const auto& claim : not_locked)
      shared.trace(claim.duty.key, [&] { return "claim " + shown(claim.token) + " " + node_id.str(); });
    return outcomes;
  });
  parts.push_back([&shared, claims](Outcomes outcomes) {
    for (std::size_t i = 0; i < claims.size(); ++i) {
      if (outcomes[i].outcome == RowOutcome::kLocked) continue;
      outcomes[i] = claim_outcome(claims[i].token, shared.tables->view(claims[i].duty.key));
      if (shared.settings.sabotage == Sabotage::kNoWatermarkCondition) outcomes[i].view.watermarks = {};
      call_dead_holder_alive(shared, outcomes[i].view);
    }
    return outcomes;
  });
  auto reply = co_await send_batch<ClaimOutcome>(std::move(parts), deadline, MakesRows::kYes, Goes::kWhereItWasAsked);
  co_return reply;
}

StoreBatch<SignedClaimOutcome> FaultyStore::claim_signed(NodeId node_id, std::vector<SignedClaim> claims,
                                                         MonotonicTime deadline) {
  using Outcomes = std::vector<SignedClaimOutcome>;
  auto& shared = shared_;
  std::vector<std::function<Outcomes(Outcomes)>> parts;
  parts.push_back([&shared, node_id, claims](Outcomes) {
    Outcomes outcomes;
    for (const auto& claim : claims) {
      if (shared.happens(shared.settings.locked)) {
        outcomes.push_back({.outcome = RowOutcome::kLocked, .view = {}});
        continue;
      }
      auto outcome = shared.tables->claim_signed(node_id, claim);
      if (shared.settings.sabotage == Sabotage::kNoWatermarkCondition)
        sign_in_spite_of_watermark(shared, claim, outcome);
      shared.trace(claim.duty.key, [&] {
        return "signed claim " + shown(claim.token) + " " + node_id.str() +
               (outcome.outcome == RowOutcome::kApplied ? " applied" : " not matched");
      });
      shared.check_row(claim.duty.key);
      outcomes.push_back(std::move(outcome));
    }
    return outcomes;
  });
  auto reply =
      co_await send_batch<SignedClaimOutcome>(std::move(parts), deadline, MakesRows::kYes, Goes::kWhereItWasAsked);
  co_return reply;
}

StoreBatch<DutyView> FaultyStore::look(std::vector<DutyKey> keys, MonotonicTime deadline) {
  using Outcomes = std::vector<DutyView>;
  auto& shared = shared_;
  std::vector<std::function<Outcomes(Outcomes)>> parts;
  parts.push_back([&shared, keys](Outcomes) {
    Outcomes outcomes;
    for (const auto& key : keys) {
      outcomes.push_back(shared.tables->view(key));
      call_dead_holder_alive(shared, outcomes.back());
    }
    return outcomes;
  });
  auto reply = co_await send_batch<DutyView>(std::move(parts), deadline, MakesRows::kNo, Goes::kAnywhere);
  co_return reply;
}

StoreBatch<RowOutcome> FaultyStore::take_over(NodeId node_id, std::vector<Takeover> takeovers, MonotonicTime deadline) {
  using Outcomes = std::vector<RowOutcome>;
  auto& shared = shared_;
  std::vector<std::function<Outcomes(Outcomes)>> parts;
  parts.push_back([&shared, node_id, takeovers](Outcomes) {
    Outcomes outcomes;
    for (const auto& takeover : takeovers) {
      outcomes.push_back(shared.happens(shared.settings.locked) ? RowOutcome::kLocked
                                                                : shared.tables->take_over(node_id, takeover));
      shared.trace(takeover.duty.key, [&] {
        return (takeover.kind == TakeoverKind::kSameData ? "take over " : "replace ") + shown(takeover.token);
      });
      shared.check_row(takeover.duty.key);
    }
    return outcomes;
  });
  auto reply = co_await send_batch<RowOutcome>(std::move(parts), deadline, MakesRows::kYes, Goes::kWhereItWasAsked);
  co_return reply;
}

StoreBatch<RowOutcome> FaultyStore::record(std::vector<DutyRecord> records, MonotonicTime deadline) {
  using Outcomes = std::vector<RowOutcome>;
  auto& shared = shared_;
  std::vector<std::function<Outcomes(Outcomes)>> parts;
  parts.push_back([&shared, records](Outcomes) {
    Outcomes outcomes;
    for (const auto& record : records) {
      auto outcome = shared.happens(shared.settings.locked) ? RowOutcome::kLocked : shared.tables->record(record);
      if (shared.settings.sabotage == Sabotage::kNoFence) outcome = RowOutcome::kApplied;
      if (shared.settings.sabotage == Sabotage::kLockedIsApplied && outcome == RowOutcome::kLocked) {
        outcome = RowOutcome::kApplied;
      }
      if (shared.settings.sabotage == Sabotage::kNoWatermarkCondition && outcome == RowOutcome::kNotMatched) {
        auto* row = shared.tables->row(memory::key_of(record.key));
        if (row && row->lock_token == record.token.str() && row->status == DutyStatus::kSigning) {
          row->status = DutyStatus::kSigned;
          row->signature = record.signature.to_string();
          outcome = RowOutcome::kApplied;
        }
      }
      outcomes.push_back(outcome);
      shared.trace(record.key, [&] { return "record " + shown(record.token); });
      shared.check_row(record.key);
    }
    return outcomes;
  });
  auto reply = co_await send_batch<RowOutcome>(std::move(parts), deadline, MakesRows::kNo, Goes::kWhereItWasAsked);
  co_return reply;
}

asio::awaitable<StoreResult<ReleaseReply>> FaultyStore::release(std::vector<DutyRelease> releases,
                                                                MonotonicTime deadline) {
  auto& shared = shared_;
  std::vector<std::function<ReleaseReply(ReleaseReply)>> parts;
  parts.push_back([&shared, releases, limbo = in_limbo_](ReleaseReply) {
    ReleaseReply reply;
    // Asked before the deletion: whatever has ended by now, the deletion sees.
    reply.settled = *limbo == 0;
    for (const auto& release : releases) {
      reply.outcomes.push_back(shared.happens(shared.settings.locked) ? RowOutcome::kLocked
                                                                      : shared.tables->release(release));
      shared.trace(release.key, [&] { return "release " + shown(release.token); });
      shared.check_row(release.key);
    }
    return reply;
  });
  auto reply = co_await send<ReleaseReply>(std::move(parts), deadline, MakesRows::kNo, Goes::kAnywhere);
  co_return reply;
}

StoreBatch<bool> FaultyStore::confirm_stored(NodeId node_id, std::vector<StoredSignature> signatures,
                                             MonotonicTime deadline) {
  using Outcomes = std::vector<bool>;
  auto& shared = shared_;
  std::vector<std::function<Outcomes(Outcomes)>> parts;
  parts.push_back(
      [&shared, node_id, signatures](Outcomes) { return shared.tables->confirm_stored(node_id, signatures); });
  auto reply = co_await send_batch<bool>(std::move(parts), deadline, MakesRows::kNo, Goes::kWhereItWasAsked);
  co_return reply;
}

asio::awaitable<StoreResult<RegistrationOutcome>> FaultyStore::register_node(NodeRegistration registration,
                                                                             MonotonicTime deadline) {
  auto& shared = shared_;
  std::vector<std::function<RegistrationOutcome(RegistrationOutcome)>> parts;
  parts.push_back([&shared, registration](RegistrationOutcome) { return shared.tables->register_node(registration); });
  auto reply = co_await send<RegistrationOutcome>(std::move(parts), deadline, MakesRows::kNo, Goes::kAnywhere);
  co_return reply;
}

asio::awaitable<StoreResult<bool>> FaultyStore::renew(NodeRegistration registration, MonotonicTime deadline) {
  auto& shared = shared_;
  std::vector<std::function<bool(bool)>> parts;
  parts.push_back([&shared, registration](bool) { return shared.tables->renew(registration); });
  auto reply = co_await send<bool>(std::move(parts), deadline, MakesRows::kNo, Goes::kAnywhere);
  co_return reply;
}

asio::awaitable<StoreResult<void>> FaultyStore::end_lease(NodeRegistration registration, MonotonicTime deadline) {
  auto& shared = shared_;
  std::vector<std::function<Unit(Unit)>> parts;
  parts.push_back([&shared, registration](Unit) {
    shared.tables->end_lease(registration);
    return Unit{};
  });
  auto reply = co_await send<Unit>(std::move(parts), deadline, MakesRows::kNo, Goes::kAnywhere);
  if (!reply) co_return std::unexpected(reply.error());
  co_return StoreResult<void>{};
}

asio::awaitable<StoreResult<RemovalOutcome>> FaultyStore::remove(RemovalRequest request, MonotonicTime deadline) {
  auto& shared = shared_;
  std::vector<std::function<RemovalOutcome(RemovalOutcome)>> parts;
  parts.push_back([&shared, request](RemovalOutcome) { return shared.tables->remove(request); });
  auto reply = co_await send<RemovalOutcome>(std::move(parts), deadline, MakesRows::kNo, Goes::kAnywhere);
  co_return reply;
}

asio::awaitable<StoreResult<std::uint64_t>> FaultyStore::begin_round(NodeRegistration node, Why why,
                                                                     MonotonicTime deadline) {
  auto& shared = shared_;
  using Round = std::optional<std::uint64_t>;
  std::vector<std::function<Round(Round)>> parts;
  parts.push_back([&shared, node, why](Round) { return shared.tables->begin_round(node, why); });
  auto reply = co_await send<Round>(std::move(parts), deadline, MakesRows::kNo, Goes::kWhereItWasAsked);
  if (!reply) co_return std::unexpected(reply.error());
  if (!*reply) co_return std::unexpected(StoreError{StoreErrorKind::kUnavailable, "not registered"});
  co_return **reply;
}

asio::awaitable<StoreResult<std::vector<JournaledNode>>> FaultyStore::journaled_nodes(MonotonicTime deadline) {
  auto& shared = shared_;
  if (shared.time.now() < shared.rounds_silent_until) {
    co_await sleep_until(shared.time.io.get_executor(), *life_, std::min(deadline, shared.rounds_silent_until));
    co_return std::unexpected(StoreError{StoreErrorKind::kUnavailable, "simulated silence"});
  }
  using Nodes = std::vector<JournaledNode>;
  std::vector<std::function<Nodes(Nodes)>> parts;
  parts.push_back([&shared](Nodes) { return shared.tables->journaled_nodes(); });
  auto reply = co_await send<Nodes>(std::move(parts), deadline, MakesRows::kNo, Goes::kWhereItWasAsked);
  co_return reply;
}

asio::awaitable<StoreResult<Unit>> FaultyStore::change_rounds(std::function<void(memory::MemoryTables&)> change,
                                                              MonotonicTime deadline) {
  auto& shared = shared_;
  std::vector<std::function<Unit(Unit)>> parts;
  parts.push_back([&shared, change](Unit unit) {
    change(*shared.tables);
    return unit;
  });
  auto reply = co_await send<Unit>(std::move(parts), deadline, MakesRows::kNo, Goes::kWhereItWasAsked);
  co_return reply;
}

asio::awaitable<StoreResult<Unit>> FaultyStore::tell(NodeRegistration node, std::uint64_t completed, ReachedSlots slots,
                                                     MonotonicTime deadline) {
  return change_rounds([=](memory::MemoryTables& tables) { tables.tell(node, completed, slots); }, deadline);
}

asio::awaitable<StoreResult<Unit>> FaultyStore::leave(NodeRegistration node, MonotonicTime deadline) {
  return change_rounds([=](memory::MemoryTables& tables) { tables.leave(node); }, deadline);
}

asio::awaitable<StoreResult<Unit>> FaultyStore::give_up(std::vector<std::string> node_ids, MonotonicTime deadline) {
  return change_rounds([=](memory::MemoryTables& tables) { tables.give_up(node_ids); }, deadline);
}

asio::awaitable<StoreResult<Unit>> FaultyStore::forbid_up_to(EthAddress rollup, std::optional<EthAddress> validator,
                                                             std::vector<DutyType> duty_types, Slot slot,
                                                             MonotonicTime deadline) {
  auto& shared = shared_;
  ++shared.forbids;
  if (shared.forbidding_takes > milliseconds(0)) {
    co_await sleep_until(shared.time.io.get_executor(), *life_, life_->now() + shared.forbidding_takes);
  }
  auto changing = change_rounds(
      [=](memory::MemoryTables& tables) { tables.forbid_up_to(rollup, validator, duty_types, slot); }, deadline);
  auto reply = co_await std::move(changing);
  co_return reply;
}

}  // namespace hasigner::simulation
