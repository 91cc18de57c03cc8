#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace hasigner::cli::doctor {

enum class Verdict : std::uint8_t {
  kOk,
  kWarning,  ///< a node would start and sign, but something may harm it
  kFailure,  ///< a node would not start, would not sign, or could sign twice
  kSkipped,  ///< not looked at: another check failed, or a right is missing
};
[[nodiscard]] std::string_view to_string(Verdict verdict);

/// What one check has found.
struct Finding {
  Verdict verdict = Verdict::kOk;
  std::string found;      ///< what is there, or why it was not looked at; a sentence without full stop
  std::string mend = {};  ///< the statement, the setting or the step that mends it; empty where nothing is to be done
  bool unavailable = false;  ///< of a failure: something did not answer, so asking again may help
  std::string check = {};    ///< the check's name
};

[[nodiscard]] Finding ok(std::string found);
[[nodiscard]] Finding warning(std::string found, std::string mend);
[[nodiscard]] Finding failure(std::string found, std::string mend);
[[nodiscard]] Finding unavailable(std::string found, std::string mend);
[[nodiscard]] Finding skipped(std::string why, std::string mend = {});
/// A failure from a sentence `what is wrong; what mends it`, `what is wrong: chmod …` or `: set …`, as the rest of the
/// program says it. `mend` stands where the sentence has no second part.
[[nodiscard]] Finding refused(std::string_view sentence, std::string_view mend);

/// Ends a check early with what it has found.
struct Ended {
  Finding finding;
};

/// The checks of one part of a deployment.
struct Group {
  std::string title;
  std::vector<Finding> findings;

  /// Runs a check and keeps its finding under this name.
  void run(std::string_view name, const std::function<Finding()>& check);
  /// Keeps these checks as skipped.
  void skip(const std::vector<std::string_view>& names, const std::string& why);
  /// The first of these checks that failed; returns null where none did.
  [[nodiscard]] const Finding* failed(const std::vector<std::string_view>& names) const;
};

/// What a disk has to have free so that a node goes on.
inline constexpr std::uint64_t kMebibyte = 1024 * 1024;
inline constexpr std::uint64_t kFreeFailure = 16 * kMebibyte;
inline constexpr std::uint64_t kFreeWarning = 256 * kMebibyte;

/// A path between quotation marks.
[[nodiscard]] std::string in_quotes(const std::filesystem::path& path);
/// `1 connection`, `2 connections`.
[[nodiscard]] std::string count_of(std::size_t count, std::string_view noun);
/// The words with commas between them; at most `most`, then how many more there are.
[[nodiscard]] std::string listed(const std::vector<std::string>& words, std::size_t most = 5);

}  // namespace hasigner::cli::doctor
