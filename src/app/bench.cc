// sluice bench

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>

#include "app/bench.h"
#include "app/commands.h"
#include "app/http_client.h"
#include "app/stack.h"
#include "base/file.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "codecs/simple_json.h"
#include "tools/bench/http_load.h"

namespace sluice::app {
namespace {

void print_load(const tools::LoadResult& result, const BenchArguments& arguments) {
  if (arguments.json) {
    std::string out;
    JsonWriter json(out);
    json.begin_object();
    put_load(result, json);
    json.end_object();
    std::printf("%s\n", out.c_str());
    return;
  }
  const auto number = [](std::uint64_t count) { return static_cast<unsigned long long>(count); };
  const auto millis = [&](double q) { return result.quantile(q) / 1000; };
  const auto good = [&](double q) { return result.good_quantile(q) / 1000; };
  std::printf("requests    %llu in %.1f s, %.0f a second\n", number(result.answered),
              result.seconds, result.per_second());
  std::printf("latency     p50 %.3f ms   p95 %.3f ms   p99 %.3f ms\n", millis(0.5), millis(0.95),
              millis(0.99));
  if (arguments.timeout > 0) {
    std::printf("goodput     %llu within %d ms, %.0f a second\n", number(result.good),
                arguments.timeout, result.goodput());
    std::printf("of those    p50 %.3f ms   p95 %.3f ms   p99 %.3f ms\n", good(0.5), good(0.95),
                good(0.99));
    std::printf("too late    %llu answered late, %llu never sent\n", number(result.late),
                number(result.missed));
  }
  std::printf("errors      %llu refused, %llu unanswered\n", number(result.refused),
              number(result.failed));
}

// Features alone become a request; a whole request stays as it is.
std::string body_of(const std::string& data) {
  const bool whole = data.starts_with('{') && data.find("\"features\"") != std::string::npos;
  return whole ? data : "{\"features\":" + data + "}";
}

int bench_url(const BenchArguments& arguments) {
  auto url = parse_url(arguments.target);
  if (!url) return complain(kUsage, url.error().message);
  tools::LoadPlan plan;
  plan.host = url->host;
  plan.port = url->port;
  plan.path = url->path;
  if (!arguments.data.empty()) {
    plan.body =
        arguments.data.starts_with('{') ? arguments.data : "{\"features\":" + arguments.data + "}";
  }
  plan.connections = std::max(1, arguments.concurrency);
  plan.rate = arguments.rate;
  plan.duration = std::chrono::milliseconds(static_cast<std::int64_t>(arguments.seconds * 1000));
  plan.timeout = std::chrono::milliseconds(arguments.timeout);
  auto result = tools::run_http_load(plan);
  if (!result) return complain(result.error());
  print_load(*result, arguments);
  return kSuccess;
}

// A row of zeros for the model, as a request.
std::string sample_body(const Signature& signature) {
  std::string out = "{\"features\":";
  const auto value = [](const TensorSpec& spec) {
    return spec.dtype == DType::kString ? "\"\"" : "0";
  };
  const auto row = [&](const TensorSpec& spec) {
    std::size_t width = 1;
    for (const auto dim : spec.row_dims()) width *= static_cast<std::size_t>(dim < 1 ? 1 : dim);
    std::string text = "[";
    for (std::size_t i = 0; i < width; ++i) text += (i > 0 ? "," : "") + std::string(value(spec));
    return text + "]";
  };
  if (signature.inputs.size() == 1) return out + row(signature.inputs[0]) + "}";
  out += "{";
  for (std::size_t i = 0; i < signature.inputs.size(); ++i) {
    out += (i > 0 ? ",\"" : "\"") + signature.inputs[i].name + "\":" + row(signature.inputs[i]);
  }
  return out + "}}";
}

// Runs `work` for about `seconds`; answers microseconds a run.
template <class Work>
double time_of(double seconds, Work work) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  std::uint64_t runs = 0;
  double elapsed = 0;
  while (elapsed < seconds) {
    for (int i = 0; i < 64; ++i) work();
    runs += 64;
    elapsed = std::chrono::duration<double>(Clock::now() - begin).count();
  }
  return elapsed * 1e6 / static_cast<double>(runs);
}

RequestPtr decoded(const serving::Pipeline& pipeline, std::string_view body, Error& error) {
  auto request = pipeline.new_request();
  request->wants_prediction = true;
  request->request_id = "bench";
  auto ok = pipeline.aim(*request, "", "");
  if (ok) ok = codecs::decode_simple_json(body, request->servable->signature(), false, *request);
  if (!ok) error = ok.error();
  return ok ? std::move(request) : nullptr;
}

struct InProcess {
  double engine = 0;  // µs of the engine alone
  double whole = 0;   // µs from bytes to bytes
};

Result<InProcess> measure(const BenchArguments& arguments) {
  SLUICE_TRY(const auto stack, Stack::open(arguments.target, arguments.load_flags));
  SLUICE_CHECK(stack->load());
  SLUICE_TRY(const auto first, stack->request_to_only_model());
  const auto servable = first->servable;
  std::string body = body_for(servable->signature(), arguments.data);
  body.reserve(body.size() + codecs::json_padding());
  SLUICE_CHECK(codecs::decode_simple_json(body, servable->signature(), false, *first));
  InProcess out;
  out.engine = time_of(arguments.seconds / 2, [&] {
    Arena arena;
    std::vector<TensorView> outputs(servable->signature().outputs.size());
    (void)servable->loaded().run(first->inputs, outputs, arena);
  });
  Error error;
  std::string answer;
  out.whole = time_of(arguments.seconds / 2, [&] {
    auto request = decoded(stack->pipeline(), body, error);
    if (!request) return;
    request->on_done = [&answer](Request* done) {
      answer.clear();
      if (!done->reply.error) codecs::encode_simple_json(*done, "model", "1", answer);
    };
    stack->pipeline().submit(std::move(request));
  });
  if (answer.empty())
    return fail(Code::kInvalidArgument, "failed", "the model fails on this input");
  return out;
}

int bench_model(const BenchArguments& arguments) {
  log::set_level(log::Level::kOff);
  auto result = measure(arguments);
  if (!result) return complain(result.error());
  const double overhead = result->whole - result->engine;
  if (arguments.json) {
    std::string out;
    JsonWriter json(out);
    json.begin_object().field("engine_us", result->engine).field("whole_us", result->whole);
    json.field("overhead_us", overhead).field("per_second", 1e6 / result->whole).end_object();
    std::printf("%s\n", out.c_str());
  } else {
    std::printf("engine alone     %.2f us\n", result->engine);
    std::printf("bytes to bytes   %.2f us, %.0f a second on one thread\n", result->whole,
                1e6 / result->whole);
    std::printf("overhead         %.2f us\n", overhead);
  }
  return kSuccess;
}

}  // namespace

std::string body_for(const Signature& signature, const std::string& data) {
  return data.empty() ? sample_body(signature) : body_of(data);
}

void put_load(const tools::LoadResult& result, JsonWriter& json) {
  json.field("requests_per_second", result.per_second()).field("requests", result.answered);
  json.field("p50_ms", result.quantile(0.5) / 1000).field("p95_ms", result.quantile(0.95) / 1000);
  json.field("p99_ms", result.quantile(0.99) / 1000);
  json.field("goodput", result.goodput()).field("good", result.good);
  json.field("good_p50_ms", result.good_quantile(0.5) / 1000);
  json.field("good_p95_ms", result.good_quantile(0.95) / 1000);
  json.field("good_p99_ms", result.good_quantile(0.99) / 1000);
  json.field("errors", result.refused + result.failed).field("refused", result.refused);
  json.field("unanswered", result.failed).field("late", result.late);
  json.field("missed", result.missed).field("seconds", result.seconds);
}

Action add_bench(CLI::App& app) {
  auto arguments = std::make_shared<BenchArguments>();
  app.add_option("target", arguments->target, "URL of a server, or a model file or directory")
      ->required();
  app.add_option("--data", arguments->data, "features, or a whole request, as JSON");
  app.add_option("--input", arguments->input, "file with the same");
  app.add_option("--concurrency", arguments->concurrency, "connections")
      ->check(CLI::Range(1, 10000));
  app.add_option("--rate", arguments->rate, "requests a second (open loop)")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--timeout", arguments->timeout,
                 "milliseconds that an answer may take; what comes later is not good")
      ->check(CLI::Range(1, 86'400'000));
  app.add_option("--seconds", arguments->seconds, "how long")->check(CLI::Range(0.1, 86400.0));
  app.add_flag("--sweep", arguments->sweep,
               "serve the model with batching off, eager and wait, and load each");
  add_load_flags(app, arguments->load_flags);
  app.add_flag("--json", arguments->json, "print JSON");
  return [arguments] {
    if (!arguments->input.empty()) {
      auto text = read_text(arguments->input, std::size_t{64} << 20, "the input file");
      if (!text) return complain(text.error());
      arguments->data = std::move(*text);
    }
    const bool url = arguments->target.find("://") != std::string::npos;
    if (url && arguments->sweep) return complain(kUsage, "--sweep takes a model, not a URL");
    if (arguments->sweep) return bench_sweep(*arguments);
    return url ? bench_url(*arguments) : bench_model(*arguments);
  };
}

}  // namespace sluice::app
