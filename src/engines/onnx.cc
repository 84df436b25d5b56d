#include "engines/onnx.h"

#include <algorithm>
#include <optional>

#include "base/log.h"
#include "base/text.h"
#include "engines/onnx_environment.h"
#include "engines/onnx_in_place.h"
#include "engines/onnx_scan.h"
#include "engines/onnx_session.h"
#include "engines/onnx_weights.h"
#include "engines/onnx_words.h"

namespace sluice::engines {
namespace {

// The weights that a model keeps in files of its own, opened beneath its directory.
Result<std::vector<FileBytes>> open_external(const OnnxFacts& facts, const ModelFile& file) {
  std::vector<FileBytes> out;
  for (const auto& location : facts.external_files) {
    if (!file.directory) {
      return invalid("unsafe_path",
                     "the model keeps data in other files, which is only allowed "
                     "for a model in a directory");
    }
    auto fd = open_beneath(*file.directory, location);
    if (!fd && fd.error().code == Code::kUnavailable) return Failure(fd.error());
    if (!fd) {
      return invalid("unsafe_path",
                     "the model's external data cannot be used: a file that it names does not "
                     "exist or lies outside the model's directory");
    }
    SLUICE_TRY(auto bytes, FileBytes::copy(*fd, "the model's external data"));
    out.push_back(std::move(bytes));
  }
  return out;
}

OnnxFiles files_of(const OnnxFacts& facts, const std::vector<FileBytes>& external) {
  OnnxFiles out;
  auto file = external.begin();
  for (const auto& name : facts.external_files) out.emplace(name, (file++)->text());
  return out;
}

void add_external(Ort::SessionOptions& options, const OnnxFacts& facts,
                  const std::vector<FileBytes>& files) {
  if (files.empty()) return;
  std::vector<std::basic_string<ORTCHAR_T>> names(facts.external_files.begin(),
                                                  facts.external_files.end());
  std::vector<char*> buffers;
  std::vector<std::size_t> sizes;
  for (const auto& file : files) {
    // The API wants char*, and only reads.
    buffers.push_back(const_cast<char*>(file.text().data()));
    sizes.push_back(file.text().size());
  }
  options.AddExternalInitializersFromFilesInMemory(names, buffers, sizes);
}

// Models up to this size have a session for each thread that runs them.
constexpr std::size_t kCopiedWeights = std::size_t{16} << 20;
// Of larger models, weights from this size on are handed over by themselves.
constexpr std::size_t kLargeWeight = std::size_t{64} << 10;
// Where a model that was given as bytes has its external data (ONNX Runtime 1.20; older ones find
// nothing, and are handed the weights).
constexpr const char* kFolder = "session.model_external_initializers_file_folder_path";

Ort::SessionOptions settings_for(const LoadOptions& options) {
  Ort::SessionOptions out;
  out.SetIntraOpNumThreads(options.threads);
  out.SetInterOpNumThreads(1);
  out.SetExecutionMode(ORT_SEQUENTIAL);
  out.SetGraphOptimizationLevel(ORT_ENABLE_ALL);
  // A spinning pool would take the cores that the I/O threads need.
  out.AddConfigEntry("session.intra_op.allow_spinning", "0");
  return out;
}

class OnnxEngine final : public Engine {
 public:
  bool accepts(const ModelFile& file) const override { return file.name.ends_with(".onnx"); }
  std::vector<std::string_view> extensions() const override { return {".onnx"}; }

  Result<std::unique_ptr<Model>> load(const ModelFile& file,
                                      const LoadOptions& options) const override {
    SLUICE_TRY(auto facts, scan_onnx(file.contents.text()));
    SLUICE_TRY(auto external, open_external(facts, file));
    const bool large = file.contents.bytes().size() > kCopiedWeights;
    try {
      auto in_place =
          large && external.empty() ? WeightsInPlace::of(file.contents, in_use_) : nullptr;
      auto sessions =
          in_place ? open_in_place(file.contents, options, *in_place) : std::vector<Ort::Session>();
      if (sessions.empty()) {
        in_place.reset();
        sessions = open_sessions(file.contents, options, facts, external);
      }
      if (in_place) in_place->loaded(!options.trial);
      auto model = std::make_unique<OnnxModel>(env_, std::move(sessions), std::move(facts),
                                               std::move(in_place));
      SLUICE_CHECK(model->describe());
      return model;
    } catch (const Ort::Exception& error) {
      return invalid("bad_model",
                     "ONNX Runtime cannot load the model: " + first_sentence(error.what()));
    }
  }

 private:
  // None where ONNX Runtime does not take it: then the model is opened in another way.
  std::vector<Ort::Session> open_in_place(const FileBytes& contents, const LoadOptions& options,
                                          const WeightsInPlace& in_place) const {
    std::vector<Ort::Session> out;
    const auto parts = take_out_weights(contents.text(), kLargeWeight, in_place.location());
    if (parts.weights.empty()) return out;
    try {
      auto settings = settings_for(options);
      settings.AddConfigEntry(kFolder, "/");
      out.emplace_back(*env_, parts.rest.data(), parts.rest.size(), settings);
    } catch (const Ort::Exception& error) {
      log::debug(std::string("ONNX Runtime, given the weights in place: ") + error.what());
    }
    return out;
  }

  std::vector<Ort::Session> open_sessions(const FileBytes& contents, const LoadOptions& options,
                                          const OnnxFacts& facts,
                                          const std::vector<FileBytes>& external) const {
    const auto bytes = contents.bytes();
    const bool large = bytes.size() > kCopiedWeights;
    const bool several = !large && external.empty();
    std::vector<Ort::Session> out;
    if (!several) {
      if (auto session = open_in_parts(contents, options, facts, external)) {
        out.push_back(std::move(*session));
        return out;
      }
    }
    auto settings = settings_for(options);
    add_external(settings, facts, external);
    for (int i = 0; i < (several ? options.parallel : 1); ++i) {
      out.emplace_back(*env_, bytes.data(), bytes.size(), settings);
    }
    return out;
  }

  // Nothing where that cannot be done: then ONNX Runtime is given the files as they are, and says
  // what is wrong with them, if anything is.
  std::optional<Ort::Session> open_in_parts(const FileBytes& contents, const LoadOptions& options,
                                            const OnnxFacts& facts,
                                            const std::vector<FileBytes>& external) const {
    OnnxParts parts;
    if (external.empty()) {
      parts = take_out_weights(contents.text(), kLargeWeight);
    } else {
      parts.weights = find_weights(contents.text(), files_of(facts, external), kLargeWeight);
    }
    if (parts.weights.empty()) return std::nullopt;
    const auto model = external.empty() ? std::string_view(parts.rest) : contents.text();
    try {
      auto settings = settings_for(options);
      add_external(settings, facts, external);
      hand_over(settings, parts.weights);
      return Ort::Session(*env_, model.data(), model.size(), settings);
    } catch (const Ort::Exception& error) {
      log::debug(std::string("ONNX Runtime, given the weights apart: ") + error.what());
      return std::nullopt;
    }
  }

  std::shared_ptr<Ort::Env> env_ = onnx_environment();
  mutable OnnxFilesInUse in_use_;
};

}  // namespace

std::shared_ptr<const Engine> make_onnx() { return std::make_shared<OnnxEngine>(); }

}  // namespace sluice::engines
