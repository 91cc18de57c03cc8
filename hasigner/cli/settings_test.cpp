#include "hasigner/cli/settings.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "hasigner/cli/exit_code.hpp"
#include "hasigner/cli/setting_values.hpp"
#include "hasigner/cli/signer_settings.hpp"

namespace hasigner::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

/// A file of settings that is removed again.
class File {
 public:
  explicit File(const std::string& content)
      : path_(::testing::TempDir() + "settings_test_" + std::to_string(::getpid()) + ".toml") {
    std::ofstream(path_) << content;
  }
  ~File() { std::filesystem::remove(path_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct Given {
  std::map<SettingId, std::string> flags = {};
  std::map<std::string, std::string, std::less<>> environment = {};
  std::optional<std::string> config_file = {};
  bool migrations = false;
};

std::vector<SettingId> every_setting() {
  std::vector<SettingId> ids;
  for (const auto& definition : setting_definitions()) ids.push_back(definition.id);
  return ids;
}

Settings load(Given given) {
  return Settings::load({.flags = given.flags,
                         .config_file = given.config_file,
                         .environment = [&](std::string_view name) -> std::optional<std::string> {
                           const auto found = given.environment.find(name);
                           return found == given.environment.end() ? std::nullopt : std::optional(found->second);
                         },
                         .wanted = every_setting(),
                         .database_url_of_migrations = given.migrations});
}

/// Why the settings are refused; empty: they are not.
std::string refusal(const Given& given) {
  try {
    (void)load(given);
  } catch (const CommandError& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    return error.what();
  }
  return "";
}

TEST(Settings, have_the_published_names_and_defaults) {
  // Those of @aztec/validator-ha-signer, and two of ours beside them.
  const std::vector<std::array<std::string, 2>> published = {{"VALIDATOR_HA_SIGNING_ENABLED", "false"},
                                                             {"VALIDATOR_HA_DATABASE_URL", ""},
                                                             {"VALIDATOR_HA_NODE_ID", ""},
                                                             {"VALIDATOR_HA_POLLING_INTERVAL_MS", "100"},
                                                             {"VALIDATOR_HA_SIGNING_TIMEOUT_MS", "3000"},
                                                             {"VALIDATOR_SIGNER_CALL_TIMEOUT_MS", "30000"},
                                                             {"VALIDATOR_HA_ATTEMPT_TIMEOUT_MS", "60000"},
                                                             {"VALIDATOR_HA_MAX_STUCK_DUTIES_AGE_MS", "144000"},
                                                             {"VALIDATOR_HA_OLD_DUTIES_MAX_AGE_H", ""},
                                                             {"VALIDATOR_HA_POOL_MAX", "10"},
                                                             {"VALIDATOR_HA_POOL_MIN", "0"},
                                                             {"VALIDATOR_HA_POOL_IDLE_TIMEOUT_MS", "10000"},
                                                             {"VALIDATOR_HA_POOL_CONNECTION_TIMEOUT_MS", "0"},
                                                             {"ROLLUP_CONTRACT_ADDRESS", ""}};
  for (const auto& [name, fallback] : published) {
    bool found = false;
    for (const auto& definition : setting_definitions()) {
      if (definition.environment.front() != name) continue;
      found = true;
      EXPECT_EQ(definition.fallback, fallback) << name;
    }
    EXPECT_TRUE(found) << name;
  }
}

TEST(Settings, every_setting_is_a_flag_and_a_key_of_the_same_words) {
  for (const auto& definition : setting_definitions()) {
    std::string words(definition.flag.substr(2));
    std::ranges::replace(words, '-', '_');
    EXPECT_EQ(words, definition.key);
  }
}

TEST(Settings, white_space_at_the_edges_of_a_value_is_left_out_wherever_it_comes_from) {
  const File file("node_id = \" n1\\r\\n\"\n");
  const auto settings =
      load({.flags = {{SettingId::kPoolMax, " 7"}},
            .environment = {{"VALIDATOR_HA_DATABASE_URL", "postgresql://u:p@h/d\n"},
                            {"ROLLUP_CONTRACT_ADDRESS", "\t0x5fbdb2315678afecb367f032d93f642f64180aa3\r\n"},
                            {"VALIDATOR_HA_SIGNING_ENABLED", "TRUE\n"},
                            {"DATA_DIRECTORY", "/var/lib/signer\n"},
                            {"VALIDATOR_HA_POOL_MIN", " \n"}},
            .config_file = file.path()});
  EXPECT_EQ(settings.value(SettingId::kNodeId).text, "n1");
  EXPECT_EQ(settings.value(SettingId::kPoolMax).text, "7");
  EXPECT_EQ(settings.value(SettingId::kDatabaseUrl).text, "postgresql://u:p@h/d");
  EXPECT_EQ(settings.value(SettingId::kRollup).text, "0x5fbdb2315678afecb367f032d93f642f64180aa3");
  EXPECT_EQ(settings.value(SettingId::kSigningEnabled).text, "true");
  EXPECT_EQ(settings.value(SettingId::kDataDirectory).text, "/var/lib/signer");
  EXPECT_EQ(settings.value(SettingId::kPoolMin).origin, SettingOrigin::kDefault) << "empty is not set";
  EXPECT_EQ(settings.notes().size(), 6u);
  EXPECT_THAT(settings.notes(), ::testing::Contains(HasSubstr("VALIDATOR_HA_DATABASE_URL has white space")));
  EXPECT_THAT(refusal({.environment = {{"VALIDATOR_HA_NODE_ID", "a\nb"}}}), HasSubstr("VALIDATOR_HA_NODE_ID is 'a?b'"));
  EXPECT_THAT(refusal({.flags = {{SettingId::kPoolMax, " "}}}), HasSubstr("--pool-max"));
}

TEST(Settings, a_switch_takes_what_aztecs_nodes_take) {
  // parseBooleanEnv of @aztec/foundation 4.1.2: 1, true and TRUE are true.
  for (const auto* text : {"1", "true", "TRUE"}) {
    EXPECT_TRUE(load({.environment = {{"VALIDATOR_HA_SIGNING_ENABLED", text}}}).is_true(SettingId::kSigningEnabled));
  }
  for (const auto* text : {"0", "false", "FALSE"}) {
    EXPECT_FALSE(load({.environment = {{"VALIDATOR_HA_SIGNING_ENABLED", text}}}).is_true(SettingId::kSigningEnabled));
  }
  // There they are false, which their writer does not expect.
  for (const auto* text : {"True", "yes", "on", "enabled", "tRUE"}) {
    EXPECT_THAT(refusal({.environment = {{"VALIDATOR_HA_SIGNING_ENABLED", text}}}),
                HasSubstr("true or false (or TRUE, FALSE, 1, 0)"));
  }
}

TEST(Settings, flag_goes_over_environment_over_file_over_default) {
  const File file("pool_max = 7\npool_min = 3\nnode_id = \"from-file\"\n");
  const auto settings =
      load({.flags = {{SettingId::kNodeId, "from-flag"}},
            .environment = {{"VALIDATOR_HA_NODE_ID", "from-environment"}, {"VALIDATOR_HA_POOL_MIN", "4"}},
            .config_file = file.path()});
  EXPECT_EQ(settings.value(SettingId::kNodeId).text, "from-flag");
  EXPECT_EQ(settings.value(SettingId::kNodeId).given_as, "--node-id");
  EXPECT_EQ(settings.value(SettingId::kPoolMin).text, "4");
  EXPECT_EQ(settings.value(SettingId::kPoolMin).given_as, "VALIDATOR_HA_POOL_MIN");
  EXPECT_EQ(settings.value(SettingId::kPoolMax).text, "7");
  EXPECT_EQ(settings.value(SettingId::kPoolMax).given_as, file.path() + ":1: pool_max");
  EXPECT_EQ(settings.value(SettingId::kPollingIntervalMs).origin, SettingOrigin::kDefault);
  EXPECT_EQ(settings.value(SettingId::kDataDirectory).origin, SettingOrigin::kUnset);
}

TEST(Settings, the_variable_HA_SIGNER_CONFIG_names_the_file_and_the_flag_goes_over_it) {
  const File file("pool_max = 7\n");
  EXPECT_EQ(load({.environment = {{"HA_SIGNER_CONFIG", file.path()}}}).value(SettingId::kPoolMax).text, "7");
  EXPECT_EQ(load({.environment = {{"HA_SIGNER_CONFIG", "/nowhere"}}, .config_file = file.path()})
                .value(SettingId::kPoolMax)
                .text,
            "7");
}

TEST(Settings, an_empty_variable_counts_as_not_set) {
  const auto settings = load({.environment = {{"VALIDATOR_HA_NODE_ID", ""}, {"HA_SIGNER_CONFIG", ""}}});
  EXPECT_FALSE(settings.is_set(SettingId::kNodeId));
}

TEST(Settings, migrations_look_at_DATABASE_URL_first) {
  const std::map<std::string, std::string, std::less<>> both = {{"DATABASE_URL", "sqlite:a.db"},
                                                                {"VALIDATOR_HA_DATABASE_URL", "sqlite:b.db"}};
  EXPECT_EQ(load({.environment = both, .migrations = true}).value(SettingId::kDatabaseUrl).given_as, "DATABASE_URL");
  EXPECT_EQ(load({.environment = both}).value(SettingId::kDatabaseUrl).text, "sqlite:b.db");
}

TEST(Settings, a_wrong_value_is_refused_under_the_name_by_which_it_was_given) {
  EXPECT_EQ(refusal({.flags = {{SettingId::kPollingIntervalMs, "soon"}}}),
            "--polling-interval-ms is 'soon', but must be a whole number from 1 to 60000");
  EXPECT_EQ(refusal({.environment = {{"VALIDATOR_HA_POOL_MAX", "0"}}}),
            "VALIDATOR_HA_POOL_MAX is '0', but must be a whole number from 1 to 1000");
  const File file("\n\nnode_id = \"a\\u0007b\"\n");
  EXPECT_THAT(refusal({.config_file = file.path()}),
              AllOf(HasSubstr(file.path() + ":3: node_id is 'a?b'"), Not(HasSubstr("\a"))));
}

TEST(Settings, a_wrong_value_is_refused_even_where_a_better_source_hides_it) {
  const File file("pool_max = 0\n");
  EXPECT_THAT(refusal({.flags = {{SettingId::kPoolMax, "5"}}, .config_file = file.path()}),
              HasSubstr("pool_max is '0'"));
}

TEST(Settings, what_is_not_a_number_is_refused) {
  for (const char* text : {"", "-1", "+5", "5 5", "5.0", "0x10", "1e3", "18446744073709551616", "five"}) {
    EXPECT_THAT(refusal({.flags = {{SettingId::kPoolMax, text}}}), HasSubstr("--pool-max is '")) << text;
  }
}

TEST(Settings, addresses_are_normalised_and_a_wrong_checksum_is_noted) {
  // The first is an example of EIP-55; in the second one letter has the other case.
  const auto good = load({.flags = {{SettingId::kRollup, "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"}}});
  EXPECT_EQ(good.value(SettingId::kRollup).text, "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed");
  EXPECT_TRUE(good.notes().empty());
  const auto wrong = load({.flags = {{SettingId::kRollup, "0x5aaeb6053F3E94C9b9A09f33669435E7Ef1BeAed"}}});
  EXPECT_EQ(wrong.value(SettingId::kRollup).text, good.value(SettingId::kRollup).text);
  ASSERT_EQ(wrong.notes().size(), 1U);
  EXPECT_THAT(wrong.notes().front(), HasSubstr("--rollup"));
  // EthAddress.fromString of @aztec/foundation 4.1.2 takes an address without 0x.
  const auto bare = load({.flags = {{SettingId::kRollup, "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"}}});
  EXPECT_EQ(bare.value(SettingId::kRollup).text, good.value(SettingId::kRollup).text);
  EXPECT_TRUE(bare.notes().empty());
}

TEST(Settings, two_names_of_one_setting_may_agree_but_not_differ) {
  const auto both = [](const char* first, const char* second) {
    return Given{.environment = {{"VALIDATOR_SIGNER_CALL_TIMEOUT_MS", first},
                                 {"VALIDATOR_SIGNING_OPERATION_TIMEOUT_MS", second}}};
  };
  EXPECT_EQ(load(both("500", "500")).value(SettingId::kSignerCallTimeoutMs).text, "500");
  EXPECT_EQ(load(both("", "500")).value(SettingId::kSignerCallTimeoutMs).given_as,
            "VALIDATOR_SIGNING_OPERATION_TIMEOUT_MS");
  EXPECT_THAT(refusal(both("500", "600")), AllOf(HasSubstr("VALIDATOR_SIGNER_CALL_TIMEOUT_MS"),
                                                 HasSubstr("VALIDATOR_SIGNING_OPERATION_TIMEOUT_MS")));
}

TEST(Settings, a_password_is_never_shown) {
  const auto settings =
      load({.flags = {{SettingId::kDatabaseUrl, "postgresql://me:s3cret@db.example/ha?sslmode=require"}}});
  EXPECT_THAT(settings.shown(SettingId::kDatabaseUrl),
              AllOf(HasSubstr("me"), HasSubstr("db.example"), HasSubstr("sslmode=require"), Not(HasSubstr("s3cret"))));
  for (const char* url : {"postgresql://me:s3cret@db/ha?sslmode=never", "mysql://me:s3cret@db/ha",
                          "postgresql://me:s3cret@db/ha?port=1,2", "postgresql://me:s3cret@%zz/ha", "me:s3cret@db",
                          "host=db password=s3cret"}) {
    EXPECT_THAT(refusal({.flags = {{SettingId::kDatabaseUrl, url}}}),
                AllOf(HasSubstr("--database-url"), Not(HasSubstr("s3cret"))))
        << url;
  }
}

TEST(Settings, a_file_with_an_unknown_key_is_refused_and_the_nearest_key_named) {
  const File file("# a comment\npoling_interval_ms = 50\n");
  EXPECT_EQ(refusal({.config_file = file.path()}),
            file.path() + ":2: poling_interval_ms is not a setting (did you mean polling_interval_ms?)");
}

TEST(Settings, a_file_that_is_not_plain_keys_is_refused) {
  for (const auto& [content, said] :
       std::vector<std::array<std::string, 2>>{{"[pool]\nmax = 5\n", "no tables"},
                                               {"pool_max = [1]\n", "must be a text"},
                                               {"pool_max = 1.5\n", "must be a text"},
                                               {"pool_max = \n", "not TOML"},
                                               {"pool_max = 1\npool_max = 2\n", "not TOML"}}) {
    const File file(content);
    EXPECT_THAT(refusal({.config_file = file.path()}), AllOf(HasSubstr(file.path() + ":"), HasSubstr(said))) << content;
  }
}

TEST(Settings, an_error_of_the_file_does_not_quote_its_secrets) {
  const File file("database_url = postgresql://me:s3cret@db/ha\n");
  EXPECT_THAT(refusal({.config_file = file.path()}), AllOf(HasSubstr(":1:"), Not(HasSubstr("s3cret"))));
}

TEST(Settings, a_file_that_cannot_be_read_is_named) {
  EXPECT_EQ(
      refusal({.config_file = "/nowhere/signer.toml"}),
      "the settings file (--config, HA_SIGNER_CONFIG): cannot read /nowhere/signer.toml: No such file or directory");
  EXPECT_THAT(refusal({.config_file = "/"}), HasSubstr("cannot read /: Is a directory"));
}

TEST(Settings, settings_that_a_command_does_not_take_are_not_looked_at) {
  const auto settings = Settings::load(
      {.environment = [](std::string_view) { return std::optional<std::string>("nonsense"); }, .wanted = {}});
  EXPECT_EQ(settings.value(SettingId::kPoolMax).text, "10");
}

TEST(Settings, what_is_missing_is_asked_for_by_all_its_names) {
  try {
    (void)load({}).required(SettingId::kNodeId);
    FAIL() << "nothing was thrown";
  } catch (const CommandError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("--node-id"), HasSubstr("VALIDATOR_HA_NODE_ID"), HasSubstr("node_id")));
  }
}

TEST(Settings, make_the_configuration_of_a_signer) {
  const auto config = signer_config(load({.flags = {{SettingId::kNodeId, "n"},
                                                    {SettingId::kRollup, "0x1111111111111111111111111111111111111111"},
                                                    {SettingId::kOldDutiesMaxAgeH, "24"},
                                                    {SettingId::kPollingIntervalMs, "50"}}}));
  EXPECT_EQ(config.node_id.str(), "n");
  EXPECT_EQ(config.polling_interval, milliseconds(50));
  EXPECT_EQ(config.old_duties_max_age, std::chrono::hours(24));
  EXPECT_EQ(config.signer_call_timeout, milliseconds(30'000));
}

TEST(Settings, default_timeouts_follow_a_stuck_age_that_is_too_short_for_them) {
  const auto both = [](const Settings& settings) {
    return settings.value(SettingId::kSignerCallTimeoutMs).text + " " +
           settings.value(SettingId::kAttemptTimeoutMs).text;
  };
  const auto with_stuck_age = [](const std::string& age) {
    return load({.environment = {{"VALIDATOR_HA_MAX_STUCK_DUTIES_AGE_MS", age}}});
  };
  EXPECT_EQ(both(with_stuck_age("2000")), "1000 1500");
  EXPECT_EQ(both(with_stuck_age("40000")), "20000 30000");
  EXPECT_EQ(both(with_stuck_age("60000")), "30000 45000");
  EXPECT_EQ(both(with_stuck_age("80000")), "30000 60000") << "long enough, so nothing follows";
  EXPECT_EQ(both(load({})), "30000 60000");
  for (const auto* age : {"2000", "40000", "60000"}) EXPECT_NO_THROW(check_together(with_stuck_age(age))) << age;
  const auto derived = with_stuck_age("40000").value(SettingId::kSignerCallTimeoutMs);
  EXPECT_EQ(to_string(derived.origin), "derived");
  EXPECT_EQ(derived.given_as, "half of VALIDATOR_HA_MAX_STUCK_DUTIES_AGE_MS");
  const auto explicit_value =
      load({.flags = {{SettingId::kMaxStuckDutiesAgeMs, "40000"}, {SettingId::kSignerCallTimeoutMs, "5000"}}});
  EXPECT_EQ(both(explicit_value), "5000 30000") << "what is given stays";
}

TEST(Settings, a_call_of_a_remote_signer_has_no_longer_than_a_call_of_the_sign_function) {
  const auto by_default = load({.flags = {{SettingId::kSignerCallTimeoutMs, "1000"}}});
  EXPECT_EQ(by_default.value(SettingId::kRemoteTimeoutMs).text, "1000");
  EXPECT_EQ(by_default.value(SettingId::kRemoteTimeoutMs).given_as, "no longer than --signer-call-timeout-ms");
  EXPECT_TRUE(by_default.notes().empty());
  const auto given =
      load({.flags = {{SettingId::kSignerCallTimeoutMs, "1000"}, {SettingId::kRemoteTimeoutMs, "2000"}}});
  EXPECT_EQ(given.value(SettingId::kRemoteTimeoutMs).text, "1000");
  ASSERT_EQ(given.notes().size(), 1U);
  EXPECT_THAT(given.notes().front(), AllOf(HasSubstr("--remote-timeout-ms is '2000'"),
                                           HasSubstr("--signer-call-timeout-ms, which is '1000'")));
  const auto derived = load({.flags = {{SettingId::kMaxStuckDutiesAgeMs, "2000"}}});
  EXPECT_EQ(derived.value(SettingId::kRemoteTimeoutMs).text, "1000");
  EXPECT_EQ(derived.value(SettingId::kRemoteTimeoutMs).given_as, "no longer than VALIDATOR_SIGNER_CALL_TIMEOUT_MS");
  EXPECT_EQ(load({.flags = {{SettingId::kRemoteTimeoutMs, "500"}}}).value(SettingId::kRemoteTimeoutMs).text, "500");
  const auto keys_only = Settings::load({.flags = {{SettingId::kRemoteTimeoutMs, "60000"}},
                                         .config_file = {},
                                         .environment = {},
                                         .wanted = {SettingId::kRemoteTimeoutMs}});
  EXPECT_EQ(keys_only.value(SettingId::kRemoteTimeoutMs).text, "60000") << "nothing is signed";
}

TEST(Settings, the_stuck_age_is_two_slots_where_the_slot_is_given) {
  const auto with_slot = [](const std::string& seconds, std::map<SettingId, std::string> flags = {}) {
    return load({.flags = std::move(flags), .environment = {{"AZTEC_SLOT_DURATION", seconds}}});
  };
  const auto stuck_age = with_slot("36").value(SettingId::kMaxStuckDutiesAgeMs);
  EXPECT_EQ(stuck_age.text, "72000");
  EXPECT_EQ(to_string(stuck_age.origin), "derived");
  EXPECT_EQ(stuck_age.given_as, "two slots of AZTEC_SLOT_DURATION");
  EXPECT_EQ(with_slot("36").value(SettingId::kAttemptTimeoutMs).text, "54000");
  EXPECT_EQ(with_slot("12").value(SettingId::kSignerCallTimeoutMs).text, "12000");
  for (const auto* seconds : {"1", "12", "36", "72", "3600"})
    EXPECT_NO_THROW(check_together(with_slot(seconds))) << seconds;
  EXPECT_EQ(with_slot("36", {{SettingId::kMaxStuckDutiesAgeMs, "90000"}}).value(SettingId::kMaxStuckDutiesAgeMs).text,
            "90000")
      << "what is given stays";
  EXPECT_ANY_THROW(with_slot("0"));
  EXPECT_ANY_THROW(with_slot("36s"));
}

TEST(Settings, that_contradict_each_other_are_refused_by_the_names_by_which_they_were_given) {
  const auto contradiction = [](Given given) -> std::string {
    try {
      check_together(load(std::move(given)));
    } catch (const CommandError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(contradiction({}), "");
  EXPECT_THAT(contradiction({.flags = {{SettingId::kSignerCallTimeoutMs, "72001"}}}),
              HasSubstr("--signer-call-timeout-ms is '72001'"));
  EXPECT_THAT(contradiction({.flags = {{SettingId::kMaxStuckDutiesAgeMs, "40000"}},
                             .environment = {{"VALIDATOR_SIGNER_CALL_TIMEOUT_MS", "30000"}}}),
              HasSubstr("VALIDATOR_SIGNER_CALL_TIMEOUT_MS is '30000'"));
  EXPECT_THAT(
      contradiction({.flags = {{SettingId::kMaxStuckDutiesAgeMs, "40000"}, {SettingId::kAttemptTimeoutMs, "40000"}}}),
      HasSubstr("--attempt-timeout-ms is '40000'"));
  EXPECT_THAT(contradiction({.flags = {{SettingId::kPoolMax, "2"}, {SettingId::kPoolMin, "3"}}}),
              HasSubstr("--pool-min is '3'"));
  EXPECT_THAT(contradiction({.flags = {{SettingId::kSigningEnabled, "true"}}}), HasSubstr("--database-url is missing"));
}

TEST(Settings, a_claim_delay_is_off_by_default_and_bounded) {
  EXPECT_EQ(load({}).value(SettingId::kClaimDelayMs).text, "0");
  EXPECT_EQ(load({.environment = {{"VALIDATOR_HA_CLAIM_DELAY_MS", "500"}}}).duration(SettingId::kClaimDelayMs),
            milliseconds(500));
  for (const auto* wrong : {"-1", "10001", "0.5", "soon"}) {
    EXPECT_THAT(refusal({.flags = {{SettingId::kClaimDelayMs, wrong}}}),
                HasSubstr("must be a whole number from 0 to 10000"));
  }
}

TEST(Settings, preferred_validators_are_addresses) {
  const std::string one = "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf",
                    two = "0x2b5ad5c4795c026514f8317c7a215e218dccd6cf";
  EXPECT_EQ(parse_addresses(one + ", " + two).value().size(), 2u);
  for (const auto& wrong : {std::string("0x7e5f"), one + ",", one + ";" + two}) {
    EXPECT_THAT(refusal({.flags = {{SettingId::kPreferredValidators, wrong}}}),
                HasSubstr("--preferred-validators is '"));
  }
}

TEST(Settings, a_health_url_is_shown_without_user_password_and_query) {
  const auto settings =
      load({.environment = {{"HA_SIGNER_HEALTH_URL", "https://me:s3cret@node.example:8080/status?token=hidden"}}});
  EXPECT_EQ(settings.shown(SettingId::kHealthUrl), "https://node.example:8080/status");
  for (const auto* wrong :
       {"ftp://me:s3cret@host/", "me:s3cret@host", "http://me:s3cret@host:70000/", "http://a b/s3cret"}) {
    const auto text = refusal({.flags = {{SettingId::kHealthUrl, wrong}}});
    EXPECT_THAT(text, HasSubstr("--health-url is '(not shown)', but must be a URL: http:// or https://"));
    EXPECT_THAT(text, ::testing::Not(HasSubstr("s3cret")));
  }
}

TEST(Settings, held_back_claims_leave_the_time_to_sign) {
  const auto contradiction = [](std::map<std::string, std::string, std::less<>> environment) -> std::string {
    environment["VALIDATOR_HA_ATTEMPT_TIMEOUT_MS"] = "34000";  // 3 s to wait for another node, 30 s to sign
    try {
      check_together(load({.environment = std::move(environment)}));
    } catch (const CommandError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(contradiction({{"VALIDATOR_HA_CLAIM_DELAY_MS", "1000"}}), "");
  EXPECT_THAT(contradiction({{"VALIDATOR_HA_CLAIM_DELAY_MS", "1001"}}),
              HasSubstr("VALIDATOR_HA_CLAIM_DELAY_MS is '1001', but must be at most 1000"));
  const std::string url = "http://127.0.0.1/status";
  EXPECT_EQ(contradiction({{"HA_SIGNER_HEALTH_URL", url}}), "");
  EXPECT_THAT(contradiction({{"HA_SIGNER_HEALTH_URL", url}, {"VALIDATOR_HA_CLAIM_DELAY_MS", "1"}}),
              HasSubstr("HA_SIGNER_HEALTH_DELAY_MS (by default) is '1000', but must be at most 999"));
  EXPECT_EQ(
      contradiction(
          {{"HA_SIGNER_HEALTH_URL", url}, {"VALIDATOR_HA_CLAIM_DELAY_MS", "1"}, {"HA_SIGNER_HEALTH_REFUSES", "true"}}),
      "");
  EXPECT_THAT(contradiction({{"HA_SIGNER_HEALTH_REFUSES", "true"}}),
              HasSubstr("HA_SIGNER_HEALTH_REFUSES is given, but HA_SIGNER_HEALTH_URL is not"));
  EXPECT_THAT(contradiction({{"HA_SIGNER_PREFERRED_VALIDATORS", "0x1111111111111111111111111111111111111111"}}),
              HasSubstr("HA_SIGNER_PREFERRED_VALIDATORS is '0x1111"));
}

}  // namespace
}  // namespace hasigner::cli
