// What ONNX Runtime says of a mistake, for users. Internal to the ONNX files of this room.
#pragma once

#include <string>
#include <string_view>

namespace sluice::engines {

// Its texts name its own source files and functions; a user has no use for those.
std::string first_sentence(std::string_view text);

}  // namespace sluice::engines
