#include "hasigner/cli/doctor/key_checks.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <set>

#include "hasigner/cli/exit_code.hpp"
#include "hasigner/cli/key_store_settings.hpp"
#include "hasigner/crypto/ethereum.hpp"
#include "hasigner/crypto/secret_pages.hpp"
#include "hasigner/factory/runtime.hpp"
#include "hasigner/keys/open_key_store.hpp"

namespace hasigner::cli::doctor {

namespace {

using Words = std::vector<std::string>;

/// A good part of the time in which a duty is of use.
constexpr std::chrono::milliseconds kSlowAnswer{1'000};
using keys::LoadedKeystores;
using keys::RemoteKeys;

std::vector<EthAddress> attesters_of(const LoadedKeystores& keys) {
  std::vector<EthAddress> attesters;
  for (const auto& validator : keys.validators) {
    for (const auto& attester : validator.attesters) attesters.push_back(attester.address);
  }
  return attesters;
}

Finding check_files(const Settings& settings, std::optional<LoadedKeystores>& loaded) {
  auto read = keys::load_validators(key_store_settings(settings));
  if (!read) return refused(read.error().message(), "correct that file; ha-signer keys check reads it again");
  loaded = std::move(*read);
  const auto remotes = keys::remote_keys_of(loaded->validators);
  asio::io_context unused;
  const auto signer = keys::web3signer_for(remotes, key_store_settings(settings).remote, unused.get_executor());
  if (!signer) return refused(signer.error().message(), "correct that file");
  const auto attesters = attesters_of(*loaded);
  if (attesters.empty()) {
    return failure("the files name no attester, so there is nothing to sign with", "add the keys of the validators");
  }
  const std::string said = count_of(loaded->validators.size(), "validator") + " with " +
                           count_of(attesters.size(), "attester") + ", each once";
  if (loaded->doubts.empty()) return ok(said + "; their files are closed to others");
  return warning(said + "; in doubt: " + listed(loaded->doubts), "correct the files (ha-signer keys check)");
}

Finding check_memory() {
  const auto pages = SecretPages::of_keys()->count();
  if (pages.all == 0) return ok("no key is in memory");
  if (pages.unlocked == 0) return ok("the keys are in memory that is never written to swap");
  return warning(
      std::to_string(pages.unlocked) + " of " + std::to_string(pages.all) +
          " memory pages with keys could not be locked, so keys may be written to swap",
      "raise the limit of locked memory (LimitMEMLOCK= of the unit, ulimit -l; 128 keys take 4 KiB), or run without "
      "swap");
}

/// Those that the store has nothing of.
Finding check_history(const LoadedKeystores& loaded, const StoreFacts& facts) {
  if (!facts.known_validators) return skipped("the store could not be asked");
  Words unknown;
  const auto attesters = attesters_of(loaded);
  for (const auto& attester : attesters) {
    if (!facts.known_validators->contains(attester.to_string())) unknown.push_back(to_checksum(attester));
  }
  if (unknown.empty()) return ok("the store has duties or watermarks of every attester");
  return warning(
      "the store has neither a duty nor a watermark of " + std::to_string(unknown.size()) + " of " +
          count_of(attesters.size(), "attester") + " (" + listed(unknown) + ")",
      "none needed for keys that have never signed; otherwise import the history (ha-signer import), or set a "
      "watermark above everything that they signed (ha-signer watermark set)");
}

/// How many of the keys each node has signed with.
std::map<std::string, std::size_t> keys_by_node(const LoadedKeystores& loaded, const KnownValidators& known) {
  std::map<std::string, std::size_t> keys_of_node;
  for (const auto& attester : attesters_of(loaded)) {
    const auto found = known.find(attester.to_string());
    if (found == known.end()) continue;
    for (const auto& node : found->second) ++keys_of_node[node];
  }
  return keys_of_node;
}

std::string shown(const std::map<std::string, std::size_t>& keys_of_node) {
  Words nodes;
  for (const auto& [node, count] : keys_of_node) nodes.push_back(node + " with " + count_of(count, "key"));
  return listed(nodes);
}

/// Who else signs with these keys.
Finding check_holders(const Settings& settings, const LoadedKeystores& loaded, const StoreFacts& facts) {
  if (facts.validators_elsewhere) {
    const auto others = keys_by_node(loaded, *facts.validators_elsewhere);
    if (!others.empty()) {
      return failure("nodes of " + settings.shown(SettingId::kDatabaseUrl) + " sign with the same keys (" +
                         shown(others) + "), and this node does not ask that database",
                     "set VALIDATOR_HA_SIGNING_ENABLED=true, or take the keys away from one of the two sides");
    }
  }
  if (!facts.known_validators) return skipped("the store could not be asked");
  auto others = keys_by_node(loaded, *facts.known_validators);
  const auto& own_id = settings.value(SettingId::kNodeId).text;
  others.erase(own_id.empty() ? "local" : own_id);
  if (others.empty()) {
    return ok(facts.is_shared ? "no other node has signed with these keys"
                              : "no other node has signed with these keys here, and none may hold them");
  }
  if (facts.is_shared) return ok("others that sign with these keys, all through this database: " + shown(others));
  return warning(
      "others have signed with these keys: " + shown(others) + "; this node protects through a file of its own",
      "make sure that they do not run any more, or share a database: VALIDATOR_HA_SIGNING_ENABLED=true");
}

/// What mends it that a remote signer gives no answer of use.
std::string mend_of_silence(const std::string& reason) {
  if (reason.contains("certificate that is not accepted")) {
    return "name its authority in HA_SIGNER_REMOTE_CA_FILE, renew its certificate, or write the certificate's host "
           "name "
           "into the URL in the keystore files";
  }
  if (reason.contains("TLS handshake")) {
    return "see that TLS is spoken on that port, with a client certificate (certPath) if it asks for one, or correct "
           "the "
           "URL in the keystore files";
  }
  if (reason.contains("HTTP status") || reason.contains("refused:") || reason.contains("not JSON-RPC")) {
    return "look at the remote signer's log, or correct its URL in the keystore files: another program may listen "
           "there";
  }
  if (reason.contains("in time")) {
    return "look why the remote signer does not answer (HA_SIGNER_REMOTE_TIMEOUT_MS bounds a call), or correct its URL "
           "in "
           "the keystore files";
  }
  return "start the remote signer, or correct its URL in the keystore files";
}

Finding check_remotes(const Settings& settings, const LoadedKeystores& loaded) {
  const auto remotes = keys::remote_keys_of(loaded.validators);
  if (remotes.empty()) return ok("every key is local");
  Runtime runtime;
  const auto signer = accepted(
      keys::web3signer_for(remotes, key_store_settings(settings).remote, asio::any_io_executor(runtime.executor())));
  const auto begun = std::chrono::steady_clock::now();
  const auto problems = runtime.run(keys::check_remote_keys(signer, remotes));
  const auto took = std::chrono::floor<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begun);
  Words missing, silent, silent_publishers;
  std::size_t wanted = 0;
  for (std::size_t i = 0; i < remotes.size(); ++i) {
    wanted += remotes[i].wanted.size();
    if (!problems[i]) continue;
    const bool is_away = problems[i]->kind == keys::KeyStoreError::Kind::kUnavailable;
    (!is_away ? missing : remotes[i].signs_duties ? silent : silent_publishers).push_back(problems[i]->reason);
  }
  if (!missing.empty()) {
    return failure(listed(missing),
                   "add the keys to the remote signer, or take their addresses out of the keystore files");
  }
  if (!silent.empty()) {
    return unavailable(listed(silent), mend_of_silence(silent.front()));
  }
  if (!silent_publishers.empty()) {
    return warning(listed(silent_publishers) + "; it holds keys of publishers only, so duties are signed without it",
                   mend_of_silence(silent_publishers.front()));
  }
  if (took >= kSlowAnswer) {
    return warning("it took " + std::to_string(took.count()) +
                       " ms until the remote signers had said which keys they hold; a signature may take as long",
                   "look what makes the slowest of them wait, or run it nearer to this node");
  }
  return ok(count_of(remotes.size(), "remote signer") + " answered, and hold" + (remotes.size() == 1 ? "s " : " ") +
            count_of(wanted, "key"));
}

}  // namespace

Group check_keys(const Settings& settings, const StoreFacts& facts) {
  Group group{.title = "Keys", .findings = {}};
  std::optional<LoadedKeystores> loaded;
  group.run("key_files", [&] { return check_files(settings, loaded); });
  if (!loaded) {
    group.skip({"key_memory", "key_history", "key_holders", "remote_signers"}, "the check key_files failed");
    return group;
  }
  group.run("key_memory", check_memory);
  group.run("key_history", [&] { return check_history(*loaded, facts); });
  group.run("key_holders", [&] { return check_holders(settings, *loaded, facts); });
  group.run("remote_signers", [&] { return check_remotes(settings, *loaded); });
  return group;
}

}  // namespace hasigner::cli::doctor
