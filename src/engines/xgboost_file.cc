#include "engines/xgboost_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "engines/xgboost_binary.h"
#include "engines/xgboost_document.h"

namespace sluice::engines {
namespace {

constexpr std::size_t kShown = 40;  // bytes of a file's beginning

struct Other {
  std::string_view begin;
  std::string_view what;
};

// What files are that are taken for models, by how they begin; longer ones first.
constexpr Other kOthers[] = {
    {"<", "a web page or XML: download the file itself, not the page that shows it"},
    {"version https://git-lfs",
     "a pointer of Git LFS: run `git lfs pull` where it comes from, for the file itself"},
    {"tree\nversion", "a model of LightGBM: convert it to ONNX, with onnxmltools"},
    {"booster[",
     "a dump for people to read: save the model with Booster.save_model(\"model.ubj\")"},
    {"CONFIG-offset:",
     "a serialised booster with its training: save it with Booster.save_model(\"model.ubj\")"},
    {"bs64",
     "XGBoost's format in base64, which it does not read any more: save it again with the "
     "XGBoost that wrote it, by Booster.save_model(\"model.json\")"},
    {"\x80",
     "a pickle of Python: save the model with its save_model(\"model.ubj\"), or serve the "
     "pickle as model.pkl by the engine sklearn"},
    {"PK\x03\x04", "an archive: unpack it"},
    {"\x1F\x8B", "compressed by gzip: unpack it"},
    {"\x89HDF", "an HDF5 file, as Keras writes"},
    {"[",
     "a list, as Booster.get_dump gives: save the model with Booster.save_model(\"model.ubj\")"},
};

// The first field of ONNX is its version, and the second one of these.
bool is_onnx(std::string_view bytes) {
  return bytes.size() > 3 && bytes[0] == 0x08 && bytes[1] > 0 && bytes[1] < 0x20 &&
         (bytes[2] == 0x12 || bytes[2] == 0x1A || bytes[2] == 0x22 || bytes[2] == 0x3A ||
          bytes[2] == 0x42);
}

// Its first words where it has some.
std::string beginning(std::string_view bytes) {
  const auto end = std::ranges::find_if(bytes, [](char c) { return c < ' ' || c > '~'; });
  const auto words = bytes.substr(0, static_cast<std::size_t>(end - bytes.begin()));
  if (words.size() >= 3) return fmt::format("'{}'", printable(words, kShown));
  return fmt::format("byte 0x{:02x}", static_cast<unsigned char>(bytes[0]));
}

Failure no_model(std::string_view bytes) {
  std::string_view what =
      "no format that is known here: it should be what Booster.save_model(\"model.ubj\") or "
      "(\"model.json\") writes";
  for (const auto& other : kOthers) {
    if (!bytes.starts_with(other.begin)) continue;
    what = other.what;
    break;
  }
  if (is_onnx(bytes)) what = "an ONNX model: call it model.onnx, and choose no engine or onnx";
  return invalid("bad_model", fmt::format("it is no XGBoost model: it begins with {}, {}",
                                          beginning(bytes), what));
}

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

}  // namespace

// As XGBoost tells them apart.
Result<XgboostParts> check_xgboost_file(std::string_view bytes) {
  if (bytes.empty()) return invalid("bad_model", "the model file is empty");
  if (bytes[0] != '{') {
    if (looks_like_xgboost_binary(bytes)) return check_xgboost_binary(bytes);
    return no_model(bytes);
  }
  std::size_t second = 1;
  while (second < bytes.size() && is_space(bytes[second])) ++second;
  if (second < bytes.size() && bytes[second] == '"') {
    if (!is_utf8(bytes)) return invalid("bad_model", "the file is not valid JSON: it is not UTF-8");
    return check_xgboost_document(bytes, false);
  }
  if (bytes.substr(1).starts_with('L')) return check_xgboost_document(bytes, true);
  return invalid("bad_model",
                 "the file is neither valid JSON nor UBJSON, so it is no XGBoost model; save it "
                 "with Booster.save_model(\"model.ubj\")");
}

}  // namespace sluice::engines
