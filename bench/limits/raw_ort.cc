// Limit: ONNX Runtime's Run in a loop on preallocated values, a session for each thread (two
// threads on one session hinder each other), intra_op threads 1. No server that runs this model in
// batches of ROWS (1) can be faster. bench_raw_ort MODEL [THREADS [SECONDS [ROWS]]]

#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <latch>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

// What one thread runs: names and one preallocated value for each input and output.
struct Values {
  std::vector<std::string> names;
  std::vector<Ort::Value> values;

  std::vector<const char*> name_pointers() const {
    std::vector<const char*> pointers;
    for (const std::string& name : names) pointers.push_back(name.c_str());
    return pointers;
  }
};

// A free first dimension is the rows, every other one is 1.
Ort::Value allocate(const Ort::TypeInfo& type, int64_t rows, OrtAllocator* allocator) {
  const auto info = type.GetTensorTypeAndShapeInfo();
  std::vector<int64_t> shape = info.GetShape();
  if (!shape.empty() && shape[0] == -1) shape[0] = rows;
  for (int64_t& size : shape) size = std::max<int64_t>(size, 1);
  return Ort::Value::CreateTensor(allocator, shape.data(), shape.size(), info.GetElementType());
}

Values inputs_of(const Ort::Session& session, int64_t rows,
                 Ort::AllocatorWithDefaultOptions& allocator) {
  Values in;
  for (size_t i = 0; i < session.GetInputCount(); ++i) {
    in.names.emplace_back(session.GetInputNameAllocated(i, allocator).get());
    in.values.push_back(allocate(session.GetInputTypeInfo(i), rows, allocator));
    // Ones: what lies in fresh memory may be denormal, and denormals are slow.
    std::fill_n(in.values.back().GetTensorMutableData<float>(),
                in.values.back().GetTensorTypeAndShapeInfo().GetElementCount(), 1.0F);
  }
  return in;
}

Values outputs_of(const Ort::Session& session, int64_t rows,
                  Ort::AllocatorWithDefaultOptions& allocator) {
  Values out;
  for (size_t i = 0; i < session.GetOutputCount(); ++i) {
    out.names.emplace_back(session.GetOutputNameAllocated(i, allocator).get());
    out.values.push_back(allocate(session.GetOutputTypeInfo(i), rows, allocator));
  }
  return out;
}

double seconds_since(Clock::time_point began) {
  return std::chrono::duration<double>(Clock::now() - began).count();
}

// Runs until the deadline and returns how often it ran in a second.
double run_loop(Ort::Session& session, int64_t rows, std::latch& start, Clock::duration time) {
  Ort::AllocatorWithDefaultOptions allocator;
  Values in = inputs_of(session, rows, allocator);
  Values out = outputs_of(session, rows, allocator);
  const auto in_names = in.name_pointers();
  const auto out_names = out.name_pointers();
  const Ort::RunOptions options;
  const auto run = [&](int64_t times) {
    for (int64_t i = 0; i < times; ++i) {
      session.Run(options, in_names.data(), in.values.data(), in.values.size(), out_names.data(),
                  out.values.data(), out.values.size());
    }
  };
  const auto run_for = [&](int64_t step, Clock::duration length) {
    int64_t runs = 0;
    const auto began = Clock::now();
    for (const auto deadline = began + length; Clock::now() < deadline; runs += step) run(step);
    return static_cast<double>(runs) / seconds_since(began);
  };
  const double rate = run_for(1, time / 10);  // warm-up
  // The clock is looked at every 300 µs or after each run, whichever is longer.
  const auto step = std::max<int64_t>(1, static_cast<int64_t>(rate * 300e-6));
  start.arrive_and_wait();
  return run_for(step, time);
}

int measure(const char* model, int threads, double seconds, int64_t rows) {
  Ort::Env env(ORT_LOGGING_LEVEL_WARNING, "raw");
  env.DisableTelemetryEvents();
  Ort::SessionOptions options;
  options.SetIntraOpNumThreads(1);
  options.SetInterOpNumThreads(1);
  const auto time =
      std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  std::latch start(threads);
  std::atomic<double> runs = 0;  // a second, of all threads
  {
    std::vector<std::jthread> pool;
    for (int i = 0; i < threads; ++i) {
      pool.emplace_back([&] {
        Ort::Session session(env, model, options);
        runs += run_loop(session, rows, start, time);
      });
    }
  }
  std::printf("{\"threads\": %d, \"runs_per_second\": %.1f, \"us_per_run\": %.3f}\n", threads,
              runs.load(), 1e6 * threads / runs.load());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  // Before the environment exists: official builds of ONNX Runtime phone home unless told not to.
  setenv("ORT_DISABLE_TELEMETRY", "1", 1);
  const int threads = argc > 2 ? std::atoi(argv[2]) : 1;
  const double seconds = argc > 3 ? std::atof(argv[3]) : 4.0;
  const int rows = argc > 4 ? std::atoi(argv[4]) : 1;
  if (argc < 2 || threads < 1 || threads > 256 || !(seconds > 0 && seconds <= 600) || rows < 1 ||
      rows > 65536) {
    std::fputs("usage: bench_raw_ort MODEL [THREADS [SECONDS [ROWS]]]\n", stderr);
    return 2;
  }
  try {
    return measure(argv[1], threads, seconds, rows);
  } catch (const Ort::Exception& error) {
    std::fprintf(stderr, "bench_raw_ort: %s\n", error.what());
    return 1;
  }
}
