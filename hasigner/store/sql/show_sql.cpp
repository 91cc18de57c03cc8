// show_sql FOLDER [NAME [--schema-version N] [--form one|many]]: shows the statement FOLDER/NAME.sql as it is sent, or
// the names of all statements. See scripts/sql.

#include <algorithm>
#include <charconv>
#include <deque>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>

#include "hasigner/store/sql/sql_templates.hpp"

namespace {

using hasigner::sql::BatchForm;
using hasigner::sql::SqlFile;
using hasigner::sql::SqlTemplates;
using hasigner::sql::SqlVariant;

struct FileText {
  std::string name;
  std::string text;
};

/// The files of a folder and of its folder fragments/.
std::deque<FileText> read_files(const std::filesystem::path& folder) {
  std::deque<FileText> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().extension() != ".sql") continue;
    std::ifstream stream(entry.path());
    std::string text(std::istreambuf_iterator<char>(stream), {});
    files.push_back({entry.path().lexically_relative(folder).replace_extension().generic_string(), std::move(text)});
  }
  return files;
}

struct Request {
  std::string folder;
  std::string name;  ///< empty: the names of all statements
  SqlVariant variant{.schema_version = 3, .form = BatchForm::kMany};
};

int version_of(const std::string& text) {
  int version = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  if (error != std::errc() || end != text.data() + text.size() || version < 1 || version > 3) {
    throw std::invalid_argument("--schema-version must be 1, 2 or 3, and is " + text);
  }
  return version;
}

BatchForm form_of(const std::string& text) {
  if (text == "one") return BatchForm::kOne;
  if (text == "many") return BatchForm::kMany;
  throw std::invalid_argument("--form must be one or many, and is " + text);
}

Request request_of(const std::vector<std::string>& arguments) {
  if (arguments.empty()) throw std::invalid_argument("the folder of the SQL files is missing");
  Request request{.folder = arguments[0], .name = arguments.size() > 1 ? arguments[1] : ""};
  for (std::size_t i = 2; i < arguments.size(); i += 2) {
    if (i + 1 == arguments.size()) throw std::invalid_argument(arguments[i] + " needs a value");
    if (arguments[i] == "--schema-version") {
      request.variant.schema_version = version_of(arguments[i + 1]);
    } else if (arguments[i] == "--form") {
      request.variant.form = form_of(arguments[i + 1]);
    } else {
      throw std::invalid_argument(arguments[i] + " is not an option: there are --schema-version and --form");
    }
  }
  return request;
}

/// Where the comments at the top end.
std::size_t end_of_comments(const std::string& text) {
  std::size_t end = 0;
  while (text.compare(end, 2, "--") == 0) end = std::min(text.find('\n', end), text.size() - 1) + 1;
  return end;
}

void show(const Request& request) {
  const std::deque<FileText> texts = read_files(request.folder);
  std::vector<SqlFile> files;
  for (const FileText& file : texts) files.push_back({file.name, file.text});
  const SqlTemplates templates(files);
  if (request.name.empty()) {
    for (const std::string& name : templates.names()) std::cout << name << "\n";
    return;
  }
  const std::string text = templates.readable(request.name, request.variant);
  const std::size_t begin = end_of_comments(text);
  std::cout << text.substr(0, begin);
  // psql gives $1 and so on their values by `execute NAME (…)`.
  if (text.find("$1", begin) != std::string::npos) std::cout << "prepare " << request.name << " as\n";
  std::cout << text.substr(begin) << ";\n";
}

}  // namespace

int main(int argc, char** argv) {
  try {
    show(request_of({argv + 1, argv + argc}));
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 2;
  }
}
