#include "base/keyed_hash.h"

#include <sys/random.h>

#include <array>

namespace sluice {

const unsigned char* hash_secret() {
  static const auto kSecret = [] {
    std::array<unsigned char, XXH3_SECRET_DEFAULT_SIZE> out{};
    for (std::size_t done = 0; done < out.size();) {
      const auto got = ::getrandom(out.data() + done, out.size() - done, 0);
      if (got > 0) done += static_cast<std::size_t>(got);
    }
    return out;
  }();
  return kSecret.data();
}

}  // namespace sluice
