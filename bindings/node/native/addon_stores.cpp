#include "addon.hpp"
#include "values.hpp"

namespace hasigner::node {

namespace {

constexpr milliseconds kQueryTimeout{60'000};

}  // namespace

/// (id, {url, max, min, idleMs, connectMs, openMs})
void Addon::open_pool(Arguments arguments) {
  const CallId id = id_of(arguments[0]);
  const auto settings = arguments[1].As<Napi::Object>();
  postgres::PoolConfig config;
  config.url = text_of(settings.Get("url"));
  config.max = count_of(settings, "max", config.max);
  config.min = count_of(settings, "min", config.min);
  config.idle_timeout = ms_of(settings, "idleMs", config.idle_timeout);
  config.connection_timeout = ms_of(settings, "connectMs", config.connection_timeout);
  const auto open_timeout = ms_of(settings, "openMs", milliseconds(15'000));
  auto opened = std::make_shared<std::optional<OpenedPool>>();
  pools_[id] = opened;
  run(id, [context = context_, config, open_timeout, opened] {
    return node::open_pool(context, config, open_timeout, opened);
  });
}

/// (id, pool, text, values)
void Addon::query_pool(Arguments arguments) {
  const auto& pool = *pools_.at(id_of(arguments[1]));
  std::vector<std::optional<std::string>> values;
  const auto given = arguments[3].As<Napi::Array>();
  for (std::uint32_t i = 0; i < given.Length(); ++i) {
    const Napi::Value value = given.Get(i);
    values.push_back(value.IsNull() || value.IsUndefined() ? std::nullopt : std::optional(text_of(value)));
  }
  const auto text = std::make_shared<const std::string>(text_of(arguments[2]));
  const auto deadline = environment_->clock()->now() + kQueryTimeout;
  run(id_of(arguments[0]), [executor = pool->executor, deadline, text, values = std::move(values)] {
    return node::query_pool(executor, deadline, text, values);
  });
}

/// (id, pool)
void Addon::close_pool(Arguments arguments) {
  const auto pool = pools_.extract(id_of(arguments[1]));
  if (pool.empty()) throw std::out_of_range("pool");
  run(id_of(arguments[0]), [executor = (*pool.mapped())->executor] { return node::close_pool(executor); });
}

/// (id, {pool | callersPool, connections | url, nodeHistory, allowEphemeral, storageReplicates, retentionHours,
/// openMs})
void Addon::open_store(Arguments arguments) {
  const CallId id = id_of(arguments[0]);
  const auto given = arguments[1].As<Napi::Object>();
  StoreSettings settings;
  settings.retention = retention_of(given);
  settings.open_timeout = ms_of(given, "openMs", settings.open_timeout);
  settings.allow_ephemeral = given.Get("allowEphemeral").ToBoolean();
  settings.storage_replicates = given.Get("storageReplicates").ToBoolean();
  settings.database_url = "postgresql://";
  if (given.Get("url").IsString()) settings.database_url = text_of(given.Get("url"));
  if (given.Get("nodeHistory").IsString()) settings.node_history = text_of(given.Get("nodeHistory"));
  if (given.Get("pool").IsNumber()) settings.sql_pool = (*pools_.at(id_of(given.Get("pool"))))->shared;
  std::optional<CallersPool> callers;
  if (given.Get("callersPool").IsNumber()) {
    callers =
        CallersPool{given.Get("callersPool").As<Napi::Number>().Uint32Value(), count_of(given, "connections", 10)};
  }
  auto opened = std::make_shared<std::optional<NodeStore>>();
  stores_[id] = opened;
  run(id, [context = context_, settings, callers, opened]() mutable {
    if (callers) {
      const auto pool = std::make_shared<PoolExecutor>(context->environment, context->queries, *callers);
      settings.sql_pool = std::make_shared<SharedSqlPool>(std::make_shared<TextExecutor>(pool, context->texts));
    }
    return open_store_for_node(context, settings, opened);
  });
}

/// (store, database)
void Addon::open_callers_store(Arguments arguments) {
  auto store = std::make_shared<CallersStore>(environment_, context_->calls, context_->texts,
                                              arguments[1].As<Napi::Number>().Uint32Value());
  stores_[id_of(arguments[0])] = std::make_shared<std::optional<NodeStore>>(NodeStore{std::move(store), nullptr});
}

/// (id, store)
void Addon::close_store(Arguments arguments) {
  auto opened = stores_.extract(id_of(arguments[1]));
  if (opened.empty()) throw std::out_of_range("store");
  run(id_of(arguments[0]), [store = (*opened.mapped())->store] { return node::close_store(store); });
}

/// (store): for a store that its signer has closed.
void Addon::drop_store(Arguments arguments) {
  auto store = stores_.extract(id_of(arguments[0]));
  if (store.empty()) return;
  environment_->run_on_protocol([store = std::move(store.mapped())] {});
}

/// (id, store, rollup, validator, slot, duty type, block index, hash, node id, block number, checkpoint number)
void Addon::try_insert(Arguments arguments) {
  const CallId id = id_of(arguments[0]);
  auto key = duty_key_of(arguments, 2);
  if (!key) return refuse(id, key.error());
  const auto hash = MessageHash::parse(text_of(arguments[7]));
  if (!hash) return refuse(id, hash.error());
  const auto node_id = NodeId::parse(text_of(arguments[8]));
  if (!node_id) return refuse(id, node_id.error());
  const auto block = number_of<BlockNumber>(arguments[9]);
  if (!block) return refuse(id, block.error());
  const auto checkpoint = number_of<CheckpointNumber>(arguments[10]);
  if (!checkpoint) return refuse(id, checkpoint.error());
  const Duty duty{*key, block->value_or(BlockNumber{}), checkpoint->value_or(CheckpointNumber{}), *hash};
  run(id, [context = context_, store = **stores_.at(id_of(arguments[1])), node = *node_id, duty] {
    return node::try_insert(context, store, node, duty);
  });
}

/// (id, store, rollup, validator, slot, duty type, block index, lock token, signature)
void Addon::update_signed(Arguments arguments) {
  const CallId id = id_of(arguments[0]);
  auto key = duty_key_of(arguments, 2);
  if (!key) return refuse(id, key.error());
  run(id, [context = context_, store = **stores_.at(id_of(arguments[1])), key = *key, token = text_of(arguments[7]),
           text = text_of(arguments[8])] { return node::update_signed(context, store, key, LockToken(token), text); });
}

/// (id, store, rollup, validator, slot, duty type, block index, lock token)
void Addon::release_duty(Arguments arguments) {
  const CallId id = id_of(arguments[0]);
  auto key = duty_key_of(arguments, 2);
  if (!key) return refuse(id, key.error());
  run(id, [context = context_, store = **stores_.at(id_of(arguments[1])), key = *key, token = text_of(arguments[7])] {
    return node::release_duty(context, store, key, LockToken(token));
  });
}

/// (id, store, 'stuck' | 'old' | 'rollups', node id, rollup, age in ms)
void Addon::remove_duties(Arguments arguments) {
  const CallId id = id_of(arguments[0]);
  const std::string what = text_of(arguments[2]);
  const std::string node = text_of(arguments[3]);
  const auto node_id = NodeId::parse(node.empty() ? "local" : node);
  if (!node_id) return refuse(id, node_id.error());
  const std::string address = text_of(arguments[4]);
  const auto rollup = address.empty() ? Parsed<EthAddress>(EthAddress{}) : EthAddress::parse(address, "rollup address");
  if (!rollup) return refuse(id, rollup.error());
  const RemovalRequest request{.what = what == "stuck" ? Removal::kStuck
                                       : what == "old" ? Removal::kOld
                                                       : Removal::kOtherRollups,
                               .node_id = *node_id,
                               .rollup = *rollup,
                               .max_age = milliseconds(arguments[5].As<Napi::Number>().Int64Value())};
  run(id, [context = context_, store = **stores_.at(id_of(arguments[1])), request] {
    return node::remove_duties(context, store, request);
  });
}

}  // namespace hasigner::node
