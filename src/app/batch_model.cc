#include "app/batch_model.h"

#include <fcntl.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "base/digest.h"
#include "base/name_list.h"
#include "base/text.h"
#include "sources/builtin.h"
#include "tools/batch/journal.h"

namespace sluice::app {
namespace {

namespace fs = std::filesystem;

Result<void> add_file(const fs::path& file, const std::string& name, std::string& out) {
  const Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return unavailable("unreadable", "a file of the model cannot be read");
  SLUICE_TRY(const auto digest, tools::batch::sha256_of(fd));
  out += name + " " + digest + "\n";
  return {};
}

// Of every file that the model may be made of.
Result<std::string> digest_of(const fs::path& path) {
  std::string out;
  std::error_code error;
  if (fs::is_regular_file(path, error)) {
    SLUICE_CHECK(add_file(path, "", out));
    return sha256_hex(out);
  }
  std::vector<fs::path> files;
  for (auto at = fs::recursive_directory_iterator(path, error);
       !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
    std::error_code ignored;
    const auto relative = at->path().lexically_relative(path);
    if (at->is_regular_file(ignored) && !relative.native().starts_with('.')) {
      files.push_back(relative);
    }
  }
  std::ranges::sort(files);
  for (const auto& file : files) SLUICE_CHECK(add_file(path / file, file.native(), out));
  return sha256_hex(out);
}

bool is_there(const std::string& path) {
  std::error_code ignored;
  return sources::is_url(path) || fs::exists(path, ignored);
}

Failure no_model(const std::string& model, const fs::path& models) {
  std::string message =
      "there is no file or folder '" + printable(model) + "', and no model of that name ";
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(models, error)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with('.')) names.push_back(name);
  }
  std::ranges::sort(names);
  if (error) {
    message += "since there is no folder --models";
  } else {
    const std::vector<std::string_view> candidates(names.begin(), names.end());
    message += "in --models" + did_you_mean(model, candidates);
    if (!names.empty()) message += "; it has " + name_list(names);
  }
  return not_found("no_model",
                   message + "; give --model a file, a folder or a URL, or a name in --models");
}

// `model` itself, or the one of that name in `models`.
Result<std::string> find_model(const std::string& model, const std::string& models) {
  if (is_there(model)) return model;
  const std::string named = models + (models.ends_with('/') ? "" : "/") + model;
  if (is_there(named)) return named;
  return no_model(model, models);
}

}  // namespace

Result<BatchModel> open_batch_model(const std::string& model, const std::string& models,
                                    const std::string& version, const LoadFlags& load_flags,
                                    int workers) {
  SLUICE_TRY(const auto path, find_model(model, models));
  BatchModel out;
  SLUICE_TRY(out.stack, Stack::open(path, load_flags, workers));
  SLUICE_CHECK(out.stack->load());
  SLUICE_TRY(const auto request, out.stack->request_to_only_model(version));
  out.servable = request->servable;
  std::string digest = path;
  if (!sources::is_url(path)) {
    SLUICE_TRY(digest, digest_of(path));
  }
  out.identity = out.servable->version().str() + " " + digest;
  return out;
}

}  // namespace sluice::app
