// Which files a version consists of: what of them changes it, and which a pipeline's steps name.
//
// Thread-safety: functions without state.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/source.h"
#include "sources/file_tree.h"

namespace sluice::sources {

inline constexpr std::string_view kPipeline = "ensemble.yaml";
inline constexpr std::string_view kPipelineEnding = ".ensemble.yaml";

// `ensemble.yaml` or `NAME.ensemble.yaml`.
bool is_pipeline(std::string_view file);

// Files that steps of a pipeline name, from the pipeline's directory: members, scalers,
// vocabularies; sorted. `file`: the pipeline's, or a model.yaml that has one. None where it is no
// such file or cannot be read: whoever loads it says why. Names that lead out of the directory are
// left to the engine, which refuses them.
enum class StepFiles { kAll, kNoModels };
std::vector<std::string> files_of_steps(const FileTree& tree, const std::filesystem::path& file,
                                        StepFiles which = StepFiles::kAll);

// A version that has its directory to itself is another one when anything in it or below it is.
// `found` is what the directory holds. Below it only so much is looked at (four levels, 1000
// files and folders), so that a look stays cheap whatever somebody puts there.
void note_whole_directory(const FileTree& tree, const Names& found, WantedVersion& version);
// One that shares its directory is its file, what its steps name, and what is called like these:
// fraud.onnx.data, where the weights of fraud.onnx are.
void note_named_files(const FileTree& tree, const Names& found, WantedVersion& version);

}  // namespace sluice::sources
