#include "tests/support/node_store.hpp"

#include <lmdb.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <stdexcept>

#include <nlohmann/json.hpp>

namespace hasigner::test {
namespace {

using namespace std::string_literals;

void check(int result) {
  if (result != MDB_SUCCESS) throw std::runtime_error(std::string("LMDB: ") + mdb_strerror(result));
}

MDB_val value_of(std::string_view text) {
  return {.mv_size = text.size(), .mv_data = const_cast<char*>(text.data())};
}

std::string packed_json(const nlohmann::json& value) {
  std::string bytes;
  nlohmann::json::to_msgpack(value, bytes);
  return bytes;
}

}  // namespace

struct NodeStore::Environment {
  MDB_env* env = nullptr;
  MDB_dbi data = 0;

  ~Environment() { mdb_env_close(env); }

  template <class Write>
  void transact(Write write) {
    MDB_txn* transaction = nullptr;
    check(mdb_txn_begin(env, nullptr, 0, &transaction));
    try {
      write(transaction);
    } catch (...) {
      mdb_txn_abort(transaction);
      throw;
    }
    check(mdb_txn_commit(transaction));
  }
};

NodeStore::NodeStore(const std::string& folder) : environment_(std::make_unique<Environment>()) {
  std::filesystem::create_directories(folder);
  check(mdb_env_create(&environment_->env));
  check(mdb_env_set_maxdbs(environment_->env, 3));
  check(mdb_env_set_maxreaders(environment_->env, 16));
  check(mdb_env_set_mapsize(environment_->env, std::size_t{1} << 30));
  check(mdb_env_open(environment_->env, folder.c_str(), MDB_NOTLS, 0644));
  environment_->transact([this](MDB_txn* transaction) {
    MDB_dbi index = 0;
    check(mdb_dbi_open(transaction, "data", MDB_CREATE, &environment_->data));
    check(mdb_dbi_open(transaction, "index", MDB_CREATE | MDB_DUPSORT, &index));
  });
}

NodeStore::~NodeStore() = default;

void NodeStore::put(std::string_view key, std::string_view value) {
  put_all({{std::string(key), std::string(value)}});
}

void NodeStore::remove(std::string_view key) {
  environment_->transact([&](MDB_txn* transaction) {
    MDB_val at = value_of(key);
    check(mdb_del(transaction, environment_->data, &at, nullptr));
  });
}

void NodeStore::put_all(const std::vector<std::pair<std::string, std::string>>& entries) {
  environment_->transact([&](MDB_txn* transaction) {
    for (const auto& [key, value] : entries) {
      MDB_val at = value_of(key);
      MDB_val what = value_of(value);
      check(mdb_put(transaction, environment_->data, &at, &what, 0));
    }
  });
}

void NodeStore::put_into(const char* database, std::string_view key, std::string_view value) {
  environment_->transact([&](MDB_txn* transaction) {
    MDB_dbi dbi = 0;
    check(mdb_dbi_open(transaction, database, MDB_CREATE, &dbi));
    MDB_val at = value_of(key);
    MDB_val what = value_of(value);
    check(mdb_put(transaction, dbi, &at, &what, 0));
  });
}

std::string duty_key(const std::string& duty) {
  return "map:signing-protection-duties\0"s + duty;
}

std::string packed(std::string_view text) {
  return packed_json(std::string(text));
}
std::string packed(int number) {
  return packed_json(number);
}
std::string packed(double number) {
  return packed_json(number);
}

std::string record(const std::vector<std::pair<std::string, std::string>>& fields) {
  auto names = nlohmann::json::array();
  std::string values;
  for (const auto& [name, value] : fields) {
    names.push_back(name);
    values += value;
  }
  return "\xd4\x72\x40" + packed_json(names) + values;
}

std::string NodeDuty::key() const {
  return duty_key(rollup + ":" + validator + ":" + std::to_string(slot) + ":" + type + ":" +
                  std::to_string(block_index));
}

std::string NodeDuty::value(int schema) const {
  std::vector<std::pair<std::string, std::string>> fields{{"rollupAddress", packed(rollup)},
                                                          {"validatorAddress", packed(validator)},
                                                          {"slot", packed(std::to_string(slot))},
                                                          {"blockNumber", packed("0")},
                                                          {"blockIndexWithinCheckpoint", packed(block_index)},
                                                          {"dutyType", packed(type)},
                                                          {"status", packed(is_signed ? "signed" : "signing")},
                                                          {"messageHash", packed(message_hash())},
                                                          {"nodeId", packed("local")},
                                                          {"lockToken", packed("00112233445566778899aabbccddeeff")},
                                                          {"startedAtMs", packed(1'767'225'600'000.0)}};
  if (schema >= 2) fields.emplace_back("checkpointNumber", packed("3"));
  if (schema >= 3) fields.emplace_back("expiresAtMs", packed(1'769'817'600'000.0));
  if (is_signed) {
    fields.emplace_back("signature", packed("0x" + std::string(128, 'c') + "1b"));
    fields.emplace_back("completedAtMs", packed(1'767'225'600'250.0));
  }
  return record(fields);
}

void write_version(const std::string& folder, int schema, const std::string& rollup) {
  std::ofstream(folder + "/db_version") << R"({"schemaVersion":)" << schema << R"(,"rollupAddress":")" << rollup
                                        << R"("})";
}

}  // namespace hasigner::test
