// The model that `sluice compress` starts from, and models as a server would load them.
//
// Thread-safety: plain values and functions without state.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "app/stack.h"

namespace sluice::app {

// A folder for what is being made, gone with this.
class Scratch {
 public:
  static Result<Scratch> make();
  Scratch(Scratch&& other) noexcept : path_(std::exchange(other.path_, {})), count_(other.count_) {}
  Scratch& operator=(Scratch&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(count_, other.count_);
    return *this;
  }
  ~Scratch();

  // A new folder in it.
  Result<std::filesystem::path> folder();

 private:
  Scratch() = default;
  std::filesystem::path path_;
  int count_ = 0;
};

struct FoundModel {
  std::filesystem::path file;  // the model's own
  std::string yaml;            // the text of its model.yaml; empty: it has none
  std::string model;           // "fraud"
  std::string version;         // "v1"
  std::uint64_t bytes = 0;     // of the file and what belongs to it
};

// `given`: a model's file, a version's folder, a model's folder (its newest version), or the same
// below `models`. Errors: kNotFound/`no_model`; kInvalidArgument/`usage` where it is not clear
// which file is meant, or it is a pipeline.
Result<FoundModel> find_model(const std::string& given, const std::string& models,
                              const std::string& version);

struct OpenedModel {
  std::unique_ptr<Stack> stack;
  std::shared_ptr<const Servable> servable;
};
// `file` in the place of `like`'s, with its model.yaml, in a repository that has nothing else.
// Errors: what a server would say.
Result<OpenedModel> open_alone(const std::filesystem::path& file, const FoundModel& like,
                               Scratch& scratch, const LoadFlags& load_flags);

// Bytes of the files of a model: the file and those that its folder has beside it for it.
std::uint64_t bytes_of(const std::filesystem::path& file);

// The peak of a process that does nothing but load it. 0 where that is not known.
std::uint64_t peak_of_loading(const std::filesystem::path& file, const LoadFlags& load_flags);

}  // namespace sluice::app
