#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hasigner::test {

/// The folder in which a published node 5.x keeps its protection history, written with liblmdb as the node does it:
/// databases `data` and `index`, one transaction for each write. What it holds open, it holds the node's lock on.
class NodeStore {
 public:
  /// Makes the folder, or opens the one that is there.
  explicit NodeStore(const std::string& folder);
  ~NodeStore();

  void put(std::string_view key, std::string_view value);
  void remove(std::string_view key);
  /// In one transaction.
  void put_all(const std::vector<std::pair<std::string, std::string>>& entries);
  /// Into another database than `data`.
  void put_into(const char* database, std::string_view key, std::string_view value);

 private:
  struct Environment;
  std::unique_ptr<Environment> environment_;
};

/// `rollup:validator:slot:type:index` as the node's key.
[[nodiscard]] std::string duty_key(const std::string& duty);

/// A record as msgpackr writes it: field names, and their values as MessagePack.
[[nodiscard]] std::string record(const std::vector<std::pair<std::string, std::string>>& fields);

/// MessagePack in its shortest form.
[[nodiscard]] std::string packed(std::string_view text);
[[nodiscard]] std::string packed(int number);
[[nodiscard]] std::string packed(double number);

/// How a node writes a duty of this slot, signed or still signing.
struct NodeDuty {
  std::string rollup = "0x1111111111111111111111111111111111111111";
  std::string validator = "0x2222222222222222222222222222222222222222";
  std::uint64_t slot = 7;
  std::string type = "ATTESTATION";
  int block_index = -1;
  bool is_signed = true;
  char hash_digit = 'a';

  [[nodiscard]] std::string key() const;
  [[nodiscard]] std::string message_hash() const { return "0x" + std::string(64, hash_digit); }
  /// As of schema 1, 2 or 3.
  [[nodiscard]] std::string value(int schema = 2) const;
};

/// The file db_version beside data.mdb.
void write_version(const std::string& folder, int schema, const std::string& rollup = NodeDuty{}.rollup);

}  // namespace hasigner::test
