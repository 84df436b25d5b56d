// What the forms of `sluice bench` share: its arguments, and the request that is sent.
// Thread-safety: plain values and functions without state.
#pragma once

#include <string>

#include "app/commands.h"
#include "core/signature.h"
#include "tools/bench/load_result.h"

namespace sluice {
class JsonWriter;
}

namespace sluice::app {

struct BenchArguments {
  LoadFlags load_flags;
  std::string target;
  std::string data;
  std::string input;    // a file with what `data` would be
  int concurrency = 0;  // 0: not given
  double rate = 0;
  double seconds = 5;
  int timeout = 0;  // milliseconds; 0: none
  bool sweep = false;
  bool json = false;
};

// `data` as a request, or a row of zeros for the model where there is none.
std::string body_for(const Signature& signature, const std::string& data);

// Fields of the open object: rates, quantiles, counts.
void put_load(const tools::LoadResult& result, JsonWriter& json);

// `sluice bench MODEL --sweep`; answers the exit code.
int bench_sweep(const BenchArguments& arguments);

}  // namespace sluice::app
