// Base64 with the standard alphabet and padding (RFC 4648, section 4).
// Thread-safety: functions without state.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sluice {

std::string encode_base64(std::string_view bytes);
// Nothing when `text` is not base64. Also reads the URL-safe alphabet and missing padding, which
// clients of TensorFlow Serving send.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace sluice
