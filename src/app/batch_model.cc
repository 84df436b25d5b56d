#include "app/batch_model.h"

#include <fcntl.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "base/digest.h"
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

// Why there is no version to run, where the repository knows it.
Failure reason_of(const Stack& stack, const Error& error) {
  const auto table = stack.tables().get();
  for (const auto& [name, entry] : table->models) {
    if (!entry->ready.empty()) continue;
    return invalid("bad_model",
                   entry->versions.empty() ? entry->reason : entry->versions[0].reason);
  }
  return Failure(error);
}

}  // namespace

Result<BatchModel> open_batch_model(const std::string& model, const std::string& models,
                                    const std::string& version, const Pickles& pickles,
                                    int workers) {
  std::string path = model;
  std::error_code ignored;
  const bool remote = model.contains("://");
  if (!remote && !fs::exists(path, ignored)) {
    path = (fs::path(models) / model).string();
    if (!fs::exists(path, ignored)) {
      return not_found("no_model",
                       "there is no model of that name; give --model a file, a folder "
                       "or a URL, or the name of a folder in --models");
    }
  }
  BatchModel out;
  SLUICE_TRY(out.stack, Stack::open(path, pickles, workers));
  SLUICE_CHECK(out.stack->load());
  auto request = out.stack->pipeline().new_request();
  if (auto aimed = out.stack->pipeline().aim(*request, "", version); !aimed) {
    return reason_of(*out.stack, aimed.error());
  }
  out.servable = request->servable;
  std::string digest = model;
  if (!remote) {
    SLUICE_TRY(digest, digest_of(path));
  }
  out.identity = out.servable->version().str() + " " + digest;
  return out;
}

}  // namespace sluice::app
